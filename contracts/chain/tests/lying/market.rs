//! Prices, prepaid money, vouchers and agents, read where some or all endpoints lie.

use jeju_chain::{Block, ChainReader, ReadError, Service};
use jeju_contracts::localnet::{Anvil, owner_key, revoker_key};
use jeju_contracts::sender::Sender;
use jeju_contracts::{agent, ledger, rental, serving, wiring};
use serde_json::{Value, json};

use crate::hostile::hostile;
use crate::{CHAIN, about, anvil, honest, reader};

const ETHER: u128 = 1_000_000_000_000_000_000;

/// A provider that is an agent and offers a model, and a user that set money aside for it.
struct Market {
    anvil: Anvil,
    identity: [u8; 20],
    ledger: [u8; 20],
    serving: [u8; 20],
    provider: [u8; 20],
    user: [u8; 20],
    agent: [u8; 32],
}

async fn market() -> Market {
    let anvil = anvil();
    let deployment = anvil.deploy_contracts().await.unwrap();
    let at = |name: &str| deployment.contracts[name].address;
    let (provider, user) = (owner_key(), revoker_key());
    wiring::wire(anvil.rpc(), Some(&provider), &deployment, provider.address())
        .await
        .unwrap();
    let by_provider = Sender::new(anvil.rpc(), &provider, CHAIN);
    let by_user = Sender::new(anvil.rpc(), &user, CHAIN);
    let (identity, held, served) = (
        at("identityRegistry"),
        at("ledgerManager"),
        at("inferenceServing"),
    );
    let (agent, _) = agent::register(&by_provider, identity, "https://p/card", &[])
        .await
        .unwrap();
    let registry = at("computeRegistry");
    rental::register_provider(&by_provider, registry, "p", "https://p", Some(agent), ETHER / 100)
        .await
        .unwrap();
    serving::register_service(&by_provider, served, "m", "https://p", 10, 100)
        .await
        .unwrap();
    ledger::create(&by_user, held, ETHER).await.unwrap();
    ledger::transfer_to_provider(&by_user, held, provider.address(), 5000)
        .await
        .unwrap();
    Market {
        anvil,
        identity: identity.into(),
        ledger: held.into(),
        serving: served.into(),
        provider: provider.address().into(),
        user: user.address().into(),
        agent: agent.into(),
    }
}

impl Market {
    async fn services(&self, reader: &ChainReader, block: &Block) -> Result<Vec<Service>, ReadError> {
        reader.services_at(block, &self.serving, &self.provider).await
    }

    async fn balance(&self, reader: &ChainReader, block: &Block) -> Result<u128, ReadError> {
        let read = reader.sub_account_at(block, &self.ledger, &self.user, &self.provider);
        Ok(read.await?.balance)
    }

    /// How each kind of reading fails, if it does.
    async fn codes(&self, reader: &ChainReader, block: &Block) -> Vec<&'static str> {
        let code = |error: Option<ReadError>| error.map_or("", |error| error.code());
        let Self {
            identity,
            ledger,
            serving,
            provider,
            user,
            agent,
            ..
        } = self;
        vec![
            code(self.services(reader, block).await.err()),
            code(self.balance(reader, block).await.err()),
            code(reader.ledger_at(block, ledger, user).await.err()),
            code(
                reader
                    .voucher_session_at(block, serving, user, provider)
                    .await
                    .err(),
            ),
            code(
                reader
                    .settlement_nonce_at(block, serving, user, provider)
                    .await
                    .err(),
            ),
            code(reader.settlement_signer_at(block, serving, provider).await.err()),
            code(reader.serving_contracts_at(block, serving).await.err()),
            code(reader.agent_at(block, identity, agent).await.err()),
            code(reader.agent_uri_at(block, identity, agent).await.err()),
            code(reader.total_agents_at(block, identity).await.err()),
        ]
    }
}

/// Changes the last digit of an answer that isn't zero: a price, a balance, an address.
fn off_by_one(result: &mut Value) {
    if let Some(text) = result.as_str() {
        let at = text.rfind(|digit: char| digit != '0').unwrap_or(text.len() - 1);
        let digit = if &text[at..=at] == "1" { "2" } else { "1" };
        *result = json!(format!("{}{digit}{}", &text[..at], &text[at + 1..]));
    }
}

#[tokio::test]
async fn fewer_than_the_quorum_change_no_price_and_no_balance() {
    let market = market().await;
    let block = market.anvil.reader().newest_block().await.unwrap();
    let lie = || about("eth_call", off_by_one);
    let two_of_three = reader(&market.anvil, 2, &[lie(), honest(), honest()]).await;
    let services = market.services(&two_of_three, &block).await.unwrap();
    assert_eq!(services[0].cost(7, 3), Some(7 * 10 + 3 * 100));
    assert_eq!(market.balance(&two_of_three, &block).await.unwrap(), 5000);
    let agent = two_of_three
        .agent_at(&block, &market.identity, &market.agent)
        .await;
    assert_eq!(agent.unwrap().unwrap().owner, market.provider);

    let split = reader(&market.anvil, 2, &[lie(), honest()]).await;
    let refused = market.balance(&split, &block).await.unwrap_err();
    assert!(matches!(refused, ReadError::Disagreement { .. }), "{refused}");
}

#[tokio::test]
async fn what_no_contract_answers_is_no_answer() {
    let market = market().await;
    let block = market.anvil.reader().newest_block().await.unwrap();
    let honest = reader(&market.anvil, 1, &[honest()]).await;
    assert!(
        market
            .codes(&honest, &block)
            .await
            .iter()
            .all(|code| code.is_empty())
    );
    for result in hostile() {
        let said = result.clone();
        let lie = about("eth_call", move |result| *result = said.clone());
        let lying = reader(&market.anvil, 1, &[lie]).await;
        for code in market.codes(&lying, &block).await {
            assert!(!code.is_empty(), "{result}");
        }
    }
    // Words enough, and none that these contracts could have given.
    let ones = json!(format!("0x{}", "ff".repeat(32 * 4)));
    let lying = reader(
        &market.anvil,
        1,
        &[about("eth_call", move |result| *result = ones.clone())],
    )
    .await;
    for code in market.codes(&lying, &block).await {
        assert_eq!(code, "rpc-malformed");
    }
    // Nothing was read from a contract that isn't there.
    let elsewhere = Market {
        identity: [7; 20],
        ledger: [7; 20],
        serving: [7; 20],
        ..market
    };
    for code in elsewhere.codes(&honest, &block).await {
        assert_eq!(code, "rpc-no-contract");
    }
}
