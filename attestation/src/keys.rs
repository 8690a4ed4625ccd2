//! The key list (`docs/wire-formats.md` §2): keys that are too many for the claims, named there by one digest.

use thiserror::Error;

use crate::cbor::{CborError, Decoder, Encoder};
use crate::hash::sha256;

/// Why bytes aren't a key list.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyListError {
    /// Not the deterministic CBOR of the format.
    #[error("key list: {0}")]
    Cbor(#[from] CborError),
    /// Another count of keys than the format has.
    #[error("key list has {0} entries, not 1 or 2")]
    Entries(u64),
}

/// Public keys of a node beside those in the claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyList {
    /// X25519 key for HPKE, of the boot.
    pub hpke: [u8; 32],
    /// Keys of the signer, where the node is one.
    pub mpc: Option<MpcKeys>,
}

/// Keys by which the signers of a network know each other; of the boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MpcKeys {
    /// Signs what must be provable to others: compressed secp256k1 point.
    pub identity: [u8; 33],
    /// X25519, for the channels between signers.
    pub channel: [u8; 32],
}

impl KeyList {
    /// Reads a key list.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeyListError> {
        let mut cbor = Decoder::new(bytes);
        let mpc = match cbor.map()? {
            1 => None,
            2 => {
                cbor.key("mpc")?;
                cbor.array(2)?;
                Some(MpcKeys {
                    identity: cbor.fixed()?,
                    channel: cbor.fixed()?,
                })
            }
            entries => return Err(KeyListError::Entries(entries)),
        };
        cbor.key("hpke")?;
        let hpke = cbor.fixed()?;
        cbor.end()?;
        Ok(Self { hpke, mpc })
    }

    /// The deterministic encoding.
    pub fn encode(&self) -> Vec<u8> {
        let mut cbor = Encoder::new();
        cbor.map(if self.mpc.is_some() { 2 } else { 1 });
        if let Some(mpc) = &self.mpc {
            cbor.text("mpc").array(2).bytes(&mpc.identity).bytes(&mpc.channel);
        }
        cbor.text("hpke").bytes(&self.hpke);
        cbor.finish()
    }

    /// What the claims name.
    pub fn digest(&self) -> [u8; 32] {
        sha256(&self.encode())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_refusals() {
        let mpc = MpcKeys {
            identity: [2; 33],
            channel: [5; 32],
        };
        let signer = KeyList {
            hpke: [7; 32],
            mpc: Some(mpc),
        };
        assert_eq!(KeyList::parse(&signer.encode()), Ok(signer.clone()));
        let list = KeyList {
            hpke: [7; 32],
            mpc: None,
        };
        let bytes = list.encode();
        assert_eq!(KeyList::parse(&bytes), Ok(list));
        assert!(matches!(KeyList::parse(&bytes[..5]), Err(KeyListError::Cbor(_))));
        assert_eq!(KeyList::parse(&[0xA0]), Err(KeyListError::Entries(0)));
        let long = [bytes.as_slice(), &[0]].concat();
        assert_eq!(
            KeyList::parse(&long),
            Err(KeyListError::Cbor(CborError::Trailing(1)))
        );
    }
}
