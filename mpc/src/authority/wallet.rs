//! The authority of a network whose users are Ethereum accounts.

use std::collections::HashMap;

use jeju_attestation::hash::tagged_sha256;
use jeju_wallet_auth::signature::Signature;

use super::document::{KeyDocument, Policy};
use super::request::{Asked, Authorization, Form, MAX_LIFE, Reading, Signed};
use super::rules;
use super::{Action, Authority, ContractQuery, Decision, Grant, PolicyUpdate};
use crate::network::{KeyId, Network};
use crate::refusal::Refusal;
use crate::time::Interval;

/// Longest signature of a contract, in bytes.
pub const MAX_CONTRACT_SIGNATURE: usize = 8 * 1024;

/// Judges requests by the key's document, which each of them carries, and by the policies that were adopted.
#[derive(Debug)]
pub struct WalletAuthority {
    network: Network,
    policies: HashMap<KeyId, InForce>,
}

/// A later policy than the first.
#[derive(Debug)]
struct InForce {
    policy: Policy,
    /// Versions and digests that the policy's own chain names: where another update may follow on.
    known: Vec<(u32, [u8; 32])>,
}

impl Authority for WalletAuthority {
    fn decide(&self, request: &[u8], now: Interval, contract: Option<bool>) -> Decision {
        self.judge(request, Some(now), contract)
            .unwrap_or_else(Decision::Refused)
    }

    fn shown(&self, document: &[u8], contract: Option<bool>) -> Decision {
        self.judge(document, None, contract)
            .unwrap_or_else(Decision::Refused)
    }

    fn adopt(&mut self, update: &PolicyUpdate) {
        // The caller has the contract's word for it, or its own record.
        let Decision::Allowed(grant) = self.shown(&update.document, Some(true)) else {
            return;
        };
        if grant.action != Action::SetPolicy(update.clone()) {
            return;
        }
        let Ok(Signed { request, .. }) = Signed::parse(&update.document) else {
            return;
        };
        let Asked::Policy { policy, history } = request.action else {
            return;
        };
        if policy.version > self.version(&update.key) {
            let known = links(&policy, &history);
            self.policies.insert(update.key, InForce { policy, known });
        }
    }
}

impl WalletAuthority {
    /// With every key's first policy in force.
    pub fn new(network: Network) -> Self {
        Self {
            network,
            policies: HashMap::new(),
        }
    }

    /// Version of the policy in force for a key.
    pub fn version(&self, key: &KeyId) -> u32 {
        self.policies
            .get(key)
            .map_or(0, |in_force| in_force.policy.version)
    }

    fn judge(
        &self,
        bytes: &[u8],
        now: Option<Interval>,
        contract: Option<bool>,
    ) -> Result<Decision, Refusal> {
        let signed = Signed::parse(bytes)?;
        let request = &signed.request;
        if request.network.0 != self.network.genesis || request.chain_id != self.network.chain_id {
            return Err(Refusal::OtherNetwork);
        }
        if let Some(now) = now {
            timely(request.issued, request.expires, now)?;
        }
        let reading = request.read()?;
        let path = reading.path;
        let action = match (&request.action, now) {
            (Asked::Policy { policy, history }, _) => {
                linked(policy, history)?;
                if now.is_some() {
                    self.follows(&request.key, &path.key, policy, history)?;
                }
                Action::SetPolicy(PolicyUpdate {
                    key: path.key,
                    version: policy.version,
                    document: bytes.to_vec(),
                })
            }
            (_, None) => return Err(Refusal::Malformed("not a policy")),
            (Asked::Keygen {}, _) => Action::Keygen(path),
            (Asked::Refresh {}, _) => Action::Refresh(path),
            (Asked::Sign { policy_version, .. }, _) => {
                let current = self.version(&path.key);
                if *policy_version != current {
                    let given = *policy_version;
                    return Err(Refusal::PolicyVersion { given, current });
                }
                let payload = reading.payload.as_ref();
                let message = payload.ok_or(Refusal::Malformed("nothing to sign"))?.message;
                Action::Sign { path, message }
            }
        };
        let question = self.authorised(&signed, &reading, contract)?;
        if let Some(payload) = &reading.payload {
            rules::allows(self.policy(&request.key, &path.key), &payload.kind)?;
        }
        Ok(match question {
            Some(question) => Decision::AskContract(question),
            None => Decision::Allowed(Grant {
                digest: reading.digest,
                nonce: tagged_sha256("jeju-mpc-nonce-v1", &[&path.key.0, &request.nonce.0]),
                account: signed.authorization.account.0.0,
                expires: request.expires,
                issued: request.issued,
                action,
            }),
        })
    }

    /// Whether those who may ask do ask. What a contract is to be asked, when it hasn't been.
    fn authorised(
        &self,
        signed: &Signed,
        reading: &Reading,
        contract: Option<bool>,
    ) -> Result<Option<ContractQuery>, Refusal> {
        let key = &signed.request.key;
        let all: Vec<_> = std::iter::once(&signed.authorization)
            .chain(&signed.approvals)
            .collect();
        let ((may, contracts), needed) = match &signed.request.action {
            Asked::Sign { .. } => (self.policy(key, &reading.path.key).signers(key), 1),
            Asked::Policy { .. } => ((&key.owners[..], &key.contracts[..]), key.quorum as usize),
            Asked::Keygen {} | Asked::Refresh {} => ((&key.owners[..], &key.contracts[..]), 1),
        };
        if !all.iter().all(|by| may.contains(&by.account)) {
            return Err(Refusal::NotAllowed);
        }
        // A key's account isn't taken at the chain's word.
        let asked = |by: &&&Authorization| by.form == Form::Erc1271;
        if !all.iter().filter(asked).all(|by| contracts.contains(&by.account)) {
            return Err(Refusal::Signature);
        }
        let policy = matches!(signed.request.action, Asked::Policy { .. });
        if !policy && !signed.approvals.is_empty() {
            return Err(Refusal::Malformed("approvals are for policies"));
        }
        let twice = |at: usize| all[..at].iter().any(|other| other.account == all[at].account);
        if (1..all.len()).any(twice) {
            return Err(Refusal::Malformed("an owner approves twice"));
        }
        if all.len() < needed {
            let given = all.len();
            return Err(Refusal::OwnersMissing { given, needed });
        }
        if all.iter().filter(asked).count() > 1 {
            return Err(Refusal::Malformed(
                "one contract may authorise a request, not several",
            ));
        }
        let mut question = None;
        for by in all {
            question = question.or(vouches(by, reading, contract)?);
        }
        Ok(question)
    }

    fn policy<'a>(&'a self, key: &'a KeyDocument, id: &KeyId) -> &'a Policy {
        self.policies
            .get(id)
            .map_or(&key.policy, |in_force| &in_force.policy)
    }

    /// Whether a policy comes after the one in force, by a chain that this member knows the beginning of. Owners who sign two
    /// policies of one version split the members; the next version, with the one that it follows as history, heals that.
    fn follows(
        &self,
        key: &KeyDocument,
        id: &KeyId,
        policy: &Policy,
        history: &[Policy],
    ) -> Result<(), Refusal> {
        let current = self.policy(key, id);
        // The very policy that is in force: for members that didn't hear of it, and no harm to the others.
        if policy == current && policy.version > 0 {
            return Ok(());
        }
        if policy.version <= current.version {
            let (given, current) = (policy.version, current.version);
            return Err(Refusal::PolicyVersion { given, current });
        }
        let chain = links(policy, history);
        let begin = chain.first().ok_or(Refusal::PolicyChain)?;
        let first = (0, key.policy.digest());
        let known = |in_force: &InForce| in_force.known.contains(begin);
        match *begin == first || self.policies.get(id).is_some_and(known) {
            true => Ok(()),
            false => Err(Refusal::PolicyChain),
        }
    }
}

/// Whether each version follows directly on the one before it.
fn linked(policy: &Policy, history: &[Policy]) -> Result<(), Refusal> {
    let all: Vec<_> = history.iter().chain([policy]).collect();
    let follows = |pair: &[&Policy]| {
        pair[1].version.checked_sub(1) == Some(pair[0].version) && pair[1].previous.0 == pair[0].digest()
    };
    match all[0].version > 0 && all.windows(2).all(follows) {
        true => Ok(()),
        false => Err(Refusal::PolicyChain),
    }
}

/// Versions and digests of the chain, beginning with what its oldest policy follows on.
fn links(policy: &Policy, history: &[Policy]) -> Vec<(u32, [u8; 32])> {
    let all = || history.iter().chain([policy]);
    all()
        .take(1)
        .map(|oldest| (oldest.version.saturating_sub(1), oldest.previous.0))
        .chain(all().map(|policy| (policy.version, policy.digest())))
        .collect()
}

/// Judges a request's life. The lower end of the time lags by as long as a chain takes to finalise, so it can't say whether
/// a request was issued already; what matters is that none is made in advance for longer than its life, and for that it must
/// not be issued after the latest that it may be now.
fn timely(issued: u64, expires: u64, now: Interval) -> Result<(), Refusal> {
    if !now.is_before(expires) {
        let now = now.upper;
        return Err(Refusal::Expired { expires, now });
    }
    if issued > now.upper {
        return Err(Refusal::IssuedAt(issued));
    }
    match expires - issued {
        life if life > MAX_LIFE => Err(Refusal::TooLongLived(life)),
        _ => Ok(()),
    }
}

/// Whether the account signed. A contract's word is asked for once all else holds.
fn vouches(
    by: &Authorization,
    reading: &Reading,
    contract: Option<bool>,
) -> Result<Option<ContractQuery>, Refusal> {
    let account = by.account.0;
    let signature = &by.signature.0;
    let digest = match by.form {
        Form::Eip712 => reading.digest,
        Form::Eip191 => reading.text_digest(),
        Form::Erc1271 => {
            if signature.is_empty() || signature.len() > MAX_CONTRACT_SIGNATURE {
                return Err(Refusal::Signature);
            }
            return match contract {
                Some(true) => Ok(None),
                Some(false) => Err(Refusal::Signature),
                None => Ok(Some(ContractQuery {
                    account: account.0,
                    digest: reading.digest,
                    signature: signature.clone(),
                })),
            };
        }
    };
    let signature = signature.as_slice().try_into().map_err(|_| Refusal::Signature)?;
    match Signature(signature).recover(&digest) {
        Ok(signer) if signer == account => Ok(None),
        _ => Err(Refusal::Signature),
    }
}
