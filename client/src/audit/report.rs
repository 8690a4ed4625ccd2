//! The verdict on a saved answer, for people and for programs.

use jeju_attestation::policy::Kind;
use jeju_attestation::verdict::{Check, Verdict};
use jeju_openai::receipt::Receipt;
use serde::Serialize;

use super::Exchange;
use super::recompute::Request;
use super::signature::Signed;
use crate::evidence::{plain, time};

/// Version of the verdict's form.
pub const SCHEMA: &str = "tag:jeju,2026:audit-verdict/1";

/// What was found, where nothing was refused.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// `recomputed`; with a policy that the evidence passed `affirming`.
    pub status: &'static str,
    /// `none` or `policy`.
    pub appraisal: &'static str,
    /// Kind of the policy; `None` without one. A development verdict says nothing about real hardware.
    pub policy_kind: Option<Kind>,
    /// Engine that computed the answer, and now computed it again.
    pub engine: String,
    /// SHA-256 of the model's file, hex.
    pub model_sha256: String,
    /// Tokens of the prompts.
    pub prompt_tokens: usize,
    /// Tokens of the choices.
    pub completion_tokens: usize,
    /// SHA-256 of each choice's text, hex.
    pub outputs: Vec<String>,
    /// Each claim with what the trust in it rests on.
    pub checks: Vec<Check>,
    /// The node's verdict, where there is a policy.
    pub node: Option<Verdict>,
    /// What this verdict says nothing about.
    pub not_checked: Vec<&'static str>,
}

impl Report {
    /// Of everything but the computation.
    pub(super) fn new(
        exchange: &Exchange,
        signed: &Signed,
        verdict: Option<Verdict>,
        request: &Request,
        receipt: &Receipt,
    ) -> Self {
        let claims = signed.claims.claims();
        let key = format!(
            "key {}… of epoch {}",
            hex::encode(&claims.resp[..8]),
            claims.epoch
        );
        let body = match signed.streamed {
            true => "whole stream with its signed end",
            false => "whole body",
        };
        let evidence = match &verdict {
            Some(_) => "evidence, accepted by the policy",
            None => "claims in the file, NOT VERIFIED",
        };
        let launch = match &verdict {
            Some(_) => "launch document, bound by the evidence",
            None => "launch document in the file, NOT VERIFIED",
        };
        let asked = format!("{} {}", exchange.request.method, exchange.request.path);
        let mut checks = Vec::new();
        if let Some(verdict) = &verdict {
            checks.extend(verdict.checks.iter().cloned());
        }
        checks.extend([
            Check::new(
                "signature",
                format!("{body}, by {key}"),
                evidence,
                "Ed25519 (RFC 9421)",
            ),
            Check::new(
                "request",
                format!("{asked}: method, path and body are the signed ones"),
                "signature",
                "digest",
            ),
            Check::new(
                "created",
                format!("{} by the node's clock", time(signed.created)),
                "signature",
                "informative",
            ),
            Check::new(
                "model",
                format!(
                    "{} ({}…)",
                    request.model,
                    &hex::encode(&receipt.model_sha256[..8])
                ),
                launch,
                "digest of the receipt",
            ),
            Check::new(
                "receipt",
                parameters(receipt),
                "signature",
                "parameters are the request's",
            ),
        ]);
        let mut not_checked = Vec::new();
        if verdict.is_none() {
            not_checked
                .push("whether the evidence is genuine, and so who holds the key: no policy was given");
        }
        not_checked.push("which connection the answer came over, and when: a file has neither");
        if request.was_cut(receipt) {
            not_checked.push("whether the node's context had no room for all the tokens that were asked for");
        }
        if request.has_logprobs() {
            not_checked.push("log probabilities: a receipt doesn't cover them");
        }
        Self {
            schema: SCHEMA,
            status: match verdict {
                Some(_) => "affirming",
                None => "recomputed",
            },
            appraisal: match verdict {
                Some(_) => "policy",
                None => "none",
            },
            policy_kind: verdict.as_ref().map(|verdict| verdict.kind),
            engine: receipt.engine.clone(),
            model_sha256: hex::encode(receipt.model_sha256),
            prompt_tokens: receipt.prompts.iter().map(|prompt| prompt.tokens).sum(),
            completion_tokens: receipt
                .choices
                .iter()
                .map(|choice| choice.completion_tokens)
                .sum(),
            outputs: receipt
                .choices
                .iter()
                .map(|choice| hex::encode(choice.output_sha256))
                .collect(),
            checks,
            node: verdict,
            not_checked,
        }
    }

    /// Adds what the computation showed.
    pub(super) fn recomputed(&mut self) {
        let value = format!(
            "{} of {} tokens, from {} tokens of prompt: every byte the same",
            match self.outputs.len() {
                1 => "1 choice".to_owned(),
                choices => format!("{choices} choices"),
            },
            self.completion_tokens,
            self.prompt_tokens
        );
        let engine = format!("this program's {}", self.engine);
        self.checks
            .push(Check::new("answer", value, engine, "computed again"));
    }

    /// The verdict as one line of JSON.
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers are JSON")
    }

    /// Lines of a verdict: a summary, each claim with what the trust in it rests on, then what wasn't checked. Development
    /// verdicts say so in every line, because a line is what people copy.
    pub fn lines(&self) -> Vec<String> {
        let mark = match self.policy_kind {
            Some(Kind::Development) => "[development] ",
            Some(Kind::Production) | None => "",
        };
        let summary = format!(
            "{}: by {}, appraisal: {}",
            self.status, self.engine, self.appraisal
        );
        let checks = self
            .checks
            .iter()
            .map(|check| format!("{:<12}{}  <- {}", check.claim, check.value, check.anchor));
        let not_checked = self.not_checked.iter().map(|what| format!("not checked: {what}"));
        std::iter::once(summary)
            .chain(checks)
            .chain(not_checked)
            .map(|line| format!("{mark}{}", plain(&line)))
            .collect()
    }
}

fn parameters(receipt: &Receipt) -> String {
    let sampling = &receipt.parameters.sampling;
    format!(
        "temperature {}, top_p {}, seed {}, repeat penalty {}",
        sampling.temperature, sampling.top_p, sampling.seed, sampling.repeat_penalty
    )
}
