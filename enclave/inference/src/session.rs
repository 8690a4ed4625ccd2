//! One sequence without scheduling or sampling.

use crate::forward::{Part, ROWS, Scratch};
use crate::kv_cache::KvCache;
use crate::model::Model;

/// A sequence that the caller feeds token by token to look at the logits: what an auditor who recomputes an
/// answer needs, and tests and benchmarks. Gives the same bits as [`crate::Engine`].
pub struct Session<'a> {
    model: &'a Model,
    cache: KvCache,
    scratch: Scratch,
}

/// What can't be fed to a [`Session`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum FeedError {
    #[error("no tokens")]
    Empty,
    #[error("token {token} is outside the vocabulary of {vocabulary}")]
    TokenOutOfRange { token: u32, vocabulary: usize },
    #[error("{tokens} tokens, but there is room for {room}")]
    Full { tokens: usize, room: usize },
}

impl<'a> Session<'a> {
    /// A session with room for `tokens`, at most the model's context length.
    pub fn new(model: &'a Model, tokens: usize) -> Self {
        let cache = KvCache::new(&model.shape, tokens.min(model.context_length()));
        Self {
            model,
            cache,
            scratch: Scratch::new(model),
        }
    }

    /// Adds tokens and returns the logits that follow the last of them. Where the tokens are cut into calls
    /// makes no difference.
    ///
    /// # Errors
    /// [`FeedError`]; nothing has been added then.
    pub fn feed(&mut self, tokens: &[u32]) -> Result<&[f32], FeedError> {
        let vocabulary = self.model.vocabulary_size();
        if let Some(&token) = tokens.iter().find(|token| **token as usize >= vocabulary) {
            return Err(FeedError::TokenOutOfRange { token, vocabulary });
        }
        if tokens.len() > self.cache.room() {
            return Err(FeedError::Full {
                tokens: tokens.len(),
                room: self.cache.room(),
            });
        }
        let mut last = Err(FeedError::Empty);
        for chunk in tokens.chunks(ROWS) {
            let part = Part {
                tokens: chunk,
                cache: &mut self.cache,
            };
            self.model.forward(&mut [part], &mut self.scratch);
            last = Ok(chunk.len() - 1);
        }
        let row = self.model.logits(&[last?], &mut self.scratch).next();
        row.map_or(Err(FeedError::Empty), |logits| Ok(&*logits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Kernel;
    use crate::test_model;

    fn tokens(count: u32) -> Vec<u32> {
        (0..count).map(|i| 3 + i * 37 % 250).collect()
    }

    fn bits(logits: &[f32]) -> Vec<u32> {
        logits.iter().map(|logit| logit.to_bits()).collect()
    }

    #[test]
    fn logits_are_the_same_bits_on_every_kernel() {
        let run = |kernel| {
            let model = test_model::load(3).with_kernel(kernel);
            bits(Session::new(&model, 100).feed(&tokens(100)).unwrap())
        };
        let kernels = Kernel::available();
        let scalar = run(kernels[0]);
        assert!(scalar.iter().all(|bits| f32::from_bits(*bits).is_finite()));
        assert!(scalar.windows(2).any(|pair| pair[0] != pair[1]));
        for kernel in kernels {
            assert!(run(kernel) == scalar, "{}", kernel.name());
        }
    }

    #[test]
    fn how_a_prompt_is_cut_makes_no_difference() {
        let model = test_model::load(4);
        let tokens = tokens(75);
        let whole = bits(Session::new(&model, 75).feed(&tokens).unwrap());
        for size in [1, 7, 32, 33] {
            let mut session = Session::new(&model, 75);
            let mut last = Vec::new();
            for chunk in tokens.chunks(size) {
                last = bits(session.feed(chunk).unwrap());
            }
            assert!(last == whole, "{size}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let model = test_model::load(1);
        let mut session = Session::new(&model, 16);
        assert_eq!(session.feed(&[]).unwrap_err(), FeedError::Empty);
        let vocabulary = model.vocabulary_size();
        let token = vocabulary as u32;
        assert_eq!(
            session.feed(&[token]).unwrap_err(),
            FeedError::TokenOutOfRange { token, vocabulary }
        );
        session.feed(&tokens(10)).unwrap();
        assert_eq!(
            session.feed(&tokens(7)).unwrap_err(),
            FeedError::Full { tokens: 7, room: 6 }
        );
        assert!(session.feed(&tokens(6)).is_ok());
    }
}
