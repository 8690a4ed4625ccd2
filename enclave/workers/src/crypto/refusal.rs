//! Why an operation was refused.

use rquickjs::{Ctx, Exception};

/// Why an operation of Web Crypto was refused: the specification's `DOMException`s, each with a text for the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The operation failed: wrong tag, wrong padding, a length that can't be.
    Operation(&'static str),
    /// The bytes of a key aren't a key of this kind.
    Data(&'static str),
    /// Right by the specification, but not offered here.
    NotSupported(&'static str),
    /// The isolate's keys would take more memory than it may have for them.
    Quota(&'static str),
}

impl Refusal {
    /// Throws an error that the JavaScript side turns into a `DOMException`: `NAME: text`.
    pub(super) fn throw(self, ctx: &Ctx<'_>) -> rquickjs::Error {
        let (name, text) = match self {
            Self::Operation(text) => ("OperationError", text),
            Self::Data(text) => ("DataError", text),
            Self::NotSupported(text) => ("NotSupportedError", text),
            Self::Quota(text) => ("QuotaExceededError", text),
        };
        Exception::throw_message(ctx, &format!("{name}: {text}"))
    }
}
