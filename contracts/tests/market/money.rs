//! Prepaid money, and the two ways in which it pays: vouchers of users, settlements of providers.

use alloy::primitives::{Address, B256, U256};
use alloy::sol_types::SolCall;
use jeju_chain::VoucherSession;
use jeju_contracts::bindings::InferenceServing;
use jeju_contracts::ledger;
use jeju_contracts::sender::quantity;
use jeju_contracts::serving::{self, Settlement};
use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::market::{self, SignedVoucher};
use serde_json::json;

use crate::{ENCLAVE, ETHER, Market, PROVIDER, refused, submitted, wallet};

#[tokio::test]
async fn money_is_deposited_set_aside_refunded_and_withdrawn() {
    let market = Market::new().await;
    let (by_user, at) = (market.by_user(), market.ledger);
    let (user, provider) = (market.user.address(), market.provider.address());
    let balances = async || {
        let block = market.block().await;
        let ledger = market.reader.ledger_at(&block, &at, &user).await.unwrap();
        (
            ledger.total,
            ledger.available,
            ledger.locked,
            ledger.created_at != 0,
        )
    };
    assert_eq!(balances().await, (0, 0, 0, false));
    refused(ledger::deposit(&by_user, at, 5).await, "LedgerNotFound");
    let little = ledger::MIN_DEPOSIT - 1;
    refused(ledger::create(&by_user, at, little).await, "InsufficientDeposit");
    ledger::create(&by_user, at, ledger::MIN_DEPOSIT).await.unwrap();
    refused(ledger::create(&by_user, at, ETHER).await, "LedgerAlreadyExists");
    ledger::deposit(&by_user, at, 5).await.unwrap();
    ledger::deposit_for(&market.by_provider(), at, user, 7)
        .await
        .unwrap();
    let total = ledger::MIN_DEPOSIT + 12;
    assert_eq!(balances().await, (total, total, 0, true));

    let set_aside = async |amount| ledger::transfer_to_provider(&by_user, at, provider, amount).await;
    refused(set_aside(total + 1).await, "InsufficientBalance");
    refused(set_aside(0).await, "InvalidAmount");
    set_aside(1000).await.unwrap();
    assert_eq!(balances().await, (total, total - 1000, 1000, true));

    let refund = async |amount| ledger::request_refund(&by_user, at, provider, amount).await;
    refused(refund(1001).await, "InsufficientBalance");
    refund(400).await.unwrap();
    refused(refund(1).await, "RefundAlreadyPending");
    let sub = market.sub_account().await;
    assert_eq!(
        (sub.balance, sub.pending_refund, sub.acknowledged),
        (600, 400, false)
    );
    assert_eq!(sub.refund_unlock, market.block().await.timestamp + 24 * 3600);
    refused(
        ledger::complete_refund(&by_user, at, provider).await,
        "RefundNotUnlocked",
    );
    ledger::cancel_refund(&by_user, at, provider).await.unwrap();
    assert_eq!(market.sub_account().await.balance, 1000);
    refused(
        ledger::cancel_refund(&by_user, at, provider).await,
        "NoRefundPending",
    );
    refund(400).await.unwrap();
    market.anvil.advance_time(24 * 3600).await.unwrap();
    ledger::complete_refund(&by_user, at, provider).await.unwrap();
    assert_eq!(balances().await, (total, total - 600, 600, true));

    let elsewhere = Address::repeat_byte(0x77);
    let available = total - 600;
    let much = ledger::withdraw(&by_user, at, Some(elsewhere), available + 1).await;
    refused(much, "InsufficientBalance");
    ledger::withdraw(&by_user, at, Some(elsewhere), available - 1)
        .await
        .unwrap();
    let balance = quantity(market.anvil.rpc(), "eth_getBalance", json!([elsewhere, "latest"])).await;
    assert_eq!(u128::from(balance.unwrap()), available - 1);
    ledger::withdraw(&by_user, at, None, 1).await.unwrap();
    assert_eq!(balances().await, (600, 0, 600, true));
}

#[tokio::test]
async fn vouchers_pay_once_and_only_what_the_user_signed() {
    let market = Market::new().await;
    market.register(None).await;
    market.prepay(1000).await;
    assert_eq!(market.session().await, VoucherSession::default());

    // Both encodings are one: the contract's and that of clients and nodes.
    let first = market.sign(market.promise(300, 1));
    let call = InferenceServing::voucherDigestCall {
        voucher: (&submitted(&first.voucher)).into(),
    };
    let block = market.block().await;
    let digest = market
        .reader
        .call_at(&block, &market.serving, &call.abi_encode(), 32)
        .await;
    assert_eq!(
        digest.unwrap().unwrap(),
        first.voucher.digest(&market.at()),
        "voucherDigest"
    );

    let forged = SignedVoucher {
        signature: wallet(PROVIDER).sign(&first.voucher.digest(&market.at())),
        ..first
    };
    refused(market.submit(&forged).await, "InvalidVoucher");
    let mut raised = first;
    raised.voucher.cumulative = 1000;
    refused(market.submit(&raised).await, "InvalidVoucher");
    let late = market.sign(market::Voucher {
        expiry: 1,
        ..market.promise(300, 1)
    });
    refused(market.submit(&late).await, "VoucherExpired");

    market.submit(&first).await.unwrap();
    let after = VoucherSession {
        paid: 300,
        sequence: 1,
    };
    assert_eq!(market.session().await, after);
    refused(market.submit(&first).await, "NothingDue");
    assert_eq!(
        market.owed(market.provider.address()).await,
        300 - 300 * 250 / 10_000
    );

    // The newest one replaces all before, and pays as far as what is set aside goes.
    market
        .submit(&market.sign(market.promise(1500, 3)))
        .await
        .unwrap();
    refused(
        market.submit(&market.sign(market.promise(900, 2))).await,
        "VoucherSuperseded",
    );
    assert_eq!(
        (market.session().await.paid, market.sub_account().await.balance),
        (1000, 0)
    );
    let provider = market.provider.address();
    ledger::transfer_to_provider(&market.by_user(), market.ledger, provider, 5000)
        .await
        .unwrap();
    market
        .submit(&market.sign(market.promise(1500, 3)))
        .await
        .unwrap();
    assert_eq!(
        (market.session().await.paid, market.sub_account().await.balance),
        (1500, 4500)
    );

    // What is on its way back is still reached by what was signed before.
    ledger::request_refund(&market.by_user(), market.ledger, provider, 4500)
        .await
        .unwrap();
    market
        .submit(&market.sign(market.promise(1600, 4)))
        .await
        .unwrap();
    let sub = market.sub_account().await;
    assert_eq!((sub.balance, sub.pending_refund), (0, 4400));

    let elsewhere = Address::repeat_byte(0x78);
    let earned = market.owed(provider).await;
    ledger::withdraw_earned(&market.by_provider(), market.ledger, Some(elsewhere))
        .await
        .unwrap();
    let balance = quantity(market.anvil.rpc(), "eth_getBalance", json!([elsewhere, "latest"])).await;
    assert_eq!(u128::from(balance.unwrap()), earned);
    refused(
        ledger::withdraw_earned(&market.by_provider(), market.ledger, None).await,
        "NothingOwed",
    );
}

#[tokio::test]
async fn settlements_need_the_signers_word_and_the_next_nonce() {
    let market = Market::new().await;
    market.register(None).await;
    market.offer("other", 1000, 1000).await.unwrap();
    market.offer("m", 10, 100).await.unwrap();
    market.prepay(ETHER / 2).await;
    let (user, provider) = (market.user.address(), market.provider.address());
    let nonce = async || {
        let block = market.block().await;
        let nonce = market
            .reader
            .settlement_nonce_at(&block, &market.serving, &user, &provider);
        nonce.await.unwrap()
    };
    let signer = async || {
        let block = market.block().await;
        let signer = market
            .reader
            .settlement_signer_at(&block, &market.serving, &provider);
        signer.await.unwrap()
    };
    assert_eq!((nonce().await, signer().await), (0, provider.into_array()));

    let asked = |service| market::Settlement {
        user: Account(user.into_array()),
        provider: Account(provider.into_array()),
        service,
        request_hash: [5; 32],
        input_tokens: 7,
        output_tokens: 3,
        nonce: 0,
    };
    let call = InferenceServing::settlementDigestCall {
        user,
        provider,
        service: U256::from(1),
        requestHash: B256::repeat_byte(5),
        inputTokens: U256::from(7),
        outputTokens: U256::from(3),
        nonce: U256::ZERO,
    };
    let block = market.block().await;
    let digest = market
        .reader
        .call_at(&block, &market.serving, &call.abi_encode(), 32)
        .await;
    assert_eq!(digest.unwrap().unwrap(), asked(1).digest(&market.at()));

    let settlement = |nonce| Settlement {
        provider,
        request_hash: B256::repeat_byte(5),
        input_tokens: 7,
        output_tokens: 3,
        nonce,
    };
    let settle = async |service, nonce, key: &str, signed_for| {
        let signature = wallet(key).sign(&asked(signed_for).digest(&market.at()));
        let (sender, asked) = (market.by_user(), settlement(nonce));
        serving::settle(&sender, market.serving, service, &asked, &signature.0).await
    };
    refused(settle(Some(1), 0, ENCLAVE, 1).await, "UserNotAcknowledged");
    ledger::acknowledge_user(&market.by_provider(), market.ledger, user)
        .await
        .unwrap();
    assert!(market.sub_account().await.acknowledged);
    refused(settle(Some(1), 0, ENCLAVE, 1).await, "InvalidSignature");
    let enclave = wallet(ENCLAVE).account().0;
    serving::set_signer(&market.by_provider(), market.serving, Some(enclave.into()))
        .await
        .unwrap();
    assert_eq!(signer().await, enclave);
    // The provider's own word, and one for another service, no longer count.
    refused(settle(Some(1), 0, PROVIDER, 1).await, "InvalidSignature");
    refused(settle(None, 0, ENCLAVE, 1).await, "InvalidSignature");
    refused(settle(Some(1), 1, ENCLAVE, 1).await, "InvalidNonce");
    settle(Some(1), 0, ENCLAVE, 1).await.unwrap();
    assert_eq!(nonce().await, 1);
    refused(settle(Some(1), 0, ENCLAVE, 1).await, "InvalidNonce");
    let cost = 7 * 10 + 3 * 100;
    assert_eq!(market.sub_account().await.balance, ETHER / 2 - cost);
    assert_eq!(market.owed(provider).await, cost - cost * 250 / 10_000);

    serving::set_signer(&market.by_provider(), market.serving, None)
        .await
        .unwrap();
    assert_eq!(signer().await, provider.into_array());
}
