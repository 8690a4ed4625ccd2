//! The transactions of a rental's life on a real chain, read back by the chain reader, and what the contracts refuse.

use alloy::primitives::{Address, B256, U256};
use alloy::sol_types::SolCall;
use jeju_chain::{ChainReader, GpuType, Offer, RentalRecord, RentalResources, RentalStatus};
use jeju_contracts::bindings::ComputeRental;
use jeju_contracts::localnet::{Anvil, AnvilOptions};
use jeju_contracts::network::LOCALNET_CHAIN_ID;
use jeju_contracts::rental::{self, NewRental};
use jeju_contracts::sender::{AccountKey, SendError, Sender, quantity};
use serde_json::json;

const ETHER: u128 = 1_000_000_000_000_000_000;
const RATE: u128 = ETHER / 100;

/// Anvil's third and fourth accounts.
fn user() -> AccountKey {
    key("5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a")
}

fn provider() -> AccountKey {
    key("7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6")
}

fn key(text: &str) -> AccountKey {
    text.parse().unwrap()
}

fn offer() -> Offer {
    Offer {
        resources: RentalResources {
            gpu_type: GpuType::None,
            gpu_count: 0,
            gpu_vram_gb: 0,
            cpu_cores: 2,
            memory_gb: 4,
            storage_gb: 20,
            bandwidth_mbps: 1000,
            tee_capable: true,
        },
        price_per_hour: RATE,
        price_per_gpu_hour: 0,
        minimum_hours: 1,
        maximum_hours: 10,
        max_concurrent: 2,
        active: 0,
        ssh_enabled: true,
        docker_enabled: true,
    }
}

fn wanted() -> NewRental {
    NewRental {
        provider: provider().address(),
        hours: 2,
        ssh_public_key: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEjUn me".to_owned(),
        container_image: "busybox".to_owned(),
        startup_script: String::new(),
    }
}

/// A chain with all contracts, and the addresses of registry of agents, registry of providers, and rentals.
async fn chain() -> (Anvil, [Address; 3]) {
    let options = AnvilOptions {
        port: 0,
        block_time: None,
    };
    let anvil = Anvil::spawn(&options).unwrap();
    let deployment = anvil.deploy_contracts().await.unwrap();
    let at = ["identityRegistry", "computeRegistry", "computeRental"];
    (anvil, at.map(|name| deployment.contracts[name].address))
}

async fn record(reader: &ChainReader, contract: Address, id: B256) -> RentalRecord {
    let block = reader.newest_block().await.unwrap();
    reader.rental_at(&block, &contract, &id).await.unwrap().unwrap()
}

async fn owed(reader: &ChainReader, contract: Address, account: Address) -> u128 {
    let block = reader.newest_block().await.unwrap();
    reader.owed_at(&block, &contract, &account).await.unwrap()
}

#[track_caller]
fn refused<T: std::fmt::Debug>(outcome: Result<T, SendError>, name: &str) {
    let error = outcome.unwrap_err();
    assert!(error.is_refusal(name), "{error}");
}

#[tokio::test]
async fn a_rental_is_made_started_extended_ended_and_paid() {
    let (anvil, [identities, registry, contract]) = chain().await;
    let reader = anvil.reader();
    let (user, provider) = (user(), provider());
    let by_user = Sender::new(anvil.rpc(), &user, LOCALNET_CHAIN_ID);
    let by_provider = Sender::new(anvil.rpc(), &provider, LOCALNET_CHAIN_ID);

    // The provider: agent, registration with stake, offer, link.
    let (agent, _) = rental::register_agent(&by_provider, identities, "https://p.example/agent.json")
        .await
        .unwrap();
    let block = reader.newest_block().await.unwrap();
    let found = rental::registries(&reader, &block, contract)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((found.providers, found.identities), (registry, identities));
    let stake = found.minimum_stake;
    assert_eq!(stake, ETHER / 100);
    let other = rental::registries(&reader, &block, registry).await.unwrap();
    assert_eq!(other, None, "another contract");
    let register = async |stake: u128| {
        let endpoint = "https://p.example:4007";
        rental::register_provider(&by_provider, registry, "p", endpoint, Some(agent), stake).await
    };
    refused(register(1).await, "InsufficientStake");
    register(stake).await.unwrap();
    refused(register(stake).await, "ProviderAlreadyRegistered");
    let too_long = Offer {
        maximum_hours: 721,
        ..offer()
    };
    let outcome = rental::set_provider_resources(&by_provider, contract, &too_long, &[]).await;
    refused(outcome, "InvalidDuration");
    rental::set_provider_resources(&by_provider, contract, &offer(), &["busybox".to_owned()])
        .await
        .unwrap();
    rental::link_provider_agent(&by_provider, contract, agent)
        .await
        .unwrap();
    let block = reader.newest_block().await.unwrap();
    let found = reader
        .offer_at(&block, &contract, &provider.address())
        .await
        .unwrap();
    assert_eq!(found, Some(offer()));

    // The user: too little, another image, no key; then with too much, which is credited.
    let price = 2 * RATE;
    let little = rental::create(&by_user, contract, &wanted(), 1).await;
    refused(little, "InsufficientPayment");
    let other = NewRental {
        container_image: "debian".to_owned(),
        ..wanted()
    };
    refused(
        rental::create(&by_user, contract, &other, price).await,
        "ImageNotSupported",
    );
    let keyless = NewRental {
        ssh_public_key: String::new(),
        ..wanted()
    };
    refused(
        rental::create(&by_user, contract, &keyless, price).await,
        "InvalidSSHKey",
    );
    let (id, _) = rental::create(&by_user, contract, &wanted(), price + 5)
        .await
        .unwrap();
    assert_eq!(owed(&reader, contract, user.address()).await, 5);
    let pending = record(&reader, contract, id).await;
    assert_eq!(
        (pending.status, pending.paid, pending.rate),
        (RentalStatus::Pending, 2 * RATE, RATE)
    );
    assert_eq!(
        pending.ssh_public_key.as_str(),
        Some(wanted().ssh_public_key.as_str())
    );

    // Start: the provider's alone, once.
    let start = async |sender| rental::start(sender, contract, id, "p.example", 2222, "jeju-x").await;
    refused(start(&by_user).await, "NotRentalProvider");
    let extended = rental::extend(&by_user, contract, id, 1, RATE).await;
    refused(extended, "RentalNotActive");
    start(&by_provider).await.unwrap();
    refused(start(&by_provider).await, "RentalNotActive");
    refused(
        rental::cancel(&by_user, contract, id).await,
        "CannotCancelActiveRental",
    );
    let active = record(&reader, contract, id).await;
    assert_eq!((active.status, active.ssh_port), (RentalStatus::Active, 2222));
    assert_eq!(active.end_time - active.start_time, 2 * 3600);

    rental::extend(&by_user, contract, id, 1, RATE).await.unwrap();
    let longer = record(&reader, contract, id).await;
    assert_eq!((longer.end_time, longer.paid), (active.end_time + 3600, 3 * RATE));
    assert_eq!(longer.paid_hours(), 3);

    // An hour's use is the provider's, less the fee; the rest is the user's.
    anvil.advance_time(3600).await.unwrap();
    rental::complete(&by_user, contract, id).await.unwrap();
    refused(
        rental::complete(&by_provider, contract, id).await,
        "RentalNotActive",
    );
    let over = record(&reader, contract, id).await;
    assert_eq!(over.status, RentalStatus::Completed);
    let used = over.paid - over.refunded;
    assert!((RATE..RATE + RATE / 100).contains(&used), "{used}");
    let earned = owed(&reader, contract, provider.address()).await;
    assert_eq!(earned, used - used * 250 / 10_000);
    assert_eq!(owed(&reader, contract, user.address()).await, 5 + over.refunded);

    let elsewhere = Address::repeat_byte(0x77);
    rental::withdraw(&by_provider, contract, Some(elsewhere))
        .await
        .unwrap();
    let balance = quantity(anvil.rpc(), "eth_getBalance", json!([elsewhere, "latest"])).await;
    assert_eq!(u128::from(balance.unwrap()), earned);
    rental::withdraw(&by_user, contract, None).await.unwrap();
    refused(rental::withdraw(&by_user, contract, None).await, "NothingOwed");
    refused(
        rental::complete(&by_user, contract, B256::repeat_byte(9)).await,
        "RentalNotFound",
    );
}

#[tokio::test]
async fn a_rental_that_nobody_starts_is_paid_back() {
    let (anvil, [_, registry, contract]) = chain().await;
    let reader = anvil.reader();
    let (user, provider) = (user(), provider());
    let by_user = Sender::new(anvil.rpc(), &user, LOCALNET_CHAIN_ID);
    let by_provider = Sender::new(anvil.rpc(), &provider, LOCALNET_CHAIN_ID);
    rental::register_provider(&by_provider, registry, "p", "https://p", None, ETHER)
        .await
        .unwrap();
    rental::set_provider_resources(&by_provider, contract, &offer(), &[])
        .await
        .unwrap();
    let price = 2 * RATE;
    let (first, _) = rental::create(&by_user, contract, &wanted(), price)
        .await
        .unwrap();
    let (second, _) = rental::create(&by_user, contract, &wanted(), price)
        .await
        .unwrap();
    assert_ne!(first, second);
    rental::cancel(&by_user, contract, first).await.unwrap();
    refused(
        rental::expire(&by_provider, contract, second).await,
        "StillStartable",
    );
    anvil.advance_time(2 * 3600 + 60).await.unwrap();
    let late = rental::start(&by_provider, contract, second, "h", 1, "").await;
    refused(late, "RentalExpiredAt");
    rental::expire(&by_provider, contract, second).await.unwrap();
    assert_eq!(
        record(&reader, contract, first).await.status,
        RentalStatus::Cancelled
    );
    let expired = record(&reader, contract, second).await;
    assert_eq!(
        (expired.status, expired.refunded),
        (RentalStatus::Expired, 2 * RATE)
    );
    assert_eq!(owed(&reader, contract, user.address()).await, 4 * RATE);
}

/// Texts as long as the contract takes them, and bytes that are no text at all, which only a transaction made by hand has.
#[tokio::test]
async fn the_longest_texts_and_any_bytes_are_read_back() {
    let (anvil, [_, registry, contract]) = chain().await;
    let reader = anvil.reader();
    let (user, provider) = (user(), provider());
    let by_user = Sender::new(anvil.rpc(), &user, LOCALNET_CHAIN_ID);
    let by_provider = Sender::new(anvil.rpc(), &provider, LOCALNET_CHAIN_ID);
    rental::register_provider(&by_provider, registry, "p", "https://p", None, ETHER)
        .await
        .unwrap();
    rental::set_provider_resources(&by_provider, contract, &offer(), &[])
        .await
        .unwrap();
    let price = 2 * RATE;
    let longest = NewRental {
        ssh_public_key: "k".repeat(jeju_chain::MAX_KEY_BYTES),
        container_image: "i".repeat(jeju_chain::MAX_IMAGE_BYTES),
        startup_script: "s".repeat(jeju_chain::MAX_SCRIPT_BYTES),
        ..wanted()
    };
    let (id, _) = rental::create(&by_user, contract, &longest, price).await.unwrap();
    rental::start(
        &by_provider,
        contract,
        id,
        &"h".repeat(jeju_chain::MAX_HOST_BYTES),
        1,
        "c",
    )
    .await
    .unwrap();
    let found = record(&reader, contract, id).await;
    assert_eq!(
        found.ssh_public_key.as_str(),
        Some(longest.ssh_public_key.as_str())
    );
    assert_eq!(
        found.container_image.as_str(),
        Some(longest.container_image.as_str())
    );
    assert_eq!(
        found.startup_script.as_str(),
        Some(longest.startup_script.as_str())
    );
    assert_eq!(found.ssh_host.as_bytes().len(), jeju_chain::MAX_HOST_BYTES);
    let longer = NewRental {
        startup_script: "s".repeat(jeju_chain::MAX_SCRIPT_BYTES + 1),
        ..wanted()
    };
    refused(
        rental::create(&by_user, contract, &longer, price).await,
        "InvalidText",
    );

    let call = ComputeRental::createRentalCall {
        provider: provider.address(),
        durationHours: U256::from(2),
        sshPublicKey: "\u{1}\u{2}\u{3}\u{4}".to_owned(),
        containerImage: String::new(),
        startupScript: String::new(),
    };
    let mut data = call.abi_encode();
    let at = data.windows(4).position(|bytes| bytes == [1, 2, 3, 4]).unwrap();
    data[at..at + 4].copy_from_slice(&[0xff, 0x1b, 0x00, 0x80]);
    by_user
        .send_value(contract, data.into(), U256::from(price))
        .await
        .unwrap();
    let block = reader.newest_block().await.unwrap();
    let ids = reader
        .user_rentals_at(&block, &contract, &user.address(), 1, 9)
        .await;
    let found = record(&reader, contract, ids.unwrap()[0].into()).await;
    assert_eq!(found.ssh_public_key.as_bytes(), [0xff, 0x1b, 0x00, 0x80]);
    assert_eq!(found.ssh_public_key.as_str(), None);
}

/// One number, one transaction: what a second run sends with the number of a first can't be carried out too.
#[tokio::test]
async fn a_transactions_number_is_used_once() {
    let (anvil, [_, registry, _]) = chain().await;
    let provider = provider();
    let sender = || Sender::new(anvil.rpc(), &provider, LOCALNET_CHAIN_ID).with_nonce(0);
    let register = async |sender: Sender<'_>| {
        rental::register_provider(&sender, registry, "p", "https://p", None, ETHER).await
    };
    register(sender()).await.unwrap();
    let again = sender().send(Address::repeat_byte(5), Default::default()).await;
    assert!(matches!(again, Err(SendError::Rpc(_))), "{again:?}");
    let count = quantity(
        anvil.rpc(),
        "eth_getTransactionCount",
        json!([provider.address(), "latest"]),
    );
    assert_eq!(count.await.unwrap(), 1);
}

/// `jeju-chain` has no alloy, so its selectors are written by hand.
#[test]
fn the_readers_selectors_are_the_contracts() {
    for (written, selector) in [
        (
            jeju_chain::GET_RENTAL_SELECTOR,
            ComputeRental::getRentalCall::SELECTOR,
        ),
        (
            jeju_chain::TERMS_OF_SELECTOR,
            ComputeRental::termsOfCall::SELECTOR,
        ),
        (
            jeju_chain::GET_PROVIDER_RENTALS_PAGE_SELECTOR,
            ComputeRental::getProviderRentalsPageCall::SELECTOR,
        ),
        (
            jeju_chain::GET_USER_RENTALS_PAGE_SELECTOR,
            ComputeRental::getUserRentalsPageCall::SELECTOR,
        ),
        (
            jeju_chain::GET_PROVIDER_RESOURCES_SELECTOR,
            ComputeRental::getProviderResourcesCall::SELECTOR,
        ),
        (
            jeju_chain::CALCULATE_RENTAL_COST_SELECTOR,
            ComputeRental::calculateRentalCostCall::SELECTOR,
        ),
        (jeju_chain::OWED_SELECTOR, ComputeRental::owedCall::SELECTOR),
    ] {
        assert_eq!(written, selector);
    }
}
