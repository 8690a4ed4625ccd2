//! Who isn't served: without a signature, a price, money set aside, or a chain that says so.

use std::time::Duration;

use jeju_contracts::ledger;
use jeju_contracts::sender::AccountKey;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::chain::{ETHER, PROVIDER, USER};
use crate::setting::{INPUT, OUTPUT, STRANGER, STRICT, Setting, Terms, account, chat, offer, value};

#[tokio::test(flavor = "multi_thread")]
async fn only_who_can_pay_is_served() {
    let terms = Terms {
        offered: false,
        ..STRICT
    };
    let setting = Setting::new(terms).await;
    let anonymous = async |body: Value| {
        let answer = setting
            .ask("POST", "/v1/chat/completions", &[], &chat(body))
            .await;
        (answer.status, value(&answer))
    };
    let (status, refused) = anonymous(json!({})).await;
    assert_eq!(status, 402, "{refused}");
    let zero = "0x0000000000000000000000000000000000000000";
    let accepts = |scheme: &str, description: &Value| {
        json!({
            "scheme": scheme, "network": "localnet", "maxAmountRequired": "0", "asset": zero,
            "payTo": account(PROVIDER).to_string(), "resource": "/v1/chat/completions", "description": description,
        })
    };
    let expected = json!({
        "x402Version": 1,
        "error": "Payment required to access compute service",
        "code": "payment_required",
        "message": refused["message"],
        "accepts": [
            accepts("exact", &refused["accepts"][0]["description"]),
            accepts("credit", &refused["accepts"][1]["description"]),
        ],
    });
    assert_eq!(refused, expected);
    assert_eq!(anonymous(json!({"model": "none"})).await.0, 404);

    let (status, refused, answer) = setting.chat(USER, &[]).await;
    assert_eq!(
        (status, &refused["error"]["code"]),
        (503, &json!("price_unknown"))
    );
    assert_eq!(answer.headers["retry-after"], "5");
    offer(&setting.chain).await;
    sleep(Duration::from_millis(1100)).await;
    assert_eq!(setting.chat(USER, &[]).await.0, 200);

    // A stranger is served as soon as its money is set aside for good.
    let (status, refused, _) = setting.chat(STRANGER, &[]).await;
    assert_eq!(
        (status, &refused["code"]),
        (402, &json!("payment_insufficient")),
        "{refused}"
    );
    let estimate = 6 * INPUT + 3 * OUTPUT;
    assert_eq!(refused["accepts"][0]["maxAmountRequired"], estimate.to_string());
    let (key, ledgers): (AccountKey, _) = (STRANGER.parse().unwrap(), setting.chain.at("ledgerManager"));
    let sender = setting.chain.sender(&key);
    ledger::create(&sender, ledgers.into(), ETHER / 100)
        .await
        .unwrap();
    ledger::transfer_to_provider(&sender, ledgers.into(), account(PROVIDER).0.into(), estimate)
        .await
        .unwrap();
    setting.chain.anvil.finalize().await.unwrap();
    sleep(Duration::from_millis(1100)).await;
    let (status, answer, _) = setting.chat(STRANGER, &[]).await;
    assert_eq!(status, 200, "{answer}");
    // An answer without end would cost more than there is.
    let body = chat(json!({"max_tokens": u64::MAX}));
    let headers = setting.signed(USER, "POST", "/v1/chat/completions", &body);
    let refused = setting.ask("POST", "/v1/chat/completions", &headers, &body).await;
    assert_eq!(value(&refused)["code"], "payment_insufficient");

    // A chain that went back is believed in nothing, though it answers: what it shows may be what was there before a refund.
    let rpc = setting.chain.anvil.rpc();
    let snapshot: Value = rpc.call("evm_snapshot", json!([])).await.unwrap();
    setting.chain.anvil.mine(3).await.unwrap();
    let newcomer = "4bbbf85ce3377467afe5d46f804f221813b2bb87f24d81f60f1fcdbf7cbf4356";
    assert_eq!(setting.chat(newcomer, &[]).await.0, 402);
    let _: Value = rpc.call("evm_revert", json!([snapshot])).await.unwrap();
    let late = "92db14e403b83dfe3df233f83dfa3a0d7096f21ca9b0d6d6b8d88b2b4ec1564e";
    let (status, refused, _) = setting.chat(late, &[]).await;
    assert_eq!(
        (status, &refused["error"]["code"]),
        (503, &json!("payment_chain_unreadable")),
        "{refused}"
    );

    // Without the chain nobody new is believed.
    let Setting { chain, host } = setting;
    let unknown = "dbda1821b80551c9d65939329250298aa3472ba22feea921c0cf5d620ea67b97";
    let setting = Setting { chain, host };
    let headers = setting.signed(unknown, "POST", "/v1/chat/completions", &chat(json!({})));
    let Setting { chain, host } = setting;
    drop(chain);
    let mut client = host.connect().await;
    let body = chat(json!({}));
    let refused = client
        .exchange("POST", "/v1/chat/completions", &headers, &body)
        .await
        .unwrap();
    assert_eq!(
        (refused.status, &value(&refused)["error"]["code"]),
        (503, &json!("payment_chain_unreadable"))
    );
}
