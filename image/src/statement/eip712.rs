//! Hashing of a rebuild statement by EIP-712.

use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::eip712::{self, address, hash_struct, number};

/// Name of the signing domain.
pub const DOMAIN_NAME: &str = "Jeju MeasurementRegistry";
/// Version of the signing domain.
pub const DOMAIN_VERSION: &str = "1";
/// Type of a statement, as EIP-712 encodes it.
pub const STATEMENT_TYPE: &str = "RebuildStatement(bytes32 measurement,bytes32 releaseDigest,bytes32 sourceCommit,bytes32 lockDigest,uint64 builtAt,address rebuilder)";

/// The contract that a statement is for: another chain or contract takes it for a forgery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Domain {
    /// Chain id (EIP-155).
    pub chain_id: u64,
    /// Address of the measurement registry.
    pub registry: [u8; 20],
}

impl Domain {
    fn of_eip712(&self) -> eip712::Domain<'static> {
        eip712::Domain {
            name: DOMAIN_NAME,
            version: DOMAIN_VERSION,
            chain_id: self.chain_id,
            contract: Account(self.registry),
        }
    }
}

/// What a rebuilder states. Every field is one word, so that a contract hashes 224 bytes and no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RebuildStatement {
    /// Measurement id that the rebuilt image has (`docs/wire-formats.md` §7).
    pub measurement: [u8; 32],
    /// SHA-256 of the rebuilt folder's `manifest.json`.
    pub release_digest: [u8; 32],
    /// Git commit that was built: 20 bytes of a SHA-1 id and 12 zeros, or 32 bytes of a SHA-256 id.
    pub source_commit: [u8; 32],
    /// Digest of the lock files that were built with ([`super::lock_digest`]).
    pub lock_digest: [u8; 32],
    /// When it was built, by the rebuilder's clock, in seconds since 1970.
    pub built_at: u64,
    /// Account of whoever states it.
    pub rebuilder: [u8; 20],
}

impl RebuildStatement {
    /// What is signed: `keccak256("\x19\x01" ‖ domainSeparator ‖ hashStruct(message))`.
    pub fn digest(&self, domain: &Domain) -> [u8; 32] {
        let message = hash_struct(
            STATEMENT_TYPE,
            &[
                self.measurement,
                self.release_digest,
                self.source_commit,
                self.lock_digest,
                number(self.built_at),
                address(&Account(self.rebuilder)),
            ],
        );
        domain.of_eip712().digest(&message)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use jeju_wallet_auth::eip712::keccak;

    use super::*;

    /// The golden statement of `docs/wire-formats.md`.
    pub(in crate::statement) fn statement() -> RebuildStatement {
        let mut source_commit = [0; 32];
        source_commit[..20].fill(0x33);
        RebuildStatement {
            measurement: [0x11; 32],
            release_digest: [0x22; 32],
            source_commit,
            lock_digest: [0x44; 32],
            built_at: 1_767_225_600,
            rebuilder: super::super::key::tests::key().address(),
        }
    }

    pub(in crate::statement) fn domain() -> Domain {
        Domain {
            chain_id: 31337,
            registry: [0x55; 20],
        }
    }

    /// Values that `cast` gave for the same typed data (`image/tests/statement.rs` asks it again).
    #[test]
    fn golden() {
        let document = include_str!("../../../docs/wire-formats.md");
        for value in [
            keccak(&[STATEMENT_TYPE.as_bytes()]),
            domain().of_eip712().separator(),
            statement().digest(&domain()),
        ] {
            let text = format!("0x{}", hex::encode(value));
            assert!(document.contains(&text), "docs/wire-formats.md lacks {text}");
        }
        assert!(document.contains(STATEMENT_TYPE));
    }
}
