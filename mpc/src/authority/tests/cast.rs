//! Against `cast` of Foundry, an implementation of EIP-712, EIP-191 and CREATE2 that isn't ours. Signatures are deterministic
//! (RFC 6979), so an equal signature is one over an equal digest.

use std::path::Path;
use std::process::Command;

use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::eip712::keccak;

use super::super::frost_wallet::wallet_address;
use super::super::payload::{Call, Content};
use super::*;
use crate::network::KeyId;

/// `cast` from `npm ci --prefix contracts`, which the contracts' own tests need as well.
fn cast(arguments: &[&str]) -> String {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contracts/node_modules/.bin/cast");
    assert!(
        program.exists(),
        "{} is missing: npm ci --prefix contracts",
        program.display()
    );
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn cast_signs(typed_data: &Value) -> String {
    let data = typed_data.to_string();
    cast(&["wallet", "sign", "--private-key", KEYS[0], "--data", &data])
}

fn ours(digest: &[u8; 32]) -> String {
    account_key(0).sign(digest).to_string()
}

#[test]
fn typed_data_of_every_kind() {
    let domain = json!({"name": "Kinds", "version": "2", "chainId": 10, "verifyingContract": token()});
    let one = |kind: &str, value: Value| json!({"types": {"T": [{"name": "x", "type": kind}]}, "primaryType": "T", "domain": domain, "message": {"x": value}});
    let mut all = vec![
        one("uint8", json!(255)),
        one(
            "uint256",
            json!("115792089237316195423570985008687907853269984665640564039457584007913129639935"),
        ),
        one("int64", json!(-5)),
        one(
            "int256",
            json!("-57896044618658097711785492504343953926634992332820282019728792003956564819968"),
        ),
        one("bool", json!(true)),
        one("bytes4", json!("0x01020304")),
        one("bytes", json!("0x0102030405")),
        one("bytes", json!("0x")),
        one("string", json!("é\n\"")),
        one("uint16[3]", json!([1, 2, 3])),
        one("string[]", json!(["a", ""])),
        one("bytes[][2]", json!([["0x01"], []])),
        permit(),
    ];
    let person = json!([{"name": "name", "type": "string"}, {"name": "wallets", "type": "address[]"}]);
    let nested = json!({
        "types": {
            "Person": person,
            "Asset": [{"name": "amount", "type": "int128"}, {"name": "tags", "type": "bytes3[2]"}],
            "Group": [{"name": "members", "type": "Person[]"}, {"name": "pair", "type": "Person[2]"}],
            "Mail": [
                {"name": "to", "type": "Group"},
                {"name": "asset", "type": "Asset"},
                {"name": "grid", "type": "Asset[][1]"},
                {"name": "done", "type": "bool"}
            ]
        },
        "primaryType": "Mail",
        "domain": {"name": "x", "chainId": 1, "salt": HexBytes([3; 32])},
        "message": {
            "to": {
                "members": [{"name": "A", "wallets": [token(), wallet()]}, {"name": "B", "wallets": []}],
                "pair": [{"name": "C", "wallets": []}, {"name": "D", "wallets": [token()]}]
            },
            "asset": {"amount": "-1", "tags": ["0x010203", "0x000000"]},
            "grid": [[{"amount": 7, "tags": ["0xffffff", "0x00ff00"]}]],
            "done": false
        }
    });
    all.push(nested);
    for mut value in all {
        let Payload::TypedData { typed_data } = typed(value.clone()) else {
            panic!()
        };
        let hashed = typed_data.hash().unwrap();
        // cast wants the domain's type declared; the other form of ours must be the same.
        let declared: Vec<_> = [
            ("name", "string"),
            ("version", "string"),
            ("chainId", "uint256"),
            ("verifyingContract", "address"),
            ("salt", "bytes32"),
        ]
        .into_iter()
        .filter(|(name, _)| value["domain"].get(name).is_some())
        .map(|(name, kind)| json!({"name": name, "type": kind}))
        .collect();
        value["types"]["EIP712Domain"] = json!(declared);
        assert_eq!(ours(&hashed.digest), cast_signs(&value), "{value}");
        let Payload::TypedData { typed_data } = typed(value) else {
            panic!()
        };
        assert_eq!(typed_data.hash().unwrap(), hashed);
    }
}

fn drafts() -> Vec<Draft> {
    let next = Policy {
        version: 1,
        previous: HexBytes(policy().digest()),
        signers: vec![address(1)],
        ..policy()
    };
    vec![
        draft(shared_key(), Asked::Keygen {}),
        draft(key(), Asked::Refresh {}),
        draft(key(), sign(execute(token(), 1))),
        draft(key(), sign(text("a \"text\"\nof two lines"))),
        draft(
            key(),
            Asked::Policy {
                policy: next,
                history: vec![],
            },
        ),
    ]
}

#[test]
fn wallets_sign_requests_as_typed_data() {
    for draft in drafts() {
        assert_eq!(
            ours(&draft.digest()),
            cast_signs(&draft.typed_data()),
            "{}",
            draft.typed_data()
        );
    }
}

#[test]
fn wallets_sign_requests_as_text() {
    for draft in drafts() {
        let signature = cast(&["wallet", "sign", "--private-key", KEYS[0], &draft.text()]);
        let by = draft.authorize_text(&account_key(0));
        assert_eq!(
            signature,
            format!("0x{}", hex::encode(by.signature.0)),
            "{}",
            draft.text()
        );
    }
}

/// The types as `FrostWallet.sol` declares them.
fn wallet_data(primary: &str, message: Value) -> Value {
    let call = json!([
        {"name": "to", "type": "address"}, {"name": "value", "type": "uint256"}, {"name": "data", "type": "bytes"}
    ]);
    json!({
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"}, {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"}, {"name": "verifyingContract", "type": "address"}
            ],
            "Call": call,
            "Execute": [
                {"name": "to", "type": "address"}, {"name": "value", "type": "uint256"}, {"name": "data", "type": "bytes"},
                {"name": "nonce", "type": "uint256"}, {"name": "deadline", "type": "uint64"}
            ],
            "ExecuteBatch": [
                {"name": "calls", "type": "Call[]"}, {"name": "nonce", "type": "uint256"}, {"name": "deadline", "type": "uint64"}
            ],
            "WalletMessage": [{"name": "hash", "type": "bytes32"}]
        },
        "primaryType": primary,
        "domain": {"name": "Jeju Frost Wallet", "version": "1", "chainId": CHAIN, "verifyingContract": wallet()},
        "message": message
    })
}

#[test]
fn payloads_of_the_wallet_contract() {
    let message = |payload: &Payload| payload.understand(Scheme::Secp256k1).unwrap().message;
    let call = json!({"to": token(), "value": "5", "data": "0xa9059cbb"});
    let mut one = call.clone();
    one["nonce"] = json!(7);
    one["deadline"] = json!(NOW + 3600);
    assert_eq!(
        ours(&message(&execute(token(), 5))),
        cast_signs(&wallet_data("Execute", one))
    );

    let batch = Payload::ExecuteBatch {
        chain_id: CHAIN,
        wallet: wallet(),
        calls: vec![
            Call {
                to: token(),
                value: Uint256::from(5),
                data: HexData(vec![0xa9, 0x05, 0x9c, 0xbb]),
            },
            Call {
                to: wallet(),
                value: Uint256::from(0),
                data: HexData::default(),
            },
        ],
        nonce: 8,
        deadline: NOW,
    };
    let calls = json!([call, {"to": wallet(), "value": "0", "data": "0x"}]);
    let expected = wallet_data(
        "ExecuteBatch",
        json!({"calls": calls, "nonce": 8, "deadline": NOW}),
    );
    assert_eq!(ours(&message(&batch)), cast_signs(&expected));

    let hash = cast(&["hash-message", "hello"]);
    assert_eq!(HexBytes(message(&text("hello"))).to_string(), hash);
    let says = Payload::WalletMessage {
        chain_id: CHAIN,
        wallet: wallet(),
        content: Content::Message {
            message: "hello".to_owned(),
        },
    };
    assert_eq!(
        ours(&message(&says)),
        cast_signs(&wallet_data("WalletMessage", json!({"hash": hash})))
    );
}

/// What `docs/wire-formats.md` shows.
#[test]
fn the_golden_key() {
    let KeyId(id) = shared_key().id(&network());
    let keygen = draft(shared_key(), Asked::Keygen {});
    let mut value = keygen.typed_data();
    assert_eq!(value["message"]["keyId"], json!(HexBytes(id)));
    let key = value["message"]["key"].take();
    value["message"] = key;
    value["primaryType"] = json!("Key");
    value["types"].as_object_mut().unwrap().remove("KeygenRequest");
    assert_eq!(ours(&id), cast_signs(&value));
    let document = include_str!("../../../../docs/wire-formats.md");
    for golden in [
        HexBytes(id).to_string(),
        HexBytes(policy().digest()).to_string(),
        HexBytes(keygen.digest()).to_string(),
        format!("0x{}", hex::encode(keygen.authorize(&account_key(0)).signature.0)),
        keygen.text(),
        serde_json::to_string(&shared_key()).unwrap(),
    ] {
        assert!(document.contains(&golden), "not in wire-formats.md: {golden}");
    }
}

#[test]
fn addresses_of_wallets() {
    let factory = [0x42; 20];
    let key = [&[2][..], &[0x55; 32]].concat();
    let ours = Account(wallet_address(factory, key.as_slice().try_into().unwrap()));
    let factory = Account(factory).to_string();
    let made = cast(&["compute-address", &factory, "--nonce", "1"]);
    let implementation = made
        .rsplit(' ')
        .next()
        .unwrap()
        .trim_start_matches("0x")
        .to_lowercase();
    let code = format!(
        "0x60338060095f395ff336600557005b365f5f375f5f365f73{implementation}5af43d5f5f3e602f573d5ffd5b3d5ff3"
    );
    let salt = HexBytes(keccak(&[&key])).to_string();
    let theirs = cast(&[
        "create2",
        "--deployer",
        &factory,
        "--salt",
        &salt,
        "--init-code",
        &code,
    ]);
    assert!(theirs.contains(&ours.to_string()), "{theirs}");
}
