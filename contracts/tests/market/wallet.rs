//! The messages of the market in a wallet that isn't ours.

use jeju_contracts::localnet;
use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::market::{self, At};
use serde_json::json;

use crate::{PROVIDER, USER, wallet};

/// What wallets sign is the same in a wallet that isn't ours.
#[test]
fn cast_signs_the_same_messages() {
    let at = At {
        chain_id: 31337,
        contract: Account([0x77; 20]),
    };
    let (user, provider) = (wallet(USER).account(), wallet(PROVIDER).account());
    let word = |byte: u8| format!("0x{}", hex::encode([byte; 32]));
    let voucher = market::Voucher {
        user,
        provider,
        cumulative: u128::MAX,
        sequence: u64::MAX,
        request_digest: [1; 32],
        response_digest: [2; 32],
        expiry: 1_800_000_000,
    };
    let message = json!({
        "user": user.to_string(),
        "provider": provider.to_string(),
        "cumulative": u128::MAX.to_string(),
        "sequence": u64::MAX.to_string(),
        "requestDigest": word(1),
        "responseDigest": word(2),
        "expiry": "1800000000",
    });
    assert_eq!(
        cast(market::SERVING_NAME, market::VOUCHER_TYPE, &message),
        wallet(USER).sign(&voucher.digest(&at)).to_string()
    );
    let settlement = market::Settlement {
        user,
        provider,
        service: 2,
        request_hash: [3; 32],
        input_tokens: 4,
        output_tokens: 5,
        nonce: 6,
    };
    let message = json!({
        "user": user.to_string(),
        "provider": provider.to_string(),
        "service": "2",
        "requestHash": word(3),
        "inputTokens": "4",
        "outputTokens": "5",
        "nonce": "6",
    });
    assert_eq!(
        cast(market::SERVING_NAME, market::SETTLEMENT_TYPE, &message),
        wallet(USER).sign(&settlement.digest(&at)).to_string()
    );
    let receipt = market::Receipt {
        agent: [9; 32],
        boot: [8; 16],
        request_id: [1; 32],
        request_digest: [2; 32],
        response_digest: [3; 32],
        input_units: 4,
        output_units: 5,
        epoch: 6,
        anchor_block: 7,
    };
    let message = json!({
        "agentId": word(9),
        "boot": format!("0x{}", hex::encode([8; 16])),
        "requestId": word(1),
        "requestDigest": word(2),
        "responseDigest": word(3),
        "inputUnits": "4",
        "outputUnits": "5",
        "epoch": "6",
        "anchorBlock": "7",
    });
    assert_eq!(
        cast(market::RECEIPT_NAME, market::RECEIPT_TYPE, &message),
        wallet(USER).sign(&receipt.digest(&at)).to_string()
    );
}

/// The user's signature over typed data, by foundry's wallet.
fn cast(domain: &str, encoded_type: &str, message: &serde_json::Value) -> String {
    let (name, members) = encoded_type.split_once('(').unwrap();
    let member = |member: &str| {
        let (kind, name) = member.split_once(' ').unwrap();
        json!({ "name": name, "type": kind })
    };
    let members: Vec<_> = members.trim_end_matches(')').split(',').map(member).collect();
    let data = json!({
        "types": {
            "EIP712Domain": [
                { "name": "name", "type": "string" },
                { "name": "version", "type": "string" },
                { "name": "chainId", "type": "uint256" },
                { "name": "verifyingContract", "type": "address" },
            ],
            name: members,
        },
        "primaryType": name,
        "domain": {
            "name": domain,
            "version": "1",
            "chainId": 31337,
            "verifyingContract": format!("0x{}", "77".repeat(20)),
        },
        "message": message,
    });
    let binary = localnet::anvil_binary().unwrap().with_file_name("cast");
    let output = std::process::Command::new(binary)
        .args([
            "wallet",
            "sign",
            "--private-key",
            USER,
            "--data",
            &data.to_string(),
        ])
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
