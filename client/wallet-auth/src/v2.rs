//! A request as typed data (EIP-712): a wallet shows what it signs, and the signature is good for that request at that node,
//! and nowhere else.

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::account::Account;
use crate::eip712::{Domain, address, hash_struct, number, text};
use crate::replay::{ReplayCache, ReplayError};
use crate::signature::{Signature, SignatureError};

/// Name of the signing domain.
pub const DOMAIN_NAME: &str = "Jeju Request";
/// Version of the signing domain.
pub const DOMAIN_VERSION: &str = "2";
/// Type of a request, as EIP-712 encodes it.
pub const REQUEST_TYPE: &str = "Request(address account,string method,string path,bytes32 bodyDigest,bytes32 node,bytes32 nonce,uint64 expiry)";
/// Type of a delegation, as EIP-712 encodes it.
pub const DELEGATION_TYPE: &str =
    "Delegation(address account,address session,bytes32 node,string scope,uint64 notBefore,uint64 expiry)";
/// Longest life of a request's signature, in seconds.
pub const MAX_REQUEST_LIFE: u64 = 10 * 60;
/// Longest life of a delegation, in seconds.
pub const MAX_DELEGATION_LIFE: u64 = 30 * 24 * 60 * 60;
/// Longest method and path, in bytes.
pub const MAX_TEXT: usize = 8 * 1024;

/// Why a request isn't the account's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum V2Error {
    /// Method or path is too long.
    #[error("method or path has more than {MAX_TEXT} bytes")]
    Length,
    /// It has run out.
    #[error("the signature ran out {0} s ago")]
    Expired(u64),
    /// It would last too long.
    #[error("the signature would last {0} s, at most {1} are allowed")]
    TooLong(u64, u64),
    /// The delegation begins later.
    #[error("the delegation begins in {0} s")]
    NotYet(u64),
    /// The delegation doesn't cover the path.
    #[error("the delegation covers paths under {scope:?}, not {path:?}")]
    Scope {
        /// What it covers.
        scope: String,
        /// What was asked.
        path: String,
    },
    /// The delegation is another account's, or names another session.
    #[error("the delegation is not of this account and session")]
    Delegation,
    /// The signature.
    #[error("signature: {0}")]
    Signature(#[from] SignatureError),
    /// The nonce.
    #[error(transparent)]
    Replay(#[from] ReplayError),
}

impl V2Error {
    /// Stable code for API answers.
    pub fn code(&self) -> &'static str {
        match self {
            V2Error::Length => "wallet_request_too_long",
            V2Error::Expired(_) => "wallet_signature_expired",
            V2Error::TooLong(..) => "wallet_signature_life_too_long",
            V2Error::NotYet(_) => "wallet_delegation_not_yet_valid",
            V2Error::Scope { .. } => "wallet_delegation_scope",
            V2Error::Delegation => "wallet_delegation_mismatch",
            V2Error::Signature(_) => "wallet_signature_invalid",
            V2Error::Replay(ReplayError::Used) => "wallet_nonce_used",
            V2Error::Replay(ReplayError::Full) => "wallet_auth_overloaded",
        }
    }
}

/// The node and the chain that it serves: what one of them was asked means nothing to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Audience {
    /// Chain id.
    pub chain_id: u64,
    /// `MeasurementRegistry` of the chain profile.
    pub registry: Account,
    /// Agent id of the node.
    pub node: [u8; 32],
}

impl Audience {
    fn domain(&self) -> Domain<'static> {
        Domain {
            name: DOMAIN_NAME,
            version: DOMAIN_VERSION,
            chain_id: self.chain_id,
            contract: self.registry,
        }
    }
}

/// What is asked, and by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// Whose request it is.
    pub account: Account,
    /// HTTP method.
    pub method: &'a str,
    /// Path and query, as in the request line.
    pub path: &'a str,
    /// SHA-256 of the body.
    pub body_digest: [u8; 32],
    /// Random, once for each request.
    pub nonce: [u8; 32],
    /// Unix seconds after which it means nothing.
    pub expiry: u64,
}

impl Request<'_> {
    /// SHA-256 of a body.
    pub fn digest_of_body(body: &[u8]) -> [u8; 32] {
        Sha256::digest(body).into()
    }

    /// What is signed.
    pub fn digest(&self, audience: &Audience) -> [u8; 32] {
        let message = hash_struct(
            REQUEST_TYPE,
            &[
                address(&self.account),
                text(self.method),
                text(self.path),
                self.body_digest,
                audience.node,
                self.nonce,
                number(self.expiry),
            ],
        );
        audience.domain().digest(&message)
    }
}

/// An account lets a key of a session act for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegation {
    /// Who delegates.
    pub account: Account,
    /// Account of the session's key.
    pub session: Account,
    /// Prefix of the paths that it covers, which ends in `/` or covers that one path.
    pub scope: String,
    /// Unix seconds from which it holds.
    pub not_before: u64,
    /// Unix seconds after which it doesn't.
    pub expiry: u64,
}

impl Delegation {
    /// What the account signs.
    pub fn digest(&self, audience: &Audience) -> [u8; 32] {
        let message = hash_struct(
            DELEGATION_TYPE,
            &[
                address(&self.account),
                address(&self.session),
                audience.node,
                text(&self.scope),
                number(self.not_before),
                number(self.expiry),
            ],
        );
        audience.domain().digest(&message)
    }

    fn covers(&self, path: &str) -> bool {
        let path = path.split('?').next().unwrap_or_default();
        match self.scope.ends_with('/') {
            // `/v1/../admin` isn't under `/v1/`, however a router reads it.
            true => path.starts_with(&self.scope) && !path.split('/').any(|part| part == ".." || part == "."),
            false => path == self.scope,
        }
    }
}

/// A delegation and the account's signature over it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedDelegation {
    /// What was delegated.
    pub delegation: Delegation,
    /// By whom: 65 bytes of a key's account, anything of a contract's.
    pub signature: Vec<u8>,
}

/// Who vouches for a request whose every other rule holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signer {
    /// The account's key.
    Account(Account),
    /// Whether it does is up to the account's contract: `isValidSignature(digest, signature)` of ERC-1271 at a finalised block
    /// must answer `0x1626ba7e`.
    Contract {
        /// The account.
        account: Account,
        /// What was signed.
        digest: [u8; 32],
        /// What the contract is shown.
        signature: Vec<u8>,
        /// What [`Signer::confirmed`] remembers.
        nonce: [u8; 32],
    },
}

impl Signer {
    /// The account, once its contract said yes. The nonce is used up only now: else anybody could fill the memory with
    /// signatures that no contract would take.
    ///
    /// # Errors
    /// [`V2Error::Replay`].
    pub fn confirmed(self, now: u64, used: &mut ReplayCache) -> Result<Account, V2Error> {
        match self {
            Signer::Account(account) => Ok(account),
            Signer::Contract { account, nonce, .. } => {
                used.use_once(nonce, now)?;
                Ok(account)
            }
        }
    }
}

/// Judges a request: its life, who signed it, and that it is the first of its nonce. A nonce is used up by a valid signature
/// alone, so nobody can spend another's.
///
/// # Errors
/// Any of [`V2Error`].
pub fn verify(
    request: &Request,
    signature: &[u8],
    delegation: Option<&SignedDelegation>,
    audience: &Audience,
    now: u64,
    used: &mut ReplayCache,
) -> Result<Signer, V2Error> {
    if request.method.len() > MAX_TEXT || request.path.len() > MAX_TEXT {
        return Err(V2Error::Length);
    }
    alive(request.expiry, now, MAX_REQUEST_LIFE)?;
    let digest = request.digest(audience);
    let signer = match delegation {
        None => signed_by(request.account, &digest, signature)?,
        Some(signed) => {
            let delegation = &signed.delegation;
            if delegation.account != request.account {
                return Err(V2Error::Delegation);
            }
            if now < delegation.not_before {
                return Err(V2Error::NotYet(delegation.not_before - now));
            }
            alive(delegation.expiry, now, MAX_DELEGATION_LIFE)?;
            if !delegation.covers(request.path) {
                return Err(V2Error::Scope {
                    scope: delegation.scope.clone(),
                    path: request.path.to_owned(),
                });
            }
            // A session is a key, never a contract.
            if key_signature(signature)?.recover(&digest)? != delegation.session {
                return Err(V2Error::Delegation);
            }
            signed_by(request.account, &delegation.digest(audience), &signed.signature)?
        }
    };
    let mut nonce = Sha256::new();
    nonce.update(request.account.0);
    nonce.update(request.nonce);
    let nonce = nonce.finalize().into();
    match signer {
        Signed::ByKey => {
            used.use_once(nonce, now)?;
            Ok(Signer::Account(request.account))
        }
        Signed::AsContract { digest, signature } => Ok(Signer::Contract {
            account: request.account,
            digest,
            signature,
            nonce,
        }),
    }
}

enum Signed {
    ByKey,
    AsContract { digest: [u8; 32], signature: Vec<u8> },
}

fn alive(expiry: u64, now: u64, longest: u64) -> Result<(), V2Error> {
    match expiry.checked_sub(now) {
        None => Err(V2Error::Expired(now - expiry)),
        Some(life) if life > longest => Err(V2Error::TooLong(life, longest)),
        Some(_) => Ok(()),
    }
}

fn key_signature(signature: &[u8]) -> Result<Signature, V2Error> {
    signature
        .try_into()
        .map(Signature)
        .map_err(|_| V2Error::Signature(SignatureError::Form))
}

/// Another account's signature may be a contract's way to say yes; one of the account's own key is the account's.
fn signed_by(account: Account, digest: &[u8; 32], signature: &[u8]) -> Result<Signed, V2Error> {
    if let Ok(key) = key_signature(signature)
        && key.recover(digest) == Ok(account)
    {
        return Ok(Signed::ByKey);
    }
    if signature.is_empty() || signature.len() > MAX_TEXT {
        return Err(V2Error::Signature(SignatureError::Form));
    }
    Ok(Signed::AsContract {
        digest: *digest,
        signature: signature.to_vec(),
    })
}

#[cfg(test)]
mod tests;
