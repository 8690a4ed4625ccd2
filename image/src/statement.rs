//! Signed rebuild statements: somebody built an image again from its source and got the same bytes.
//!
//! EIP-712 typed data (`docs/wire-formats.md` §12), which a contract hashes in one word per field and checks with one
//! `ecrecover`. [`RebuildStatement::sign`] makes one, [`SignedStatement::verify`] checks one, [`document`] is its JSON.

pub mod document;
pub mod eip712;
pub mod key;
pub mod subject;

use std::path::PathBuf;

use jeju_wallet_auth::signature::{Signature, SignatureError};
use thiserror::Error;

pub use eip712::{Domain, RebuildStatement};
pub use key::{KeyError, RebuilderKey};
pub use subject::{Source, lock_digest};

/// Why a statement isn't made or isn't believed.
#[derive(Debug, Error)]
pub enum StatementError {
    /// A file can't be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The image folder isn't what its manifest says.
    #[error(transparent)]
    Image(#[from] crate::measure::MeasureError),
    /// The source folder can't be asked.
    #[error(transparent)]
    Source(#[from] crate::audit::AuditError),
    /// Nobody else can get what it was built from.
    #[error("the source differs from commit {commit} in {}: a statement names what others can build", changed.join(", "))]
    Uncommitted {
        /// The commit.
        commit: String,
        /// Files that differ, at most ten.
        changed: Vec<String>,
    },
    /// No id of the image is known.
    #[error("no measurement id of the image can be predicted")]
    NoMeasurement,
    /// The manifest has another id than the one to be stated.
    #[error("the image measures to {actual}, not to {wanted}")]
    Measurement {
        /// What the manifest has.
        actual: String,
        /// What was asked for.
        wanted: String,
    },
    /// Not the JSON of a statement.
    #[error("not a rebuild statement: {0}")]
    Json(serde_json::Error),
    /// The types aren't those of a rebuild statement.
    #[error("the statement's types, primary type or domain name are not those of a rebuild statement")]
    Types,
    /// A field that isn't hexadecimal of its length.
    #[error("{field} is not 0x and {length} bytes in hexadecimal")]
    Hex {
        /// The field.
        field: &'static str,
        /// How many bytes it has.
        length: usize,
    },
    /// The digest isn't that of domain and message.
    #[error(
        "domain and message hash to 0x{}, the statement says 0x{}",
        hex::encode(actual),
        hex::encode(claimed)
    )]
    Digest {
        /// What they hash to.
        actual: [u8; 32],
        /// What the statement says.
        claimed: [u8; 32],
    },
    /// Not a signature in its one canonical form, or one from which no key can be recovered.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// Signed by another key than the statement names.
    #[error(
        "signed by 0x{}, the statement names 0x{}",
        hex::encode(actual),
        hex::encode(named)
    )]
    Signer {
        /// Address of the key that signed.
        actual: [u8; 20],
        /// `rebuilder` of the statement.
        named: [u8; 20],
    },
    /// A field isn't the one that the caller asked for.
    #[error("{field} is {actual}, wanted {wanted}")]
    Unexpected {
        /// The field.
        field: &'static str,
        /// What the statement has.
        actual: String,
        /// What was asked for.
        wanted: String,
    },
}

/// A statement with its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedStatement {
    /// Whom it is for.
    pub domain: Domain,
    /// What is stated.
    pub statement: RebuildStatement,
    /// r ‖ s ‖ v, with s in the lower half and v 27 or 28.
    pub signature: [u8; 65],
}

impl RebuildStatement {
    /// Signs it with the key of its `rebuilder`.
    ///
    /// # Errors
    /// [`StatementError::Signer`]: the key is another's.
    pub fn sign(self, domain: Domain, key: &RebuilderKey) -> Result<SignedStatement, StatementError> {
        if key.address() != self.rebuilder {
            return Err(StatementError::Signer {
                actual: key.address(),
                named: self.rebuilder,
            });
        }
        let signature = key.sign(&self.digest(&domain));
        Ok(SignedStatement {
            domain,
            statement: self,
            signature,
        })
    }
}

impl SignedStatement {
    /// Refuses a signature that isn't the one low-s signature of the named rebuilder.
    ///
    /// # Errors
    /// [`StatementError::Signature`], [`StatementError::Signer`].
    pub fn verify(&self) -> Result<(), StatementError> {
        let digest = self.statement.digest(&self.domain);
        let actual = Signature(self.signature).recover(&digest)?.0;
        if actual != self.statement.rebuilder {
            return Err(StatementError::Signer {
                actual,
                named: self.statement.rebuilder,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::eip712::tests::{domain, statement};
    use super::key::tests::key;
    use super::*;

    fn signed() -> SignedStatement {
        statement().sign(domain(), &key()).unwrap()
    }

    #[test]
    fn what_is_signed_verifies() {
        signed().verify().unwrap();
        // Deterministic (RFC 6979), so that a golden value can stand in the documents.
        assert_eq!(signed(), signed());
    }

    #[test]
    fn each_changed_field_is_refused() {
        type Change = fn(&mut SignedStatement);
        let changes: [Change; 7] = [
            |signed| signed.statement.measurement[0] ^= 1,
            |signed| signed.statement.release_digest[31] ^= 1,
            |signed| signed.statement.source_commit[19] ^= 1,
            |signed| signed.statement.lock_digest[7] ^= 1,
            |signed| signed.statement.built_at += 1,
            |signed| signed.domain.chain_id += 1,
            |signed| signed.domain.registry[0] ^= 1,
        ];
        for (index, change) in changes.into_iter().enumerate() {
            let mut changed = signed();
            change(&mut changed);
            assert!(
                matches!(
                    changed.verify(),
                    Err(StatementError::Signer { .. } | StatementError::Signature(_))
                ),
                "change {index}"
            );
        }
        let mut other = signed();
        other.statement.rebuilder[0] ^= 1;
        assert!(matches!(other.verify(), Err(StatementError::Signer { .. })));
    }

    #[test]
    fn a_wrong_signer_is_refused() {
        let mut statement = statement();
        statement.rebuilder = [7; 20];
        assert!(matches!(
            statement.sign(domain(), &key()),
            Err(StatementError::Signer { .. })
        ));
    }

    #[test]
    fn the_second_form_of_a_signature_is_refused() {
        let mut high = signed();
        let signature = k256::ecdsa::Signature::from_slice(&high.signature[..64]).unwrap();
        let (r, s) = signature.split_scalars();
        let other = k256::ecdsa::Signature::from_scalars(r, -*s).unwrap();
        high.signature[..64].copy_from_slice(&other.to_bytes());
        high.signature[64] = 55 - high.signature[64];
        assert!(matches!(
            high.verify(),
            Err(StatementError::Signature(SignatureError::HighS))
        ));
    }

    #[test]
    fn other_signatures_are_refused() {
        let with = |change: &dyn Fn(&mut [u8; 65])| {
            let mut changed = signed();
            change(&mut changed.signature);
            changed.verify().unwrap_err()
        };
        for v in [0, 1, 26, 29, 255] {
            let error = with(&|signature| signature[64] = v);
            assert!(
                matches!(error, StatementError::Signature(SignatureError::Recovery(found)) if found == v)
            );
        }
        assert!(matches!(
            with(&|signature| signature[..64].fill(0)),
            StatementError::Signature(SignatureError::Range)
        ));
        assert!(matches!(
            with(&|signature| signature[..32].fill(0xff)),
            StatementError::Signature(SignatureError::Range)
        ));
        assert!(matches!(
            with(&|signature| signature[64] = 55 - signature[64]),
            StatementError::Signer { .. } | StatementError::Signature(_)
        ));
    }
}
