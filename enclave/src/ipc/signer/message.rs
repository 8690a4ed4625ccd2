//! The messages between front and signer, and their one encoding.

mod fields;

use jeju_store::{BlobOp, BlobReply};

use self::fields::{put_op, put_reply, rest, take_code, take_flag, take_op, take_reply};
use super::{MAX_CONTRACT_SIGNATURE, MAX_DOCUMENT, MAX_PEER_BYTES, MAX_REQUEST};
use crate::ipc::frame::{Fields, Frame};

/// A message of the front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToSigner {
    /// The present lies in this interval (seconds since 1970). The first message, and sent again all the time.
    Time {
        /// It is at least this late.
        lower: u64,
        /// It is at most this late.
        upper: u64,
    },
    /// A connection with a peer stands, or its evidence is due again: draw a nonce.
    PeerOpened {
        /// Which, as long as it lives.
        connection: u32,
    },
    /// What the peer showed for that nonce.
    PeerEvidence {
        /// Which connection.
        connection: u32,
        /// The evidence.
        evidence: PeerEvidence,
    },
    /// A sealed message of the peer's signer.
    PeerBytes {
        /// Which connection.
        connection: u32,
        /// Any bytes at all.
        bytes: Vec<u8>,
    },
    /// The connection is gone.
    PeerClosed {
        /// Which.
        connection: u32,
    },
    /// A client's request.
    Request {
        /// Repeated by [`FromSigner::Answer`].
        ticket: u64,
        /// The body, exactly as it came.
        bytes: Vec<u8>,
    },
    /// What the contract said. No answer is a no.
    ContractAnswer {
        /// Repeats [`FromSigner::AskContract`].
        query: u64,
        /// Whether it said yes.
        valid: bool,
    },
    /// What the host's store said.
    BlobAnswer {
        /// Repeats [`FromSigner::Blob`].
        id: u64,
        /// The answer; none where it couldn't be done.
        reply: Option<BlobReply>,
    },
    /// How is the signer?
    StatusQuery {
        /// Repeated by [`FromSigner::Status`].
        ticket: u64,
    },
    /// Which configurations does the signer know?
    ConfigurationsQuery {
        /// Repeated by [`FromSigner::Status`].
        ticket: u64,
        /// The lowest number after the first that is asked for; none for the one in force.
        from: Option<u32>,
    },
}

/// Evidence of a peer, and what the front knows about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerEvidence {
    /// Which end of the connection the peer is.
    pub role: PeerRole,
    /// The channel binding that this node exported from the connection.
    pub channel: [u8; 32],
    /// Exact bytes of the evidence bundle.
    pub bundle: Vec<u8>,
    /// What the chain says about the peer's measurement.
    pub measurement: MeasurementStatus,
}

/// Which end of the TLS connection a peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerRole {
    /// It accepted.
    Server,
    /// It dialled.
    Client,
}

/// What the chain says about a measurement, as far as the front could read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MeasurementStatus {
    /// Listed and valid.
    Active,
    /// Not listed.
    Unknown,
    /// Listed and revoked.
    Revoked,
    /// The chain couldn't be read.
    Unreadable,
}

/// A message of the signer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromSigner {
    /// Public halves of the signer's keys of this boot. The first message.
    Keys {
        /// Compressed secp256k1 point.
        identity: [u8; 33],
        /// X25519.
        channel: [u8; 32],
    },
    /// The nonce that a peer's evidence must carry.
    Nonce {
        /// Which connection.
        connection: u32,
        /// Drawn by the signer.
        nonce: [u8; 32],
    },
    /// The evidence was accepted: the peer is this member.
    Admitted {
        /// Which connection.
        connection: u32,
        /// Its index.
        member: u16,
    },
    /// The peer isn't a member, or no longer. The connection is of no use any more.
    NotAdmitted {
        /// Which connection.
        connection: u32,
        /// Stable code.
        code: String,
    },
    /// A sealed message for the peer's signer.
    PeerSend {
        /// Which connection.
        connection: u32,
        /// Opaque.
        bytes: Vec<u8>,
    },
    /// The answer to a client's request.
    Answer {
        /// Repeats [`ToSigner::Request`].
        ticket: u64,
        /// JSON: a [`crate::signer::outcome::Outcome`].
        document: Vec<u8>,
    },
    /// Ask a contract whether a signature is its own (ERC-1271).
    AskContract {
        /// Repeated by [`ToSigner::ContractAnswer`].
        query: u64,
        /// The contract.
        account: [u8; 20],
        /// What was signed.
        digest: [u8; 32],
        /// The signature.
        signature: Vec<u8>,
    },
    /// Do something in the host's store.
    Blob {
        /// Repeated by [`ToSigner::BlobAnswer`].
        id: u64,
        /// What.
        op: BlobOp,
    },
    /// How the signer is, or what configurations it knows.
    Status {
        /// Repeats [`ToSigner::StatusQuery`] or [`ToSigner::ConfigurationsQuery`].
        ticket: u64,
        /// JSON: a [`crate::signer::outcome::Status`], or [`crate::signer::outcome::Configurations`].
        document: Vec<u8>,
    },
}

mod kind {
    pub const TIME: u8 = 0x01;
    pub const PEER_OPENED: u8 = 0x02;
    pub const PEER_EVIDENCE: u8 = 0x03;
    pub const PEER_BYTES: u8 = 0x04;
    pub const PEER_CLOSED: u8 = 0x05;
    pub const REQUEST: u8 = 0x06;
    pub const CONTRACT_ANSWER: u8 = 0x07;
    pub const BLOB_ANSWER: u8 = 0x08;
    pub const STATUS_QUERY: u8 = 0x09;
    pub const CONFIGURATIONS_QUERY: u8 = 0x0A;

    pub const KEYS: u8 = 0x81;
    pub const NONCE: u8 = 0x82;
    pub const ADMITTED: u8 = 0x83;
    pub const NOT_ADMITTED: u8 = 0x84;
    pub const PEER_SEND: u8 = 0x85;
    pub const ANSWER: u8 = 0x86;
    pub const ASK_CONTRACT: u8 = 0x87;
    pub const BLOB: u8 = 0x88;
    pub const STATUS: u8 = 0x89;
}

impl ToSigner {
    /// Kind and body of the frame.
    pub fn encode(&self) -> (u8, Vec<u8>) {
        match self {
            ToSigner::Time { lower, upper } => {
                (kind::TIME, [lower.to_be_bytes(), upper.to_be_bytes()].concat())
            }
            ToSigner::PeerOpened { connection } => (kind::PEER_OPENED, connection.to_be_bytes().into()),
            ToSigner::PeerEvidence { connection, evidence } => {
                let mut body = Vec::with_capacity(evidence.bundle.len() + 64);
                body.extend_from_slice(&connection.to_be_bytes());
                body.push(evidence.role.code());
                body.extend_from_slice(&evidence.channel);
                body.push(evidence.measurement.code());
                body.extend_from_slice(&evidence.bundle);
                (kind::PEER_EVIDENCE, body)
            }
            ToSigner::PeerBytes { connection, bytes } => {
                (kind::PEER_BYTES, [&connection.to_be_bytes()[..], bytes].concat())
            }
            ToSigner::PeerClosed { connection } => (kind::PEER_CLOSED, connection.to_be_bytes().into()),
            ToSigner::Request { ticket, bytes } => {
                (kind::REQUEST, [&ticket.to_be_bytes()[..], bytes].concat())
            }
            ToSigner::ContractAnswer { query, valid } => {
                let answer = [u8::from(*valid)];
                (
                    kind::CONTRACT_ANSWER,
                    [&query.to_be_bytes()[..], &answer].concat(),
                )
            }
            ToSigner::BlobAnswer { id, reply } => {
                let mut body = id.to_be_bytes().to_vec();
                put_reply(&mut body, reply.as_ref());
                (kind::BLOB_ANSWER, body)
            }
            ToSigner::StatusQuery { ticket } => (kind::STATUS_QUERY, ticket.to_be_bytes().into()),
            // The first one isn't asked for, so its number stands for none.
            ToSigner::ConfigurationsQuery { ticket, from } => (
                kind::CONFIGURATIONS_QUERY,
                [&ticket.to_be_bytes()[..], &from.unwrap_or(0).to_be_bytes()].concat(),
            ),
        }
    }

    /// Parses a frame of the front. `None` for anything that [`ToSigner::encode`] can't have made.
    pub fn parse(frame: &Frame) -> Option<ToSigner> {
        let mut fields = Fields::new(&frame.body);
        let message = match frame.kind {
            kind::TIME => {
                let (lower, upper) = (fields.u64()?, fields.u64()?);
                (lower <= upper).then_some(ToSigner::Time { lower, upper })?
            }
            kind::PEER_OPENED => ToSigner::PeerOpened {
                connection: fields.u32()?,
            },
            kind::PEER_EVIDENCE => {
                let connection = fields.u32()?;
                let role = PeerRole::from_code(fields.byte()?)?;
                let channel = fields.array()?;
                let measurement = MeasurementStatus::from_code(fields.byte()?)?;
                let bundle = fields.take_rest();
                if bundle.len() > jeju_attestation::bundle::MAX_LEN {
                    return None;
                }
                ToSigner::PeerEvidence {
                    connection,
                    evidence: PeerEvidence {
                        role,
                        channel,
                        bundle: bundle.to_vec(),
                        measurement,
                    },
                }
            }
            kind::PEER_BYTES => ToSigner::PeerBytes {
                connection: fields.u32()?,
                bytes: rest(&mut fields, MAX_PEER_BYTES)?,
            },
            kind::PEER_CLOSED => ToSigner::PeerClosed {
                connection: fields.u32()?,
            },
            kind::REQUEST => ToSigner::Request {
                ticket: fields.u64()?,
                bytes: rest(&mut fields, MAX_REQUEST)?,
            },
            kind::CONTRACT_ANSWER => ToSigner::ContractAnswer {
                query: fields.u64()?,
                valid: take_flag(&mut fields)?,
            },
            kind::BLOB_ANSWER => ToSigner::BlobAnswer {
                id: fields.u64()?,
                reply: take_reply(&mut fields)?,
            },
            kind::STATUS_QUERY => ToSigner::StatusQuery {
                ticket: fields.u64()?,
            },
            kind::CONFIGURATIONS_QUERY => ToSigner::ConfigurationsQuery {
                ticket: fields.u64()?,
                from: Some(fields.u32()?).filter(|number| *number > 0),
            },
            _ => return None,
        };
        fields.end()?;
        Some(message)
    }
}

impl FromSigner {
    /// Kind and body of the frame.
    pub fn encode(&self) -> (u8, Vec<u8>) {
        match self {
            FromSigner::Keys { identity, channel } => (kind::KEYS, [&identity[..], channel].concat()),
            FromSigner::Nonce { connection, nonce } => {
                (kind::NONCE, [&connection.to_be_bytes()[..], nonce].concat())
            }
            FromSigner::Admitted { connection, member } => (
                kind::ADMITTED,
                [&connection.to_be_bytes()[..], &member.to_be_bytes()].concat(),
            ),
            FromSigner::NotAdmitted { connection, code } => (
                kind::NOT_ADMITTED,
                [&connection.to_be_bytes()[..], code.as_bytes()].concat(),
            ),
            FromSigner::PeerSend { connection, bytes } => {
                (kind::PEER_SEND, [&connection.to_be_bytes()[..], bytes].concat())
            }
            FromSigner::Answer { ticket, document } => {
                (kind::ANSWER, [&ticket.to_be_bytes()[..], document].concat())
            }
            FromSigner::AskContract {
                query,
                account,
                digest,
                signature,
            } => (
                kind::ASK_CONTRACT,
                [&query.to_be_bytes()[..], account, digest, signature].concat(),
            ),
            FromSigner::Blob { id, op } => {
                let mut body = id.to_be_bytes().to_vec();
                put_op(&mut body, op);
                (kind::BLOB, body)
            }
            FromSigner::Status { ticket, document } => {
                (kind::STATUS, [&ticket.to_be_bytes()[..], document].concat())
            }
        }
    }

    /// Parses a frame of the signer. `None` for anything that [`FromSigner::encode`] can't have made.
    pub fn parse(frame: &Frame) -> Option<FromSigner> {
        let mut fields = Fields::new(&frame.body);
        let message = match frame.kind {
            kind::KEYS => FromSigner::Keys {
                identity: fields.array()?,
                channel: fields.array()?,
            },
            kind::NONCE => FromSigner::Nonce {
                connection: fields.u32()?,
                nonce: fields.array()?,
            },
            kind::ADMITTED => FromSigner::Admitted {
                connection: fields.u32()?,
                member: fields.u16()?,
            },
            kind::NOT_ADMITTED => FromSigner::NotAdmitted {
                connection: fields.u32()?,
                code: take_code(&mut fields)?,
            },
            kind::PEER_SEND => FromSigner::PeerSend {
                connection: fields.u32()?,
                bytes: rest(&mut fields, MAX_PEER_BYTES)?,
            },
            kind::ANSWER => FromSigner::Answer {
                ticket: fields.u64()?,
                document: rest(&mut fields, MAX_DOCUMENT)?,
            },
            kind::ASK_CONTRACT => FromSigner::AskContract {
                query: fields.u64()?,
                account: fields.array()?,
                digest: fields.array()?,
                signature: rest(&mut fields, MAX_CONTRACT_SIGNATURE)?,
            },
            kind::BLOB => FromSigner::Blob {
                id: fields.u64()?,
                op: take_op(&mut fields)?,
            },
            kind::STATUS => FromSigner::Status {
                ticket: fields.u64()?,
                document: rest(&mut fields, MAX_DOCUMENT)?,
            },
            _ => return None,
        };
        fields.end()?;
        Some(message)
    }
}

#[cfg(test)]
mod tests;
