//! Front and rentals role: calls of the HTTP API in, answers out; and first of all the SSH host key, which the front puts
//! into the key list.
//!
//! Frames ([`super::frame`]): kind 1, the host key (32 bytes); kind 2, `u64 ticket` and a [`Call`] as JSON; kind 3, the ticket
//! and an [`Answer`]. The front has found out whose call it is; the rentals role decides what that account may.

mod client;
mod server;

use jeju_attestation::hex_bytes::HexBytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use client::{RentalsClient, RentalsGone};
pub use server::{Asked, FrontSocket};

/// Longest frame on this socket, kind included.
pub const MAX_FRAME: usize = 2 * 1024 * 1024;

/// Longest script that a tenant hands over, in bytes.
pub const MAX_SCRIPT: usize = 256 * 1024;

const HOST_KEY: u8 = 1;
const CALL: u8 = 2;
const ANSWER: u8 = 3;

/// A call of the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Whose wallet signed it; none: nobody's.
    pub account: Option<HexBytes<20>>,
    /// What is asked.
    pub action: Action,
}

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// What the node has and has free.
    Resources,
    /// All rentals.
    List,
    /// One rental.
    Show(HexBytes<32>),
    /// The end of a container's log.
    Logs {
        /// The rental.
        rental: HexBytes<32>,
        /// Lines.
        tail: u32,
    },
    /// What a container uses.
    Metrics(HexBytes<32>),
    /// Runs a command in a container, to its end.
    Exec {
        /// The rental.
        rental: HexBytes<32>,
        /// Program and arguments.
        command: Vec<String>,
    },
    /// Hands over the script whose digest is on chain.
    Script {
        /// The rental.
        rental: HexBytes<32>,
        /// Base64.
        script: String,
    },
}

/// What comes of a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// A document.
    Document(Value),
    /// Plain text.
    Text(String),
    /// It can't be done.
    Refused {
        /// Why, by a stable name.
        refusal: Refusal,
        /// The same for people. Names no other tenant's affairs.
        message: String,
    },
}

impl Answer {
    /// A refusal.
    pub fn refused(refusal: Refusal, message: impl Into<String>) -> Self {
        Answer::Refused {
            refusal,
            message: message.into(),
        }
    }
}

/// Why a call is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The node has no such rental.
    Unknown,
    /// It takes the renter's signature, and there is none.
    Unauthorised,
    /// The account that signed isn't the renter's.
    NotRenter,
    /// The rental has no running container.
    NotRunning,
    /// The rental's script is on chain, or there is none, or the container has it.
    ScriptNotExpected,
    /// The script isn't the one whose digest is on chain.
    ScriptMismatch,
    /// The command is empty or too long, or can't be run.
    CommandInvalid,
    /// The command didn't end in time.
    CommandTimedOut,
    /// The chain can't be read.
    ChainUnavailable,
    /// The host's Docker can't be asked.
    DockerUnavailable,
    /// Too much is asked at once.
    Busy,
}

impl Refusal {
    /// Stable code of the API.
    pub const fn code(self) -> &'static str {
        match self {
            Refusal::Unknown => "rental_unknown",
            Refusal::Unauthorised => "wallet_signature_missing",
            Refusal::NotRenter => "rental_not_yours",
            Refusal::NotRunning => "rental_not_running",
            Refusal::ScriptNotExpected => "rental_script_not_expected",
            Refusal::ScriptMismatch => "rental_script_mismatch",
            Refusal::CommandInvalid => "rental_command_invalid",
            Refusal::CommandTimedOut => "rental_command_timed_out",
            Refusal::ChainUnavailable => "rental_chain_unavailable",
            Refusal::DockerUnavailable => "rental_docker_unavailable",
            Refusal::Busy => "rental_busy",
        }
    }

    /// HTTP status.
    pub const fn status(self) -> u16 {
        match self {
            Refusal::Unknown => 404,
            Refusal::Unauthorised => 401,
            Refusal::NotRenter => 403,
            Refusal::NotRunning | Refusal::ScriptNotExpected => 409,
            Refusal::ScriptMismatch => 422,
            Refusal::CommandInvalid => 400,
            Refusal::CommandTimedOut => 504,
            Refusal::ChainUnavailable | Refusal::DockerUnavailable => 503,
            Refusal::Busy => 429,
        }
    }
}

fn message(ticket: u64, document: &impl Serialize) -> Option<Vec<u8>> {
    let mut body = ticket.to_be_bytes().to_vec();
    serde_json::to_writer(&mut body, document).ok()?;
    Some(body)
}

fn read_message<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Option<(u64, T)> {
    let (ticket, document) = body.split_first_chunk()?;
    Some((
        u64::from_be_bytes(*ticket),
        serde_json::from_slice(document).ok()?,
    ))
}

#[cfg(test)]
mod tests;
