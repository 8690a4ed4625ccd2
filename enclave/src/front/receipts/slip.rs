//! What a request brings home of its answer: id and usage, noted by whoever answers.

use std::fmt::Write;
use std::mem::take;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use zeroize::Zeroizing;

use super::{Epoch, Receipts};
use crate::front::identity::random;

/// Longest id of an answer, in bytes.
const MAX_ID: usize = 96;

/// Goes with a request. Answers on which nobody notes anything get no receipt.
#[derive(Clone, Default)]
pub(in crate::front) struct Slip(Arc<Mutex<Noted>>);

#[derive(Default)]
struct Noted {
    /// The answer's id, where its documents have another.
    name: Option<Zeroizing<String>>,
    answered: Option<Answered>,
}

/// What an answer was, and what it took. The id is wiped: who knows it may ask for the receipt.
pub(super) struct Answered {
    pub(super) id: Zeroizing<String>,
    pub(super) input_units: u64,
    pub(super) output_units: u64,
}

impl Slip {
    /// Under what id the client knows the answer, where that isn't the id of the documents that are noted.
    pub(in crate::front) fn name(&self, id: String) {
        self.noted().name = Some(Zeroizing::new(id));
    }

    /// Gives a document an id if it has none, so that its receipt can be asked for.
    pub(in crate::front) fn identify(&self, document: &mut Value, prefix: &str) {
        if let (Some(fields), Ok(random)) = (document.as_object_mut(), random::<12>()) {
            // Written in place: no copy is left behind when the document is wiped.
            let mut id = String::with_capacity(prefix.len() + 1 + 2 * random.len());
            id.push_str(prefix);
            id.push('-');
            for byte in random {
                let _ = write!(id, "{byte:02x}");
            }
            fields.entry("id").or_insert_with(|| id.into());
        }
    }

    /// Reads id and usage of an answer's last document.
    pub(in crate::front) fn note(&self, document: &Value) {
        let mut noted = self.noted();
        let id = noted.name.clone();
        let id = id.or_else(|| document["id"].as_str().map(|id| Zeroizing::new(id.to_owned())));
        let Some(id) = id.filter(|id| !id.is_empty() && id.len() <= MAX_ID) else {
            return;
        };
        let tokens = |name: &str| document["usage"][name].as_u64().unwrap_or(0);
        noted.answered = Some(Answered {
            id,
            input_units: tokens("prompt_tokens"),
            output_units: tokens("completion_tokens"),
        });
    }

    /// What was noted, once.
    pub(super) fn take(&self) -> Option<Answered> {
        take(&mut self.noted().answered)
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A receipt that waits for the answer's last byte.
pub(in crate::front) struct Pending {
    pub(in crate::front) receipts: Arc<Receipts>,
    pub(in crate::front) slip: Slip,
    /// SHA-256 of the request's body.
    pub(in crate::front) request_sha256: [u8; 32],
}

impl Pending {
    /// The answer is whole, and signed by the key of `epoch`.
    pub(in crate::front) fn close(&self, response_sha256: [u8; 32], epoch: &Epoch) {
        if let Some(answered) = self.slip.take() {
            self.receipts
                .record(answered, self.request_sha256, response_sha256, epoch);
        }
    }
}
