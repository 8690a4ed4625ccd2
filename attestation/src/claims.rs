//! The claims-buffer (`docs/wire-formats.md` §1): what a quote vouches for, in at most 640 bytes.
//!
//! REPORT_DATA is SHA-256 of exactly these bytes, then 32 zero bytes, on every platform and always. A [`ClaimsBuffer`]
//! therefore keeps the bytes as received beside what they say, and nothing here re-encodes to verify.

use thiserror::Error;

use crate::cbor::{CborError, Decoder, Encoder};
use crate::hash::{is_zero, sha256};

/// The only profile that verifiers accept.
pub const PROFILE: &str = "tag:jeju,2026:node-evidence/1";
/// Longest claims-buffer, in bytes.
pub const MAX_LEN: usize = 640;

const PAIRS: u64 = 18;
const SHA256_ALGORITHM: u64 = 1;

/// Why bytes aren't a claims-buffer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ClaimsError {
    /// Longer than [`MAX_LEN`].
    #[error("claims-buffer of {0} bytes is longer than {MAX_LEN}")]
    TooLong(usize),
    /// Not the deterministic CBOR map of the format.
    #[error("claims-buffer: {0}")]
    Cbor(#[from] CborError),
    /// Another count of keys than the format has.
    #[error("claims-buffer has {0} keys, not {PAIRS}")]
    Keys(u64),
    /// Another profile.
    #[error("claims profile is {0:?}, not {PROFILE:?}")]
    Profile(String),
    /// A mode or role number without meaning.
    #[error("claim {claim} has no value {value}")]
    Value {
        /// Name of the claim.
        claim: &'static str,
        /// What it held.
        value: u64,
    },
    /// Fields that must be zero in this mode aren't, or the reverse.
    #[error("claim {claim} must {}be zero in mode {mode:?}", if *must_be_zero { "" } else { "not " })]
    ModeMismatch {
        /// Name of the claim.
        claim: &'static str,
        /// The mode of these claims.
        mode: Mode,
        /// What the mode asks of the claim.
        must_be_zero: bool,
    },
    /// A claim that may never be all zeros is, or a pair of claims disagree about being empty.
    #[error("claim {0} is empty or inconsistent")]
    Empty(&'static str),
}

/// What kind of quote this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// One quote per epoch; carries no nonce.
    Epoch = 0,
    /// Made for a verifier's nonce.
    Fresh = 1,
    /// Made for a verifier's nonce and the TLS connection that it came on.
    FreshChannel = 2,
    /// Mutual attestation of two nodes on one connection.
    Peer = 3,
    /// The nonce is the Merkle root over many verifiers' nonces and channels.
    Batch = 4,
}

/// Which end of a connection the claims speak for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The end that accepted.
    Server = 0,
    /// The end that dialled.
    Client = 1,
}

/// What a quote vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// SHA-256 of the TLS SubjectPublicKeyInfo DER.
    pub pubkey_hash: [u8; 32],
    /// Kind of quote.
    pub mode: Mode,
    /// End of the connection.
    pub role: Role,
    /// Ed25519 key that signs this epoch's responses.
    pub resp: [u8; 32],
    /// secp256k1 key of this boot, compressed.
    pub evm: [u8; 33],
    /// SHA-256 of the key list.
    pub keys: [u8; 32],
    /// Random per boot.
    pub boot: [u8; 16],
    /// Counts from 0 in a boot.
    pub epoch: u32,
    /// Merkle tree of the last closed epoch's responses.
    pub receipts: Receipts,
    /// SHA-256 of the launch document.
    pub launch: [u8; 32],
    /// Agent id.
    pub agent: [u8; 32],
    /// Chain id and measurement registry.
    pub chain: (u64, [u8; 20]),
    /// Number and hash of a recent finalised block; a zero hash means that none could be read.
    pub anchor: (u64, [u8; 32]),
    /// Digest of the GPU evidence section, and how many GPUs it covers.
    pub gpu: ([u8; 32], u8),
    /// SHA-256 of the event log; zeros: none.
    pub log: [u8; 32],
    /// The verifier's nonce.
    pub nonce: [u8; 32],
    /// Binding to one TLS connection.
    pub channel: [u8; 32],
}

/// Responses of a closed epoch, as the leaves of a Merkle tree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Receipts {
    /// The epoch that was closed.
    pub epoch: u32,
    /// How many responses it had.
    pub count: u32,
    /// Root of their tree; zeros while there is none.
    pub root: [u8; 32],
}

/// Claims with the exact bytes that were, or are to be, hashed into REPORT_DATA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimsBuffer {
    bytes: Vec<u8>,
    claims: Claims,
}

impl ClaimsBuffer {
    /// Reads a claims-buffer; refuses any other encoding of the same values.
    pub fn parse(bytes: &[u8]) -> Result<Self, ClaimsError> {
        if bytes.len() > MAX_LEN {
            return Err(ClaimsError::TooLong(bytes.len()));
        }
        let claims = decode(bytes)?;
        claims.check()?;
        Ok(Self {
            bytes: bytes.to_vec(),
            claims,
        })
    }

    /// Encodes claims, if they agree with their own mode.
    pub fn encode(claims: Claims) -> Result<Self, ClaimsError> {
        claims.check()?;
        let bytes = encode(&claims);
        Ok(Self { bytes, claims })
    }

    /// The exact bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What they say.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// SHA-256 of the exact bytes.
    pub fn digest(&self) -> [u8; 32] {
        sha256(&self.bytes)
    }

    /// The 64 bytes that the silicon signs: the digest, then 32 zero bytes.
    pub fn report_data(&self) -> [u8; 64] {
        let mut report_data = [0; 64];
        report_data[..32].copy_from_slice(&self.digest());
        report_data
    }
}

impl Claims {
    /// Whether a recent block is named.
    pub fn has_anchor(&self) -> bool {
        !is_zero(&self.anchor.1)
    }

    fn check(&self) -> Result<(), ClaimsError> {
        let (nonce, channel) = match self.mode {
            Mode::Epoch => (false, false),
            Mode::Fresh | Mode::Batch => (true, false),
            Mode::FreshChannel | Mode::Peer => (true, true),
        };
        for (claim, bytes, wanted) in [("nonce", &self.nonce, nonce), ("channel", &self.channel, channel)] {
            if is_zero(bytes) == wanted {
                return Err(ClaimsError::ModeMismatch {
                    claim,
                    mode: self.mode,
                    must_be_zero: !wanted,
                });
            }
        }
        if !matches!(self.evm[0], 2 | 3) {
            return Err(ClaimsError::Value {
                claim: "evm",
                value: u64::from(self.evm[0]),
            });
        }
        let never_zero: [(&'static str, &[u8]); 5] = [
            ("pubkey-hash", &self.pubkey_hash),
            ("resp", &self.resp),
            ("keys", &self.keys),
            ("boot", &self.boot),
            ("launch", &self.launch),
        ];
        if let Some((claim, _)) = never_zero.iter().find(|(_, bytes)| is_zero(bytes)) {
            return Err(ClaimsError::Empty(claim));
        }
        if is_zero(&self.gpu.0) != (self.gpu.1 == 0) {
            return Err(ClaimsError::Empty("gpu"));
        }
        if is_zero(&self.receipts.root) != (self.receipts.count == 0) {
            return Err(ClaimsError::Empty("receipts"));
        }
        if !self.has_anchor() && self.anchor.0 != 0 {
            return Err(ClaimsError::Empty("anchor"));
        }
        Ok(())
    }
}

fn encode(claims: &Claims) -> Vec<u8> {
    let mut pubkey_hash = Encoder::new();
    pubkey_hash
        .array(2)
        .uint(SHA256_ALGORITHM)
        .bytes(&claims.pubkey_hash);
    let mut cbor = Encoder::new();
    cbor.map(PAIRS);
    cbor.text("evm").bytes(&claims.evm);
    cbor.text("gpu")
        .array(2)
        .bytes(&claims.gpu.0)
        .uint(u64::from(claims.gpu.1));
    cbor.text("log").bytes(&claims.log);
    cbor.text("boot").bytes(&claims.boot);
    cbor.text("keys").bytes(&claims.keys);
    cbor.text("mode").uint(claims.mode as u64);
    cbor.text("resp").bytes(&claims.resp);
    cbor.text("role").uint(claims.role as u64);
    cbor.text("agent").bytes(&claims.agent);
    cbor.text("chain")
        .array(2)
        .uint(claims.chain.0)
        .bytes(&claims.chain.1);
    cbor.text("epoch").uint(u64::from(claims.epoch));
    cbor.text("nonce").bytes(&claims.nonce);
    cbor.text("anchor")
        .array(2)
        .uint(claims.anchor.0)
        .bytes(&claims.anchor.1);
    cbor.text("launch").bytes(&claims.launch);
    cbor.text("channel").bytes(&claims.channel);
    cbor.text("profile").text(PROFILE);
    cbor.text("receipts")
        .array(3)
        .uint(u64::from(claims.receipts.epoch));
    cbor.uint(u64::from(claims.receipts.count))
        .bytes(&claims.receipts.root);
    cbor.text("pubkey-hash").bytes(&pubkey_hash.finish());
    cbor.finish()
}

fn decode(bytes: &[u8]) -> Result<Claims, ClaimsError> {
    let mut cbor = Decoder::new(bytes);
    let pairs = cbor.map()?;
    if pairs != PAIRS {
        return Err(ClaimsError::Keys(pairs));
    }
    cbor.key("evm")?;
    let evm = cbor.fixed()?;
    cbor.key("gpu")?;
    cbor.array(2)?;
    let gpu = (cbor.fixed()?, narrow("gpu", cbor.uint()?)?);
    cbor.key("log")?;
    let log = cbor.fixed()?;
    cbor.key("boot")?;
    let boot = cbor.fixed()?;
    cbor.key("keys")?;
    let keys = cbor.fixed()?;
    cbor.key("mode")?;
    let mode = match cbor.uint()? {
        0 => Mode::Epoch,
        1 => Mode::Fresh,
        2 => Mode::FreshChannel,
        3 => Mode::Peer,
        4 => Mode::Batch,
        value => return Err(ClaimsError::Value { claim: "mode", value }),
    };
    cbor.key("resp")?;
    let resp = cbor.fixed()?;
    cbor.key("role")?;
    let role = match cbor.uint()? {
        0 => Role::Server,
        1 => Role::Client,
        value => return Err(ClaimsError::Value { claim: "role", value }),
    };
    cbor.key("agent")?;
    let agent = cbor.fixed()?;
    cbor.key("chain")?;
    cbor.array(2)?;
    let chain = (cbor.uint()?, cbor.fixed()?);
    cbor.key("epoch")?;
    let epoch = narrow("epoch", cbor.uint()?)?;
    cbor.key("nonce")?;
    let nonce = cbor.fixed()?;
    cbor.key("anchor")?;
    cbor.array(2)?;
    let anchor = (cbor.uint()?, cbor.fixed()?);
    cbor.key("launch")?;
    let launch = cbor.fixed()?;
    cbor.key("channel")?;
    let channel = cbor.fixed()?;
    cbor.key("profile")?;
    let profile = cbor.text()?;
    if profile != PROFILE {
        return Err(ClaimsError::Profile(profile.to_owned()));
    }
    cbor.key("receipts")?;
    cbor.array(3)?;
    let receipts = Receipts {
        epoch: narrow("receipts", cbor.uint()?)?,
        count: narrow("receipts", cbor.uint()?)?,
        root: cbor.fixed()?,
    };
    cbor.key("pubkey-hash")?;
    let pubkey_hash = decode_pubkey_hash(cbor.bytes()?)?;
    cbor.end()?;
    Ok(Claims {
        pubkey_hash,
        mode,
        role,
        resp,
        evm,
        keys,
        boot,
        epoch,
        receipts,
        launch,
        agent,
        chain,
        anchor,
        gpu,
        log,
        nonce,
        channel,
    })
}

fn decode_pubkey_hash(bytes: &[u8]) -> Result<[u8; 32], ClaimsError> {
    let mut cbor = Decoder::new(bytes);
    cbor.array(2)?;
    match cbor.uint()? {
        SHA256_ALGORITHM => {}
        value => {
            return Err(ClaimsError::Value {
                claim: "pubkey-hash",
                value,
            });
        }
    }
    let hash = cbor.fixed()?;
    cbor.end()?;
    Ok(hash)
}

fn narrow<T: TryFrom<u64>>(claim: &'static str, value: u64) -> Result<T, ClaimsError> {
    T::try_from(value).map_err(|_| ClaimsError::Value { claim, value })
}

/// Claims for tests of this crate.
#[cfg(test)]
pub(crate) fn sample() -> Claims {
    let mut evm = [7; 33];
    evm[0] = 2;
    Claims {
        pubkey_hash: [1; 32],
        mode: Mode::Epoch,
        role: Role::Server,
        resp: [2; 32],
        evm,
        keys: [3; 32],
        boot: [4; 16],
        epoch: 5,
        receipts: Receipts::default(),
        launch: [6; 32],
        agent: [8; 32],
        chain: (31337, [9; 20]),
        anchor: (10, [11; 32]),
        gpu: ([0; 32], 0),
        log: [0; 32],
        nonce: [0; 32],
        channel: [0; 32],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by an independent encoder (Python's cbor2 with canonical=True); see `tests/vectors/PROVENANCE.md`.
    const GOLDEN: &str = include_str!("../tests/vectors/claims-epoch.hex");
    const GOLDEN_REPORT_DATA: &str = include_str!("../tests/vectors/claims-epoch.report-data.hex");

    #[test]
    fn golden_vector() {
        let buffer = ClaimsBuffer::encode(sample()).unwrap();
        assert_eq!(hex::encode(buffer.bytes()), GOLDEN.trim());
        assert_eq!(hex::encode(buffer.report_data()), GOLDEN_REPORT_DATA.trim());
        assert_eq!(ClaimsBuffer::parse(buffer.bytes()).unwrap(), buffer);
    }

    #[test]
    fn the_largest_claims_fit() {
        let claims = Claims {
            mode: Mode::FreshChannel,
            epoch: u32::MAX,
            receipts: Receipts {
                epoch: u32::MAX,
                count: u32::MAX,
                root: [1; 32],
            },
            chain: (u64::MAX, [1; 20]),
            anchor: (u64::MAX, [1; 32]),
            gpu: ([1; 32], u8::MAX),
            nonce: [1; 32],
            channel: [1; 32],
            ..sample()
        };
        let buffer = ClaimsBuffer::encode(claims).unwrap();
        assert!(buffer.bytes().len() <= MAX_LEN, "{} bytes", buffer.bytes().len());
        assert_eq!(
            ClaimsBuffer::parse(&[0; MAX_LEN + 1]),
            Err(ClaimsError::TooLong(MAX_LEN + 1))
        );
    }

    #[test]
    fn mode_and_zero_fields_must_agree() {
        let mismatch = |claims: Claims| match ClaimsBuffer::parse(&encode(&claims)) {
            Err(ClaimsError::ModeMismatch { claim, .. }) => claim,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            mismatch(Claims {
                nonce: [1; 32],
                ..sample()
            }),
            "nonce"
        );
        assert_eq!(
            mismatch(Claims {
                channel: [1; 32],
                ..sample()
            }),
            "channel"
        );
        assert_eq!(
            mismatch(Claims {
                mode: Mode::Fresh,
                ..sample()
            }),
            "nonce"
        );
        assert_eq!(
            mismatch(Claims {
                mode: Mode::FreshChannel,
                nonce: [1; 32],
                ..sample()
            }),
            "channel"
        );
        assert_eq!(
            mismatch(Claims {
                mode: Mode::Peer,
                nonce: [1; 32],
                ..sample()
            }),
            "channel"
        );
        assert_eq!(
            mismatch(Claims {
                mode: Mode::Batch,
                nonce: [1; 32],
                channel: [1; 32],
                ..sample()
            }),
            "channel"
        );
    }

    #[test]
    fn empty_claims_are_refused() {
        let empty = |claims: Claims| match ClaimsBuffer::parse(&encode(&claims)) {
            Err(ClaimsError::Empty(claim)) => claim,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            empty(Claims {
                pubkey_hash: [0; 32],
                ..sample()
            }),
            "pubkey-hash"
        );
        assert_eq!(
            empty(Claims {
                resp: [0; 32],
                ..sample()
            }),
            "resp"
        );
        assert_eq!(
            empty(Claims {
                keys: [0; 32],
                ..sample()
            }),
            "keys"
        );
        assert_eq!(
            empty(Claims {
                boot: [0; 16],
                ..sample()
            }),
            "boot"
        );
        assert_eq!(
            empty(Claims {
                launch: [0; 32],
                ..sample()
            }),
            "launch"
        );
        assert_eq!(
            empty(Claims {
                gpu: ([1; 32], 0),
                ..sample()
            }),
            "gpu"
        );
        assert_eq!(
            empty(Claims {
                gpu: ([0; 32], 1),
                ..sample()
            }),
            "gpu"
        );
        assert_eq!(
            empty(Claims {
                anchor: (1, [0; 32]),
                ..sample()
            }),
            "anchor"
        );
        let receipts = Receipts {
            epoch: 0,
            count: 1,
            root: [0; 32],
        };
        assert_eq!(empty(Claims { receipts, ..sample() }), "receipts");
        assert!(matches!(
            ClaimsBuffer::parse(&encode(&Claims {
                evm: [4; 33],
                ..sample()
            })),
            Err(ClaimsError::Value {
                claim: "evm",
                value: 4
            })
        ));
    }

    #[test]
    fn every_cut_and_every_added_byte_is_refused() {
        let bytes = encode(&sample());
        for len in 0..bytes.len() {
            assert!(ClaimsBuffer::parse(&bytes[..len]).is_err(), "cut at {len}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(
            ClaimsBuffer::parse(&longer),
            Err(ClaimsError::Cbor(CborError::Trailing(1)))
        );
    }

    #[test]
    fn other_profiles_are_refused() {
        let bytes = encode(&sample());
        let at = bytes
            .windows(PROFILE.len())
            .position(|w| w == PROFILE.as_bytes())
            .unwrap();
        let mut other = bytes.clone();
        other[at + PROFILE.len() - 1] = b'2';
        assert!(matches!(
            ClaimsBuffer::parse(&other),
            Err(ClaimsError::Profile(_))
        ));
    }
}
