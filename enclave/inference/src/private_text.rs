//! Text that must not leave the enclave through a log.

use std::ops::Deref;

use zeroize::Zeroizing;

/// Text of a prompt or of an answer. Wiped when dropped. Has neither `Debug` nor `Display`, so that it can't
/// end up in a log line by accident.
#[derive(Clone, Default)]
pub struct PrivateText(Zeroizing<String>);

impl From<String> for PrivateText {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl From<&str> for PrivateText {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl Deref for PrivateText {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}
