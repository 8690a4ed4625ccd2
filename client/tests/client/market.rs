//! Providers on a real chain, and a proxy over those of one model.

use std::net::SocketAddr;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::policy::Policy;
use jeju_client::deployment::{ContractsArguments, OnChainArguments};
use jeju_client::discover::{Finder, Limits as Wanted, Offer};
use jeju_client::proxy::{Market, Proxy};
use jeju_client::relying_party::RelyingParty;
use jeju_client::session::Limits;
use jeju_client::trust::TrustArguments;
use jeju_client::via::GatewayApi;
use jeju_contracts::localnet::{Anvil, AnvilOptions};
use jeju_contracts::network::LOCALNET_CHAIN_ID;
use jeju_contracts::provider::{self, NewCapability};
use jeju_contracts::rental::{register_agent, register_provider};
use jeju_contracts::sender::{AccountKey, Sender};
use jeju_contracts::serving;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use crate::node::{ANSWER, Node, Trick};

const ETHER: u128 = 1_000_000_000_000_000_000;

/// Anvil's accounts from the third on.
const KEYS: [&str; 4] = [
    "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
    "47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a",
    "8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba",
];

struct Chain {
    anvil: Anvil,
    registry: [u8; 20],
    serving: [u8; 20],
    identities: [u8; 20],
    keys: [AccountKey; 4],
}

impl Chain {
    async fn start() -> Self {
        let options = AnvilOptions {
            port: 0,
            block_time: None,
        };
        let anvil = Anvil::spawn(&options).unwrap();
        let deployment = anvil.deploy_contracts().await.unwrap();
        let at = |name: &str| deployment.contracts[name].address.into();
        Self {
            registry: at("computeRegistry"),
            serving: at("inferenceServing"),
            identities: at("identityRegistry"),
            anvil,
            keys: KEYS.map(|key| key.parse().unwrap()),
        }
    }

    fn sender(&self, key: usize) -> Sender<'_> {
        Sender::new(self.anvil.rpc(), &self.keys[key], LOCALNET_CHAIN_ID)
    }

    fn account(&self, key: usize) -> [u8; 20] {
        self.keys[key].address().into()
    }

    /// Registers an account with a model at a price that is announced only.
    async fn register(&self, key: usize, endpoint: &str, model: &str, price: u128) {
        let (sender, registry) = (self.sender(key), self.registry.into());
        register_provider(&sender, registry, "p", endpoint, None, ETHER)
            .await
            .unwrap();
        let capability = NewCapability {
            model: model.to_owned(),
            price_per_input_token: price,
            price_per_output_token: price,
            max_context: 4096,
        };
        provider::add_capability(&sender, registry, &capability)
            .await
            .unwrap();
        self.anvil.finalize().await.unwrap();
    }

    /// Offers a model as a service.
    async fn serve(&self, key: usize, model: &str, price: u128) {
        let (sender, endpoint) = (self.sender(key), "https://service.example");
        serving::register_service(&sender, self.serving.into(), model, endpoint, price, price)
            .await
            .unwrap();
        self.anvil.finalize().await.unwrap();
    }

    fn arguments(&self) -> OnChainArguments {
        OnChainArguments {
            trust: TrustArguments {
                rpc: vec![self.anvil.url()],
                development: true,
                ..TrustArguments::default()
            },
            contracts: ContractsArguments {
                compute_registry: Some(HexBytes(self.registry)),
                inference_serving: Some(HexBytes(self.serving)),
                ..ContractsArguments::default()
            },
        }
    }

    async fn finder(&self, wanted: Wanted, hint: Option<GatewayApi>) -> Finder {
        Finder::new(&self.arguments(), wanted, hint).await.unwrap()
    }

    async fn offers(&self, wanted: Wanted) -> Vec<Offer> {
        self.finder(wanted, None).await.offers().await.unwrap()
    }

    async fn market(&self, policy: &str) -> Arc<Market> {
        let party = Arc::new(RelyingParty::new(Policy::parse(policy, true).unwrap()).unwrap());
        let limits = Limits {
            response: Duration::from_secs(20),
            ..Limits::default()
        };
        let market = Market::new(self.finder(tiny(), None).await, party, limits);
        market.refresh().await.unwrap();
        Arc::new(market)
    }

    /// Options of commands.
    fn options(&self) -> Vec<String> {
        let option = |name: &str, value: String| [name.to_owned(), value];
        [
            option("--rpc", self.anvil.url()),
            option("--compute-registry", HexBytes(self.registry).to_string()),
            option("--inference-serving", HexBytes(self.serving).to_string()),
        ]
        .concat()
    }
}

/// The model that nodes of these tests have.
fn tiny() -> Wanted {
    Wanted {
        model: Some("tiny".to_owned()),
        ..Wanted::default()
    }
}

/// A policy that trusts the silicon of all of them.
fn policy(nodes: &[&Node]) -> String {
    let first = nodes[0].policy();
    let roots: Vec<String> = nodes
        .iter()
        .map(|node| format!("\"{}\"", HexBytes(node.root)))
        .collect();
    first.replace(&roots[0], &roots.join(", "))
}

async fn serve(market: Arc<Market>, retries: u32) -> SocketAddr {
    let proxy = Proxy::bind_market("127.0.0.1:0".parse().unwrap(), market)
        .await
        .unwrap();
    let address = proxy.address();
    tokio::spawn(proxy.with_retries(retries).serve(std::future::pending()));
    address
}

/// Status and body, with what cut it short.
async fn post(address: SocketAddr, body: &str) -> (u16, String) {
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = Vec::new();
    let _ = stream.read_to_end(&mut response).await;
    let response = String::from_utf8(response).unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

fn code(body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap();
    body["error"]["code"].as_str().unwrap().to_owned()
}

const PROMPT: &str = r#"{"model":"tiny","messages":[]}"#;

#[tokio::test]
async fn offers_are_what_the_chain_says() {
    let chain = Chain::start().await;
    chain.register(0, "https://a.example:4007", "tiny", 5).await;
    chain.register(1, "https://b.example", "tiny", 9).await;
    chain.register(2, "not a URL", "tiny", 1).await;
    chain.register(3, "https://d.example", "other", 1).await;
    // A service's price is what is paid.
    chain.serve(1, "tiny", 3).await;

    let offers = chain.offers(tiny()).await;
    let shown: Vec<_> = offers
        .iter()
        .map(|offer| (offer.node.authority(), offer.price.input, offer.price.of_service))
        .collect();
    assert_eq!(shown, [("b.example:443", 3, true), ("a.example:4007", 5, false)]);
    assert_eq!(offers[0].node.account(), Some(chain.account(1)));
    let cheap = Wanted {
        max_price_in: Some(4),
        ..tiny()
    };
    assert_eq!(chain.offers(cheap).await.len(), 1);
    let named = Wanted {
        providers: vec![chain.account(0), [0x77; 20]],
        ..tiny()
    };
    assert_eq!(chain.offers(named).await[0].provider, chain.account(0));
    assert_eq!(chain.offers(Wanted::default()).await.len(), 3);

    provider::set_active(&chain.sender(0), chain.registry.into(), false)
        .await
        .unwrap();
    assert_eq!(chain.offers(tiny()).await.len(), 2, "not final yet");
    chain.anvil.finalize().await.unwrap();
    assert_eq!(chain.offers(tiny()).await.len(), 1);
}

/// Before a chain's endpoint: counts the questions to contracts.
struct Counting {
    url: String,
    asked: Arc<AtomicUsize>,
}

impl Counting {
    async fn before(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let counting = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            asked: Arc::default(),
        };
        let (endpoint, asked) = (
            url.strip_prefix("http://").unwrap().to_owned(),
            counting.asked.clone(),
        );
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, asked) = (TcpStream::connect(&endpoint).await.unwrap(), asked.clone());
                tokio::spawn(async move {
                    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
                        (client.into_split(), server.into_split());
                    tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
                    let mut bytes = vec![0; 1 << 16];
                    while let Ok(count @ 1..) = from_client.read(&mut bytes).await {
                        let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
                        asked.fetch_add(text.matches("\"eth_call\"").count(), Relaxed);
                        if to_server.write_all(&bytes[..count]).await.is_err() {
                            break;
                        }
                    }
                });
            }
        });
        counting
    }

    fn take(&self) -> usize {
        self.asked.swap(0, Relaxed)
    }
}

#[tokio::test]
async fn who_asks_again_reads_those_alone_who_changed() {
    let chain = Chain::start().await;
    for key in 0..3 {
        chain
            .register(key, &format!("https://p{key}.example"), "tiny", 5)
            .await;
    }
    let counting = Counting::before(&chain.anvil.url()).await;
    let mut arguments = chain.arguments();
    arguments.trust.rpc = vec![counting.url.clone()];
    let finder = Finder::new(&arguments, tiny(), None).await.unwrap();
    let shown = async || -> Vec<(String, u128)> {
        let offers = finder.offers().await.unwrap();
        let shown = offers
            .iter()
            .map(|offer| (offer.node.authority().to_owned(), offer.price.input));
        shown.collect()
    };
    let prices = |all: &[(usize, u128)]| -> Vec<(String, u128)> {
        let shown = all
            .iter()
            .map(|(key, price)| (format!("p{key}.example:443"), *price));
        shown.collect()
    };
    let by_account = |mut all: Vec<(String, u128)>| {
        all.sort();
        all
    };
    assert_eq!(by_account(shown().await), prices(&[(0, 5), (1, 5), (2, 5)]));
    let whole = counting.take();
    assert_eq!(shown().await.len(), 3);
    let again = counting.take();
    assert!(again <= 2 && whole > again + 6, "{whole} questions, then {again}");

    // Another price, somebody who stops, somebody new.
    chain.serve(1, "tiny", 3).await;
    provider::set_active(&chain.sender(0), chain.registry.into(), false)
        .await
        .unwrap();
    chain.register(3, "https://p3.example", "tiny", 9).await;
    assert_eq!(by_account(shown().await), prices(&[(1, 3), (2, 5), (3, 9)]));
    let changed = counting.take();
    assert!(changed < whole, "{whole} questions, then {changed}");
    provider::set_active(&chain.sender(0), chain.registry.into(), true)
        .await
        .unwrap();
    chain.anvil.finalize().await.unwrap();
    assert_eq!(shown().await.len(), 4);
}

/// An HTTP server that gives every request this answer.
async fn says(answer: String) -> (GatewayApi, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hint = format!("http://{}", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", answer.len());
            let _ = stream.write_all((head + &answer).as_bytes()).await;
        }
    });
    (hint, task)
}

#[tokio::test]
async fn a_gateways_word_is_a_hint_and_no_more() {
    let chain = Chain::start().await;
    chain.register(0, "https://a.example", "tiny", 5).await;
    chain.register(1, "https://b.example", "tiny", 9).await;
    let account = |key| HexBytes(chain.account(key)).to_string();
    // It praises nobody's account, and another endpoint and price than the chain has.
    let listed = format!(
        r#"{{"providers":[{{"address":"{}","endpoint":"https://evil.example","price":"0"}},{{"address":"0x{}"}}],"next":null}}"#,
        account(1),
        "66".repeat(20)
    );
    let (hint, _serving) = says(listed).await;
    let offers = chain.finder(tiny(), Some(hint)).await.offers().await.unwrap();
    assert_eq!(offers.len(), 1);
    assert_eq!(
        (offers[0].node.authority(), offers[0].price.input),
        ("b.example:443", 9)
    );
    for nonsense in ["", "{}", r#"{"providers":[{"address":"0x12"}]}"#] {
        let (hint, _serving) = says(nonsense.to_owned()).await;
        let error = chain.finder(tiny(), Some(hint)).await.offers().await.unwrap_err();
        assert_eq!(error.code(), "gateway_hint_failed", "{nonsense}");
    }
    // One that sends its reader round and round.
    let looped = format!(
        r#"{{"providers":[{{"address":"{}"}}],"next":"again"}}"#,
        account(0)
    );
    let (hint, _serving) = says(looped).await;
    assert_eq!(
        chain
            .finder(tiny(), Some(hint))
            .await
            .offers()
            .await
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn the_cheapest_verified_provider_answers_and_the_next_when_it_is_gone() {
    let chain = Chain::start().await;
    let nodes = [Node::start(Trick::Honest).await, Node::start(Trick::Honest).await];
    let [cheap, dear] = nodes;
    chain.register(0, &dear.url(), "tiny", 7).await;
    chain.register(1, &cheap.url(), "tiny", 2).await;
    let market = chain.market(&policy(&[&cheap, &dear])).await;
    assert_eq!(market.lines().len(), 2, "{}", market.summary());
    let address = serve(market, 0).await;
    assert_eq!(post(address, PROMPT).await, (200, ANSWER.to_owned()));
    assert_eq!((prompts(&cheap), prompts(&dear)), (1, 0));
    assert_eq!(
        code(&post(address, r#"{"model":"dearer"}"#).await.1),
        "model_not_offered"
    );

    // Sessions of a dead node die with it: nothing of the request was sent, so no retry is used up.
    drop(cheap);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(post(address, PROMPT).await, (200, ANSWER.to_owned()));
    assert_eq!(prompts(&dear), 1);
    drop(dear);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let (status, body) = post(address, PROMPT).await;
    assert_eq!((status, &*code(&body)), (502, "node_unreachable"));
}

fn prompts(node: &Node) -> usize {
    let requests = node.requests();
    requests
        .iter()
        .filter(|(path, _)| path == "/v1/chat/completions")
        .count()
}

#[tokio::test]
async fn what_was_sent_is_sent_again_only_where_the_user_allows_it_and_nothing_was_answered() {
    let chain = Chain::start().await;
    let (first, second) = (Node::start(Trick::Honest).await, Node::start(Trick::Honest).await);
    chain.register(0, &first.url(), "tiny", 1).await;
    chain.register(1, &second.url(), "tiny", 2).await;
    let policy = policy(&[&first, &second]);

    first.trick(Trick::Unanswered);
    let never = serve(chain.market(&policy).await, 0).await;
    let (status, _) = post(never, PROMPT).await;
    assert_eq!((status, prompts(&first), prompts(&second)), (502, 1, 0));
    let once = serve(chain.market(&policy).await, 1).await;
    assert_eq!(post(once, PROMPT).await, (200, ANSWER.to_owned()));
    assert_eq!((prompts(&first), prompts(&second)), (2, 1));
    // Who broke off is asked last for a while.
    assert_eq!(post(once, PROMPT).await.0, 200);
    assert_eq!((prompts(&first), prompts(&second)), (2, 2));

    // Who turns a request away has done nothing for it.
    for status in [402, 429, 503] {
        first.trick(Trick::TurnsAway(status));
        second.trick(Trick::Honest);
        let before = (prompts(&first), prompts(&second));
        let once = serve(chain.market(&policy).await, 1).await;
        for _ in 0..2 {
            assert_eq!(post(once, PROMPT).await, (200, ANSWER.to_owned()));
        }
        assert_eq!((prompts(&first), prompts(&second)), (before.0 + 1, before.1 + 2));
        second.trick(Trick::TurnsAway(status));
        let never = serve(chain.market(&policy).await, 0).await;
        let (found, body) = post(never, PROMPT).await;
        assert_eq!(
            (found, &*code(&body)),
            (status, "turned_away"),
            "the node's own words"
        );
        assert_eq!(prompts(&second), before.1 + 2);
        let once = serve(chain.market(&policy).await, 1).await;
        assert_eq!(post(once, PROMPT).await.0, status);
    }

    // A stream that broke, and an answer that doesn't verify, are the caller's to see.
    second.trick(Trick::Honest);
    let streamed = r#"{"model":"tiny","messages":[],"stream":true}"#;
    for (trick, body) in [
        (Trick::StreamBroken, streamed),
        (Trick::StreamForged, streamed),
        (Trick::ChangedBody, PROMPT),
        (Trick::Unsigned, PROMPT),
    ] {
        let before = prompts(&second);
        first.trick(Trick::Honest);
        let often = serve(chain.market(&policy).await, 5).await;
        first.trick(trick);
        let (status, answer) = post(often, body).await;
        assert!(
            !answer.contains("[DONE]") && !answer.contains("\"hello\""),
            "{trick:?}"
        );
        assert_eq!(status, if body == streamed { 200 } else { 502 }, "{trick:?}");
        assert_eq!(prompts(&second), before, "{trick:?}");
    }
}

#[tokio::test]
async fn who_is_not_what_the_user_trusts_gets_no_prompt() {
    let chain = Chain::start().await;
    let (stranger, good) = (Node::start(Trick::Honest).await, Node::start(Trick::Honest).await);
    chain.register(0, &stranger.url(), "tiny", 1).await;
    chain.register(1, &good.url(), "tiny", 9).await;
    // A provider that says it is another agent than the node that it leads to.
    let thief = Node::start(Trick::Honest).await;
    let (agent, _) = register_agent(
        &chain.sender(2),
        chain.identities.into(),
        "https://c.example/card.json",
    )
    .await
    .unwrap();
    chain.register(2, &thief.url(), "tiny", 2).await;
    provider::link_agent(&chain.sender(2), chain.registry.into(), Some(agent))
        .await
        .unwrap();
    // One that doesn't have the model.
    let other = Node::start(Trick::Honest).await;
    chain.register(3, &other.url(), "tiny", 3).await;
    chain.anvil.finalize().await.unwrap();

    let market = chain.market(&policy(&[&good, &thief])).await;
    let address = serve(market.clone(), 3).await;
    assert_eq!(post(address, PROMPT).await, (200, ANSWER.to_owned()));
    assert_eq!(prompts(&good), 1);
    for node in [&stranger, &thief, &other] {
        assert_eq!(node.requests().len(), 0);
    }
    let summary = market.summary();
    for part in [
        "4 on chain",
        "1 verified",
        "1 node_other_provider",
        "2 root_not_trusted",
    ] {
        assert!(summary.contains(part), "{summary}");
    }
    let nobody = serve(chain.market(&other.policy().replace("04", "05")).await, 0).await;
    let (status, body) = post(nobody, PROMPT).await;
    assert_eq!((status, &*code(&body)), (503, "provider_none"), "{body}");
}

async fn jeju(arguments: &[String]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jeju"));
    command.args(arguments).kill_on_drop(true);
    command
        .env("HOME", "/nonexistent")
        .env_remove("JEJU_CONFIG")
        .env_remove("XDG_CONFIG_HOME");
    command.output().await.unwrap()
}

#[tokio::test]
async fn commands_list_providers_and_models() {
    let chain = Chain::start().await;
    chain.register(0, "https://a.example:4007", "tiny", 5).await;
    chain.register(1, "https://b.example", "tiny\u{1b}[2J", 9).await;
    let with = |command: &[&str]| {
        let mut arguments: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
        arguments.extend(chain.options());
        arguments
    };
    let output = jeju(&with(&["providers", "--development", "--json"])).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let listed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let providers = listed["providers"].as_array().unwrap();
    assert_eq!(providers.len(), 2);
    assert_eq!(providers[0]["offers"][0]["inputWei"], "5");
    assert_eq!(providers[0]["stakeWei"], ETHER.to_string());

    let output = jeju(&with(&["models", "--development", "--json"])).await;
    let listed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(listed["models"][0]["id"], "tiny");
    assert_eq!(listed["models"][0]["providers"][0]["maxContext"], 4096);
    let output = jeju(&with(&["models", "--development"])).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.starts_with("tiny  1 provider, from 5 + 5 wei a token (announced)\n")
            && !text.contains('\u{1b}'),
        "{text}"
    );

    let mut without = with(&["providers", "--json", "--development"]);
    without.retain(|word| word != "--compute-registry" && *word != HexBytes(chain.registry).to_string());
    let output = jeju(&without).await;
    let failure: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (output.status.code(), &failure["code"]),
        (Some(1), &"contract_missing".into())
    );
}
