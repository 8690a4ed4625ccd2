//! What an answer says: the text of each choice, how it ended, what it took, and its receipt.

use jeju_openai::receipt::{MAX_RUNS, Receipt, ReceiptError};
use serde_json::Value;

use super::AuditError;
use crate::chat::events_data;

/// An endpoint whose answers have receipts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    Chat,
    Completions,
    Responses,
}

impl Endpoint {
    /// Of a request's path.
    pub(super) fn of(path: &str) -> Result<Self, AuditError> {
        match path {
            "/v1/chat/completions" => Ok(Endpoint::Chat),
            "/v1/completions" => Ok(Endpoint::Completions),
            "/v1/responses" => Ok(Endpoint::Responses),
            _ => Err(AuditError::Endpoint),
        }
    }
}

/// An answer, put together from all of its documents. Holds what the model wrote: neither Debug nor Display.
pub(super) struct Answer {
    pub(super) choices: Vec<Told>,
    /// Prompt and completion tokens, where the answer tells them.
    pub(super) usage: Option<(u64, u64)>,
    pub(super) receipt: Receipt,
}

/// A choice as the answer tells it.
#[derive(Default)]
pub(super) struct Told {
    pub(super) text: String,
    pub(super) finish_reason: Option<String>,
}

impl Answer {
    /// Reads a body whose signature was verified.
    ///
    /// # Errors
    /// Where it isn't OpenAI's, or has no receipt.
    pub(super) fn read(endpoint: Endpoint, body: &str, streamed: bool) -> Result<Self, AuditError> {
        let mut reading = Reading {
            endpoint,
            choices: Vec::new(),
            usage: None,
            receipt: Err(ReceiptError::Missing),
            deltas: streamed.then(String::new),
        };
        if streamed {
            for data in events_data(body.as_bytes()) {
                reading.take(data)?;
            }
        } else {
            reading.take(body.as_bytes())?;
        }
        if endpoint == Endpoint::Responses && !reading.deltas_are_the_text() {
            return Err(AuditError::Told { what: "deltas" });
        }
        Ok(Self {
            receipt: reading.receipt?,
            choices: reading.choices,
            usage: reading.usage,
        })
    }
}

struct Reading {
    endpoint: Endpoint,
    choices: Vec<Told>,
    usage: Option<(u64, u64)>,
    receipt: Result<Receipt, ReceiptError>,
    /// Of a streamed response: its text as it came, which its last event repeats.
    deltas: Option<String>,
}

const MALFORMED: AuditError = AuditError::Answer("answer");

impl Reading {
    fn take(&mut self, json: &[u8]) -> Result<(), AuditError> {
        let document: Value = serde_json::from_slice(json).map_err(|_| MALFORMED)?;
        if self.endpoint == Endpoint::Responses {
            return self.response(&document);
        }
        let choices = document["choices"].as_array().ok_or(MALFORMED)?;
        for choice in choices {
            self.choice(choice).ok_or(MALFORMED)?;
        }
        self.usage(&document["usage"], "prompt_tokens", "completion_tokens");
        self.receipt(&document);
        Ok(())
    }

    /// A response, or an event of its stream: the last one has it whole.
    fn response(&mut self, document: &Value) -> Result<(), AuditError> {
        let response = match (&mut self.deltas, document["type"].as_str()) {
            (None, _) => document,
            (Some(deltas), Some("response.output_text.delta")) => {
                deltas.push_str(document["delta"].as_str().ok_or(MALFORMED)?);
                return Ok(());
            }
            (Some(_), Some("response.completed" | "response.incomplete")) => &document["response"],
            (Some(_), Some(_)) => return Ok(()),
            (Some(_), None) => return Err(MALFORMED),
        };
        let items = response["output"].as_array().ok_or(MALFORMED)?;
        let parts = items
            .iter()
            .filter_map(|item| item["content"].as_array())
            .flatten();
        let finish_reason = match response["status"].as_str() {
            Some("completed") => "stop",
            Some("incomplete") => "length",
            _ => return Err(MALFORMED),
        };
        self.choices = vec![Told {
            text: parts.filter_map(|part| part["text"].as_str()).collect(),
            finish_reason: Some(finish_reason.to_owned()),
        }];
        self.usage(&response["usage"], "input_tokens", "output_tokens");
        self.receipt(response);
        Ok(())
    }

    fn deltas_are_the_text(&self) -> bool {
        let text = self.choices.first().map(|told| &told.text);
        self.deltas.as_ref().is_none_or(|deltas| Some(deltas) == text)
    }

    fn usage(&mut self, usage: &Value, prompt: &str, completion: &str) {
        if let (Some(prompt), Some(completion)) = (usage[prompt].as_u64(), usage[completion].as_u64()) {
            self.usage = Some((prompt, completion));
        }
    }

    fn receipt(&mut self, document: &Value) {
        match Receipt::of(document) {
            Err(ReceiptError::Missing) => {}
            found => self.receipt = found,
        }
    }

    fn choice(&mut self, choice: &Value) -> Option<()> {
        let index = usize::try_from(choice["index"].as_u64()?).ok()?;
        if index >= MAX_RUNS {
            return None;
        }
        if self.choices.len() <= index {
            self.choices.resize_with(index + 1, Told::default);
        }
        let told = &mut self.choices[index];
        let text = match self.endpoint {
            Endpoint::Completions => &choice["text"],
            _ if choice["message"].is_object() => &choice["message"]["content"],
            _ => &choice["delta"]["content"],
        };
        told.text.push_str(text.as_str().unwrap_or_default());
        if let Some(reason) = choice["finish_reason"].as_str() {
            told.finish_reason = Some(reason.to_owned());
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn receipt() -> Value {
        json!({
            "version": 1, "engine": "e", "model_sha256": "ab".repeat(32),
            "prompts": [{"sha256": "cd".repeat(32), "tokens": 3, "max_tokens": 16}],
            "sampling": {"temperature": 0.0, "top_p": 1.0, "seed": "1", "repeat_penalty": 1.1,
                "frequency_penalty": 0.0, "presence_penalty": 0.0, "logit_bias": [], "stop": [], "json_object": false},
            "choices": [{"index": 0, "prompt": 0, "seed": "1", "finish_reason": "stop", "completion_tokens": 1,
                "output_sha256": "ef".repeat(32)}],
        })
    }

    #[test]
    fn pieces_of_a_stream_are_put_together_by_index() {
        let events = [
            json!({"choices": [{"index": 1, "delta": {"role": "assistant", "content": ""}, "finish_reason": null}]}),
            json!({"choices": [{"index": 1, "delta": {"content": "b"}}], "obfuscation": "xxxx"}),
            json!({"choices": [{"index": 0, "delta": {"content": "a"}}]}),
            json!({"choices": [{"index": 1, "delta": {"content": "c"}}]}),
            json!({"choices": [{"index": 1, "delta": {}, "finish_reason": "length"}]}),
            json!({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}, "receipt": receipt()}),
        ];
        let body: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
        let body = body + ": jeju-sig v=1\n\ndata: [DONE]\n\n";
        let answer = Answer::read(Endpoint::Chat, &body, true).unwrap_or_else(|error| panic!("{error}"));
        let texts: Vec<_> = answer.choices.iter().map(|told| told.text.as_str()).collect();
        assert_eq!((texts, answer.usage), (vec!["a", "bc"], Some((3, 2))));
        assert_eq!(answer.choices[1].finish_reason.as_deref(), Some("length"));
        assert_eq!(answer.choices[0].finish_reason, None);
    }

    #[test]
    fn whole_answers_of_both_endpoints_are_read() {
        let chat = json!({"choices": [{"index": 0, "message": {"content": "a"}, "finish_reason": "stop"}],
            "receipt": receipt()});
        let completion = json!({"choices": [{"index": 0, "text": "a"}], "receipt": receipt()});
        for (endpoint, body) in [(Endpoint::Chat, chat), (Endpoint::Completions, completion)] {
            let answer =
                Answer::read(endpoint, &body.to_string(), false).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(answer.choices[0].text, "a");
        }
    }

    #[test]
    fn a_streamed_response_is_its_last_event_and_its_deltas() {
        let response = |text: &str, status: &str| {
            let part = json!({"type": "output_text", "text": text});
            json!({"status": status, "output": [{"type": "message", "content": [part]}],
                "usage": {"input_tokens": 3, "output_tokens": 2}, "receipt": receipt()})
        };
        let read = |last: &Value| {
            let events = [
                json!({"type": "response.created", "response": {"status": "in_progress"}}),
                json!({"type": "response.output_text.delta", "delta": "a"}),
                json!({"type": "response.output_text.delta", "delta": "b"}),
                json!({"type": "response.incomplete", "response": last}),
            ];
            let body: String = events
                .iter()
                .map(|event| format!("event: x\ndata: {event}\n\n"))
                .collect();
            Answer::read(Endpoint::Responses, &body, true).map(|answer| (answer.usage, answer.choices))
        };
        let (usage, choices) = read(&response("ab", "incomplete")).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((usage, choices[0].text.as_str()), (Some((3, 2)), "ab"));
        assert_eq!(choices[0].finish_reason.as_deref(), Some("length"));
        let code = |last| read(&last).err().unwrap().code();
        assert_eq!(code(response("abc", "incomplete")), "receipt_answer_differs");
        assert_eq!(code(response("ab", "failed")), "answer_malformed");
        let whole = response("c", "completed").to_string();
        let answer =
            Answer::read(Endpoint::Responses, &whole, false).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(answer.choices[0].text, "c");
        assert_eq!(answer.choices[0].finish_reason.as_deref(), Some("stop"));
    }

    #[test]
    fn what_is_no_answer_and_what_has_no_receipt_is_refused() {
        let read = |body: Value| {
            Answer::read(Endpoint::Chat, &body.to_string(), false)
                .err()
                .unwrap()
                .code()
        };
        assert_eq!(read(json!({})), "answer_malformed");
        assert_eq!(read(json!({"choices": [{"index": -1}]})), "answer_malformed");
        assert_eq!(
            read(json!({"choices": [{"index": 1_000_000_000}]})),
            "answer_malformed"
        );
        assert_eq!(read(json!({"choices": []})), "receipt_missing");
        assert_eq!(
            read(json!({"choices": [], "receipt": {"version": 2}})),
            "receipt_version_unknown"
        );
        assert_eq!(
            read(json!({"choices": [], "receipt": {"version": 1}})),
            "receipt_malformed"
        );
        assert_eq!(
            Endpoint::of("/v1/embeddings").err().unwrap().code(),
            "endpoint_not_audited"
        );
    }
}
