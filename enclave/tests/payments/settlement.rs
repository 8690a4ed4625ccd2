//! The settlement in an answer, as the first clients submit it.

use std::time::Duration;

use jeju_contracts::sender::AccountKey;
use jeju_contracts::{ledger, serving};
use jeju_wallet_auth::signature::Signature;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::chain::{PROVIDER, USER};
use crate::setting::{STRICT, Setting, Terms, account, chat, price, value, wei};

const NONCE: &str = "x-jeju-settlement-nonce";

fn nonce(nonce: u64) -> [(&'static str, String); 1] {
    [(NONCE, nonce.to_string())]
}

fn settlement(said: &Value) -> (serving::Settlement, Signature) {
    let number = |name: &str| said[name].as_u64().unwrap();
    let settlement = serving::Settlement {
        provider: account(PROVIDER).0.into(),
        request_hash: said["requestHash"].as_str().unwrap().parse().unwrap(),
        input_tokens: number("inputTokens"),
        output_tokens: number("outputTokens"),
        nonce: number("nonce"),
    };
    (
        settlement,
        Signature::parse(said["signature"].as_str().unwrap()).unwrap(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settlement_pays_for_one_answer_once() {
    let terms = Terms {
        required: false,
        ..STRICT
    };
    let setting = Setting::new(terms).await;
    let (user, provider): (AccountKey, AccountKey) = (USER.parse().unwrap(), PROVIDER.parse().unwrap());
    let (contract, ledgers) = (
        setting.chain.at("inferenceServing"),
        setting.chain.at("ledgerManager"),
    );
    let by_provider = setting.chain.sender(&provider);

    // Nothing is signed for somebody who didn't sign, and a signature that the contract refuses is none.
    let body = chat(json!({}));
    let unsigned = [(NONCE.to_owned(), "0".to_owned())];
    let answer = setting
        .ask("POST", "/v1/chat/completions", &unsigned, &body)
        .await;
    let answer = value(&answer);
    assert!(answer["usage"].is_object(), "{answer}");
    assert_eq!((answer.get("settlement"), answer.get("payment")), (None, None));
    let (_, answer, _) = setting.chat(USER, &nonce(0)).await;
    assert_eq!(answer["payment"]["unsettled"], "signer_not_set", "{answer}");
    assert_eq!(answer.get("settlement"), None);
    let before = wei(&answer["payment"]["owed"]);

    let claims = setting.host.claims().await;
    let key = k256::PublicKey::from_sec1_bytes(&claims.evm).unwrap();
    let point = k256::elliptic_curve::sec1::ToSec1Point::to_sec1_point(&key, false);
    let hash = <sha3::Keccak256 as sha3::Digest>::digest(&point.as_bytes()[1..]);
    let signer: [u8; 20] = hash[12..].try_into().unwrap();
    serving::set_signer(&by_provider, contract.into(), Some(signer.into()))
        .await
        .unwrap();
    ledger::acknowledge_user(&by_provider, ledgers.into(), user.address())
        .await
        .unwrap();

    for (asked, status, code) in [("1", 200, "nonce_not_current"), ("-1", 400, "")] {
        let (found, answer, _) = setting.chat(USER, &[(NONCE, asked.to_owned())]).await;
        assert_eq!(found, status, "{answer}");
        match status {
            200 => assert_eq!(answer["payment"]["unsettled"], code),
            _ => assert_eq!(answer["error"]["code"], "settlement_nonce_malformed"),
        }
    }
    let (_, answer, _) = setting.chat(USER, &nonce(0)).await;
    let said = &answer["settlement"];
    assert_eq!(
        (&said["service"], &said["nonce"]),
        (&json!(1), &json!(0)),
        "{answer}"
    );
    let text = format!("{{\"id\":{},\"model\":{}}}", answer["id"], answer["model"]);
    let expected = <sha3::Keccak256 as sha3::Digest>::digest(text.as_bytes());
    assert_eq!(said["requestHash"], format!("0x{}", hex::encode(expected)));
    let cost = price(&answer["usage"]);
    let owed = wei(&answer["payment"]["owed"]);
    let (_, again, _) = setting.chat(USER, &nonce(0)).await;
    assert_eq!(again["payment"]["unsettled"], "nonce_used", "once for each nonce");
    assert!(again.get("settlement").is_none());
    let owed_after = owed + price(&again["usage"]);

    let by_user = setting.chain.sender(&user);
    let (said, signature) = settlement(said);
    // `settle` is for the first service, which is another model's here.
    let refused = serving::settle(&by_user, contract.into(), None, &said, &signature.0).await;
    assert!(refused.map(drop).unwrap_err().is_refusal("InvalidSignature"));
    serving::settle(&by_user, contract.into(), Some(1), &said, &signature.0)
        .await
        .unwrap();
    let refused = serving::settle(&by_user, contract.into(), Some(1), &said, &signature.0).await;
    assert!(refused.map(drop).unwrap_err().is_refusal("InvalidNonce"));
    // The next one is good at once; what was settled is taken off when it is final.
    let (_, next, _) = setting.chat(USER, &nonce(1)).await;
    assert_eq!(next["settlement"]["nonce"], 1, "{next}");
    let owed_after = owed_after + price(&next["usage"]);
    setting.chain.anvil.finalize().await.unwrap();
    sleep(Duration::from_millis(1100)).await;
    let session = setting.session(USER).await;
    assert_eq!(
        (wei(&session["owed"]), wei(&session["paid"])),
        (owed_after - cost, 0)
    );
    assert!(before > 0);
}
