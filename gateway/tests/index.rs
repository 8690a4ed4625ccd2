//! The index on a real chain, and the program in front of real TLS.

#[allow(dead_code)]
mod support;

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use jeju_contracts::localnet::{Anvil, AnvilOptions};
use jeju_contracts::network::LOCALNET_CHAIN_ID;
use jeju_contracts::provider::{self, NewCapability};
use jeju_contracts::rental::register_provider;
use jeju_contracts::sender::{AccountKey, Sender};
use jeju_gateway::index::{Index, ProviderFilter, Refresh};
use jeju_gateway::ssh::HOST_KEY_FILE;
use jeju_gateway::store::Store;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::free_ports;

const ETHER: u128 = 1_000_000_000_000_000_000;

/// Anvil's third and fourth accounts.
const KEYS: [&str; 2] = [
    "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
];

struct Chain {
    anvil: Anvil,
    registry: [u8; 20],
    rental: [u8; 20],
    keys: [AccountKey; 2],
}

impl Chain {
    async fn start() -> Self {
        let options = AnvilOptions {
            port: 0,
            block_time: None,
        };
        let anvil = Anvil::spawn(&options).unwrap();
        let deployment = anvil.deploy_contracts().await.unwrap();
        Self {
            registry: deployment.contracts["computeRegistry"].address.into(),
            rental: deployment.contracts["computeRental"].address.into(),
            anvil,
            keys: KEYS.map(|key| key.parse().unwrap()),
        }
    }

    fn sender(&self, key: usize) -> Sender<'_> {
        Sender::new(self.anvil.rpc(), &self.keys[key], LOCALNET_CHAIN_ID)
    }

    async fn register(&self, key: usize, endpoint: &str, models: &[&str]) {
        let (sender, registry) = (self.sender(key), self.registry.into());
        register_provider(&sender, registry, "p", endpoint, None, ETHER)
            .await
            .unwrap();
        for model in models {
            let capability = NewCapability {
                model: (*model).to_owned(),
                price_per_input_token: 1,
                price_per_output_token: u128::MAX,
                max_context: 4096,
            };
            provider::add_capability(&sender, registry, &capability)
                .await
                .unwrap();
        }
    }
}

fn offering(index: &Index, model: &str) -> Vec<String> {
    let filter = ProviderFilter {
        model: Some(model.to_owned()),
        ..ProviderFilter::default()
    };
    let found = index.now().list(&filter).providers;
    found
        .iter()
        .map(|provider| provider.record.endpoint.to_string())
        .collect()
}

#[tokio::test]
async fn the_index_follows_the_registry() {
    let chain = Chain::start().await;
    let registry = chain.registry.into();
    let index = Arc::new(Index::default());
    let reader = Arc::new(chain.anvil.reader());
    let mut refresh = Refresh::new(reader, LOCALNET_CHAIN_ID, chain.registry, index.clone());
    chain.register(0, "https://a.example:4007", &["m", "n"]).await;
    chain.anvil.finalize().await.unwrap();
    refresh.once().await.unwrap();
    assert_eq!(offering(&index, "m"), ["https://a.example:4007"]);
    let first = index.now().block().unwrap().number;

    // Another provider, and every kind of change of the first.
    chain.register(1, "https://b.example", &["m"]).await;
    provider::update_endpoint(&chain.sender(0), registry, "https://c.example")
        .await
        .unwrap();
    provider::set_capability_active(&chain.sender(0), registry, 1, false)
        .await
        .unwrap();
    chain.anvil.finalize().await.unwrap();
    refresh.once().await.unwrap();
    let mut both = offering(&index, "m");
    both.sort();
    assert_eq!(both, ["https://b.example", "https://c.example"]);
    assert_eq!(offering(&index, "n"), Vec::<String>::new());
    assert!(index.now().block().unwrap().number > first);

    provider::set_active(&chain.sender(0), registry, false)
        .await
        .unwrap();
    chain.anvil.finalize().await.unwrap();
    refresh.once().await.unwrap();
    assert_eq!(offering(&index, "m"), ["https://b.example"]);
    assert_eq!(index.now().len(), 2, "who is inactive stays known");
    provider::set_active(&chain.sender(0), registry, true)
        .await
        .unwrap();
    chain.anvil.finalize().await.unwrap();
    refresh.once().await.unwrap();
    assert_eq!(offering(&index, "m").len(), 2);

    // A chain that can't be read changes nothing.
    let nowhere = jeju_chain::ReaderConfig::localnet("http://127.0.0.1:1");
    let nowhere = jeju_chain::ChainReader::new(nowhere, Arc::new(jeju_chain::TcpDial)).unwrap();
    let mut blind = Refresh::new(
        Arc::new(nowhere),
        LOCALNET_CHAIN_ID,
        chain.registry,
        index.clone(),
    );
    assert!(blind.once().await.is_err());
    assert_eq!(offering(&index, "m").len(), 2);
}

#[tokio::test]
async fn a_gateway_that_starts_again_answers_at_once_and_reads_on() {
    let chain = Chain::start().await;
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        let index = Arc::new(Index::default());
        let store = Arc::new(Store::open(folder.path()).unwrap());
        let refresh = Refresh::new(
            Arc::new(chain.anvil.reader()),
            LOCALNET_CHAIN_ID,
            chain.registry,
            index.clone(),
        );
        (refresh.with_store(store), index)
    };
    let (mut refresh, index) = start();
    assert!(index.now().block().is_none());
    chain.register(0, "https://a.example:4007", &["m"]).await;
    chain.anvil.finalize().await.unwrap();
    refresh.once().await.unwrap();
    refresh.keep().await.unwrap();
    let block = index.now().block().unwrap();
    drop(refresh);

    let (mut refresh, index) = start();
    assert_eq!(index.now().block(), Some(block), "before the chain was asked");
    assert_eq!(offering(&index, "m"), ["https://a.example:4007"]);
    // What happened meanwhile is read from the block on at which it stopped.
    provider::update_endpoint(&chain.sender(0), chain.registry.into(), "https://c.example")
        .await
        .unwrap();
    chain.register(1, "https://b.example", &["m"]).await;
    chain.anvil.finalize().await.unwrap();
    refresh.once().await.unwrap();
    let mut both = offering(&index, "m");
    both.sort();
    assert_eq!(both, ["https://b.example", "https://c.example"]);
    refresh.keep().await.unwrap();
    drop(refresh);

    // A chain that isn't the one of the file: all is read anew.
    let other = Chain::start().await;
    let fresh = Arc::new(Index::default());
    let store = Arc::new(Store::open(folder.path()).unwrap());
    let reader = Arc::new(other.anvil.reader());
    let mut refresh =
        Refresh::new(reader, LOCALNET_CHAIN_ID, chain.registry, fresh.clone()).with_store(store);
    assert_eq!(offering(&fresh, "m").len(), 2);
    assert!(refresh.once().await.is_err(), "the chain has rewound");
    refresh.once().await.unwrap();
    assert_eq!(offering(&fresh, "m").len(), 0);
}

async fn get(address: SocketAddr, path: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (
        head[9..12].parse().unwrap(),
        serde_json::from_str(body).unwrap_or(Value::Null),
    )
}

#[tokio::test]
async fn the_program_answers_and_carries_for_whom_the_chain_names() {
    let chain = Chain::start().await;
    let provider = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("https://127.0.0.1:{}", provider.local_addr().unwrap().port());
    chain.register(0, &endpoint, &["a/b"]).await;
    chain.anvil.finalize().await.unwrap();
    let first = *free_ports(3).await.start();
    let [http, tls, ssh] = [first, first + 1, first + 2].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let text = format!(
        "http = \"{http}\"\ndomains = [\"gw.example\"]\nstate = {state:?}\n[chain]\nid = {LOCALNET_CHAIN_ID}\nrpc = [\"{}\"]\n\
         compute_registry = \"0x{}\"\ncompute_rental = \"0x{}\"\ninterval_seconds = 1\ndevelopment = true\n\
         [[tls]]\nlisten = \"{tls}\"\nservice = \"node\"\n\
         [ssh]\nlisten = \"{ssh}\"\n[health]\ninterval_seconds = 1\ntimeout_seconds = 1\n",
        chain.anvil.url(),
        hex::encode(chain.registry),
        hex::encode(chain.rental),
    );
    let config = folder.path().join("gateway.toml");
    std::fs::write(&config, text).unwrap();
    let mut gateway = tokio::process::Command::new(env!("CARGO_BIN_EXE_jeju-gateway"))
        .arg("--config")
        .arg(&config)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let ready = async {
        while TcpStream::connect(http).await.is_err() || get(http, "/health").await.0 != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ready)
        .await
        .unwrap();

    let (_, list) = get(http, "/v1/providers?model=a%2Fb&active=true").await;
    let [found] = list["providers"].as_array().unwrap().as_slice() else {
        panic!("{list}");
    };
    assert_eq!(found["endpoint"], endpoint);
    assert_eq!(found["stake"], ETHER.to_string());
    let account = found["address"].as_str().unwrap();
    let (status, whole) = get(http, &format!("/v1/providers/{account}")).await;
    assert_eq!((status, &whole["models"][0]["model"]), (200, &Value::from("a/b")));
    let (_, models) = get(http, "/v1/models").await;
    assert_eq!(
        (&models["count"], &models["models"][0]["id"]),
        (&Value::from(1), &Value::from("a/b"))
    );
    assert_eq!(get(http, "/v1/stats").await.1["activeProviders"], 1);
    let (_, rentals) = get(http, &format!("/v1/rentals?user={account}")).await;
    assert_eq!(rentals["rentals"], serde_json::json!([]));
    let (_, info) = get(http, "/v1/gateway/info").await;
    assert_eq!(
        (&info["host"], &info["port"]),
        (&Value::from("gw.example"), &Value::from(http.port()))
    );
    for (path, status, code) in [
        ("/v1/providers?limit=0", 400, "filter_invalid"),
        ("/v1/providers/0x01", 404, "provider_not_found"),
        ("/v1/rentals/x/y/z", 404, "not_found"),
    ] {
        let (found, error) = get(http, path).await;
        assert_eq!((found, &error["code"]), (status, &Value::from(code)), "{path}");
    }

    // The provider takes connections and says nothing: it is looked at, and isn't well.
    let checked = async {
        while get(http, "/v1/providers").await.1["providers"][0]["healthy"] != false {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), checked)
        .await
        .unwrap();
    let (_, info) = get(http, "/v1/gateway/info").await;
    assert_eq!(info["sshProxyPort"], ssh.port());
    let mut client = TcpStream::connect(ssh).await.unwrap();
    client.write_all(b"SSH-CONNECT 1-2\r\n").await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "SSH-ERROR: Route not found\r\n");
    assert!(state.join(HOST_KEY_FILE).exists());
    // It answers from what it has in memory, and writes that meanwhile.
    let written = async {
        while !state.join("index").exists() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), written)
        .await
        .unwrap();
    while let Ok(accepted) = tokio::time::timeout(Duration::from_millis(10), provider.accept()).await {
        drop(accepted);
    }

    // An endpoint that is an address has its account as a name.
    let name = format!("{}.gw.example", account[2..].to_lowercase());
    let hello = client_hello(name);
    let mut client = TcpStream::connect(tls).await.unwrap();
    client.write_all(&hello).await.unwrap();
    // Checks come in between.
    let mut carried = loop {
        let (mut carried, _) = provider.accept().await.unwrap();
        let mut got = vec![0; hello.len()];
        if carried.read_exact(&mut got).await.is_ok() && got == hello {
            break carried;
        }
    };
    carried.write_all(b"answer").await.unwrap();
    let mut answer = [0; 6];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"answer");
    drop((client, carried));

    let pid = i32::try_from(gateway.id().unwrap()).unwrap();
    let asked = tokio::process::Command::new("kill")
        .arg(pid.to_string())
        .status()
        .await
        .unwrap();
    assert!(asked.success());
    let ended = tokio::time::timeout(Duration::from_secs(60), gateway.wait())
        .await
        .unwrap()
        .unwrap();
    assert!(ended.success(), "{ended}");
}

/// What a real client says first.
fn client_hello(name: String) -> Vec<u8> {
    let config = rustls::ClientConfig::builder()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let name = name.try_into().unwrap();
    let mut connection = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut hello = Vec::new();
    connection.write_tls(&mut hello).unwrap();
    hello
}
