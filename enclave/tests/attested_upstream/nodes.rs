//! Two nodes: one that users talk to, and one that answers.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use jeju_attestation::evidence::Verifier;
use jeju_attestation::hash::sha256;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::measurement::MeasurementId;
use jeju_attestation::response::EndReason;
use jeju_attested_tls::{AttestedVerifier, client_config};
use jeju_session::{Attested, Bounds, Connection, Target, VerifiedBody, attest, random_nonce, verified};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::chain::{self, Registry};
use crate::host::{Host, IMAGE, Machine, PATIENCE, now};

const BOUNDS: Bounds = Bounds {
    body: 1 << 20,
    stall: PATIENCE,
};
const CHAIN: &str = "127.0.0.1:8545";
const FAR: &str = "node-b.example:4007";
const FAR_NAME: &str = "node-b.example";
/// The model's name at the node that answers, and at the node that users talk to.
pub const MODEL: &str = "smollm2-135m-instruct";
pub const PASSED_ON: &str = "far/smollm2";

/// What the launch document of a node in front says of the one that answers, and what is true of that.
#[derive(Default)]
pub struct Setup {
    pub agent: Option<[u8; 32]>,
    pub measurement: Option<MeasurementId>,
    /// Another machine's root than the one that answers.
    pub other_root: bool,
    /// Weights that users are told of.
    pub weights: Option<[u8; 32]>,
}

/// The node that answers, and what else both need.
pub struct Far {
    /// While it runs.
    pub host: Option<Host>,
    pub document: String,
    pub registry: Registry,
    root: [u8; 65],
    socket: PathBuf,
    digest: [u8; 32],
    sockets: tempfile::TempDir,
}

impl Far {
    /// With an upstream besides at which anyone could read, or without.
    pub async fn start(external: bool) -> Far {
        let sockets = tempfile::tempdir().unwrap();
        let registry = chain::serve(&sockets.path().join("chain.sock"));
        let model = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("../target/models/smollm2-135m-instruct-q4_1.gguf");
        let digest = sha256(&std::fs::read(&model).expect("make setup fetches the model"));
        let mut machine = Machine::new();
        machine
            .routes
            .insert(CHAIN.to_owned(), sockets.path().join("chain.sock"));
        machine.models.push(model);
        let document = far_document(&digest, external);
        Far {
            root: machine.silicon.root_public(),
            socket: machine.socket(4007),
            host: Some(machine.start(document.clone()).await),
            document,
            registry,
            digest,
            sockets,
        }
    }

    /// A node in front of it.
    pub async fn near(&self, setup: Setup) -> Near {
        let mut machine = Machine::new();
        let chain = self.sockets.path().join("chain.sock");
        machine.routes.insert(CHAIN.to_owned(), chain);
        machine.routes.insert(FAR.to_owned(), self.socket.clone());
        let root = match setup.other_root {
            true => machine.silicon.root_public(),
            false => self.root,
        };
        let weights = setup.weights.unwrap_or(self.digest);
        Near(machine.start(near_document(&setup, &root, &weights)).await)
    }

    /// Who asks it itself.
    pub async fn user(&self) -> User {
        User::new(self.host.as_ref().unwrap(), FAR_NAME).await
    }
}

/// A node that users talk to.
pub struct Near(Host);

impl Near {
    pub async fn user(&self) -> User {
        User::new(&self.0, "localhost").await
    }

    /// Status and code of what a user is told who asks now.
    pub async fn refused(&self) -> (StatusCode, Value) {
        let answer = self.user().await.chat(PASSED_ON, 8).await;
        (answer.status, answer.document["error"].clone())
    }
}

fn head(agent: [u8; 32], name: &str, more_egress: &str) -> String {
    format!(
        "version = 1\n[node]\nagent = \"{}\"\nnames = [\"{name}\"]\n[chain]\nprofile = \"localnet\"\nid = 31337\n\
         registry = \"{}\"\nrpc = [\"http://{CHAIN}\"]\n[services]\ninference = true\n\
         [egress]\nallow = [\"{CHAIN}\"{more_egress}]\n",
        HexBytes(agent),
        HexBytes([9; 20]),
    )
}

fn near_document(setup: &Setup, root: &[u8; 65], weights: &[u8; 32]) -> String {
    format!(
        "{}[[upstreams]]\nname = \"far\"\nkind = \"openai\"\nurl = \"https://{FAR}\"\n[upstreams.attested]\n\
         agent = \"{}\"\nmeasurements = [\"{}\"]\nsimulated_roots = [\"{}\"]\n\
         [[upstreams.models]]\nid = \"{PASSED_ON}\"\nname = \"{MODEL}\"\nweights = \"{}\"\n",
        head([1; 32], "localhost", &format!(", \"{FAR}\"")),
        HexBytes(setup.agent.unwrap_or([2; 32])),
        setup.measurement.unwrap_or(MeasurementId::simulated(&IMAGE)),
        HexBytes(*root),
        HexBytes(*weights),
    )
}

fn far_document(digest: &[u8; 32], external: bool) -> String {
    let (egress, upstream) = match external {
        true => (
            ", \"api.example:443\"",
            "[[upstreams]]\nname = \"api\"\nkind = \"openai\"\nurl = \"https://api.example\"\n\
             [[upstreams.models]]\nid = \"other\"\n",
        ),
        false => ("", ""),
    };
    format!(
        "{}[[models]]\nid = \"{MODEL}\"\nsha256 = \"{}\"\n{upstream}",
        head([2; 32], FAR_NAME, egress),
        HexBytes(*digest),
    )
}

/// An attested connection of a user's, whose policy is of no interest here.
pub struct User(Attested);

/// A verified answer.
pub struct Answered {
    pub status: StatusCode,
    /// The document, or all events of a stream.
    pub document: Value,
    pub events: Vec<Value>,
    /// How the stream ended.
    pub end: Option<EndReason>,
}

impl Answered {
    /// The text, whole or in pieces.
    pub fn text(&self) -> String {
        let pieces = self
            .events
            .iter()
            .map(|event| &event["choices"][0]["delta"]["content"]);
        let whole = &self.document["choices"][0]["message"]["content"];
        std::iter::once(whole)
            .chain(pieces)
            .filter_map(Value::as_str)
            .collect()
    }
}

impl User {
    async fn new(host: &Host, name: &'static str) -> User {
        let verifier = Arc::new(Verifier::simulated(&[HexBytes(host.root)]));
        let certificates = Arc::new(AttestedVerifier::new(verifier.clone()));
        let target = Target {
            authority: name,
            server_name: name.try_into().unwrap(),
            certificates: &certificates,
            tls: Arc::new(client_config(certificates.clone()).unwrap()),
        };
        let connection = Connection::open(host.dial().await, &target).await.unwrap();
        User(attest(connection, &verifier, now).await.unwrap())
    }

    /// Asks for a chat completion.
    pub async fn chat(&mut self, model: &str, tokens: u32) -> Answered {
        self.post(&prompt(model, tokens, false)).await
    }

    /// The same as a stream, to its end.
    pub async fn stream(&mut self, model: &str, tokens: u32) -> Answered {
        self.post(&prompt(model, tokens, true)).await
    }

    pub async fn post(&mut self, body: &Value) -> Answered {
        self.post_and_say(body, || {}).await
    }

    /// Says when the first event of a stream is there, and goes on.
    pub async fn post_and_say(&mut self, body: &Value, began: impl FnOnce()) -> Answered {
        let answer = self.send(Method::POST, "/v1/chat/completions", body.to_string(), began);
        timeout(PATIENCE, answer).await.expect("in time")
    }

    pub async fn get(&mut self, path: &str) -> Answered {
        let answer = self.send(Method::GET, path, String::new(), || {});
        timeout(PATIENCE, answer).await.expect("in time")
    }

    async fn send(&mut self, method: Method, path: &str, body: String, began: impl FnOnce()) -> Answered {
        let mut began = Some(began);
        let connection = &mut self.0.connection;
        let nonce = random_nonce().unwrap();
        let exchange = connection.exchange(method, path, HeaderMap::new(), Bytes::from(body), nonce);
        let exchange = exchange.await.unwrap();
        let key = self.0.epochs.known(&exchange.head).unwrap().unwrap();
        let answer = verified(exchange, &key, connection, BOUNDS).await.unwrap();
        let mut answered = Answered {
            status: answer.status,
            document: Value::Null,
            events: Vec::new(),
            end: None,
        };
        match answer.body {
            VerifiedBody::Whole(body) => answered.document = serde_json::from_slice(&body).unwrap(),
            VerifiedBody::Stream(mut stream) => {
                while let Some(bytes) = stream.next().await.unwrap() {
                    began.take().into_iter().for_each(|began| began());
                    let text = std::str::from_utf8(&bytes).unwrap();
                    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
                    let events = data.filter(|data| *data != "[DONE]");
                    answered
                        .events
                        .extend(events.map(|data| serde_json::from_str::<Value>(data).unwrap()));
                }
                answered.end = stream.end();
            }
        }
        answered
    }
}

pub fn prompt(model: &str, tokens: u32, stream: bool) -> Value {
    let mut body = json!({
        "model": model,
        "messages": [{"role": "user", "content": "Name three colours."}],
        "max_tokens": tokens,
        "temperature": 0,
        "stream": stream,
    });
    if stream {
        body["stream_options"] = json!({"include_usage": true});
    }
    body
}
