//! Frames between two fronts (`docs/wire-formats.md`, "Peer protocol"): `u32 length`, `u8 kind`, body, as between a node's
//! own processes.

use jeju_attestation::bundle;

use crate::ipc::frame::{Fields, Frame};
use crate::signer::channel::MAX_SEALED;

/// Version of the protocol.
const VERSION: u16 = 1;
/// Longest frame while no evidence is awaited, kind included.
pub(super) const MAX_FRAME: usize = 64 * 1024;
/// Longest frame while evidence is awaited.
pub(super) const MAX_EVIDENCE_FRAME: usize = bundle::MAX_LEN + 1;
/// Longest code in a refusal.
const MAX_CODE: usize = 64;

const HELLO: u8 = 1;
const CHALLENGE: u8 = 2;
const EVIDENCE: u8 = 3;
const SEALED: u8 = 4;
const PING: u8 = 5;
const REFUSED: u8 = 0xFF;

/// What one front says to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PeerFrame {
    /// The first frame of each end.
    Hello {
        /// The network.
        genesis: [u8; 32],
        /// Which member the sender says it is.
        member: u16,
        /// Drawn by the sender's signer for this connection.
        nonce: [u8; 32],
    },
    /// Attest again, to this nonce of the sender's signer.
    Challenge {
        /// The nonce.
        nonce: [u8; 32],
    },
    /// The sender's evidence bundle, made for the receiver's nonce.
    Evidence {
        /// Its bytes.
        bundle: Vec<u8>,
    },
    /// A message between the signers.
    Sealed {
        /// Any bytes at all.
        bytes: Vec<u8>,
    },
    /// The sender is still there.
    Ping,
    /// The sender goes, since it refuses the receiver.
    Refused {
        /// A stable code; only ever shown to people.
        code: String,
    },
}

impl PeerFrame {
    /// Kind and body.
    pub(super) fn encode(self) -> (u8, Vec<u8>) {
        match self {
            PeerFrame::Hello {
                genesis,
                member,
                nonce,
            } => {
                let parts: [&[u8]; 4] = [&VERSION.to_be_bytes(), &genesis, &member.to_be_bytes(), &nonce];
                (HELLO, parts.concat())
            }
            PeerFrame::Challenge { nonce } => (CHALLENGE, nonce.to_vec()),
            PeerFrame::Evidence { bundle } => (EVIDENCE, bundle),
            PeerFrame::Sealed { bytes } => (SEALED, bytes),
            PeerFrame::Ping => (PING, Vec::new()),
            PeerFrame::Refused { code } => (REFUSED, code.into_bytes()),
        }
    }

    /// Reads a frame. `None` for anything that isn't exactly one.
    pub(super) fn parse(frame: Frame) -> Option<Self> {
        let mut fields = Fields::new(&frame.body);
        let parsed = match frame.kind {
            HELLO => {
                if fields.u16()? != VERSION {
                    return None;
                }
                PeerFrame::Hello {
                    genesis: fields.array()?,
                    member: fields.u16()?,
                    nonce: fields.array()?,
                }
            }
            CHALLENGE => PeerFrame::Challenge {
                nonce: fields.array()?,
            },
            EVIDENCE => return Some(PeerFrame::Evidence { bundle: frame.body }),
            SEALED if frame.body.len() <= MAX_SEALED => return Some(PeerFrame::Sealed { bytes: frame.body }),
            PING => PeerFrame::Ping,
            REFUSED if (1..=MAX_CODE).contains(&frame.body.len()) => {
                let plain = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'_';
                if !frame.body.iter().all(plain) {
                    return None;
                }
                return Some(PeerFrame::Refused {
                    code: String::from_utf8(frame.body).ok()?,
                });
            }
            _ => return None,
        };
        fields.end()?;
        Some(parsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames() -> Vec<PeerFrame> {
        vec![
            PeerFrame::Hello {
                genesis: [1; 32],
                member: 2,
                nonce: [3; 32],
            },
            PeerFrame::Challenge { nonce: [4; 32] },
            PeerFrame::Evidence { bundle: vec![5; 100] },
            PeerFrame::Sealed {
                bytes: vec![6; MAX_SEALED],
            },
            PeerFrame::Ping,
            PeerFrame::Refused {
                code: "peer_mode".to_owned(),
            },
        ]
    }

    fn frame((kind, body): (u8, Vec<u8>)) -> Frame {
        Frame { kind, body }
    }

    #[test]
    fn frames_round_trip() {
        for expected in frames() {
            let (kind, body) = expected.clone().encode();
            assert!(body.len() < MAX_FRAME);
            assert_eq!(PeerFrame::parse(Frame { kind, body }), Some(expected));
        }
    }

    #[test]
    fn what_is_too_short_too_long_or_unknown_is_none() {
        for whole in frames() {
            let (kind, body) = whole.clone().encode();
            if matches!(
                whole,
                PeerFrame::Hello { .. } | PeerFrame::Challenge { .. } | PeerFrame::Ping
            ) {
                for len in 0..body.len() {
                    assert_eq!(PeerFrame::parse(frame((kind, body[..len].to_vec()))), None);
                }
                let longer = [&body[..], &[0]].concat();
                assert_eq!(PeerFrame::parse(frame((kind, longer))), None);
            }
        }
        let other_version = {
            let (kind, mut body) = frames().remove(0).encode();
            body[1] = 2;
            frame((kind, body))
        };
        assert_eq!(PeerFrame::parse(other_version), None);
        assert_eq!(PeerFrame::parse(frame((SEALED, vec![0; MAX_SEALED + 1]))), None);
        for code in ["", "Upper", "a b", &"a".repeat(MAX_CODE + 1)] {
            assert_eq!(PeerFrame::parse(frame((REFUSED, code.as_bytes().to_vec()))), None);
        }
        assert_eq!(PeerFrame::parse(frame((0, Vec::new()))), None);
        assert_eq!(PeerFrame::parse(frame((6, Vec::new()))), None);
    }
}
