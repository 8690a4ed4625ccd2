//! The JSON form. It is read strictly: a key that this software doesn't know could be one that changes the answer.

use std::ops::RangeInclusive;

use jeju_inference::{FinishReason, Sampling};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Choice, MAX_RUNS, Parameters, PromptDigest, Receipt, ReceiptError, VERSION};

/// More than any model's context.
const MAX_TOKENS: usize = 1 << 24;

pub(super) fn write(receipt: &Receipt) -> Value {
    let Parameters {
        sampling,
        stop,
        json_object,
    } = &receipt.parameters;
    let prompts: Vec<_> = receipt
        .prompts
        .iter()
        .map(|prompt| {
            json!({
                "sha256": hex::encode(prompt.sha256),
                "tokens": prompt.tokens,
                "max_tokens": prompt.max_tokens,
            })
        })
        .collect();
    let choices: Vec<_> = receipt
        .choices
        .iter()
        .map(|choice| {
            json!({
                "index": choice.index,
                "prompt": choice.prompt,
                "seed": choice.seed.to_string(),
                "finish_reason": choice.reason(),
                "completion_tokens": choice.completion_tokens,
                "output_sha256": hex::encode(choice.output_sha256),
            })
        })
        .collect();
    json!({
        "version": VERSION,
        "engine": receipt.engine,
        "model_sha256": hex::encode(receipt.model_sha256),
        "prompts": prompts,
        "sampling": {
            "temperature": number(sampling.temperature),
            "top_p": number(sampling.top_p),
            "seed": sampling.seed.to_string(),
            "repeat_penalty": number(sampling.repeat_penalty),
            "frequency_penalty": number(sampling.frequency_penalty),
            "presence_penalty": number(sampling.presence_penalty),
            "logit_bias": sampling.logit_bias.iter().map(|(token, bias)| json!([token, number(*bias)])).collect::<Vec<_>>(),
            "stop": stop.iter().map(|stop| &**stop).collect::<Vec<_>>(),
            "json_object": json_object,
        },
        "choices": choices,
    })
}

pub(super) fn read(value: &Value) -> Result<Receipt, ReceiptError> {
    if value.get("version").and_then(Value::as_u64) != Some(VERSION) {
        return Err(ReceiptError::Version);
    }
    let form = Form::deserialize(value).map_err(|_| ReceiptError::Malformed)?;
    form.receipt().ok_or(ReceiptError::Malformed)
}

pub(super) fn name(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop => "stop",
        FinishReason::Length => "length",
        FinishReason::Cancelled => "cancelled",
    }
}

/// The shortest decimal that is read back as the same number: 0.2, and not 0.20000000298023224.
fn number(value: f32) -> f64 {
    match value.to_string().parse::<f64>() {
        Ok(short) if short as f32 == value => short,
        _ => value.into(),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    #[serde(rename = "version")]
    _version: u64,
    engine: String,
    model_sha256: String,
    prompts: Vec<PromptForm>,
    sampling: SamplingForm,
    choices: Vec<ChoiceForm>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PromptForm {
    sha256: String,
    tokens: usize,
    max_tokens: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SamplingForm {
    temperature: f32,
    top_p: f32,
    seed: String,
    repeat_penalty: f32,
    frequency_penalty: f32,
    presence_penalty: f32,
    logit_bias: Vec<(u32, f32)>,
    stop: Vec<String>,
    json_object: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChoiceForm {
    index: usize,
    prompt: usize,
    seed: String,
    finish_reason: String,
    completion_tokens: usize,
    output_sha256: String,
}

impl Form {
    fn receipt(self) -> Option<Receipt> {
        const RUNS: RangeInclusive<usize> = 1..=MAX_RUNS;
        if !RUNS.contains(&self.prompts.len()) || !RUNS.contains(&self.choices.len()) {
            return None;
        }
        let prompts: Vec<_> = self
            .prompts
            .into_iter()
            .map(PromptForm::prompt)
            .collect::<Option<_>>()?;
        let choices: Vec<_> = self
            .choices
            .into_iter()
            .enumerate()
            .map(|(index, choice)| choice.choice(index, &prompts))
            .collect::<Option<_>>()?;
        Some(Receipt {
            engine: self.engine,
            model_sha256: sha256(&self.model_sha256)?,
            prompts,
            parameters: self.sampling.parameters()?,
            choices,
        })
    }
}

impl PromptForm {
    fn prompt(self) -> Option<PromptDigest> {
        let in_range = |tokens| (1..=MAX_TOKENS).contains(&tokens);
        (in_range(self.tokens) && in_range(self.max_tokens)).then_some(PromptDigest {
            sha256: sha256(&self.sha256)?,
            tokens: self.tokens,
            max_tokens: self.max_tokens,
        })
    }
}

impl SamplingForm {
    fn parameters(self) -> Option<Parameters> {
        let sampling = Sampling {
            temperature: self.temperature,
            top_p: self.top_p,
            seed: decimal(&self.seed)?,
            repeat_penalty: self.repeat_penalty,
            frequency_penalty: self.frequency_penalty,
            presence_penalty: self.presence_penalty,
            logit_bias: self.logit_bias,
        };
        sampling.validate().is_ok().then(|| Parameters {
            sampling,
            stop: self.stop.into_iter().map(Into::into).collect(),
            json_object: self.json_object,
        })
    }
}

impl ChoiceForm {
    fn choice(self, index: usize, prompts: &[PromptDigest]) -> Option<Choice> {
        let prompt = prompts.get(self.prompt)?;
        let finish_reason = [FinishReason::Stop, FinishReason::Length]
            .into_iter()
            .find(|reason| name(*reason) == self.finish_reason)?;
        (self.index == index && self.completion_tokens <= prompt.max_tokens).then_some(Choice {
            index,
            prompt: self.prompt,
            seed: decimal(&self.seed)?,
            finish_reason,
            completion_tokens: self.completion_tokens,
            output_sha256: sha256(&self.output_sha256)?,
        })
    }
}

/// A number has one form: no sign, no leading zeros.
fn decimal(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

fn sha256(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    hex::decode_to_slice(text, &mut digest).ok()?;
    (hex::encode(digest) == text).then_some(digest)
}
