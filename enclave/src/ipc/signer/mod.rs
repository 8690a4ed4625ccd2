//! Front and signer: requests, peers, records and time in; keys, answers and sealed messages out.
//!
//! The front is not trusted with any of it. What it carries between signers and to the host's store is sealed before it
//! comes here, and what it says about contracts' answers, measurements and time is all that the signer takes its word for.
//!
//! [`message`] has the messages of both directions, [`client`] the front's end of the socket, [`socket`] the signer's.

pub mod client;
pub mod message;
pub mod socket;

pub use jeju_mpc::authority::request::MAX_REQUEST;
pub use jeju_mpc::authority::wallet::MAX_CONTRACT_SIGNATURE;

pub use client::{BlobAsker, ContractAsker, PeerInbox, PeerLink, SignerClient, SignerFailure, SignerStreams};
pub use message::{FromSigner, MeasurementStatus, PeerEvidence, PeerRole, ToSigner};
pub use socket::{FrontSocket, FrontWriter};

/// Longest frame on this socket, kind included: an evidence bundle or a blob of any size, and room for the rest.
pub const MAX_FRAME: usize = jeju_attestation::bundle::MAX_LEN + 4 * 1024;

/// Longest sealed message between signers, in bytes.
pub const MAX_PEER_BYTES: usize = 64 * 1024;

/// Longest answer or status document, in bytes.
pub const MAX_DOCUMENT: usize = 64 * 1024;

/// Longest stable code.
pub const MAX_CODE: usize = 64;
