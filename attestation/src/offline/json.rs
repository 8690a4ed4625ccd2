//! Requests and answers as JSON (`docs/wire-formats.md` §11), for who calls the verifier from another language.

use core::fmt;
use std::borrow::Cow;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::json;

use super::{EvidenceKind, Request, Submission, verify};
use crate::endorsements::Endorsements;
use crate::input::base64;
use crate::policy::Policy;
use crate::reasons::shown;

/// Longest request to [`answer`], in bytes.
pub const MAX_REQUEST_LEN: usize = 8 * 1024 * 1024;
/// Most endorsements in it.
const MAX_FILES: usize = 256;

/// A request as JSON (`docs/wire-formats.md` §11).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonRequest<'a> {
    #[serde(borrow)]
    evidence: Cow<'a, str>,
    #[serde(default)]
    tee: Option<EvidenceKind>,
    #[serde(borrow, default)]
    endorsements: Files<'a>,
    #[serde(default)]
    nonce: Option<String>,
    #[serde(default)]
    report_data: Option<String>,
    #[serde(borrow, default)]
    event_log: Option<Text<'a>>,
    at: u64,
    #[serde(borrow, default)]
    policy: Option<Text<'a>>,
    #[serde(default)]
    development: bool,
}

/// Copied only where it has escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// At most [`MAX_FILES`]: a million empty ones would take many times their text.
#[derive(Default)]
struct Files<'a>(Vec<Text<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Files<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Files<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an array of at most {MAX_FILES} texts")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Files<'de>, A::Error> {
                let mut files = Vec::new();
                while let Some(file) = items.next_element()? {
                    if files.len() == MAX_FILES {
                        return Err(de::Error::invalid_length(MAX_FILES + 1, &self));
                    }
                    files.push(file);
                }
                Ok(Files(files))
            }
        }
        deserializer.deserialize_seq(List)
    }
}

/// Answers a request in JSON with an answer or a refusal in JSON. Never fails.
pub fn answer(request: &[u8]) -> String {
    let usage = |code: &str, message: String| refusal("usage", code, message);
    if request.len() > MAX_REQUEST_LEN {
        return usage(
            "request_invalid",
            format!("request is longer than {MAX_REQUEST_LEN} bytes"),
        );
    }
    let request: JsonRequest<'_> = match serde_json::from_slice(request) {
        Ok(request) => request,
        Err(error) => return usage("request_invalid", shown(error)),
    };
    let bytes = |text: &str| match text.is_empty() {
        true => Some(Vec::new()),
        false => base64(text.as_bytes()),
    };
    let hex = |text: &Option<String>| text.as_deref().map(hex::decode).transpose();
    let (Some(file), Ok(nonce), Ok(report_data)) = (
        bytes(&request.evidence),
        hex(&request.nonce),
        hex(&request.report_data),
    ) else {
        return usage("request_invalid", "base64 and hex are expected".to_owned());
    };
    let event_log = match request.event_log.as_ref().map(|Text(text)| bytes(text)) {
        Some(None) => return usage("request_invalid", "base64 is expected".to_owned()),
        log => log.flatten(),
    };
    let mut endorsements = Endorsements::default();
    for Text(text) in &request.endorsements.0 {
        let added = bytes(text).map(|bytes| endorsements.add(&bytes));
        match added {
            Some(Ok(())) => {}
            Some(Err(error)) => return usage("endorsement_invalid", error.to_string()),
            None => return usage("request_invalid", "base64 is expected".to_owned()),
        }
    }
    let policy = match request
        .policy
        .as_ref()
        .map(|Text(text)| Policy::parse(text, request.development))
    {
        Some(Err(error)) => return usage("policy_invalid", error.to_string()),
        policy => policy.and_then(Result::ok),
    };
    let answer = Submission::read(&file, request.tee).and_then(|submission| {
        verify(&Request {
            submission,
            endorsements,
            nonce,
            report_data,
            event_log,
            at: request.at,
            policy,
        })
    });
    match answer {
        Ok(answer) => answer.json(),
        Err(rejection) => refusal(rejection.class().name(), rejection.code(), rejection.to_string()),
    }
}

fn refusal(class: &str, code: &str, message: String) -> String {
    json!({
        "status": "contraindicated",
        "code": code,
        "class": class,
        "message": message,
    })
    .to_string()
}
