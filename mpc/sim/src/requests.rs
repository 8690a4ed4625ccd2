//! What clients ask for, and the authority of members that let everything pass.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use jeju_attestation::hex_bytes::HexBytes;
use jeju_mpc::authority::build::authorization;
use jeju_mpc::authority::document::{Address, KeyDocument, Policy};
use jeju_mpc::authority::payload::Payload;
use jeju_mpc::authority::request::{self, Form, Request, Signed};
use jeju_mpc::authority::wallet::WalletAuthority;
use jeju_mpc::authority::{Action, Authority, ContractQuery, Decision, Grant, PolicyUpdate};
use jeju_mpc::network::{KeyPath, Network, Scheme};
use jeju_mpc::refusal::Refusal;
use jeju_mpc::time::Interval;
use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::signature::AccountKey;
use rand_chacha::ChaCha20Rng;
use rand_core::RngCore;

/// An owner of keys: an account with a key, or a contract.
pub struct Wallet {
    network: Network,
    key: AccountKey,
    form: Form,
    keys: Vec<(KeyPath, KeyDocument)>,
}

/// A signed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// As a client sends it.
    pub bytes: Vec<u8>,
    /// What it wants signed.
    pub message: Option<[u8; 32]>,
    /// Seconds since 1970.
    pub expires: u64,
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// A key.
    Keygen(KeyPath),
    /// A signature over 32 bytes.
    Sign(KeyPath, [u8; 32]),
    /// New shares.
    Refresh(KeyPath),
}

impl Wallet {
    /// A new wallet.
    pub fn new(network: &Network, form: Form, rng: &mut ChaCha20Rng) -> Self {
        let mut bytes = [0; 32];
        let key = loop {
            rng.fill_bytes(&mut bytes);
            if let Some(key) = AccountKey::from_bytes(&bytes) {
                break key;
            }
        };
        let kinds = [(false, true), (true, true), (false, false)];
        let documents = Scheme::ALL.into_iter().flat_map(|scheme| {
            let owner = key.account();
            kinds.map(|(dedicated, raw)| document(owner, form, scheme, dedicated, raw))
        });
        let keys = documents
            .map(|document| (document.path(network), document))
            .collect();
        Self {
            network: network.clone(),
            key,
            form,
            keys,
        }
    }

    /// Its key of a kind.
    pub fn path(&self, scheme: Scheme, dedicated: bool) -> KeyPath {
        self.find(|document| {
            document.scheme == scheme && document.dedicated == dedicated && document.policy.raw
        })
    }

    /// A key of which the policy allows nothing.
    pub fn closed(&self, scheme: Scheme) -> KeyPath {
        self.find(|document| document.scheme == scheme && !document.policy.raw)
    }

    fn find(&self, fits: impl Fn(&KeyDocument) -> bool) -> KeyPath {
        let key = self.keys.iter().find(|(_, document)| fits(document));
        key.map(|(path, _)| *path)
            .expect("a wallet has a key of each kind")
    }

    /// A request.
    pub fn request(&self, ask: Ask, issued: u64, expires: u64, rng: &mut ChaCha20Rng) -> Asked {
        let sign = |hash| request::Asked::Sign {
            payload: Payload::Raw { hash: HexBytes(hash) },
            policy_version: 0,
        };
        let (path, action) = match ask {
            Ask::Keygen(path) => (path, request::Asked::Keygen {}),
            Ask::Refresh(path) => (path, request::Asked::Refresh {}),
            Ask::Sign(path, hash) => (path, sign(hash)),
        };
        let mut nonce = [0; 32];
        rng.fill_bytes(&mut nonce);
        let request = Request {
            network: HexBytes(self.network.genesis),
            chain_id: self.network.chain_id,
            key: self.document_of(path),
            action,
            issued,
            expires,
            nonce: HexBytes(nonce),
        };
        let reading = request.read().expect("clients know what to ask");
        let message = reading.payload.as_ref().map(|payload| payload.message);
        let signature = match self.form {
            Form::Eip712 => self.key.sign(&reading.digest).0.to_vec(),
            Form::Eip191 => self.key.sign(&reading.text_digest()).0.to_vec(),
            Form::Erc1271 => vec![CONTRACTS_YES; 70],
        };
        let authorization = authorization(self.key.account(), signature, self.form);
        let signed = Signed {
            request,
            authorization,
            approvals: Vec::new(),
        };
        let bytes = serde_json::to_vec(&signed).expect("requests are JSON");
        Asked {
            bytes,
            message,
            expires,
        }
    }

    /// Hashing a document costs more than looking it up.
    fn document_of(&self, path: KeyPath) -> KeyDocument {
        let known = self.keys.iter().find(|(known, _)| *known == path);
        known
            .map(|(_, document)| document.clone())
            .expect("a wallet asks for its own keys")
    }
}

/// A key's document. A contract's address is as good as any as an owner.
fn document(owner: Account, form: Form, scheme: Scheme, dedicated: bool, raw: bool) -> KeyDocument {
    let contracts = if form == Form::Erc1271 {
        vec![Address(owner)]
    } else {
        Vec::new()
    };
    let policy = Policy {
        version: 0,
        previous: HexBytes([0; 32]),
        signers: Vec::new(),
        contracts: Vec::new(),
        raw,
        messages: false,
        calls: Vec::new(),
        typed: Vec::new(),
    };
    KeyDocument {
        owners: vec![Address(owner)],
        contracts,
        quorum: 1,
        policy,
        salt: HexBytes([7; 32]),
        scheme,
        dedicated,
    }
}

/// First byte of a signature that every contract accepts.
const CONTRACTS_YES: u8 = 1;

/// Whether a contract accepts a signature.
pub fn contract_says(question: &ContractQuery) -> bool {
    question.signature.first() == Some(&CONTRACTS_YES)
}

/// What members were allowed before, shared by all members of a world: hashing documents would be half of a run's time.
pub type Memory = Arc<Mutex<HashMap<Vec<u8>, Grant>>>;

/// The authority of an honest member, which remembers what any of them has allowed.
pub struct Remembering {
    /// Decides.
    pub authority: WalletAuthority,
    /// Of all members.
    pub memory: Memory,
}

impl Authority for Remembering {
    fn decide(&self, request: &[u8], now: Interval, contract: Option<bool>) -> Decision {
        let Ok(mut memory) = self.memory.lock() else {
            return self.authority.decide(request, now, contract);
        };
        // Nothing but the time changes what was allowed once: no policy is replaced here, and contracts don't change their mind.
        if let Some(grant) = memory.get(request)
            && now.is_before(grant.expires)
            && grant.issued <= now.upper
        {
            return Decision::Allowed(grant.clone());
        }
        let decision = self.authority.decide(request, now, contract);
        if let Decision::Allowed(grant) = &decision {
            memory.insert(request.to_vec(), grant.clone());
        }
        decision
    }

    fn shown(&self, document: &[u8], contract: Option<bool>) -> Decision {
        self.authority.shown(document, contract)
    }

    fn adopt(&mut self, policy: &PolicyUpdate) {
        self.authority.adopt(policy);
    }
}

/// The authority of a byzantine member: whatever can be read is allowed, whoever signed it and whenever.
pub struct Credulous(pub WalletAuthority);

impl Authority for Credulous {
    fn decide(&self, request: &[u8], now: Interval, contract: Option<bool>) -> Decision {
        match self.0.decide(request, now, contract.or(Some(true))) {
            Decision::Refused(refusal) => {
                allow(request).map_or(Decision::Refused(refusal), Decision::Allowed)
            }
            decision => decision,
        }
    }

    fn shown(&self, document: &[u8], contract: Option<bool>) -> Decision {
        self.0.shown(document, contract)
    }

    fn adopt(&mut self, policy: &PolicyUpdate) {
        self.0.adopt(policy);
    }
}

fn allow(request: &[u8]) -> Result<Grant, Refusal> {
    let signed = Signed::parse(request)?;
    let reading = signed.request.read()?;
    let path = reading.path;
    let action = match &reading.payload {
        Some(payload) => Action::Sign {
            path,
            message: payload.message,
        },
        None => match signed.request.action {
            request::Asked::Keygen {} => Action::Keygen(path),
            request::Asked::Refresh {} => Action::Refresh(path),
            _ => return Err(Refusal::NotAllowed),
        },
    };
    Ok(Grant {
        digest: reading.digest,
        nonce: signed.request.nonce.0,
        account: signed.authorization.account.0.0,
        issued: signed.request.issued,
        expires: signed.request.expires,
        action,
    })
}
