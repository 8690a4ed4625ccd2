//! From what the engine says to documents: all choices of an answer, whole or in chunks, with their receipt.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::stream::{self, BoxStream, StreamExt};
use jeju_attestation::response::EndReason;
use jeju_inference::{
    ENGINE_VERSION, Event, Finish, FinishReason, Generation as Running, Model, Piece, PrivateText,
    TokenLogprob,
};
use jeju_openai::answer::{Answer, Choice, Form, Usage};
use jeju_openai::logprobs;
use jeju_openai::receipt::{self, Parameters, PromptDigest, Receipt, Run};
use serde_json::Value;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::generate::Submitted;
use crate::front::error::ApiError;
use crate::front::inference::Chunk;

/// What the receipts of an answer say before it is there.
pub(super) struct Receipts {
    pub(super) model_sha256: [u8; 32],
    pub(super) parameters: Parameters,
}

/// The choices of an answer while they come.
pub(super) struct Runs {
    answer: Answer,
    model: Arc<Model>,
    receipts: Receipts,
    prompts: Vec<PromptDigest>,
    choices: Vec<Open>,
    /// Whether log probabilities are told.
    logprobs: bool,
    usage: Usage,
    /// `Length` once a choice was cut off.
    end: EndReason,
    events: mpsc::UnboundedReceiver<(usize, Event)>,
    /// Dropping it cancels what still runs.
    _running: Vec<Running>,
}

/// A choice.
struct Open {
    run: Option<Run>,
    echo: PrivateText,
    /// Characters of its text so far, as log probabilities count them.
    offset: usize,
    finished: Option<(receipt::Choice, &'static str)>,
}

impl Runs {
    pub(super) fn new(
        answer: Answer,
        model: Arc<Model>,
        receipts: Receipts,
        submitted: Submitted,
        n: usize,
        logprobs: bool,
    ) -> Self {
        let Submitted {
            running,
            prompts,
            echoes,
            events,
        } = submitted;
        let seed = receipts.parameters.sampling.seed;
        let open = |index: usize| {
            let prompt = index / n;
            let echo = echoes.as_ref().and_then(|echoes| echoes.get(prompt));
            Open {
                run: Some(Run::new(index, prompt, seed.wrapping_add(index as u64))),
                echo: echo.cloned().unwrap_or_default(),
                offset: 0,
                finished: None,
            }
        };
        Self {
            choices: (0..running.len()).map(open).collect(),
            usage: Usage {
                prompt_tokens: prompts.iter().map(|prompt| prompt.tokens).sum(),
                completion_tokens: 0,
            },
            answer,
            model,
            receipts,
            prompts,
            logprobs,
            end: EndReason::Stop,
            events,
            _running: running,
        }
    }

    /// The whole answer.
    ///
    /// # Errors
    /// When the engine gave up.
    pub(super) async fn whole(mut self) -> Result<Value, ApiError> {
        struct Text {
            text: Zeroizing<String>,
            tokens: Vec<TokenLogprob>,
        }
        let begin = |choice: &Open| Text {
            text: Zeroizing::new(choice.echo.to_string()),
            tokens: Vec::new(),
        };
        let mut texts: Vec<Text> = self.choices.iter().map(begin).collect();
        while !self.is_over() {
            let (index, event) = self.events.recv().await.ok_or_else(ApiError::engine_failed)?;
            match event {
                Event::Text(piece) => {
                    self.note(index, &piece);
                    texts[index].text.push_str(&piece.text);
                    texts[index].tokens.extend(piece.tokens);
                }
                Event::Finished(finish) => {
                    self.finish(index, finish).ok_or_else(ApiError::engine_failed)?;
                }
            }
        }
        let told: Vec<Value> = texts
            .iter()
            .enumerate()
            .map(|(index, text)| self.told(index, &text.tokens))
            .collect();
        let choices = self.choices.iter().zip(&texts).zip(told);
        let choices = choices.map(|((choice, text), logprobs)| Choice {
            text: &text.text,
            logprobs,
            finish_reason: choice.finished.as_ref().map_or("stop", |(_, reason)| reason),
        });
        let mut document = self.answer.whole(choices, self.usage);
        document[receipt::KEY] = self.receipt();
        Ok(document)
    }

    /// The answer in chunks. Ends without an end where the engine fails.
    pub(super) fn stream(self) -> BoxStream<'static, Chunk> {
        let mut ready = VecDeque::new();
        for (index, choice) in self.choices.iter().enumerate() {
            let echo = (!choice.echo.is_empty()).then(|| self.answer.piece(index, &choice.echo, Value::Null));
            let opening = self.answer.first(index).into_iter().chain(echo);
            ready.extend(opening.map(Chunk::Event));
        }
        stream::unfold((Box::new(self), ready), |(mut runs, mut ready)| async move {
            if ready.is_empty() && !runs.is_over() {
                ready = runs.next().await?;
            }
            Some((ready.pop_front()?, (runs, ready)))
        })
        .boxed()
    }

    /// The chunks of the engine's next event; none where it gave up.
    async fn next(&mut self) -> Option<VecDeque<Chunk>> {
        let (index, event) = self.events.recv().await?;
        match event {
            Event::Text(piece) => {
                self.note(index, &piece);
                let logprobs = self.told(index, &piece.tokens);
                let document = self.answer.piece(index, &piece.text, logprobs);
                Some([Chunk::Event(document)].into())
            }
            Event::Finished(finish) => {
                let reason = self.finish(index, finish)?;
                let mut document = self.answer.finish(index, reason);
                if !self.is_over() {
                    return Some([Chunk::Event(document)].into());
                }
                document[receipt::KEY] = self.receipt();
                let usage = self.answer.usage(self.usage);
                Some([Chunk::Event(document), Chunk::Usage(usage), Chunk::End(self.end)].into())
            }
        }
    }

    /// Whether all choices have ended.
    fn is_over(&self) -> bool {
        self.choices.iter().all(|choice| choice.finished.is_some())
    }

    fn note(&mut self, index: usize, piece: &Piece) {
        if let Some(run) = &mut self.choices[index].run {
            run.push(&piece.text);
        }
    }

    /// The reason as the API names it. `None`: the engine gave up, and what ends without an end has failed.
    fn finish(&mut self, index: usize, finish: Finish) -> Option<&'static str> {
        let reason = match finish.reason {
            FinishReason::Stop => "stop",
            FinishReason::Length => {
                self.end = EndReason::Length;
                "length"
            }
            FinishReason::Cancelled => return None,
        };
        let choice = &mut self.choices[index];
        choice.finished = Some((choice.run.take()?.finish(finish), reason));
        self.usage.completion_tokens += finish.usage.completion_tokens;
        Some(reason)
    }

    /// Log probabilities in the answer's form.
    fn told(&mut self, index: usize, tokens: &[TokenLogprob]) -> Value {
        if !self.logprobs {
            return Value::Null;
        }
        let tokenizer = self.model.tokenizer();
        let piece = |id: u32| logprobs::Piece {
            id,
            bytes: tokenizer.bytes(id),
        };
        let tokens = tokens.iter().map(|token| logprobs::Token {
            chosen: piece(token.token),
            logprob: token.logprob,
            top: token
                .top
                .iter()
                .map(|(id, logprob)| (piece(*id), *logprob))
                .collect(),
        });
        match self.answer.form {
            Form::Chat => logprobs::chat(tokens),
            Form::Completion => logprobs::completion(tokens, &mut self.choices[index].offset),
        }
    }

    fn receipt(&self) -> Value {
        let receipt = Receipt {
            engine: ENGINE_VERSION.to_owned(),
            model_sha256: self.receipts.model_sha256,
            prompts: self.prompts.clone(),
            parameters: self.receipts.parameters.clone(),
            choices: self
                .choices
                .iter()
                .filter_map(|choice| Some(choice.finished.as_ref()?.0.clone()))
                .collect(),
        };
        receipt.json()
    }
}
