//! The documents of an answer to `/v1/chat/completions` or `/v1/completions`, whole and in chunks.

use serde_json::{Value, json};

use crate::Head;

/// Which endpoint's documents are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Of `/v1/chat/completions`.
    Chat,
    /// Of `/v1/completions`.
    Completion,
}

/// Makes the documents of one answer.
pub struct Answer {
    /// Which documents are made.
    pub form: Form,
    /// What they share.
    pub head: Head,
}

/// One of the answers to a prompt. Holds what the model wrote: neither Debug nor Display.
pub struct Choice<'a> {
    /// What it says.
    pub text: &'a str,
    /// As [`crate::logprobs`] makes it; null where it isn't asked for.
    pub logprobs: Value,
    /// `stop` or `length`.
    pub finish_reason: &'a str,
}

/// Tokens that were counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Of all prompts, each once, with those of the template.
    pub prompt_tokens: usize,
    /// Of all answers.
    pub completion_tokens: usize,
}

impl Answer {
    /// The whole answer, its choices in the order of their numbers.
    pub fn whole<'a>(&self, choices: impl IntoIterator<Item = Choice<'a>>, usage: Usage) -> Value {
        let choices: Vec<Value> = choices
            .into_iter()
            .enumerate()
            .map(|(index, choice)| self.choice(index, choice))
            .collect();
        let object = match self.form {
            Form::Chat => "chat.completion",
            Form::Completion => "text_completion",
        };
        self.head
            .document(object, Value::Array(choices), usage.document())
    }

    fn choice(&self, index: usize, choice: Choice<'_>) -> Value {
        let Choice {
            text,
            logprobs,
            finish_reason,
        } = choice;
        match self.form {
            Form::Chat => json!({
                "index": index,
                "message": {"role": "assistant", "content": text, "refusal": null},
                "logprobs": logprobs,
                "finish_reason": finish_reason,
            }),
            Form::Completion => {
                json!({"index": index, "text": text, "logprobs": logprobs, "finish_reason": finish_reason})
            }
        }
    }

    /// The chunk that opens a choice, where the form has one.
    pub fn first(&self, index: usize) -> Option<Value> {
        let delta = json!({"role": "assistant", "content": ""});
        (self.form == Form::Chat).then(|| self.chunk(index, delta, Value::Null, None))
    }

    /// A chunk with more of a choice's text.
    pub fn piece(&self, index: usize, text: &str, logprobs: Value) -> Value {
        let what = match self.form {
            Form::Chat => json!({"content": text}),
            Form::Completion => text.into(),
        };
        self.chunk(index, what, logprobs, None)
    }

    /// The chunk that ends a choice.
    pub fn finish(&self, index: usize, reason: &str) -> Value {
        let what = match self.form {
            Form::Chat => json!({}),
            Form::Completion => "".into(),
        };
        self.chunk(index, what, Value::Null, Some(reason))
    }

    /// The last chunk: no choices, and what the answer took.
    pub fn usage(&self, usage: Usage) -> Value {
        self.head
            .document(self.chunk_object(), json!([]), usage.document())
    }

    fn chunk(&self, index: usize, what: Value, logprobs: Value, reason: Option<&str>) -> Value {
        let name = match self.form {
            Form::Chat => "delta",
            Form::Completion => "text",
        };
        let choice = json!([{"index": index, name: what, "logprobs": logprobs, "finish_reason": reason}]);
        self.head.document(self.chunk_object(), choice, Value::Null)
    }

    fn chunk_object(&self) -> &'static str {
        match self.form {
            Form::Chat => "chat.completion.chunk",
            Form::Completion => "text_completion",
        }
    }
}

impl Usage {
    fn document(self) -> Value {
        let (prompt, completion) = (self.prompt_tokens, self.completion_tokens);
        json!({
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": 0},
        })
    }
}
