//! What accounts owe and promised outlives the node.

use serde_json::json;

use crate::chain::{Chain, USER};
use crate::host::{IMAGE, Kept, Machine};
use crate::setting::{STRICT, Setting, chat, wei};

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_forgets_nobody_and_an_empty_store_begins_at_the_chain() {
    let mut machine = Machine::new();
    machine.blobs = Some(Kept::default());
    let setting = Setting::start(Chain::new(IMAGE).await, machine, STRICT, true).await;
    let (_, first, answer) = setting.chat(USER, &[]).await;
    let cost = wei(&first["payment"]["owed"]);
    let voucher = setting
        .voucher(cost, 5, &chat(json!({})), &answer.body)
        .to_string();
    let (status, second, _) = setting.chat(USER, &[("jeju-voucher", voucher)]).await;
    assert_eq!(status, 200, "{second}");
    let owed = wei(&second["payment"]["owed"]);
    // Vouchers are stored at once, the rest a little later.
    tokio::time::sleep(std::time::Duration::from_secs(12)).await;
    let before = setting.session(USER).await;

    let Setting { chain, host } = setting;
    let machine = host.kill().await;
    let setting = Setting::start(chain, machine, STRICT, false).await;
    let after = setting.session(USER).await;
    assert_eq!(after, before);
    assert_eq!((wei(&after["owed"]), wei(&after["promised"])), (owed, cost));
    assert_eq!(after["sequence"], "5");
    let (_, due, _) = setting.chat(USER, &[]).await;
    assert_eq!(due["code"], "payment_due");
    let (_, metrics) = setting.get(USER, "/v1/metrics").await;
    assert_eq!(metrics["payments"]["persistence"], "sealed");

    let Setting { chain, host } = setting;
    let machine = host.kill().await;
    machine.blobs.as_ref().unwrap().lock().unwrap().clear();
    let setting = Setting::start(chain, machine, STRICT, false).await;
    let fresh = setting.session(USER).await;
    assert_eq!((wei(&fresh["owed"]), wei(&fresh["promised"])), (0, 0));
}
