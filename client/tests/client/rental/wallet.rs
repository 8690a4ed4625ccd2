//! The provider's wallet on a real chain: each operation once, whatever happens in between.

use std::sync::Arc;
use std::time::Duration;

use jeju_attestation::hex_bytes::HexBytes;
use jeju_chain::RentalStatus;
use jeju_client::provider::{Next, Operation, ProviderWallet, Step};

use super::{OTHER, PROVIDER, Setting, USER, key};

fn started(rental: HexBytes<32>) -> Next {
    Next {
        rental,
        operation: Operation::Start {
            ssh_host: "ssh.example".into(),
            ssh_port: 2222,
            container_id: "jeju-01".into(),
        },
    }
}

fn completed(rental: HexBytes<32>) -> Next {
    Next {
        rental,
        operation: Operation::Complete,
    }
}

fn wallet(setting: &Setting, account: &str) -> ProviderWallet {
    ProviderWallet::new(setting.market(), key(account))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_sends_each_operation_once() {
    let setting = Setting::with_offer().await;
    let id = setting.create(USER, &[]).await;
    let before = setting.sent(PROVIDER, "latest").await;
    let provider = wallet(&setting, PROVIDER);
    // Not started: there is nothing to complete.
    assert_eq!(provider.carry_out(&completed(id)).await.unwrap(), Step::NotNeeded);
    assert!(matches!(
        provider.carry_out(&started(id)).await.unwrap(),
        Step::Sent(_)
    ));
    assert_eq!(provider.carry_out(&started(id)).await.unwrap(), Step::NotNeeded);
    let record = setting.record(id).await;
    assert_eq!(
        (record.status, record.ssh_host.as_str()),
        (RentalStatus::Active, Some("ssh.example"))
    );
    // Another run of the program.
    let again = wallet(&setting, PROVIDER);
    assert_eq!(again.carry_out(&started(id)).await.unwrap(), Step::NotNeeded);
    assert!(matches!(
        again.carry_out(&completed(id)).await.unwrap(),
        Step::Sent(_)
    ));
    assert_eq!(provider.carry_out(&completed(id)).await.unwrap(), Step::NotNeeded);
    assert_eq!(setting.record(id).await.status, RentalStatus::Completed);
    assert_eq!(setting.sent(PROVIDER, "latest").await, before + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_for_another_providers_rental_or_too_late() {
    let setting = Setting::with_offer().await;
    let (id, late) = (setting.create(USER, &[]).await, setting.create(USER, &[]).await);
    let other = wallet(&setting, OTHER);
    assert_eq!(other.carry_out(&started(id)).await.unwrap(), Step::NotOurs);
    wallet(&setting, PROVIDER).carry_out(&started(id)).await.unwrap();
    // Its time is over, so the contract would let anyone complete it.
    setting.anvil.advance_time(3 * 3600).await.unwrap();
    assert_eq!(other.carry_out(&completed(id)).await.unwrap(), Step::NotOurs);
    assert_eq!(
        other.carry_out(&started(HexBytes([9; 32]))).await.unwrap(),
        Step::NotOurs
    );
    assert_eq!(setting.sent(OTHER, "pending").await, 0);
    let provider = wallet(&setting, PROVIDER);
    let before = setting.sent(PROVIDER, "pending").await;
    assert_eq!(provider.carry_out(&started(late)).await.unwrap(), Step::NotNeeded);
    assert_eq!(setting.sent(PROVIDER, "pending").await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_contract_refuses_costs_nothing() {
    let setting = Setting::with_offer().await;
    let (first, second) = (setting.create(USER, &[]).await, setting.create(USER, &[]).await);
    setting.offer(PROVIDER, "1").await;
    let provider = wallet(&setting, PROVIDER);
    provider.carry_out(&started(first)).await.unwrap();
    let before = setting.sent(PROVIDER, "latest").await;
    let refused = provider.carry_out(&started(second)).await.unwrap();
    assert_eq!(refused, Step::Refused("ProviderAtCapacity".into()));
    assert_eq!(setting.sent(PROVIDER, "pending").await, before);
}

/// Killed between sending and the receipt, while the transaction waits.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_before_a_crash_is_not_sent_again() {
    let setting = Arc::new(Setting::with_offer().await);
    let id = setting.create(USER, &[]).await;
    let before = setting.sent(PROVIDER, "latest").await;
    setting.mines_by_itself(false).await;
    let task = tokio::spawn({
        let setting = setting.clone();
        async move { wallet(&setting, PROVIDER).carry_out(&started(id)).await }
    });
    while setting.sent(PROVIDER, "pending").await == before {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());

    let impatient = wallet(&setting, PROVIDER).waiting(Duration::from_millis(300));
    let error = impatient.carry_out(&started(id)).await.unwrap_err();
    assert_eq!(error.code(), "transaction_pending");
    assert_eq!(setting.sent(PROVIDER, "pending").await, before + 1);
    let patient = tokio::spawn({
        let setting = setting.clone();
        async move { wallet(&setting, PROVIDER).carry_out(&started(id)).await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    setting.anvil.mine(1).await.unwrap();
    assert_eq!(patient.await.unwrap().unwrap(), Step::NotNeeded);
    assert_eq!(setting.sent(PROVIDER, "pending").await, before + 1);
    assert_eq!(setting.record(id).await.status, RentalStatus::Active);
}

/// The highest fee that the chain's nodes know for a transaction that waits, by its number.
async fn waiting_fee(setting: &Setting, account: &str, number: u64) -> u128 {
    let pool: serde_json::Value = setting
        .anvil
        .rpc()
        .call("txpool_content", serde_json::json!([]))
        .await
        .unwrap();
    let wanted = super::address(account).to_lowercase();
    let of_account = pool["pending"].as_object().unwrap().iter();
    let (_, waiting) = of_account
        .into_iter()
        .find(|(from, _)| from.to_lowercase() == wanted)
        .unwrap();
    assert_eq!(waiting.as_object().unwrap().len(), 1, "{waiting}");
    let fee = waiting[number.to_string()]["maxFeePerGas"].as_str().unwrap();
    u128::from_str_radix(fee.trim_start_matches("0x"), 16).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_is_stuck_is_sent_again_for_more_and_carried_out_once() {
    let setting = Setting::with_offer().await;
    let id = setting.create(USER, &[]).await;
    let before = setting.sent(PROVIDER, "latest").await;
    setting.mines_by_itself(false).await;
    let impatient = wallet(&setting, PROVIDER).waiting(Duration::from_millis(300));
    let mut fees = Vec::new();
    for _ in 0..3 {
        let error = impatient.carry_out(&started(id)).await.unwrap_err();
        assert_eq!(error.code(), "transaction_unconfirmed");
        fees.push(waiting_fee(&setting, PROVIDER, before).await);
    }
    assert!(
        fees[1] * 4 >= fees[0] * 5 && fees[2] * 4 >= fees[1] * 5,
        "{fees:?}"
    );
    // Only so far: by then the chain works, or no fee helps.
    let mut last = String::new();
    for _ in 0..20 {
        last = impatient
            .carry_out(&started(id))
            .await
            .unwrap_err()
            .code()
            .to_owned();
    }
    assert_eq!(last, "transaction_pending");
    let highest = waiting_fee(&setting, PROVIDER, before).await;
    assert!(highest <= fees[0] * 20, "{highest} {fees:?}");
    setting.mines_by_itself(true).await;
    setting.anvil.mine(1).await.unwrap();
    assert_eq!(impatient.carry_out(&started(id)).await.unwrap(), Step::NotNeeded);
    assert_eq!(setting.record(id).await.status, RentalStatus::Active);
    assert_eq!(setting.sent(PROVIDER, "pending").await, before + 1);
    let patient = impatient.waiting(Duration::from_secs(60));
    assert!(matches!(
        patient.carry_out(&completed(id)).await.unwrap(),
        Step::Sent(_)
    ));
}

/// Two runs at the same time, which nobody should have: one transaction is carried out, the other one can't be.
#[tokio::test(flavor = "multi_thread")]
async fn two_runs_at_once_start_a_rental_once() {
    let setting = Arc::new(Setting::with_offer().await);
    let id = setting.create(USER, &[]).await;
    let before = setting.sent(PROVIDER, "latest").await;
    let run = || {
        let setting = setting.clone();
        tokio::spawn(async move { wallet(&setting, PROVIDER).carry_out(&started(id)).await })
    };
    let outcomes = [run(), run(), run()];
    let mut sent = 0;
    for outcome in outcomes {
        sent += usize::from(matches!(outcome.await.unwrap(), Ok(Step::Sent(_))));
    }
    assert_eq!((sent, setting.sent(PROVIDER, "latest").await), (1, before + 1));
    assert_eq!(setting.record(id).await.status, RentalStatus::Active);
}
