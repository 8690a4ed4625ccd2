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
    #[error("key list has {0} entries, not 1 to 3")]
    Entries(u64),
}

/// Public keys of a node beside those in the claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyList {
    /// X25519 key for HPKE, of the boot.
    pub hpke: [u8; 32],
    /// Keys of the signer, where the node is one.
    pub mpc: Option<MpcKeys>,
    /// SSH host key (Ed25519), where the node rents out machines.
    pub ssh: Option<[u8; 32]>,
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
        let entries = cbor.map()?;
        if !(1..=3).contains(&entries) {
            return Err(KeyListError::Entries(entries));
        }
        // In the order of deterministic CBOR; the first and the second are there or not.
        let mpc = match cbor.optional_key("mpc")? {
            true => {
                cbor.array(2)?;
                Some(MpcKeys {
                    identity: cbor.fixed()?,
                    channel: cbor.fixed()?,
                })
            }
            false => None,
        };
        let ssh = match cbor.optional_key("ssh")? {
            true => Some(cbor.fixed()?),
            false => None,
        };
        cbor.key("hpke")?;
        let hpke = cbor.fixed()?;
        cbor.end()?;
        match 1 + u64::from(mpc.is_some()) + u64::from(ssh.is_some()) == entries {
            true => Ok(Self { hpke, mpc, ssh }),
            false => Err(KeyListError::Entries(entries)),
        }
    }

    /// The deterministic encoding.
    pub fn encode(&self) -> Vec<u8> {
        let mut cbor = Encoder::new();
        cbor.map(1 + u64::from(self.mpc.is_some()) + u64::from(self.ssh.is_some()));
        if let Some(mpc) = &self.mpc {
            cbor.text("mpc").array(2).bytes(&mpc.identity).bytes(&mpc.channel);
        }
        if let Some(ssh) = &self.ssh {
            cbor.text("ssh").bytes(ssh);
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
        let list = KeyList {
            hpke: [7; 32],
            mpc: None,
            ssh: None,
        };
        for mpc in [None, Some(mpc)] {
            for ssh in [None, Some([9; 32])] {
                let list = KeyList { mpc, ssh, ..list };
                assert_eq!(KeyList::parse(&list.encode()), Ok(list));
            }
        }
        let bytes = list.encode();
        for (entries, refused) in [(0, 0), (2, 2), (3, 3), (4, 4)] {
            let mut other = bytes.clone();
            other[0] = 0xA0 | entries;
            assert_eq!(KeyList::parse(&other), Err(KeyListError::Entries(refused)));
        }
        assert!(matches!(KeyList::parse(&bytes[..5]), Err(KeyListError::Cbor(_))));
        let long = [bytes.as_slice(), &[0]].concat();
        assert_eq!(
            KeyList::parse(&long),
            Err(KeyListError::Cbor(CborError::Trailing(1)))
        );
    }
}
