//! A provider submits what users promised, once.

use jeju_attestation::hex_bytes::HexBytes;
use jeju_wallet_auth::market::{SignedVoucher, Voucher};
use serde_json::{Value, json};

use super::{ASIDE, PaidNode, Setting, account, name};
use crate::node::now;
use crate::rental::{OTHER, PROVIDER, USER};

fn promised(setting: &Setting, cumulative: u128, sequence: u64, change: impl FnOnce(&mut Voucher)) -> Value {
    let mut voucher = Voucher {
        user: account(USER).account(),
        provider: account(PROVIDER).account(),
        cumulative,
        sequence,
        request_digest: [1; 32],
        response_digest: [2; 32],
        expiry: now() + 30 * 24 * 3600,
    };
    change(&mut voucher);
    let signed = SignedVoucher::sign(voucher, &setting.serving(), &account(USER)).unwrap();
    json!({
        "user": voucher.user.to_string(),
        "provider": voucher.provider.to_string(),
        "cumulative": voucher.cumulative.to_string(),
        "sequence": voucher.sequence.to_string(),
        "request": HexBytes(voucher.request_digest),
        "response": HexBytes(voucher.response_digest),
        "expiry": voucher.expiry,
        "signature": signed.signature.to_string(),
        "paid": "0",
        "receipt": null,
    })
}

async fn settle(setting: &Setting, node: &PaidNode, least: &str) -> Value {
    let url = node.node.url();
    let arguments = ["provider", "settle", "--once", "--least", least];
    setting
        .good(PROVIDER, &[&arguments[..], &node.options(&url)].concat())
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voucher_is_submitted_once() {
    let setting = Setting::with_service().await;
    let node = PaidNode::start(&setting).await;
    node.books().due = vec![promised(&setting, 1000, 1, |_| {})];
    let settled = settle(&setting, &node, "0eth").await;
    assert_eq!(
        (settled["settledWei"].as_str(), &settled["vouchers"]),
        (Some("1000"), &json!(1))
    );
    assert_eq!(setting.paid().await, 1000);
    let before = setting.sent(PROVIDER).await;
    let again = settle(&setting, &node, "0eth").await;
    assert_eq!(
        (again["vouchers"].clone(), setting.sent(PROVIDER).await),
        (json!(0), before)
    );
    // The next one pays what is new.
    node.books().due = vec![promised(&setting, 1500, 2, |_| {})];
    assert_eq!(settle(&setting, &node, "0eth").await["settledWei"], "500");
    // One that pays too little waits, until its user takes money back.
    node.books().due = vec![promised(&setting, 1600, 3, |_| {})];
    assert_eq!(settle(&setting, &node, "200wei").await["vouchers"], 0);
    let provider = account(PROVIDER).account().to_string();
    setting.good(USER, &["refund", &provider, "1wei"]).await;
    assert_eq!(settle(&setting, &node, "200wei").await["settledWei"], "100");
    // More than is set aside: as far as it goes.
    node.books().due = vec![promised(&setting, 10 * ASIDE, 4, |_| {})];
    let left = (ASIDE - 1600).to_string();
    assert_eq!(settle(&setting, &node, "0eth").await["settledWei"], left);
    let before = setting.sent(PROVIDER).await;
    assert_eq!(settle(&setting, &node, "0eth").await["vouchers"], 0);
    assert_eq!(setting.sent(PROVIDER).await, before);

    let shown = setting.good(PROVIDER, &["ledger"]).await;
    let earned: u128 = shown["earnedWei"].as_str().unwrap().parse().unwrap();
    assert!(earned > 0 && earned <= ASIDE);
    let fetched = setting.good(PROVIDER, &["withdraw", "--earned"]).await;
    assert_eq!(fetched["withdrawnWei"], earned.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn vouchers_that_pay_nothing_are_not_submitted() {
    let setting = Setting::with_service().await;
    let node = PaidNode::start(&setting).await;
    let mut unsigned = promised(&setting, 1000, 1, |_| {});
    unsigned["cumulative"] = "1001".into();
    let expired = promised(&setting, 1000, 1, |voucher| voucher.expiry = now() - 3600);
    let theirs = promised(&setting, 1000, 1, |voucher| {
        voucher.provider = account(OTHER).account();
    });
    let before = setting.sent(PROVIDER).await;
    for wrong in [unsigned, expired, theirs] {
        node.books().due = vec![wrong];
        assert_eq!(settle(&setting, &node, "0eth").await["vouchers"], 0);
    }
    node.books().due = vec![json!({ "user": "0x01" })];
    let url = node.node.url();
    let once = ["provider", "settle", "--once"];
    let once = [&once[..], &node.options(&url)].concat();
    let malformed = setting.bad(PROVIDER, &once).await;
    assert_eq!(malformed, ("answer_malformed".to_owned(), 3));
    // Another account's node.
    let other = setting.bad(OTHER, &once).await;
    assert_eq!(other, ("node_other_payments".to_owned(), 2));
    assert_eq!(setting.sent(PROVIDER).await, before);
    assert_eq!((setting.paid().await, setting.sent(OTHER).await), (0, 0));
}

/// A node that was changed on the way isn't asked at all.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_does_not_verify_gets_no_signature() {
    let setting = Setting::with_service().await;
    let node = PaidNode::start(&setting).await;
    let other = PaidNode::start(&setting).await;
    let url = node.node.url();
    let arguments = ["provider", "settle", "--once", "--node", &url];
    let policy = ["--policy", name(&other.policy), "--development"];
    let (_, exit) = setting.bad(PROVIDER, &[&arguments[..], &policy].concat()).await;
    assert_eq!(exit, 3);
    assert!(node.node.requests().is_empty());
}
