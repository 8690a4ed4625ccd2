//! What a request may cost, and what a verified answer says that it took.

use std::borrow::Cow;

use jeju_wallet_auth::market::cost;
use serde::Deserialize;

use super::PaymentError;
use crate::chat::events_data;

/// Paths whose answers cost something.
const PAID: [&str; 4] = [
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
];
/// Tokens of an answer that nodes reckon with where a request names no most.
const DEFAULT_TOKENS: u64 = 500;
/// The most that an answer is believed to have where neither the request nor a signed end says how many it has.
const LONGEST_ANSWER: u64 = 8192;
/// Tokens that a chat template may add to what the user wrote.
const TEMPLATE_TOKENS: u64 = 512;
/// Most choices of a request.
const MAX_CHOICES: u64 = 128;

/// Whether answers of a path cost something.
pub(crate) fn is_paid(path_and_query: &str) -> bool {
    let path = path_and_query.split('?').next().unwrap_or_default();
    PAID.contains(&path)
}

/// Wei for each token of a prompt and of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// Of a prompt.
    pub input: u128,
    /// Of an answer.
    pub output: u128,
}

/// What a token may cost at most, in wei.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PriceLimit {
    /// Of a prompt; none: anything.
    pub input: Option<u128>,
    /// Of an answer; none: anything.
    pub output: Option<u128>,
}

impl PriceLimit {
    /// Whether a price is no more than that.
    pub fn allows(&self, price: &Price) -> bool {
        self.input.is_none_or(|most| price.input <= most)
            && self.output.is_none_or(|most| price.output <= most)
    }
}

impl Price {
    /// What so many tokens cost, in wei.
    ///
    /// # Errors
    /// [`PaymentError::Overflow`].
    pub fn of(&self, usage: Usage) -> Result<u128, PaymentError> {
        cost(usage.input, usage.output, self.input, self.output).ok_or(PaymentError::Overflow)
    }
}

/// Tokens that an answer took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Of the prompt.
    pub input: u64,
    /// Of the answer.
    pub output: u64,
}

/// What of a request its price depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The model.
    pub model: String,
    /// Characters of the request, at least those of the prompt.
    characters: u64,
    /// Bytes of the request.
    bytes: u64,
    /// Most tokens of each answer, where the request says so.
    most: Option<u64>,
    choices: u64,
}

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    model: Cow<'a, str>,
    #[serde(default)]
    max_tokens: Option<u64>,
    #[serde(default)]
    max_completion_tokens: Option<u64>,
    #[serde(default)]
    max_output_tokens: Option<u64>,
    #[serde(default)]
    n: Option<u64>,
}

impl Asked {
    /// Of a request's body; `None` if it is none that a node would answer.
    pub fn read(body: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(body).ok()?;
        let request: Request = serde_json::from_str(text).ok()?;
        let most = request.max_completion_tokens.or(request.max_tokens);
        Some(Self {
            model: request.model.into_owned(),
            characters: text.chars().count() as u64,
            bytes: text.len() as u64,
            most: most.or(request.max_output_tokens),
            choices: request.n.unwrap_or(1).clamp(1, MAX_CHOICES),
        })
    }

    /// What a node reckons that the answer will cost, or somewhat more.
    ///
    /// # Errors
    /// [`PaymentError::Overflow`].
    pub fn estimate(&self, price: &Price) -> Result<u128, PaymentError> {
        price.of(Usage {
            input: self.characters.div_ceil(4),
            output: self.most.unwrap_or(DEFAULT_TOKENS).saturating_mul(self.choices),
        })
    }

    /// The usage that a node tells, as far as the request can have caused it.
    pub fn caused(&self, told: Usage) -> Usage {
        let most = self.most.map(|most| most.saturating_mul(self.choices));
        Usage {
            input: told.input.min(self.bytes + TEMPLATE_TOKENS),
            output: most.map_or(told.output, |most| told.output.min(most)),
        }
    }

    /// More than the answer can have cost, whatever became of it: a token has one byte at least.
    ///
    /// # Errors
    /// [`PaymentError::Overflow`].
    pub fn bound(&self, price: &Price) -> Result<u128, PaymentError> {
        price.of(Usage {
            input: self.bytes + TEMPLATE_TOKENS,
            output: self.most.unwrap_or(LONGEST_ANSWER).saturating_mul(self.choices),
        })
    }
}

/// What an answer says of its price.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Tokens.
    pub usage: Option<Usage>,
    /// The node's own count, in wei.
    pub cost: Option<u128>,
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(default)]
    usage: Option<UsageDocument>,
    #[serde(default, borrow)]
    payment: Option<PaymentDocument<'a>>,
    /// Where the events of a streamed response have them.
    #[serde(default, borrow)]
    response: Option<Box<Document<'a>>>,
}

#[derive(Deserialize)]
struct UsageDocument {
    #[serde(alias = "input_tokens")]
    prompt_tokens: u64,
    #[serde(default, alias = "output_tokens")]
    completion_tokens: u64,
}

#[derive(Deserialize)]
struct PaymentDocument<'a> {
    #[serde(borrow)]
    cost: Cow<'a, str>,
}

impl Told {
    /// Adds what a document of the answer says; what is said later counts.
    pub fn take(&mut self, json: &[u8]) {
        let Ok(document) = serde_json::from_slice::<Document>(json) else {
            return;
        };
        self.document(&document);
        if let Some(response) = &document.response {
            self.document(response);
        }
    }

    /// The same for whole events of a stream.
    pub fn take_events(&mut self, events: &[u8]) {
        for data in events_data(events) {
            self.take(data);
        }
    }

    fn document(&mut self, document: &Document) {
        if let Some(usage) = &document.usage {
            self.usage = Some(Usage {
                input: usage.prompt_tokens,
                output: usage.completion_tokens,
            });
        }
        if let Some(cost) = document.payment.as_ref().and_then(|payment| wei(&payment.cost)) {
            self.cost = Some(cost);
        }
    }

    /// What is owed for the answer: by the usage that the node signed, as far as `believed` goes, and the price on chain, or
    /// less where the node asks for less. Without a usage, what the node asks for, if the request can have cost as much.
    /// `None`: it can't be told.
    ///
    /// # Errors
    /// [`PaymentError::Overflow`].
    pub fn owed(
        &self,
        price: &Price,
        bound: u128,
        believed: impl Fn(Usage) -> Usage,
    ) -> Result<Option<u128>, PaymentError> {
        Ok(match (self.usage, self.cost) {
            (Some(usage), asked) => {
                let own = price.of(believed(usage))?;
                Some(asked.map_or(own, |asked| asked.min(own)))
            }
            (None, Some(asked)) => Some(asked.min(bound)),
            (None, None) => None,
        })
    }
}

/// An amount as JSON has it: decimal digits.
pub(crate) fn wei(text: &str) -> Option<u128> {
    let is_digits = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    is_digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRICE: Price = Price {
        input: 10,
        output: 100,
    };

    fn told(documents: &[&str]) -> Told {
        let mut told = Told::default();
        for document in documents {
            told.take(document.as_bytes());
        }
        told
    }

    #[test]
    fn four_paths_cost_something() {
        for path in ["/v1/chat/completions", "/v1/responses?x=1"] {
            assert!(is_paid(path), "{path}");
        }
        for path in ["/v1/models", "/health", "/v1/chat/completions/1", ""] {
            assert!(!is_paid(path), "{path}");
        }
    }

    #[test]
    fn a_request_is_estimated_as_nodes_do_and_bounded_by_its_bytes() {
        let body = r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"max_tokens":7,"n":2}"#;
        let asked = Asked::read(body.as_bytes()).unwrap();
        assert_eq!(asked.model, "m");
        let quarter = (body.len() as u128).div_ceil(4);
        assert_eq!(asked.estimate(&PRICE).unwrap(), quarter * 10 + 14 * 100);
        assert_eq!(
            asked.bound(&PRICE).unwrap(),
            (body.len() as u128 + 512) * 10 + 14 * 100
        );
        let open = Asked::read(br#"{"model":"m"}"#).unwrap();
        assert_eq!(open.estimate(&PRICE).unwrap(), 4 * 10 + 500 * 100);
        for wrong in ["", "[]", "{}", r#"{"model":1}"#, "{\"model\":\"m\"\u{1}}"] {
            assert_eq!(Asked::read(wrong.as_bytes()), None, "{wrong}");
        }
        let most = Price {
            input: u128::MAX,
            output: 1,
        };
        assert_eq!(open.bound(&most).unwrap_err().code(), "amount_too_large");
    }

    #[test]
    fn a_usage_that_the_request_cannot_have_caused_is_not_believed() {
        let asked = Asked::read(br#"{"model":"m","max_tokens":7,"n":2}"#).unwrap();
        let honest = Usage {
            input: 20,
            output: 14,
        };
        assert_eq!(asked.caused(honest), honest);
        let caused = asked.caused(Usage {
            input: 1_000_000,
            output: 1_000_000,
        });
        assert_eq!(
            caused,
            Usage {
                input: 34 + 512,
                output: 14
            }
        );
        let open = Asked::read(br#"{"model":"m"}"#).unwrap();
        assert_eq!(open.caused(honest), honest);
    }

    #[test]
    fn usage_comes_in_two_spellings_and_last_counts() {
        let chat = r#"{"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5},"payment":{"cost":"230","owed":"230"}}"#;
        let expected = Told {
            usage: Some(Usage { input: 3, output: 2 }),
            cost: Some(230),
        };
        assert_eq!(told(&[chat]), expected);
        let streamed = r#"{"type":"response.completed","response":{"usage":{"input_tokens":3,"output_tokens":2},"payment":{"cost":"230"}}}"#;
        assert_eq!(told(&[r#"{"usage":null}"#, streamed]), expected);
        let embedded = told(&[r#"{"usage":{"prompt_tokens":3,"total_tokens":3}}"#]);
        assert_eq!(embedded.usage, Some(Usage { input: 3, output: 0 }));
        let mut events = Told::default();
        events.take_events(
            b"data: {\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}\n\n: x\n\ndata: [DONE]\n\n",
        );
        assert_eq!(events.usage, Some(Usage { input: 1, output: 1 }));
        for nothing in [
            "",
            "1",
            r#"{"usage":{"prompt_tokens":-1}}"#,
            r#"{"usage":{"prompt_tokens":1.5}}"#,
            r#"{"payment":{"cost":"-1"}}"#,
            r#"{"payment":{"cost":"0x10"}}"#,
            r#"{"payment":{"cost":""}}"#,
            r#"{"payment":{"cost":5}}"#,
        ] {
            assert_eq!(told(&[nothing]), Told::default(), "{nothing}");
        }
    }

    #[test]
    fn no_more_is_owed_than_counted_here() {
        let usage = r#"{"usage":{"prompt_tokens":3,"completion_tokens":2}"#;
        for (more, owed) in [
            ("}", 230),
            (r#","payment":{"cost":"230"}}"#, 230),
            (r#","payment":{"cost":"231"}}"#, 230),
            (r#","payment":{"cost":"7"}}"#, 7),
        ] {
            let document = format!("{usage}{more}");
            assert_eq!(
                told(&[&document]).owed(&PRICE, 1000, |usage| usage).unwrap(),
                Some(owed)
            );
        }
        let asked = told(&[r#"{"payment":{"cost":"5000"}}"#]);
        assert_eq!(asked.owed(&PRICE, 1000, |usage| usage).unwrap(), Some(1000));
        assert_eq!(told(&["{}"]).owed(&PRICE, 1000, |usage| usage).unwrap(), None);
        let huge = told(&[r#"{"usage":{"prompt_tokens":18446744073709551615,"completion_tokens":0}}"#]);
        let most = Price {
            input: u128::MAX,
            output: 0,
        };
        assert!(huge.owed(&most, 1000, |usage| usage).is_err());
    }
}
