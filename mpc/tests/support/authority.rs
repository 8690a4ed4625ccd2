//! The authority of the tests, and its requests.

use std::collections::BTreeMap;

use jeju_attestation::hash::sha256;
use jeju_mpc::authority::{Action, Authority, ContractQuery, Decision, Grant, PolicyUpdate};
use jeju_mpc::network::{KeyId, KeyPath, Scheme};
use jeju_mpc::refusal::Refusal;
use jeju_mpc::time::Interval;

use super::START;

/// A request of the tests' authority.
#[derive(Clone)]
pub struct Request {
    pub kind: Kind,
    pub key: [u8; 32],
    pub scheme: Scheme,
    pub dedicated: bool,
    pub message: [u8; 32],
    pub nonce: [u8; 32],
    pub issued: u64,
    pub expires: u64,
    /// Ask a contract first.
    pub contract: bool,
    pub version: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Keygen,
    Sign,
    Refresh,
    Policy,
    Refused,
}

impl Request {
    pub fn new(kind: Kind, nonce: u8) -> Self {
        Self {
            kind,
            key: [0x11; 32],
            scheme: Scheme::Secp256k1,
            dedicated: false,
            message: [0x22; 32],
            nonce: [nonce; 32],
            issued: START + 1,
            expires: START + 600,
            contract: false,
            version: u32::from(kind == Kind::Policy),
        }
    }

    pub fn scheme(mut self, scheme: Scheme) -> Self {
        self.scheme = scheme;
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![
            self.kind as u8,
            self.scheme as u8,
            u8::from(self.dedicated),
            u8::from(self.contract),
        ];
        bytes.extend_from_slice(&self.key);
        bytes.extend_from_slice(&self.message);
        bytes.extend_from_slice(&self.nonce);
        bytes.extend_from_slice(&self.issued.to_be_bytes());
        bytes.extend_from_slice(&self.expires.to_be_bytes());
        bytes.extend_from_slice(&self.version.to_be_bytes());
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != 4 + 96 + 20 {
            return None;
        }
        let part = |at: usize| <[u8; 32]>::try_from(&bytes[at..at + 32]).ok();
        Some(Self {
            kind: *[
                Kind::Keygen,
                Kind::Sign,
                Kind::Refresh,
                Kind::Policy,
                Kind::Refused,
            ]
            .get(usize::from(bytes[0]))?,
            scheme: *Scheme::ALL.get(usize::from(bytes[1]))?,
            dedicated: bytes[2] == 1,
            contract: bytes[3] == 1,
            key: part(4)?,
            message: part(36)?,
            nonce: part(68)?,
            issued: u64::from_be_bytes(bytes[100..108].try_into().ok()?),
            expires: u64::from_be_bytes(bytes[108..116].try_into().ok()?),
            version: u32::from_be_bytes(bytes[116..120].try_into().ok()?),
        })
    }

    pub fn path(&self) -> KeyPath {
        KeyPath {
            key: KeyId(self.key),
            scheme: self.scheme,
            dedicated: self.dedicated,
        }
    }
}

/// Allows what is not expired, not refused by kind, and not of an older policy.
#[derive(Default)]
pub struct TestAuthority {
    versions: BTreeMap<KeyId, u32>,
}

impl Authority for TestAuthority {
    fn decide(&self, bytes: &[u8], now: Interval, contract: Option<bool>) -> Decision {
        let Some(request) = Request::read(bytes) else {
            return Decision::Refused(Refusal::Malformed("not a test's request"));
        };
        if !now.is_before(request.expires) {
            return Decision::Refused(Refusal::Expired {
                expires: request.expires,
                now: now.upper,
            });
        }
        if request.contract {
            match contract {
                None => {
                    return Decision::AskContract(ContractQuery {
                        account: [1; 20],
                        digest: sha256(bytes),
                        signature: vec![1],
                    });
                }
                Some(false) => return Decision::Refused(Refusal::Signature),
                Some(true) => {}
            }
        }
        let action = match request.kind {
            Kind::Keygen => Action::Keygen(request.path()),
            Kind::Sign => {
                let current = self.versions.get(&KeyId(request.key)).copied().unwrap_or(0);
                if request.version != current {
                    let given = request.version;
                    return Decision::Refused(Refusal::PolicyVersion { given, current });
                }
                Action::Sign {
                    path: request.path(),
                    message: request.message,
                }
            }
            Kind::Refresh => Action::Refresh(request.path()),
            Kind::Policy => {
                let current = self.versions.get(&KeyId(request.key)).copied().unwrap_or(0);
                let again = request.version == current && current > 0;
                if request.version <= current && !again {
                    return Decision::Refused(Refusal::PolicyVersion {
                        given: request.version,
                        current,
                    });
                }
                Action::SetPolicy(PolicyUpdate {
                    key: KeyId(request.key),
                    version: request.version,
                    document: bytes.to_vec(),
                })
            }
            Kind::Refused => return Decision::Refused(Refusal::NotAllowed),
        };
        Decision::Allowed(Grant {
            digest: sha256(bytes),
            nonce: request.nonce,
            account: [0; 20],
            issued: request.issued,
            expires: request.expires,
            action,
        })
    }

    fn shown(&self, document: &[u8], _: Option<bool>) -> Decision {
        let Some(request) = Request::read(document).filter(|request| request.kind == Kind::Policy) else {
            return Decision::Refused(Refusal::Malformed("not a policy"));
        };
        Decision::Allowed(Grant {
            digest: sha256(document),
            nonce: request.nonce,
            account: [0; 20],
            issued: request.issued,
            expires: request.expires,
            action: Action::SetPolicy(PolicyUpdate {
                key: KeyId(request.key),
                version: request.version,
                document: document.to_vec(),
            }),
        })
    }

    fn adopt(&mut self, policy: &PolicyUpdate) {
        let version = self.versions.entry(policy.key).or_default();
        *version = policy.version.max(*version);
    }
}
