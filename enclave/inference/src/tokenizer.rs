//! GPT-2 byte-level byte-pair encoding with the pre-tokenizer that GGUF calls `smollm`.
//!
//! Gives the token ids that llama.cpp gives for plain text. Control tokens such as `<|im_start|>` are never
//! recognised in text: only [`crate::ChatTemplate`] puts them into a prompt, so a user can't forge a turn.

mod merge;
mod split;
mod unicode;

use std::collections::HashMap;

use zeroize::Zeroizing;

use crate::gguf::{GgufError, Header};
use merge::Merges;

/// Vocabularies above this are refused: merging looks up pairs of 32-bit ids.
const MAX_VOCABULARY: usize = 1 << 20;

/// Why a tokenizer was refused.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum TokenizerError {
    #[error("metadata of the tokenizer was refused")]
    Gguf(#[from] GgufError),
    #[error("tokenizer model {model:?} with pre-tokenizer {pre:?}; only \"gpt2\" with \"smollm\" is run")]
    Kind { model: String, pre: String },
    #[error("a vocabulary of {0} tokens")]
    VocabularySize(usize),
    #[error("{types} token types for {tokens} tokens")]
    TypeCount { types: usize, tokens: usize },
    #[error("token {id} has type {token_type}; only normal (1) and control (3) are run")]
    TokenType { id: u32, token_type: u32 },
    #[error("token {0} occurs twice")]
    DuplicateToken(u32),
    #[error("token {0} isn't in the byte alphabet of GPT-2")]
    Alphabet(u32),
    #[error("merge {0} isn't two tokens that join into a third")]
    Merge(u32),
    #[error("the end-of-text token {0} isn't a control token")]
    EndToken(u32),
}

/// A vocabulary and its merges.
pub struct Tokenizer {
    /// The bytes of all tokens one after another; control tokens have none.
    bytes: Vec<u8>,
    /// End of each token in `bytes`.
    ends: Vec<u32>,
    /// Control tokens by their name.
    controls: HashMap<String, u32>,
    is_control: Vec<bool>,
    merges: Merges,
}

impl Tokenizer {
    /// Takes the tokenizer out of a header.
    pub(crate) fn from_header(header: &mut Header) -> Result<Self, TokenizerError> {
        let model = header.string("tokenizer.ggml.model")?;
        let pre = header.string("tokenizer.ggml.pre")?;
        if (model, pre) != ("gpt2", "smollm") {
            return Err(TokenizerError::Kind {
                model: model.to_owned(),
                pre: pre.to_owned(),
            });
        }
        let tokens = header.take_strings("tokenizer.ggml.tokens")?;
        let merges = header.take_strings("tokenizer.ggml.merges")?;
        let types = header.words("tokenizer.ggml.token_type")?;
        let end = header.u32("tokenizer.ggml.eos_token_id")?;
        Self::new(&tokens, types, &merges, end)
    }

    fn new(tokens: &[String], types: &[u32], merges: &[String], end: u32) -> Result<Self, TokenizerError> {
        if tokens.is_empty() || tokens.len() > MAX_VOCABULARY {
            return Err(TokenizerError::VocabularySize(tokens.len()));
        }
        if types.len() != tokens.len() {
            return Err(TokenizerError::TypeCount {
                types: types.len(),
                tokens: tokens.len(),
            });
        }
        let alphabet = byte_alphabet();
        let byte_of: HashMap<char, u8> = (0..=255)
            .zip(alphabet)
            .map(|(byte, letter)| (letter, byte))
            .collect();

        let mut ids = HashMap::with_capacity(tokens.len());
        let mut controls = HashMap::new();
        let mut bytes = Vec::new();
        let mut ends = Vec::with_capacity(tokens.len());
        let mut is_control = Vec::with_capacity(tokens.len());
        for ((id, token), token_type) in (0..).zip(tokens).zip(types) {
            if ids.insert(token.as_str(), id).is_some() {
                return Err(TokenizerError::DuplicateToken(id));
            }
            match token_type {
                1 => {
                    for letter in token.chars() {
                        bytes.push(*byte_of.get(&letter).ok_or(TokenizerError::Alphabet(id))?);
                    }
                }
                3 => drop(controls.insert(token.clone(), id)),
                _ => {
                    return Err(TokenizerError::TokenType {
                        id,
                        token_type: *token_type,
                    });
                }
            }
            ends.push(bytes.len() as u32);
            is_control.push(*token_type == 3);
        }
        if is_control.get(end as usize) != Some(&true) {
            return Err(TokenizerError::EndToken(end));
        }

        let byte_tokens = alphabet.map(|letter| ids.get(letter.encode_utf8(&mut [0; 4]) as &str).copied());
        let mut table = Merges::new(byte_tokens);
        for (rank, merge) in (0..).zip(merges) {
            let triple = merge.split_once(' ').and_then(|(left, right)| {
                let joined = [left, right].concat();
                Some((*ids.get(left)?, *ids.get(right)?, *ids.get(joined.as_str())?))
            });
            let (left, right, joined) = triple.ok_or(TokenizerError::Merge(rank))?;
            if [left, right, joined].iter().any(|id| is_control[*id as usize]) {
                return Err(TokenizerError::Merge(rank));
            }
            table.insert(left, right, rank, joined);
        }
        Ok(Self {
            bytes,
            ends,
            controls,
            is_control,
            merges: table,
        })
    }

    /// The tokens of a text, none of them a control token. Takes time in proportion to n log n. A byte that
    /// has no token of its own (SmolLM2 lacks some that are rare or never occur in UTF-8) and merges with no
    /// neighbour is left out, as llama.cpp does.
    pub fn encode(&self, text: &str) -> Zeroizing<Vec<u32>> {
        let mut tokens = Zeroizing::new(Vec::with_capacity(text.len()));
        let mut workspace = merge::Workspace::for_text(text.len());
        split::words(text, |word| {
            self.merges.encode(word.as_bytes(), &mut workspace, &mut tokens)
        });
        tokens
    }

    /// The bytes of a token: a piece of UTF-8 that may start or end inside a character. Empty for control
    /// tokens.
    ///
    /// # Panics
    /// If `token` isn't below [`Self::vocabulary_size`].
    pub fn bytes(&self, token: u32) -> &[u8] {
        let token = token as usize;
        let start = if token == 0 { 0 } else { self.ends[token - 1] };
        &self.bytes[start as usize..self.ends[token] as usize]
    }

    /// Whether a token marks structure instead of standing for text. Each such token ends an answer.
    pub fn is_control(&self, token: u32) -> bool {
        self.is_control.get(token as usize).copied().unwrap_or(false)
    }

    /// The control token of this name, e.g. `<|im_end|>`.
    pub fn control_token(&self, name: &str) -> Option<u32> {
        self.controls.get(name).copied()
    }

    /// Number of tokens.
    pub fn vocabulary_size(&self) -> usize {
        self.ends.len()
    }
}

/// GPT-2's letter for each byte: printable ones stand for themselves, the rest for U+0100 on.
fn byte_alphabet() -> [char; 256] {
    let mut next = 0x100;
    std::array::from_fn(|byte| match byte as u8 {
        byte @ (0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff) => char::from(byte),
        _ => {
            next += 1;
            char::from_u32(next - 1).expect("U+0100 to U+0143 are letters")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokenizer(
        tokens: &[&str],
        types: &[u32],
        merges: &[&str],
        end: u32,
    ) -> Result<Tokenizer, TokenizerError> {
        let strings = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
        Tokenizer::new(&strings(tokens), types, &strings(merges), end)
    }

    #[test]
    fn merges_in_order_of_rank() {
        let tokens = ["<|end|>", "a", "b", "c", "ab", "bc", "abc", "Ġ", "Ġab"];
        let types = [3, 1, 1, 1, 1, 1, 1, 1, 1];
        let tokenizer = tokenizer(&tokens, &types, &["b c", "a b", "a bc", "Ġ ab"], 0).unwrap();
        assert_eq!(*tokenizer.encode("abc"), [6]);
        assert_eq!(*tokenizer.encode("ab ab"), [4, 8]);
        assert_eq!(*tokenizer.encode("abbc"), [4, 5]);
        // "<|end|>" in text is text, and its bytes have no tokens here.
        assert_eq!(*tokenizer.encode("a<|end|>b"), [1, 2]);
        assert_eq!(tokenizer.bytes(8), b" ab");
        assert_eq!(tokenizer.bytes(0), b"");
        assert_eq!(tokenizer.control_token("<|end|>"), Some(0));
        assert_eq!(tokenizer.control_token("ab"), None);
    }

    #[test]
    fn inconsistent_vocabularies_are_refused() {
        let refused = |tokens: &[&str], types: &[u32], merges: &[&str], end| {
            tokenizer(tokens, types, merges, end).err().expect("a refusal")
        };
        assert!(matches!(
            refused(&[], &[], &[], 0),
            TokenizerError::VocabularySize(0)
        ));
        assert!(matches!(
            refused(&["<e>"], &[3, 1], &[], 0),
            TokenizerError::TypeCount { .. }
        ));
        assert!(matches!(
            refused(&["<e>", "a"], &[3, 4], &[], 0),
            TokenizerError::TokenType { id: 1, .. }
        ));
        assert!(matches!(
            refused(&["<e>", "a", "a"], &[3, 1, 1], &[], 0),
            TokenizerError::DuplicateToken(2)
        ));
        assert!(matches!(
            refused(&["<e>", "€"], &[3, 1], &[], 0),
            TokenizerError::Alphabet(1)
        ));
        assert!(matches!(
            refused(&["<e>", "a"], &[3, 1], &[], 1),
            TokenizerError::EndToken(1)
        ));
        assert!(matches!(
            refused(&["<e>", "a"], &[3, 1], &[], 2),
            TokenizerError::EndToken(2)
        ));
        for merge in ["a b", "ab", "a a", " a", "<e> a"] {
            let result = refused(&["<e>", "a", "b", "<e>a"], &[3, 1, 1, 1], &[merge], 0);
            assert!(matches!(result, TokenizerError::Merge(0)), "{merge}");
        }
    }

    #[test]
    fn long_words_are_fast() {
        let tokens = ["<e>", "a", "aa", "aaaa", "aaaaaaaa"];
        let tokenizer = tokenizer(&tokens, &[3, 1, 1, 1, 1], &["a a", "aa aa", "aaaa aaaa"], 0).unwrap();
        // In quadratic time this would outlast the patience of whoever runs the tests.
        let encoded = tokenizer.encode(&"a".repeat(256 << 10));
        assert_eq!(encoded.len(), 32 << 10);
        assert!(encoded.iter().all(|token| *token == 4));
    }
}
