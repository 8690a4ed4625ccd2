//! The wallet authority as a member and a client use it.

mod cast;
mod forms;
mod hostile;
mod payloads;
mod policies;
mod refusals;

use jeju_attestation::hex_bytes::HexBytes;
use jeju_wallet_auth::signature::AccountKey;
use serde_json::{Value, json};

use super::build::Draft;
use super::document::{Address, CallRule, KeyDocument, Policy, TypedRule};
use super::number::Uint256;
use super::payload::{HexData, Payload};
use super::request::{Asked, Authorization, Form};
use super::wallet::WalletAuthority;
use super::{Action, Authority, Decision, Grant};
use crate::network::{Network, Scheme};
use crate::refusal::Refusal;
use crate::time::Interval;

const NOW: u64 = 1_767_225_600;
const CHAIN: u64 = 31337;

/// The first keys of the development mnemonic "test test … junk".
const KEYS: [&str; 3] = [
    "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
];

fn network() -> Network {
    Network {
        genesis: [0x77; 32],
        chain_id: CHAIN,
        threshold: 2,
        members: 3,
    }
}

fn account_key(at: usize) -> AccountKey {
    AccountKey::from_hex(KEYS[at].as_bytes()).unwrap()
}

fn address(at: usize) -> Address {
    Address(account_key(at).account())
}

fn of(text: &str) -> Address {
    Address(text.parse().unwrap())
}

fn token() -> Address {
    of("0x00000000000000000000000000000000000000aa")
}

fn wallet() -> Address {
    of("0x00000000000000000000000000000000000000bb")
}

/// Texts, calls of `token` with up to 5 wei, and permits of it.
fn policy() -> Policy {
    Policy {
        messages: true,
        calls: vec![CallRule {
            chain_ids: vec![1, CHAIN],
            wallets: vec![],
            to: vec![token()],
            max_value: Uint256::from(5),
        }],
        typed: vec![TypedRule {
            chain_ids: vec![CHAIN],
            verifying_contracts: vec![token()],
            primary_types: vec!["Permit".to_owned()],
        }],
        ..Policy::default()
    }
}

/// Owned by the first key's account.
fn key() -> KeyDocument {
    KeyDocument {
        owners: vec![address(0)],
        contracts: vec![],
        quorum: 1,
        policy: policy(),
        salt: HexBytes([5; 32]),
        scheme: Scheme::Secp256k1,
        dedicated: false,
    }
}

/// Owned by the first two accounts, of which both must agree.
fn shared_key() -> KeyDocument {
    let mut owners = vec![address(0), address(1)];
    owners.sort();
    KeyDocument {
        owners,
        quorum: 2,
        ..key()
    }
}

/// Owned by the first account, which is a contract.
fn contract_key() -> KeyDocument {
    KeyDocument {
        contracts: vec![address(0)],
        ..key()
    }
}

fn sign(payload: Payload) -> Asked {
    Asked::Sign {
        payload,
        policy_version: 0,
    }
}

fn text(message: &str) -> Payload {
    Payload::Message {
        message: message.to_owned(),
    }
}

fn execute(to: Address, value: u64) -> Payload {
    Payload::Execute {
        chain_id: CHAIN,
        wallet: wallet(),
        to,
        value: Uint256::from(value),
        data: HexData(vec![0xa9, 0x05, 0x9c, 0xbb]),
        nonce: 7,
        deadline: NOW + 3600,
    }
}

fn permit() -> Value {
    json!({
        "types": {
            "Permit": [
                {"name": "owner", "type": "address"},
                {"name": "spender", "type": "address"},
                {"name": "value", "type": "uint256"},
                {"name": "nonce", "type": "uint256"},
                {"name": "deadline", "type": "uint256"}
            ]
        },
        "primaryType": "Permit",
        "domain": {"name": "Token", "version": "1", "chainId": CHAIN, "verifyingContract": token()},
        "message": {
            "owner": wallet(),
            "spender": address(1),
            "value": "115792089237316195423570985008687907853269984665640564039457584007913129639935",
            "nonce": 0,
            "deadline": 1_900_000_000
        }
    })
}

fn typed(value: Value) -> Payload {
    Payload::TypedData {
        typed_data: serde_json::from_value(value).unwrap(),
    }
}

fn draft(key: KeyDocument, action: Asked) -> Draft {
    Draft::new(&network(), key, action, NOW, [9; 32]).unwrap()
}

/// Signed by the first key.
fn body(draft: &Draft) -> Vec<u8> {
    draft.body(&[draft.authorize(&account_key(0))]).unwrap()
}

/// The body with one value replaced.
fn changed(body: &[u8], pointer: &str, value: Value) -> Vec<u8> {
    let mut json: Value = serde_json::from_slice(body).unwrap();
    *json.pointer_mut(pointer).unwrap() = value;
    serde_json::to_vec(&json).unwrap()
}

fn decide(body: &[u8]) -> Decision {
    WalletAuthority::new(network()).decide(body, Interval::exact(NOW), None)
}

fn granted(decision: Decision) -> Grant {
    match decision {
        Decision::Allowed(grant) => grant,
        other => panic!("{other:?}"),
    }
}

fn refused(decision: Decision) -> Refusal {
    match decision {
        Decision::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_action_is_granted_to_who_may_ask() {
    let path = key().path(&network());
    for (action, expected) in [
        (Asked::Keygen {}, Action::Keygen(path)),
        (Asked::Refresh {}, Action::Refresh(path)),
        (
            sign(text("hello")),
            Action::Sign {
                path,
                message: jeju_wallet_auth::signature::text_digest("hello"),
            },
        ),
    ] {
        let draft = draft(key(), action);
        let grant = granted(decide(&body(&draft)));
        assert_eq!(grant.action, expected);
        assert_eq!((grant.issued, grant.expires), (NOW, NOW + 600));
        assert_eq!(grant.digest, draft.digest());
        let as_text = draft.body(&[draft.authorize_text(&account_key(0))]).unwrap();
        assert_eq!(granted(decide(&as_text)), grant, "the same by EIP-191");
    }
}

#[test]
fn nonces_are_a_keys_own() {
    let nonce = |key| granted(decide(&body(&draft(key, Asked::Keygen {})))).nonce;
    let other = KeyDocument {
        salt: HexBytes([6; 32]),
        ..key()
    };
    assert_eq!(nonce(key()), nonce(key()));
    assert_ne!(nonce(key()), nonce(other));
}

#[test]
fn any_spelling_is_the_same_request() {
    let draft = draft(key(), sign(execute(token(), 5)));
    let body = body(&draft);
    let grant = granted(decide(&body));
    let value: Value = serde_json::from_slice(&body).unwrap();
    let pretty = serde_json::to_vec_pretty(&value).unwrap();
    assert_ne!(pretty, body);
    assert_eq!(granted(decide(&pretty)), grant);
    let lower = String::from_utf8(body).unwrap().replace(
        &address(0).0.to_string(),
        &address(0).0.to_string().to_lowercase(),
    );
    assert_eq!(granted(decide(lower.as_bytes())), grant);
}

#[test]
fn the_document_gives_what_is_left_out() {
    let short = json!({
        "owners": [address(0)],
        "policy": {},
        "salt": HexBytes([5; 32]),
        "scheme": "frost-secp256k1-sha256",
    });
    let read: KeyDocument = serde_json::from_value(short).unwrap();
    let full = KeyDocument {
        policy: Policy::default(),
        ..key()
    };
    assert_eq!(read, full);
}

#[test]
fn every_part_of_the_document_names_another_key() {
    let id = key().id(&network());
    let mut others = vec![
        KeyDocument {
            owners: vec![address(1)],
            ..key()
        },
        KeyDocument { quorum: 2, ..key() },
        contract_key(),
        KeyDocument {
            salt: HexBytes([6; 32]),
            ..key()
        },
        KeyDocument {
            scheme: Scheme::Taproot,
            ..key()
        },
        KeyDocument {
            dedicated: true,
            ..key()
        },
    ];
    let mut change = |change: &dyn Fn(&mut Policy)| {
        let mut key = key();
        change(&mut key.policy);
        others.push(key);
    };
    change(&|p| p.signers = vec![address(1)]);
    change(&|p| p.contracts = vec![address(1)]);
    change(&|p| p.raw = true);
    change(&|p| p.messages = false);
    change(&|p| p.calls[0].chain_ids = vec![1]);
    change(&|p| p.calls[0].wallets = vec![wallet()]);
    change(&|p| p.calls[0].to = vec![wallet()]);
    change(&|p| p.calls[0].max_value = Uint256::from(6));
    change(&|p| p.calls = vec![]);
    change(&|p| p.typed[0].chain_ids = vec![]);
    change(&|p| p.typed[0].verifying_contracts = vec![]);
    change(&|p| p.typed[0].primary_types = vec![]);
    change(&|p| p.typed = vec![]);
    let mut ids: Vec<_> = others.iter().map(|key| key.id(&network())).collect();
    for network in [
        Network {
            genesis: [0x78; 32],
            ..network()
        },
        Network {
            chain_id: 1,
            ..network()
        },
    ] {
        ids.push(key().id(&network));
    }
    ids.push(id);
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count);
    let same = Network {
        threshold: 3,
        members: 5,
        ..network()
    };
    assert_eq!(key().id(&same), id);
}
