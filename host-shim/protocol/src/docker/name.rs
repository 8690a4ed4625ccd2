use std::fmt;
use std::str::FromStr;

use super::Refusal;

/// Name of a rental's container and of its network: `jeju-` and the rental's id as 64 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerName([u8; 32]);

impl ContainerName {
    /// Name of the container of a rental.
    pub const fn from_id(rental: [u8; 32]) -> Self {
        Self(rental)
    }

    /// The rental's id.
    pub const fn id(&self) -> [u8; 32] {
        self.0
    }
}

impl FromStr for ContainerName {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        text.strip_prefix("jeju-")
            .and_then(digits)
            .map(Self)
            .ok_or_else(|| {
                Refusal::name("a container is named `jeju-` and 64 lower-case hex digits of its rental")
            })
    }
}

impl fmt::Display for ContainerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "jeju-{}", hex::encode(self.0))
    }
}

/// Id that the engine gave to an exec: 64 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExecId([u8; 32]);

impl FromStr for ExecId {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        digits(text)
            .map(Self)
            .ok_or_else(|| Refusal::name("the id of an exec is 64 lower-case hex digits"))
    }
}

impl fmt::Display for ExecId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// 32 bytes of exactly 64 lower-case hex digits.
pub(super) fn digits(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let lower = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (lower && hex::decode_to_slice(text, &mut bytes).is_ok()).then_some(bytes)
}
