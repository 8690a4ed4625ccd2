//! `X-Payment` of the first clients.

use jeju_wallet_auth::signature::text_digest;
use serde_json::json;

use crate::chain::{PROVIDER, USER};
use crate::setting::{INPUT, OUTPUT, STRANGER, STRICT, Setting, Terms, account, chat, value, wallet, wei};

fn payment(key: &str, network: &str, amount: u128) -> [(&'static str, String); 1] {
    let text = format!("x402:{network}:{}:{amount}", account(PROVIDER));
    let payload = wallet(key).sign(&text_digest(&text));
    let asset = "0x0000000000000000000000000000000000000000";
    let header = format!("scheme=exact;network={network};payload={payload};asset={asset};amount={amount}");
    [("x-payment", header)]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_x_payment_passes_once_and_covers_what_it_may_cost() {
    let terms = Terms {
        required: false,
        credit: 1_000_000,
        ..STRICT
    };
    let setting = Setting::new(terms).await;
    // 21 characters, three tokens of answer.
    let estimate = 6 * INPUT + 3 * OUTPUT;
    let (status, answer, _) = setting.chat(USER, &payment(USER, "localnet", estimate)).await;
    assert_eq!(status, 200, "{answer}");
    assert!(wei(&answer["payment"]["owed"]) > 0, "it moves no money");
    let (status, answer, _) = setting.chat(USER, &payment(USER, "jeju", estimate + 1)).await;
    assert_eq!(status, 200, "{answer}");
    let malformed = [("x-payment", "scheme=exact".to_owned())];
    for (header, code) in [
        (payment(USER, "localnet", estimate), "x402_used"),
        (payment(USER, "localnet", estimate - 1), "x402_amount_low"),
        (payment(USER, "base", estimate + 2), "x402_network_wrong"),
        (
            payment(STRANGER, "localnet", estimate + 2),
            "x402_signature_invalid",
        ),
        (malformed, "x402_malformed"),
    ] {
        let (status, refused, _) = setting.chat(USER, &header).await;
        assert_eq!((status, &refused["code"]), (402, &json!(code)), "{refused}");
        assert_eq!(refused["error"], "Payment required to access compute service");
        assert_eq!(refused["accepts"][0]["payTo"], account(PROVIDER).to_string());
    }
    // It is for an account that signed its request: anyone could show another's.
    let [(name, header)] = payment(USER, "localnet", estimate + 3);
    let address = ("x-jeju-address".to_owned(), account(USER).to_string());
    for headers in [
        vec![(name.to_owned(), header.clone())],
        vec![(name.to_owned(), header), address],
    ] {
        let answer = setting
            .ask("POST", "/v1/chat/completions", &headers, &chat(json!({})))
            .await;
        assert_eq!(
            (answer.status, &value(&answer)["code"]),
            (402, &json!("payment_required"))
        );
    }
    // One who has set nothing aside can't pay by it.
    let (status, refused, _) = setting
        .chat(STRANGER, &payment(STRANGER, "localnet", estimate))
        .await;
    assert_eq!((status, &refused["code"]), (402, &json!("payment_insufficient")));
    assert_eq!(refused["accepts"][0]["maxAmountRequired"], estimate.to_string());
}
