//! Receipts of a running node, as the contracts take them, and what they refuse.

use jeju_attestation::bundle::Bundle;
use jeju_attestation::claims::ClaimsBuffer;
use jeju_chain::AttestedSigner;
use jeju_contracts::sender::AccountKey;
use jeju_contracts::serving::{self, UsageReceipt};
use jeju_contracts::{ledger, localnet};
use jeju_wallet_auth::market::{SignedVoucher, Voucher};
use jeju_wallet_auth::signature::AccountKey as Wallet;

use crate::chain::{Chain, ETHER, PROVIDER, USER};
use crate::host::{DOCUMENT, Host, IMAGE, now};
use crate::{Account, At, Receipt, Signature, account, chat, check, id, machine, receipt, services};

/// A node of the chain's provider, and the claims of its first epoch.
async fn node(chain: &Chain) -> (Host, ClaimsBuffer) {
    let mut machine = machine();
    let socket = machine.socket(8545);
    chain.listen(&socket);
    machine.routes.insert("127.0.0.1:8545".to_owned(), socket);
    let document = DOCUMENT
        .replace(&"01".repeat(32), &hex::encode(chain.agent))
        .replace(&"02".repeat(20), &hex::encode(chain.at("measurementRegistry")));
    let keys = chain.at("attestedKeyRegistry");
    let host = machine.start(document + &services(Some(keys))).await;
    let evidence = host
        .connect()
        .await
        .request("GET", "/.well-known/jeju/evidence", b"")
        .await;
    let bundle = Bundle::parse(&evidence.unwrap().1).unwrap();
    let claims = ClaimsBuffer::parse(&bundle.claims).unwrap();
    (host, claims)
}

fn usage(receipt: &Receipt) -> UsageReceipt {
    UsageReceipt {
        agent: receipt.agent.into(),
        boot: receipt.boot,
        request_id: receipt.request_id.into(),
        request_digest: receipt.request_digest.into(),
        response_digest: receipt.response_digest.into(),
        input_units: receipt.input_units,
        output_units: receipt.output_units,
        epoch: receipt.epoch,
        anchor_block: receipt.anchor_block,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_nodes_receipt_is_counted_once_and_a_changed_one_refused() {
    let chain = Chain::new(IMAGE).await;
    let (host, claims) = node(&chain).await;
    let keys = chain.at("attestedKeyRegistry");
    let (serving, ledgers) = (chain.at("inferenceServing"), chain.at("ledgerManager"));
    let at = At {
        chain_id: 31337,
        contract: Account(keys),
    };
    let (answer, request) = chat(&host).await;
    let shown = receipt(&host, &id(&answer)).await["receipt"].clone();
    let said = check(&shown, &at, claims.claims(), &request, &answer.body);
    let signature = Signature::parse(shown["signature"].as_str().unwrap()).unwrap();
    let signer = async |receipt: &Receipt, signature: &Signature| {
        let block = chain.block().await;
        let digest = receipt.digest(&at);
        let found = chain
            .reader
            .attested_signer_at(&block, &keys, &digest, &signature.0);
        found.await.unwrap()
    };

    // A key that nobody registered signs for nobody.
    assert_eq!(signer(&said, &signature).await, None);
    let key = account(claims.claims()).0;
    chain.register(&claims, key).await;
    let registered = AttestedSigner {
        key,
        agent: chain.agent,
    };
    assert_eq!(signer(&said, &signature).await, Some(registered));
    let more = Receipt {
        output_units: said.output_units + 1,
        ..said
    };
    assert_eq!(signer(&more, &signature).await, None);
    let mut other = signature;
    other.0[64] = 27 + 28 - other.0[64];
    assert_eq!(signer(&said, &other).await, None);

    // The user pays by a voucher for this very answer, and the provider submits it with the receipt.
    let (user, provider): (AccountKey, AccountKey) = (USER.parse().unwrap(), PROVIDER.parse().unwrap());
    let by_user = chain.sender(&user);
    ledger::create(&by_user, ledgers.into(), ETHER).await.unwrap();
    ledger::transfer_to_provider(&by_user, ledgers.into(), provider.address(), ETHER / 2)
        .await
        .unwrap();
    let voucher = |sequence: u64, response_digest| {
        let voucher = Voucher {
            user: Account(user.address().into_array()),
            provider: Account(provider.address().into_array()),
            cumulative: 1000 * u128::from(sequence),
            sequence,
            request_digest: said.request_digest,
            response_digest,
            expiry: now() + 24 * 3600,
        };
        let serving = At {
            chain_id: 31337,
            contract: Account(serving),
        };
        SignedVoucher::sign(voucher, &serving, &Wallet::from_hex(USER.as_bytes()).unwrap()).unwrap()
    };
    let by_anyone = localnet::revoker_key();
    let submit = async |signed: SignedVoucher, receipt: &Receipt, signature: &Signature| {
        let voucher = serving::Voucher {
            user: signed.voucher.user.0.into(),
            provider: signed.voucher.provider.0.into(),
            cumulative: signed.voucher.cumulative,
            sequence: signed.voucher.sequence,
            request_digest: signed.voucher.request_digest.into(),
            response_digest: signed.voucher.response_digest.into(),
            expiry: signed.voucher.expiry,
        };
        serving::settle_voucher_with_receipt(
            &chain.sender(&by_anyone),
            serving.into(),
            &voucher,
            &signed.signature.0,
            &usage(receipt),
            &signature.0,
        )
        .await
    };
    let refused = |result: Result<_, jeju_contracts::sender::SendError>, name: &str| {
        let error = result.map(drop).unwrap_err();
        assert!(error.is_refusal(name), "{error}");
    };
    let first = || voucher(1, said.response_digest);
    refused(submit(first(), &more, &signature).await, "NotLive");
    refused(submit(first(), &said, &other).await, "NotLive");
    refused(
        submit(voucher(1, [9; 32]), &said, &signature).await,
        "ReceiptMismatch",
    );
    submit(first(), &said, &signature).await.unwrap();
    let again = voucher(2, said.response_digest);
    refused(submit(again, &said, &signature).await, "ReceiptAlreadyCounted");
    let block = chain.block().await;
    let stats = chain
        .reader
        .agent_stats_at(&block, &serving, &chain.agent)
        .await
        .unwrap();
    assert_eq!(
        (stats.tokens, stats.revenue),
        (said.input_units + said.output_units, 1000)
    );
    let (user, provider) = (user.address(), provider.address());
    let session = chain
        .reader
        .voucher_session_at(&block, &serving, &user, &provider);
    assert_eq!(
        session.await.unwrap().paid,
        1000,
        "a refused submission paid nothing"
    );
}
