//! The market's transactions on a real chain, read back by the chain reader: services, prepaid money, vouchers, settlements,
//! and what the contracts refuse. What is signed for them is encoded in `jeju-wallet-auth`, and checked here against the
//! contracts themselves.

use std::time::{SystemTime, UNIX_EPOCH};

use alloy::primitives::{Address, B256};
use jeju_chain::{Block, ChainReader, Service, ServingContracts, SubAccount, VoucherSession};
use jeju_contracts::localnet::{self, Anvil, AnvilOptions};
use jeju_contracts::network::LOCALNET_CHAIN_ID;
use jeju_contracts::sender::{AccountKey, SendError, Sender};
use jeju_contracts::serving::{self, Voucher};
use jeju_contracts::{ledger, rental, wiring};
use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::market::{self, At, SignedVoucher};
use jeju_wallet_auth::signature;

mod agents;
mod money;
mod wallet;

const ETHER: u128 = 1_000_000_000_000_000_000;
/// Anvil's third to fifth accounts.
const USER: &str = "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a";
const PROVIDER: &str = "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6";
const ENCLAVE: &str = "47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a";

/// A chain with all contracts, connected.
struct Market {
    anvil: Anvil,
    reader: ChainReader,
    user: AccountKey,
    provider: AccountKey,
    identity: Address,
    registry: Address,
    ledger: Address,
    serving: Address,
    staking: Address,
    reputation: Address,
    validation: Address,
    keys: Address,
}

impl Market {
    async fn new() -> Self {
        let options = AnvilOptions {
            port: 0,
            block_time: None,
        };
        let anvil = Anvil::spawn(&options).unwrap();
        let deployment = anvil.deploy_contracts().await.unwrap();
        let owner = localnet::owner_key();
        wiring::wire(anvil.rpc(), Some(&owner), &deployment, owner.address())
            .await
            .unwrap();
        let at = |name: &str| deployment.contracts[name].address;
        Self {
            reader: anvil.reader(),
            user: USER.parse().unwrap(),
            provider: PROVIDER.parse().unwrap(),
            identity: at("identityRegistry"),
            registry: at("computeRegistry"),
            ledger: at("ledgerManager"),
            serving: at("inferenceServing"),
            staking: at("computeStaking"),
            reputation: at("reputationRegistry"),
            validation: at("validationRegistry"),
            keys: at("attestedKeyRegistry"),
            anvil,
        }
    }

    fn by_user(&self) -> Sender<'_> {
        Sender::new(self.anvil.rpc(), &self.user, LOCALNET_CHAIN_ID)
    }

    fn by_provider(&self) -> Sender<'_> {
        Sender::new(self.anvil.rpc(), &self.provider, LOCALNET_CHAIN_ID)
    }

    /// What signatures are for.
    fn at(&self) -> At {
        At {
            chain_id: LOCALNET_CHAIN_ID,
            contract: Account(self.serving.into_array()),
        }
    }

    async fn block(&self) -> Block {
        self.reader.newest_block().await.unwrap()
    }

    async fn register(&self, agent: Option<B256>) {
        let endpoint = "https://p.example:4007";
        rental::register_provider(
            &self.by_provider(),
            self.registry,
            "p",
            endpoint,
            agent,
            ETHER / 100,
        )
        .await
        .unwrap();
    }

    async fn offer(&self, model: &str, input: u128, output: u128) -> Result<u64, SendError> {
        let endpoint = "https://p.example:4007";
        let sender = self.by_provider();
        serving::register_service(&sender, self.serving, model, endpoint, input, output)
            .await
            .map(|(index, _)| index)
    }

    async fn services(&self) -> Vec<Service> {
        let block = self.block().await;
        let provider = self.provider.address();
        self.reader
            .services_at(&block, &self.serving, &provider)
            .await
            .unwrap()
    }

    async fn sub_account(&self) -> SubAccount {
        let block = self.block().await;
        let (user, provider) = (self.user.address(), self.provider.address());
        self.reader
            .sub_account_at(&block, &self.ledger, &user, &provider)
            .await
            .unwrap()
    }

    async fn session(&self) -> VoucherSession {
        let block = self.block().await;
        let (user, provider) = (self.user.address(), self.provider.address());
        self.reader
            .voucher_session_at(&block, &self.serving, &user, &provider)
            .await
            .unwrap()
    }

    async fn owed(&self, account: Address) -> u128 {
        let block = self.block().await;
        self.reader.owed_at(&block, &self.ledger, &account).await.unwrap()
    }

    /// Sets money aside for the provider.
    async fn prepay(&self, amount: u128) {
        ledger::create(&self.by_user(), self.ledger, ETHER).await.unwrap();
        let provider = self.provider.address();
        ledger::transfer_to_provider(&self.by_user(), self.ledger, provider, amount)
            .await
            .unwrap();
    }

    fn promise(&self, cumulative: u128, sequence: u64) -> market::Voucher {
        market::Voucher {
            user: Account(self.user.address().into_array()),
            provider: Account(self.provider.address().into_array()),
            cumulative,
            sequence,
            request_digest: [1; 32],
            response_digest: [2; 32],
            expiry: now() + 7200,
        }
    }

    fn sign(&self, voucher: market::Voucher) -> SignedVoucher {
        SignedVoucher::sign(voucher, &self.at(), &wallet(USER)).unwrap()
    }

    async fn submit(&self, signed: &SignedVoucher) -> Result<(), SendError> {
        let voucher = submitted(&signed.voucher);
        serving::settle_voucher(&self.by_provider(), self.serving, &voucher, &signed.signature.0)
            .await
            .map(drop)
    }
}

fn wallet(key: &str) -> signature::AccountKey {
    signature::AccountKey::from_hex(key.as_bytes()).unwrap()
}

fn submitted(voucher: &market::Voucher) -> Voucher {
    Voucher {
        user: voucher.user.0.into(),
        provider: voucher.provider.0.into(),
        cumulative: voucher.cumulative,
        sequence: voucher.sequence,
        request_digest: voucher.request_digest.into(),
        response_digest: voucher.response_digest.into(),
        expiry: voucher.expiry,
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[track_caller]
fn refused<T: std::fmt::Debug>(outcome: Result<T, SendError>, name: &str) {
    let error = outcome.unwrap_err();
    assert!(error.is_refusal(name), "{error}");
}

#[tokio::test]
async fn services_are_offered_ended_and_read_back_with_their_prices() {
    let market = Market::new().await;
    let block = market.block().await;
    let found = market.reader.serving_contracts_at(&block, &market.serving).await;
    let contracts = ServingContracts {
        ledger: market.ledger.into_array(),
        registry: market.registry.into_array(),
        identity: market.identity.into_array(),
        attested_keys: market.keys.into_array(),
    };
    assert_eq!(found.unwrap(), contracts);

    refused(market.offer("m", 1, 2).await, "ProviderNotActive");
    market.register(None).await;
    assert_eq!(market.services().await, []);
    refused(market.offer("", 1, 2).await, "InvalidText");
    refused(market.offer(&"m".repeat(257), 1, 2).await, "InvalidText");
    let longest = "m".repeat(256);
    assert_eq!(market.offer(&longest, u128::MAX, u128::MAX).await.unwrap(), 0);
    assert_eq!(market.offer("m", 10, 100).await.unwrap(), 1);
    assert_eq!(market.offer("m", 1, 2).await.unwrap(), 2);
    let services = market.services().await;
    assert_eq!(services[0].model.as_str(), Some(longest.as_str()));
    assert_eq!(services[0].price_per_output_token, u128::MAX);
    assert_eq!(Service::first_active(&services, "m").unwrap().index, 1);

    let by_provider = market.by_provider();
    let set =
        async |index, active| serving::set_service_active(&by_provider, market.serving, index, active).await;
    set(1, false).await.unwrap();
    refused(set(1, false).await, "ServiceNotActive");
    refused(set(2, true).await, "ServiceStillActive");
    refused(set(3, false).await, "ServiceNotFound");
    let services = market.services().await;
    let first = Service::first_active(&services, "m").unwrap();
    assert_eq!((first.index, first.cost(7, 3)), (2, Some(7 + 2 * 3)));
    assert!(!services[1].active && services[1].price_per_input_token == 10);
    set(1, true).await.unwrap();
    assert_eq!(
        Service::first_active(&market.services().await, "m")
            .unwrap()
            .index,
        1
    );

    let (block, provider) = (market.block().await, market.provider.address());
    let page = async |cursor, limit| {
        let (reader, serving) = (&market.reader, &market.serving);
        let page = reader
            .service_page_at(&block, serving, &provider, cursor, limit)
            .await;
        page.unwrap()
            .iter()
            .map(|service| service.index)
            .collect::<Vec<_>>()
    };
    assert_eq!(page(1, 1).await, [1]);
    assert_eq!(page(1, 64).await, [1, 2]);
    assert!(page(3, 64).await.is_empty());
    let one = market
        .reader
        .service_at(&block, &market.serving, &provider, 2)
        .await;
    assert_eq!(one.unwrap().unwrap().index, 2);
    let none = market
        .reader
        .service_at(&block, &market.serving, &provider, 3)
        .await;
    assert_eq!(none.unwrap(), None);
    let elsewhere = market
        .reader
        .services_at(&block, &Address::repeat_byte(7), &provider)
        .await;
    assert_eq!(elsewhere.unwrap_err().code(), "rpc-no-contract");
}

/// More services than one page holds, most of them ended: all are read, each with its index.
#[tokio::test]
async fn a_long_list_of_services_is_read_page_by_page() {
    let market = Market::new().await;
    market.register(None).await;
    for index in 0..70 {
        assert_eq!(market.offer("m", index.into(), 1).await.unwrap(), index);
        if index > 0 {
            let (sender, last) = (market.by_provider(), index - 1);
            serving::set_service_active(&sender, market.serving, last, false)
                .await
                .unwrap();
        }
    }
    let services = market.services().await;
    assert_eq!(services.len(), 70);
    let in_order = services
        .iter()
        .zip(0u64..)
        .all(|(service, index)| service.index == index && service.price_per_input_token == index.into());
    assert!(in_order);
    assert_eq!(Service::first_active(&services, "m").unwrap().index, 69);
}
