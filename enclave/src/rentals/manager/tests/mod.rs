//! The manager against an engine and a chain that behave as the real ones, with a clock of their own. A second takes no time.

pub mod chain;
mod crash;
pub mod engine;
mod failures;
mod life;
pub mod steps;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jeju_attestation::hash::sha256;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::launch::rentals::{Isolation, Network, Rentals};
use jeju_chain::RentalStatus;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use self::chain::{Chain, HOUR, PROVIDER, Wish};
use self::engine::Engine;
use self::steps::Steps;
use super::board::Board;
use crate::ipc::rentals::{Action, Answer, Call, Refusal};
use crate::rentals::api::Api;
use crate::rentals::backend::{ContainerState, RentalId};
use crate::rentals::lease::Leases;

/// From OpenSSH's ssh-keygen.
pub const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKMczN1x/fMlz7xHXwk9A9YdDdSFCVzUdu0bSgC0XzXj tenant";
pub const IMAGE: &str = "busybox:1.36";
pub const SCRIPT: &[u8] = b"#!/bin/sh\necho hello\n";

/// Chain, engine and the process between them.
pub struct Stage {
    pub steps: Arc<Steps>,
    pub chain: Arc<Chain>,
    pub engine: Arc<Engine>,
    pub rules: Rentals,
    life: Mutex<Option<Life>>,
}

struct Life {
    board: Arc<Board>,
    api: Arc<Api>,
    process: JoinHandle<()>,
}

pub fn rules() -> Rentals {
    Rentals {
        contract: HexBytes([1; 20]),
        provider: HexBytes(PROVIDER),
        host: "ssh.example".into(),
        port: 2222,
        max: 10,
        docker: true,
        images: Vec::new(),
        default_image: Some("debian:13".into()),
        network: Network::None,
        isolation: Isolation::Host,
    }
}

pub fn wish(user: u8) -> Wish<'static> {
    Wish {
        user: [user; 20],
        hours: 1,
        key: KEY,
        image: IMAGE,
        script: "",
    }
}

pub fn script_digest() -> String {
    format!("sha256:{}", hex::encode(sha256(SCRIPT)))
}

impl Stage {
    /// A node that lives.
    pub fn new() -> Arc<Self> {
        Self::with(rules())
    }

    pub fn with(rules: Rentals) -> Arc<Self> {
        let steps = Arc::new(Steps::default());
        let stage = Arc::new(Self {
            chain: Chain::new(steps.clone()),
            engine: Engine::new(steps.clone()),
            steps,
            rules,
            life: Mutex::default(),
        });
        stage.live();
        stage
    }

    /// Begins a new process, which knows nothing.
    pub fn live(&self) {
        let leases = Arc::new(Leases::new());
        let board = Arc::new(Board::new(self.rules.clone(), leases));
        let run = super::run(board.clone(), self.chain.clone(), self.engine.clone());
        *self.life.lock().unwrap() = Some(Life {
            api: Arc::new(Api::new(board.clone(), self.engine.clone())),
            board,
            process: tokio::spawn(run),
        });
    }

    /// kill -9.
    pub async fn die(&self) {
        let life = self.life.lock().unwrap().take();
        if let Some(life) = life {
            life.process.abort();
            let _ = life.process.await;
        }
    }

    pub fn board(&self) -> Option<Arc<Board>> {
        Some(self.life.lock().unwrap().as_ref()?.board.clone())
    }

    pub async fn ask(&self, account: Option<[u8; 20]>, action: Action) -> Option<Answer> {
        let api = self.life.lock().unwrap().as_ref()?.api.clone();
        let account = account.map(HexBytes);
        Some(api.answer(&Call { account, action }).await)
    }

    pub async fn list(&self) -> Vec<Value> {
        match self.ask(None, Action::List).await {
            Some(Answer::Document(document)) => document["rentals"].as_array().unwrap().clone(),
            _ => Vec::new(),
        }
    }

    pub async fn show(&self, id: RentalId) -> Value {
        match self.ask(None, Action::Show(HexBytes(id))).await {
            Some(Answer::Document(document)) => document,
            _ => Value::Null,
        }
    }

    pub async fn upload(&self, id: RentalId, script: &[u8]) -> Result<(), Refusal> {
        let user = self.chain.record(id).user;
        let action = Action::Script {
            rental: HexBytes(id),
            script: STANDARD.encode(script),
        };
        match self.ask(Some(user), action).await {
            Some(Answer::Refused { refusal, .. }) => Err(refusal),
            _ => Ok(()),
        }
    }

    pub fn may_log_in(&self, id: RentalId) -> bool {
        let Some(board) = self.board() else {
            return false;
        };
        let key = super::order::key(&self.chain.record(id)).unwrap();
        let name = hex::encode(id);
        let session = board.leases.find(&key, &name);
        session.is_some_and(|session| session.lease().rental == id)
    }

    /// Waits until something is so, and fails if it won't be.
    pub async fn until(&self, what: &str, mut so: impl AsyncFnMut(&Stage) -> bool) {
        for _ in 0..2000 {
            if so(self).await {
                return;
            }
            sleep(Duration::from_millis(500)).await;
        }
        panic!("{what}: {:#?}", self.list().await);
    }

    pub async fn until_state(&self, id: RentalId, state: &str) {
        self.until(state, async |stage| stage.show(id).await["state"] == state)
            .await;
    }

    /// What a provider's wallet does: `jeju provider run`.
    pub async fn wallet(self: Arc<Self>) {
        loop {
            sleep(Duration::from_secs(3)).await;
            for rental in self.list().await {
                let id = id_of(&rental);
                let next = &rental["next"];
                // A node that hasn't seen the last transaction yet says the same again; the contract refuses that.
                let _ = match next["operation"].as_str() {
                    Some("start") => self.chain.start(
                        id,
                        next["sshHost"].as_str().unwrap(),
                        next["sshPort"].as_u64().unwrap() as u16,
                    ),
                    Some("complete") => self.chain.end(id, RentalStatus::Completed),
                    _ => Ok(()),
                };
            }
        }
    }

    /// Fails as soon as anybody may log in who long mayn't.
    pub async fn guard(self: Arc<Self>) {
        let mut ended = std::collections::HashMap::new();
        loop {
            sleep(Duration::from_millis(500)).await;
            for rental in self.list().await {
                let id = id_of(&rental);
                let record = self.chain.record(id);
                let usable = record.status == RentalStatus::Active && self.chain.now() < record.end_time;
                if usable {
                    ended.remove(&id);
                    continue;
                }
                let since = *ended.entry(id).or_insert_with(|| self.chain.now());
                let late = self.chain.now() - since;
                assert!(late <= 6 || !self.may_log_in(id), "access {late} s after the end");
            }
        }
    }
}

fn id_of(rental: &Value) -> RentalId {
    let mut id = [0; 32];
    hex::decode_to_slice(&rental["rentalId"].as_str().unwrap()[2..], &mut id).unwrap();
    id
}
