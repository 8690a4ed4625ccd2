//! Agents with what is said of them, and stake.

use alloy::primitives::{Address, B256, U256};
use jeju_chain::StakeKind;
use jeju_contracts::bindings::{ComputeStaking, ReputationRegistry, ValidationRegistry};
use jeju_contracts::{agent, provider};

use crate::{ETHER, Market, refused};

#[tokio::test]
async fn agents_are_registered_linked_rated_and_validated() {
    let market = Market::new().await;
    let (by_user, by_provider) = (market.by_user(), market.by_provider());
    let (user, provider) = (market.user.address(), market.provider.address());
    let block = market.block().await;
    assert_eq!(
        market
            .reader
            .total_agents_at(&block, &market.identity)
            .await
            .unwrap(),
        0
    );
    let uri = "https://p.example/.well-known/agent-card.json";
    let (id, _) = agent::register(&by_provider, market.identity, uri, &[("kind", b"node")])
        .await
        .unwrap();
    let reserved = agent::register(&by_provider, market.identity, uri, &[("agentWallet", b"x")]).await;
    refused(reserved, "ReservedKey");
    refused(
        agent::set_uri(&by_user, market.identity, id, "https://evil").await,
        "NotAuthorized",
    );
    agent::set_uri(&by_provider, market.identity, id, "https://p.example/new.json")
        .await
        .unwrap();
    agent::set_metadata(&by_provider, market.identity, id, "kind", b"gateway")
        .await
        .unwrap();
    market.register(Some(id)).await;

    // Ratings and validations are made by calls that nothing of ours sends.
    let rate = |value: i128| ReputationRegistry::giveFeedbackCall {
        agentId: id.into(),
        value,
        valueDecimals: 1,
        tag1: "uptime".to_owned(),
        tag2: String::new(),
        endpoint: String::new(),
        feedbackURI: String::new(),
        feedbackHash: B256::ZERO,
    };
    by_user.call(market.reputation, &rate(-45)).await.unwrap();
    by_user.call(market.reputation, &rate(20)).await.unwrap();
    let request = ValidationRegistry::validationRequestCall {
        validatorAddress: user,
        agentId: id.into(),
        requestURI: "https://p.example/work".to_owned(),
        requestHash: B256::repeat_byte(4),
    };
    by_provider.call(market.validation, &request).await.unwrap();
    let response = ValidationRegistry::validationResponseCall {
        requestHash: B256::repeat_byte(4),
        response: 91,
        responseURI: String::new(),
        responseHash: B256::ZERO,
        tag: "tdx".to_owned(),
    };
    by_user.call(market.validation, &response).await.unwrap();

    let (reader, block) = (&market.reader, market.block().await);
    let record = reader
        .agent_at(&block, &market.identity, &id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(record.owner, provider.into_array());
    assert_eq!((record.wallet, record.epoch), (Some(provider.into_array()), 1));
    let none = reader.agent_at(&block, &market.identity, &[9; 32]).await.unwrap();
    assert_eq!(none, None);
    let no_registry = reader.agent_at(&block, &user, &id).await.unwrap_err();
    assert_eq!(no_registry.code(), "rpc-no-contract");
    let uri = reader.agent_uri_at(&block, &market.identity, &id).await.unwrap();
    assert_eq!(uri.as_str(), Some("https://p.example/new.json"));
    let kind = reader
        .agent_metadata_at(&block, &market.identity, &id, "kind")
        .await;
    assert_eq!(kind.unwrap().as_str(), Some("gateway"));
    let page = reader
        .reputation_clients_at(&block, &market.reputation, &id, 0, 10)
        .await
        .unwrap();
    assert_eq!(
        (page.clients.as_slice(), page.total),
        (&[user.into_array()][..], 1)
    );
    let summary = async |tag| {
        let (clients, tags) = (&page.clients, [tag, ""]);
        let summary = reader
            .reputation_summary_at(&block, &market.reputation, &id, clients, tags)
            .await
            .unwrap();
        (summary.count, summary.value, summary.decimals)
    };
    // -2.5 / 2, cut off towards zero.
    assert_eq!(summary("uptime").await, (2, -12, 1));
    assert_eq!(summary("other").await, (0, 0, 0));
    let validated = async |validators: &[[u8; 20]], tag| {
        let summary = reader
            .validation_summary_at(&block, &market.validation, &id, validators, tag)
            .await
            .unwrap();
        (summary.count, summary.average)
    };
    assert_eq!(validated(&[], "").await, (1, 91));
    assert_eq!(validated(&[user.into_array()], "tdx").await, (1, 91));
    assert_eq!(validated(&[provider.into_array()], "").await, (0, 0));
    let stats = reader.agent_stats_at(&block, &market.serving, &id).await.unwrap();
    assert_eq!(stats, jeju_chain::AgentStats::default());
}

#[tokio::test]
async fn stake_is_added_and_leaves_slowly() {
    let market = Market::new().await;
    market.register(None).await;
    let (sender, at, account) = (market.by_provider(), market.registry, market.provider.address());
    let reader = &market.reader;
    let least = reader
        .least_provider_stake_at(&market.block().await, &at)
        .await
        .unwrap();
    assert_eq!(least, ETHER / 100);
    provider::add_stake(&sender, at, 50).await.unwrap();
    refused(
        provider::withdraw_stake(&sender, at, 51).await,
        "WithdrawalWouldBreachMinimum",
    );
    provider::withdraw_stake(&sender, at, 50).await.unwrap();
    let leaving = async || {
        let block = market.block().await;
        let leaving = reader.leaving_stake_at(&block, &at, &account).await.unwrap();
        let free = reader.withdrawable_stake_at(&block, &at, &account).await.unwrap();
        (leaving.amount, leaving.free_at, free, block.timestamp)
    };
    let (amount, free_at, free, now) = leaving().await;
    assert_eq!((amount, free_at - now, free), (50, 7 * 24 * 3600, 0));
    refused(provider::withdraw(&sender, at, None).await, "NothingToWithdraw");
    market.anvil.advance_time(7 * 24 * 3600).await.unwrap();
    assert_eq!(leaving().await.2, 50);
    provider::withdraw(&sender, at, None).await.unwrap();
    assert_eq!(leaving().await.2, 0);

    // Agents are linked and unlinked; a key needs both a link and a registration of its own.
    let key = Address::repeat_byte(5);
    refused(
        provider::set_attested_key(&sender, at, Some(key)).await,
        "AgentLinkEnded",
    );
    let (agent, _) = agent::register(&sender, market.identity, "", &[]).await.unwrap();
    provider::link_agent(&sender, at, Some(agent)).await.unwrap();
    refused(
        provider::link_agent(&sender, at, Some(agent)).await,
        "AgentAlreadyLinked",
    );
    refused(
        provider::set_attested_key(&sender, at, Some(key)).await,
        "KeyNotLive",
    );
    provider::set_attested_key(&sender, at, None).await.unwrap();
    let block = market.block().await;
    let shown = reader.shown_key_at(&block, &at, &account).await.unwrap();
    assert_eq!((shown.key, shown.live), (None, false));
    let found = reader.provider_at(&block, &at, &account).await.unwrap().unwrap();
    assert_eq!(found.agent, agent);
    provider::link_agent(&sender, at, None).await.unwrap();
    refused(provider::link_agent(&sender, at, None).await, "InvalidAgentId");

    // The other vault, by calls that nothing of ours sends.
    let call = ComputeStaking::stakeAsGuardianCall {};
    sender
        .pay(market.staking, &call, U256::from(ETHER))
        .await
        .unwrap();
    let block = market.block().await;
    let stake = reader.stake_at(&block, &market.staking, &account).await.unwrap();
    assert_eq!(
        (stake.amount, stake.kind, stake.slashed),
        (ETHER, StakeKind::Guardian, false)
    );
    let none = reader
        .stake_at(&block, &market.staking, &market.user.address())
        .await
        .unwrap();
    assert_eq!((none.amount, none.kind, none.staked_at), (0, StakeKind::None, 0));
}
