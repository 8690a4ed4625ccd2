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
mod tests {
    use super::*;
    use crate::signature::AccountKey;
    use crate::signature::tests::{provider, user};

    const NOW: u64 = 1_767_225_600;

    const REQUEST: &str = "0x5b61efc42a7c1dd6473414a14c8cbf5f538f80467b4e1472d00b0f81fa9fd42b372b72954919a71ade2d301083aea4ebe60050b29ff37ceaeec604f289318ce31b";
    const DELEGATION: &str = "0x78f07cf7705bda343939383eb2c632376a9adc9147298773d4bcd0c6ed0fb509146e70379f5ce08bfe08213c695b690bdd9ab3c7b3aa7991a55d4bbd90a6ac9c1b";

    fn audience() -> Audience {
        Audience {
            chain_id: 31337,
            registry: Account([0x55; 20]),
            node: [8; 32],
        }
    }

    fn request() -> Request<'static> {
        Request {
            account: user().account(),
            method: "POST",
            path: "/v1/rentals?dry=1",
            body_digest: Request::digest_of_body(b"{}"),
            nonce: [7; 32],
            expiry: NOW + 60,
        }
    }

    fn session() -> AccountKey {
        AccountKey::from_bytes(&[3; 32]).unwrap()
    }

    fn delegation() -> Delegation {
        Delegation {
            account: user().account(),
            session: session().account(),
            scope: "/v1/".to_owned(),
            not_before: NOW - 10,
            expiry: NOW + 3600,
        }
    }

    fn cache() -> ReplayCache {
        ReplayCache::new(10, 2 * MAX_REQUEST_LIFE)
    }

    fn direct(request: &Request, signed: &Request) -> Result<Signer, V2Error> {
        let signature = user().sign(&signed.digest(&audience())).0;
        verify(request, &signature, None, &audience(), NOW, &mut cache())
    }

    fn delegated(
        delegation: &Delegation,
        signed: &Delegation,
        path: &'static str,
    ) -> Result<Signer, V2Error> {
        let request = Request { path, ..request() };
        let signature = session().sign(&request.digest(&audience())).0;
        let signed = SignedDelegation {
            delegation: delegation.clone(),
            signature: user().sign(&signed.digest(&audience())).0.to_vec(),
        };
        verify(
            &request,
            &signature,
            Some(&signed),
            &audience(),
            NOW,
            &mut cache(),
        )
    }

    /// What `cast wallet sign --data` gives for the same typed data and key.
    #[test]
    fn golden() {
        let signed = |digest| user().sign(&digest).to_string();
        assert_eq!(signed(request().digest(&audience())), REQUEST);
        assert_eq!(signed(delegation().digest(&audience())), DELEGATION);
    }

    #[test]
    fn what_the_account_signed_passes_once() {
        let mut used = cache();
        let signature = user().sign(&request().digest(&audience())).0;
        let mut ask = || verify(&request(), &signature, None, &audience(), NOW, &mut used);
        assert_eq!(ask(), Ok(Signer::Account(user().account())));
        assert_eq!(ask(), Err(V2Error::Replay(ReplayError::Used)));
    }

    /// Nobody but a contract can vouch for a request that its account's key didn't sign as it is.
    #[test]
    fn each_member_is_signed() {
        let account = Request {
            account: provider(),
            ..request()
        };
        let changed = [
            Request {
                method: "GET",
                ..request()
            },
            Request {
                path: "/v1/rentals?dry=0",
                ..request()
            },
            Request {
                body_digest: Request::digest_of_body(b"{ }"),
                ..request()
            },
            Request {
                nonce: [6; 32],
                ..request()
            },
            Request {
                expiry: NOW + 61,
                ..request()
            },
            account,
        ];
        for changed in changed {
            let signer = direct(&changed, &request()).unwrap();
            assert!(matches!(signer, Signer::Contract { .. }), "{changed:?}");
        }
        let elsewhere = [
            Audience {
                chain_id: 1,
                ..audience()
            },
            Audience {
                registry: Account([0x56; 20]),
                ..audience()
            },
            Audience {
                node: [9; 32],
                ..audience()
            },
        ];
        for audience in elsewhere {
            let signature = user().sign(&request().digest(&self::audience())).0;
            let signer = verify(&request(), &signature, None, &audience, NOW, &mut cache()).unwrap();
            assert!(matches!(signer, Signer::Contract { .. }), "{audience:?}");
        }
    }

    #[test]
    fn a_contracts_nonce_is_used_up_once_it_said_yes() {
        let mut used = cache();
        let mut ask = || verify(&request(), b"for a contract", None, &audience(), NOW, &mut used).unwrap();
        let (first, second) = (ask(), ask());
        assert!(used.is_empty());
        assert_eq!(first.confirmed(NOW, &mut used), Ok(user().account()));
        assert_eq!(
            second.confirmed(NOW, &mut used),
            Err(V2Error::Replay(ReplayError::Used))
        );
    }

    #[test]
    fn life_is_bounded() {
        let with = |expiry| {
            let request = Request { expiry, ..request() };
            direct(&request, &request)
        };
        assert!(with(NOW).is_ok());
        assert_eq!(with(NOW - 1), Err(V2Error::Expired(1)));
        assert!(with(NOW + MAX_REQUEST_LIFE).is_ok());
        assert_eq!(
            with(NOW + MAX_REQUEST_LIFE + 1),
            Err(V2Error::TooLong(MAX_REQUEST_LIFE + 1, MAX_REQUEST_LIFE))
        );
        let long = "a".repeat(MAX_TEXT + 1);
        let request = Request {
            path: &long,
            ..request()
        };
        assert_eq!(direct(&request, &request), Err(V2Error::Length));
        let empty = verify(&self::request(), b"", None, &audience(), NOW, &mut cache());
        assert_eq!(empty, Err(V2Error::Signature(SignatureError::Form)));
    }

    #[test]
    fn a_session_acts_within_its_scope_and_time() {
        let of = |change: fn(&mut Delegation), path| {
            let mut delegation = delegation();
            change(&mut delegation);
            delegated(&delegation, &delegation, path)
        };
        assert_eq!(
            of(|_| {}, "/v1/rentals?x=1"),
            Ok(Signer::Account(user().account()))
        );
        let exact: fn(&mut Delegation) = |delegation| delegation.scope = "/v1/rentals".to_owned();
        assert!(of(exact, "/v1/rentals?x=/../").is_ok());
        for (change, path) in [
            ((|_| {}) as fn(&mut Delegation), "/v2/rentals"),
            (|_| {}, "/v1"),
            (|_| {}, "/v1/../admin"),
            (|_| {}, "/v1/./x"),
            (exact, "/v1/rentals/1"),
            (|delegation| delegation.scope.clear(), "/v1/rentals"),
        ] {
            assert!(matches!(of(change, path), Err(V2Error::Scope { .. })), "{path}");
        }
        assert_eq!(
            of(|delegation| delegation.not_before = NOW + 1, "/v1/x"),
            Err(V2Error::NotYet(1))
        );
        assert_eq!(
            of(|delegation| delegation.expiry = NOW - 1, "/v1/x"),
            Err(V2Error::Expired(1))
        );
        assert!(matches!(
            of(
                |delegation| delegation.expiry = NOW + MAX_DELEGATION_LIFE + 1,
                "/v1/x"
            ),
            Err(V2Error::TooLong(..))
        ));
        assert_eq!(
            of(|delegation| delegation.account = provider(), "/v1/x"),
            Err(V2Error::Delegation)
        );
        assert_eq!(
            of(|delegation| delegation.session = provider(), "/v1/x"),
            Err(V2Error::Delegation)
        );
    }

    #[test]
    fn a_delegation_is_signed_in_each_member() {
        let signed = delegation();
        for change in [
            (|delegation| delegation.scope = "/".to_owned()) as fn(&mut Delegation),
            |delegation| delegation.not_before -= 1,
            |delegation| delegation.expiry += 1,
        ] {
            let mut changed = delegation();
            change(&mut changed);
            let signer = delegated(&changed, &signed, "/v1/x").unwrap();
            assert!(matches!(signer, Signer::Contract { .. }), "{changed:?}");
        }
    }
}
