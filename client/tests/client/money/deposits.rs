//! Users' money, by the program.

use crate::rental::{OTHER, PROVIDER, USER, address};

use super::Setting;

#[tokio::test(flavor = "multi_thread")]
async fn money_goes_in_is_set_aside_and_comes_back() {
    let setting = Setting::new().await;
    let provider = address(PROVIDER);
    // The contract's least, on the first deposit.
    let little = setting.bad(USER, &["deposit", "0.0001eth"]).await;
    assert_eq!(little, ("contract_refused".to_owned(), 2));
    let deposited = setting.good(USER, &["deposit", "0.01eth"]).await;
    assert_eq!(deposited["depositedWei"], "10000000000000000");
    let aside = setting
        .good(USER, &["deposit", "0.02eth", "--provider", &provider])
        .await;
    assert_eq!(aside["transactions"].as_array().unwrap().len(), 2);
    setting
        .good(
            USER,
            &["deposit", "0.004eth", "--provider", &provider, "--from-balance"],
        )
        .await;
    let shown = setting.good(USER, &["ledger", "--provider", &provider]).await;
    assert_eq!(shown["availableWei"], "6000000000000000");
    assert_eq!(shown["setAsideWei"], "24000000000000000");
    let between = &shown["providers"][0];
    assert_eq!(between["setAsideWei"], "24000000000000000");
    assert_eq!(between["vouchers"]["paidWei"], "0");
    assert!(between["record"].is_null());

    let refund = setting.good(USER, &["refund", &provider, "0.014eth"]).await;
    assert_eq!(
        (refund["done"].as_str(), refund["pendingWei"].as_str()),
        (Some("asked for"), Some("14000000000000000"))
    );
    let early = setting.bad(USER, &["refund", &provider, "--complete"]).await;
    assert_eq!(early, ("contract_refused".to_owned(), 2));
    setting.anvil.advance_time(25 * 3600).await.unwrap();
    setting.good(USER, &["refund", &provider, "--complete"]).await;
    // Half of what is left, asked for and given up.
    setting.good(USER, &["refund", &provider]).await;
    setting.good(USER, &["refund", &provider, "--cancel"]).await;

    let withdrawn = setting.good(USER, &["withdraw", "0.02eth"]).await;
    assert_eq!(withdrawn["withdrawnWei"], "20000000000000000");
    let shown = setting.good(USER, &["ledger", "--provider", &provider]).await;
    assert_eq!(shown["availableWei"], "0");
    assert_eq!(shown["providers"][0]["setAsideWei"], "10000000000000000");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_for_nothing() {
    let setting = Setting::new().await;
    let provider = address(PROVIDER);
    let before = setting.sent(USER).await;
    for refused in [
        &["withdraw"][..],
        &["withdraw", "1eth"],
        &["withdraw", "--earned"],
        &["refund", &provider],
    ] {
        let (code, exit) = setting.bad(USER, refused).await;
        assert_eq!((&*code, exit), ("nothing_to_do", 1), "{refused:?}");
    }
    assert_eq!(setting.sent(USER).await, before);
    // Somebody else may pay in.
    let user = address(USER);
    setting.good(OTHER, &["deposit", "0.01eth", "--for", &user]).await;
    let shown = setting.good(OTHER, &["ledger", "--user", &user]).await;
    assert_eq!(shown["availableWei"], "10000000000000000");
}
