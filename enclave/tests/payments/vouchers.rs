//! Vouchers: what an answer costs, what its user promises for it, and what the provider gets of that, once.

use std::time::Duration;

use jeju_chain::CallData;
use jeju_contracts::{ledger, localnet, serving};
use jeju_wallet_auth::market::SignedVoucher;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::chain::{ETHER, PROVIDER, USER};
use crate::host::now;
use crate::setting::{STRANGER, STRICT, Setting, account, chat, price, value, wallet, wei};

fn header(voucher: &SignedVoucher) -> [(&'static str, String); 1] {
    [("jeju-voucher", voucher.to_string())]
}

fn json_of(voucher: &SignedVoucher) -> Value {
    let said = &voucher.voucher;
    json!({
        "user": said.user.to_string(),
        "cumulative": said.cumulative.to_string(),
        "sequence": said.sequence,
        "request": format!("0x{}", hex::encode(said.request_digest)),
        "response": format!("0x{}", hex::encode(said.response_digest)),
        "expiry": said.expiry,
        "signature": voucher.signature.to_string(),
    })
}

/// Accounts that are contracts pay too, by what their contract takes for its signature (ERC-1271).
#[tokio::test(flavor = "multi_thread")]
async fn a_contracts_voucher_is_its_contracts_to_confirm() {
    let setting = Setting::new(STRICT).await;
    let rpc = setting.chain.anvil.rpc();
    let (yes, no) = ([0xaa; 20], [0xbb; 20]);
    let address = |account: [u8; 20]| format!("0x{}", hex::encode(account));
    // Answers `isValidSignature` with its magic value, or with zeros.
    for (account, code) in [(yes, "0x631626ba7e60e01b60005260206000f3"), (no, "0x60206000f3")] {
        let _: Value = rpc
            .call("anvil_setCode", json!([address(account), code]))
            .await
            .unwrap();
        let anyone = localnet::revoker_key();
        let sender = setting.chain.sender(&anyone);
        let ledgers = setting.chain.at("ledgerManager");
        ledger::deposit_for(&sender, ledgers.into(), account.into(), ETHER)
            .await
            .unwrap();
        let call = CallData::new("transferToProvider(address,uint256)")
            .address(&self::account(PROVIDER).0)
            .number(1000)
            .encode();
        let _: Value = rpc
            .call("anvil_impersonateAccount", json!([address(account)]))
            .await
            .unwrap();
        let _: Value = rpc
            .call("anvil_setBalance", json!([address(account), "0xde0b6b3a7640000"]))
            .await
            .unwrap();
        let transaction = json!({
            "from": address(account), "to": address(ledgers), "data": format!("0x{}", hex::encode(call)),
        });
        let _: Value = rpc
            .call("eth_sendTransaction", json!([transaction]))
            .await
            .unwrap();
    }
    setting.chain.anvil.finalize().await.unwrap();
    let post = async |user: [u8; 20]| {
        let mut document = json_of(&setting.voucher(1000, 1, b"", b""));
        document["user"] = address(user).into();
        let body = document.to_string().into_bytes();
        let answer = setting.ask("POST", "/v1/payments/vouchers", &[], &body).await;
        (answer.status, value(&answer))
    };
    let (status, session) = post(yes).await;
    assert_eq!((status, &session["promised"]), (200, &json!("1000")), "{session}");
    let (status, refused) = post(no).await;
    assert_eq!(
        (status, &refused["code"]),
        (402, &json!("voucher_signature_invalid")),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_paid_for_by_vouchers_once() {
    let setting = Setting::new(STRICT).await;
    let body = chat(json!({}));
    let (status, first, answer) = setting.chat(USER, &[]).await;
    assert_eq!(status, 200, "{first}");
    let cost = price(&first["usage"]);
    assert!(cost > 0);
    let payment = |cost: u128, owed: u128, promised: u128| json!({"cost": cost.to_string(), "owed": owed.to_string(), "promised": promised.to_string()});
    assert_eq!(first["payment"], payment(cost, cost, 0));
    assert_eq!(first.get("settlement"), None);

    let (status, due, _) = setting.chat(USER, &[]).await;
    assert_eq!((status, &due["code"]), (402, &json!("payment_due")), "{due}");

    // What isn't the user's word for this provider, contract and amount changes nothing.
    let good = setting.voucher(cost, 1, &body, &answer.body);
    let resigned = |change: &dyn Fn(&mut SignedVoucher)| {
        let mut other = good;
        change(&mut other);
        other.signature = wallet(USER).sign(&other.voucher.digest(&setting.serving()));
        other
    };
    let mut forged = good;
    forged.signature = wallet(STRANGER).sign(&good.voucher.digest(&setting.serving()));
    let mut raised = good;
    raised.voucher.cumulative += 1;
    let mut elsewhere = good;
    let mut other = setting.serving();
    other.chain_id = 1;
    elsewhere.signature = wallet(USER).sign(&good.voucher.digest(&other));
    let expiring = resigned(&|signed| signed.voucher.expiry = now() + 3500);
    let uncovered = resigned(&|signed| signed.voucher.cumulative = ETHER / 2 + 1);
    for (voucher, code) in [
        (forged.to_string(), "voucher_signature_invalid"),
        (raised.to_string(), "voucher_signature_invalid"),
        (elsewhere.to_string(), "voucher_signature_invalid"),
        (expiring.to_string(), "voucher_expiring"),
        (uncovered.to_string(), "voucher_uncovered"),
        ("cumulative=1".to_owned(), "voucher_malformed"),
    ] {
        let (status, refused, _) = setting.chat(USER, &[("jeju-voucher", voucher)]).await;
        let found = if status == 400 {
            &refused["error"]["code"]
        } else {
            &refused["code"]
        };
        let expected = if code == "voucher_malformed" { 400 } else { 402 };
        assert_eq!((status, found), (expected, &json!(code)), "{refused}");
    }
    // Nor is one of another account.
    let (status, refused, _) = setting.chat(STRANGER, &header(&good)).await;
    assert_eq!(
        (status, &refused["code"]),
        (402, &json!("voucher_signature_invalid"))
    );

    let (status, second, answer) = setting.chat(USER, &header(&good)).await;
    assert_eq!(status, 200, "{second}");
    let owed = cost + price(&second["usage"]);
    assert_eq!(second["payment"], payment(owed - cost, owed, cost));
    // The same one again is the same promise.
    let (_, due, _) = setting.chat(USER, &header(&good)).await;
    assert_eq!(due["code"], "payment_due");
    let lower = setting.voucher(cost - 1, 2, &body, &answer.body);
    let (_, refused, _) = setting.chat(USER, &header(&lower)).await;
    assert_eq!(refused["code"], "voucher_not_cumulative");

    // Without a request: whoever brings it, the user's signature counts.
    let last = setting.voucher(owed, 2, &body, &answer.body);
    let post = async |document: Value| {
        let body = document.to_string().into_bytes();
        let answer = setting.ask("POST", "/v1/payments/vouchers", &[], &body).await;
        (answer.status, value(&answer))
    };
    let mut anonymous = json_of(&last);
    anonymous["user"] = Value::Null;
    let (status, refused) = post(anonymous).await;
    assert_eq!(
        (status, &refused["error"]["code"]),
        (400, &json!("voucher_malformed"))
    );
    let mut others = json_of(&last);
    others["user"] = account(STRANGER).to_string().into();
    assert_eq!(post(others).await.1["code"], "voucher_signature_invalid");
    let (status, session) = post(json_of(&last)).await;
    assert_eq!(status, 200, "{session}");
    let expected = json!({
        "user": account(USER).to_string(), "provider": account(PROVIDER).to_string(), "owed": owed.to_string(),
        "promised": owed.to_string(), "paid": "0", "sequence": "2", "credit": "0",
        "balance": (ETHER / 2).to_string(),
    });
    assert_eq!(session, expected);
    assert_eq!(setting.session(USER).await, expected);

    // The provider alone sees vouchers, and gets its money of the contract once.
    let unsigned = setting.ask("GET", "/v1/payments/session", &[], b"").await;
    assert_eq!(
        (unsigned.status, &value(&unsigned)["error"]["code"]),
        (401, &json!("wallet_signature_missing"))
    );
    let (status, refused) = setting.get(USER, "/v1/payments/vouchers").await;
    assert_eq!(
        (status, &refused["error"]["code"]),
        (403, &json!("payment_not_provider"))
    );
    let (status, listed) = setting.get(PROVIDER, "/v1/payments/vouchers").await;
    assert_eq!(
        (status, listed["vouchers"].as_array().unwrap().len()),
        (200, 1),
        "{listed}"
    );
    let shown = &listed["vouchers"][0];
    assert_eq!(
        (&shown["cumulative"], &shown["signature"], &listed["next"]),
        (
            &json!(owed.to_string()),
            &json!(last.signature.to_string()),
            &Value::Null
        )
    );
    assert_eq!(shown["receipt"]["responseDigest"], shown["response"]);
    assert_eq!(shown["receipt"]["requestDigest"], shown["request"]);
    let behind = format!(
        "/v1/payments/vouchers?after={}",
        account(USER).to_string().to_lowercase()
    );
    assert_eq!(setting.get(PROVIDER, &behind).await.1["vouchers"], json!([]));
    assert_eq!(
        setting.get(PROVIDER, "/v1/payments/vouchers?after=1").await.0,
        400
    );

    let anyone = localnet::revoker_key();
    let contract = setting.chain.at("inferenceServing").into();
    let submit = async |voucher: &SignedVoucher| {
        let said = &voucher.voucher;
        let said = serving::Voucher {
            user: said.user.0.into(),
            provider: said.provider.0.into(),
            cumulative: said.cumulative,
            sequence: said.sequence,
            request_digest: said.request_digest.into(),
            response_digest: said.response_digest.into(),
            expiry: said.expiry,
        };
        serving::settle_voucher(
            &setting.chain.sender(&anyone),
            contract,
            &said,
            &voucher.signature.0,
        )
        .await
    };
    submit(&last).await.unwrap();
    let again = submit(&last).await.map(drop).unwrap_err();
    assert!(again.is_refusal("NothingDue"), "{again}");
    setting.chain.anvil.finalize().await.unwrap();
    sleep(Duration::from_millis(1100)).await;
    let session = setting.session(USER).await;
    assert_eq!((wei(&session["paid"]), wei(&session["owed"])), (owed, owed));
    assert_eq!(wei(&session["balance"]), ETHER / 2 - owed);
    let (_, listed) = setting.get(PROVIDER, "/v1/payments/vouchers").await;
    assert_eq!(listed["vouchers"], json!([]));
    // And goes on.
    let (status, third, _) = setting.chat(USER, &[]).await;
    assert_eq!(
        (status, wei(&third["payment"]["promised"])),
        (200, owed),
        "{third}"
    );
    let (_, metrics) = setting.get(USER, "/v1/metrics").await;
    assert_eq!(
        (&metrics["payments"]["charged"], &metrics["payments"]["accounts"]),
        (&json!(3), &json!(1))
    );
}
