//! Rentals and offers, read where some or all endpoints lie.

use jeju_chain::{Block, ChainReader, GpuType, Offer, RentalRecord, RentalResources, RentalStatus};
use jeju_contracts::localnet::{Anvil, owner_key, revoker_key};
use jeju_contracts::rental::{self, NewRental};
use jeju_contracts::sender::{AccountKey, Sender};
use serde_json::{Value, json};

use crate::hostile::hostile;
use crate::{CHAIN, Lie, about, anvil, honest, reader};

struct Market {
    anvil: Anvil,
    contract: [u8; 20],
    provider: [u8; 20],
    rental: [u8; 32],
}

fn free_offer() -> Offer {
    Offer {
        resources: RentalResources {
            gpu_type: GpuType::NvidiaH100,
            gpu_count: 1,
            gpu_vram_gb: 80,
            cpu_cores: 2,
            memory_gb: 4,
            storage_gb: 20,
            bandwidth_mbps: 1000,
            tee_capable: false,
        },
        price_per_hour: 0,
        price_per_gpu_hour: 0,
        minimum_hours: 1,
        maximum_hours: 10,
        max_concurrent: 3,
        active: 0,
        ssh_enabled: true,
        docker_enabled: false,
    }
}

/// A provider with an offer, and a rental that waits to be started.
async fn market() -> Market {
    let anvil = anvil();
    let deployment = anvil.deploy_contracts().await.unwrap();
    let at = |name: &str| deployment.contracts[name].address;
    let (provider, user) = (owner_key(), revoker_key());
    let by_provider = sender(&anvil, &provider);
    let stake = 10_000_000_000_000_000;
    rental::register_provider(&by_provider, at("computeRegistry"), "p", "https://p", None, stake)
        .await
        .unwrap();
    let contract = at("computeRental");
    rental::set_provider_resources(&by_provider, contract, &free_offer(), &[])
        .await
        .unwrap();
    let mut market = Market {
        anvil,
        contract: contract.into(),
        provider: provider.address().into(),
        rental: [0; 32],
    };
    market.rental = market.rent(&user).await;
    market
}

fn sender<'a>(anvil: &'a Anvil, key: &'a AccountKey) -> Sender<'a> {
    Sender::new(anvil.rpc(), key, CHAIN)
}

impl Market {
    async fn rent(&self, user: &AccountKey) -> [u8; 32] {
        let wanted = NewRental {
            provider: self.provider.into(),
            hours: 2,
            ssh_public_key: "ssh-ed25519 AAAA".to_owned(),
            container_image: "busybox".to_owned(),
            startup_script: "sha256:00".to_owned(),
        };
        let by_user = sender(&self.anvil, user);
        let made = rental::create(&by_user, self.contract.into(), &wanted, 0).await;
        made.unwrap().0.into()
    }

    async fn start(&self) {
        let provider = owner_key();
        let by_provider = sender(&self.anvil, &provider);
        rental::start(
            &by_provider,
            self.contract.into(),
            self.rental.into(),
            "host",
            2222,
            "c",
        )
        .await
        .unwrap();
    }

    async fn read(&self, reader: &ChainReader, block: &Block) -> RentalRecord {
        let read = reader.rental_at(block, &self.contract, &self.rental).await;
        read.unwrap().unwrap()
    }
}

/// Another answer to calls whose data starts with these bytes.
fn answers(selector: [u8; 4], result: Value) -> Lie {
    let data = format!("0x{}", hex::encode(selector));
    std::sync::Arc::new(move |method, params, answer| {
        let asked = params[0]["data"].as_str().unwrap_or_default();
        match method == "eth_call" && asked.starts_with(&data) {
            true => json!({ "result": result }),
            false => answer,
        }
    })
}

#[tokio::test]
async fn rentals_and_offers_are_read_at_the_newest_block_and_at_a_final_one() {
    let market = market().await;
    let reader = market.anvil.reader();
    let newest = reader.newest_block().await.unwrap();
    let pending = market.read(&reader, &newest).await;
    assert_eq!(pending.status, RentalStatus::Pending);
    assert_eq!((pending.id, pending.provider), (market.rental, market.provider));
    assert_eq!(pending.start_deadline, newest.timestamp + 2 * 3600);

    // Not final yet; another id is none at all.
    let head = reader.finalized_block().await.unwrap().block;
    let early = reader.rental_at(&head, &market.contract, &market.rental).await;
    assert_eq!(early.unwrap(), None);
    let unknown = reader.rental_at(&newest, &market.contract, &[9; 32]).await;
    assert_eq!(unknown.unwrap(), None);
    market.anvil.finalize().await.unwrap();
    let head = reader.finalized_block().await.unwrap().block;
    assert_eq!(market.read(&reader, &head).await, pending);

    // Started in the newest block only, and the old one still answers for itself.
    market.start().await;
    let newest = reader.newest_block().await.unwrap();
    let active = market.read(&reader, &newest).await;
    assert_eq!(active.status, RentalStatus::Active);
    assert_eq!(active.end_time, newest.timestamp + 2 * 3600);
    assert_eq!(market.read(&reader, &head).await, pending);

    let offer = reader.offer_at(&newest, &market.contract, &market.provider).await;
    let started = Offer {
        active: 1,
        ..free_offer()
    };
    assert_eq!(offer.unwrap(), Some(started));
    let none = reader.offer_at(&newest, &market.contract, &[7; 20]).await;
    assert_eq!(none.unwrap(), None);
    let cost = reader
        .rental_cost_at(&newest, &market.contract, &market.provider, 5)
        .await;
    assert_eq!(cost.unwrap(), 0);

    for contract in [[0x77; 20], market.provider] {
        let error = reader
            .rental_at(&newest, &contract, &market.rental)
            .await
            .unwrap_err();
        assert_eq!(error.code(), "rpc-no-contract");
    }
}

#[tokio::test]
async fn pages_of_rentals_go_on_where_the_last_one_ended() {
    let market = market().await;
    let user = revoker_key();
    let mut all = vec![market.rental];
    for _ in 0..4 {
        all.push(market.rent(&user).await);
    }
    let reader = market.anvil.reader();
    let block = reader.newest_block().await.unwrap();
    let page = async |cursor, limit| {
        let of = reader.provider_rentals_at(&block, &market.contract, &market.provider, cursor, limit);
        of.await.unwrap()
    };
    assert_eq!(page(0, 2).await, all[..2]);
    assert_eq!(page(2, 2).await, all[2..4]);
    assert_eq!(page(4, 2).await, all[4..]);
    assert_eq!(page(5, 2).await, Vec::<[u8; 32]>::new());
    assert_eq!(page(u64::MAX, 2).await, Vec::<[u8; 32]>::new());
    assert_eq!(page(0, usize::MAX).await, all);
    let users = user.address().into();
    let mine = reader
        .user_rentals_at(&block, &market.contract, &users, 1, 100)
        .await;
    assert_eq!(mine.unwrap(), all[1..]);
}

#[tokio::test]
async fn a_minority_that_lies_about_rentals_changes_nothing() {
    let market = market().await;
    market.start().await;
    let said = market.anvil.reader();
    let block = said.newest_block().await.unwrap();
    let truth = market.read(&said, &block).await;
    let nothing = format!("0x{}", "00".repeat(32));
    let liar = || {
        about("eth_call", {
            let nothing = nothing.clone();
            move |result| *result = json!(nothing)
        })
    };
    let few = reader(&market.anvil, 2, &[liar(), honest(), honest()]).await;
    assert_eq!(few.newest_block().await.unwrap(), block);
    assert_eq!(market.read(&few, &block).await, truth);
    let many = reader(&market.anvil, 2, &[liar(), liar(), honest()]).await;
    let error = many.rental_at(&block, &market.contract, &market.rental).await;
    assert_eq!(error.unwrap_err().code(), "chain-unavailable");
    // Three that say three things are believed in none.
    let third = json!(format!("0x{:064x}", 3));
    let split = [
        answers(jeju_chain::OWED_SELECTOR, json!(format!("0x{:064x}", 1))),
        answers(jeju_chain::OWED_SELECTOR, json!(format!("0x{:064x}", 2))),
        answers(jeju_chain::OWED_SELECTOR, third),
    ];
    let split = reader(&market.anvil, 2, &split).await;
    let error = split.owed_at(&block, &market.contract, &market.provider).await;
    assert_eq!(error.unwrap_err().code(), "chain-disagreement");
}

#[tokio::test]
async fn the_newest_block_is_one_that_k_endpoints_have_passed() {
    let market = market().await;
    market.anvil.mine(5).await.unwrap();
    let newest = market.anvil.reader().newest_block().await.unwrap();
    let at = |number: u64, hash: &str| -> Value {
        json!({ "number": format!("{number:#x}"), "hash": format!("0x{}", hash.repeat(32)),
                "timestamp": format!("{:#x}", newest.timestamp + 999_999) })
    };
    let latest = |block: Value| -> Lie {
        std::sync::Arc::new(move |method, params, answer| {
            match method == "eth_getBlockByNumber" && params[0] == "latest" {
                true => json!({ "result": block }),
                false => answer,
            }
        })
    };
    // One that is far ahead, one that is far behind, one of another fork: alone none moves the newest block.
    let ahead = reader(&market.anvil, 2, &[latest(at(1 << 40, "ee")), honest(), honest()]).await;
    assert_eq!(ahead.newest_block().await.unwrap(), newest);
    let fork = reader(
        &market.anvil,
        2,
        &[latest(at(newest.number, "ee")), honest(), honest()],
    )
    .await;
    assert_eq!(fork.newest_block().await.unwrap(), newest);
    let old: Value = market
        .anvil
        .rpc()
        .call("eth_getBlockByNumber", json!(["0x1", false]))
        .await
        .unwrap();
    let behind = reader(&market.anvil, 2, &[latest(old.clone()), honest(), honest()]).await;
    assert_eq!(behind.newest_block().await.unwrap(), newest);
    // Two that are behind: an honest older block, not a made-up one.
    let slow = reader(&market.anvil, 2, &[latest(old.clone()), latest(old), honest()]).await;
    assert_eq!(slow.newest_block().await.unwrap().number, 1);
    // Only as many as lie together can name a block that isn't there.
    let pair = [latest(at(1 << 40, "ee")), latest(at(1 << 40, "dd")), honest()];
    let pair = reader(&market.anvil, 2, &pair).await;
    assert_eq!(
        pair.newest_block().await.unwrap_err().code(),
        "chain-block-not-found"
    );
    let alone = reader(&market.anvil, 1, &[latest(Value::Null)]).await;
    assert_eq!(alone.newest_block().await.unwrap_err().code(), "rpc-malformed");
}

#[tokio::test]
async fn a_block_that_left_the_chain_says_nothing_about_rentals() {
    let market = market().await;
    let reader = market.anvil.reader();
    let snapshot: Value = market.anvil.rpc().call("evm_snapshot", json!([])).await.unwrap();
    market.start().await;
    let gone = reader.newest_block().await.unwrap();
    assert_eq!(market.read(&reader, &gone).await.status, RentalStatus::Active);
    let _: bool = market
        .anvil
        .rpc()
        .call("evm_revert", json!([snapshot]))
        .await
        .unwrap();
    market.anvil.mine(3).await.unwrap();
    assert!(
        reader
            .rental_at(&gone, &market.contract, &market.rental)
            .await
            .is_err()
    );
    let newest = reader.newest_block().await.unwrap();
    assert_eq!(market.read(&reader, &newest).await.status, RentalStatus::Pending);
}

#[tokio::test]
async fn hostile_answers_about_rentals_are_errors_with_codes() {
    let market = market().await;
    let block = market.anvil.reader().newest_block().await.unwrap();
    let mut results = hostile();
    for length in [31, 32, 64, 96, 128, 511, 512, 6000, 20_000] {
        results.push(json!(format!("0x{}", "ff".repeat(length))));
        results.push(json!(format!("0x{}20{}", "00".repeat(31), "00".repeat(length))));
    }
    for result in results {
        let shown = result.to_string().chars().take(60).collect::<String>();
        let chain = reader(
            &market.anvil,
            1,
            &[about("eth_call", {
                let result = result.clone();
                move |answer| *answer = result.clone()
            })],
        )
        .await;
        let rental = chain.rental_at(&block, &market.contract, &market.rental).await;
        assert!(rental.unwrap_err().code().starts_with("rpc-"), "{shown}");
        let (contract, of) = (&market.contract, &market.provider);
        if let Err(error) = chain.offer_at(&block, contract, of).await {
            assert!(error.code().starts_with("rpc-"), "{shown}");
        }
        if let Err(error) = chain.provider_rentals_at(&block, contract, of, 0, 10).await {
            assert!(error.code().starts_with("rpc-"), "{shown}");
        }
        if let Err(error) = chain.owed_at(&block, contract, of).await {
            assert!(error.code().starts_with("rpc-"), "{shown}");
        }
        let block = reader(
            &market.anvil,
            1,
            &[about("eth_getBlockByNumber", move |answer| {
                *answer = result.clone()
            })],
        )
        .await;
        assert!(block.newest_block().await.is_err(), "{shown}");
    }
}
