//! The front's half of the threshold signer: what it carries between the signer and everybody else.
//!
//! The signer decides everything. Here are the time that it is told, the contracts that it asks about, and the counters
//! and stored answers of the HTTP service on 4010.

pub(super) mod erc1271;
mod idempotency;
mod metrics;

use std::sync::Arc;
use std::time::Duration;

use jeju_attestation::launch::mpc as config;
use jeju_attestation::launch::{DEVELOPMENT_PROFILE, LaunchDocument};
use jeju_chain::ChainReader;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::sleep;

use crate::blobs::Blobs;
use crate::ipc::signer::{BlobAsker, ContractAsker, SignerClient, SignerFailure};
use crate::newest::NewestTime;

use super::attester::Attester;
use super::peers::Peers;

pub(super) use idempotency::{Idempotency, KeyReused};
pub(super) use metrics::{MpcMetrics, Operation};

/// How often the signer is told the time. It counts on by itself in between.
const TELL_TIME: Duration = Duration::from_secs(5);
/// How far the newest block may lie behind the present, in seconds: on a public chain, where blocks are missed and endpoints
/// lag, and on a local one. For so long after its boot a member refuses requests that may have been made before.
const SLACK: u64 = 30;
const LOCAL_SLACK: u64 = 2;
/// How far the newest final block may, with room to spare.
const FINALITY: u64 = 30 * 60;
/// Contracts that are asked at the same time.
const QUESTIONS: usize = 16;

/// What requests on 4010 can reach.
pub(super) struct Mpc {
    pub(super) signer: SignerClient,
    pub(super) peers: Arc<Peers>,
    pub(super) network: config::Mpc,
    /// This node's index.
    pub(super) me: u16,
    pub(super) metrics: MpcMetrics,
    pub(super) answers: Idempotency,
}

impl Mpc {
    /// `None` where the document names no network with this node.
    pub(super) fn new(launch: &LaunchDocument, signer: SignerClient, peers: Arc<Peers>) -> Option<Mpc> {
        let network = launch.mpc.clone()?;
        let me = network.place_of(&launch.node.agent.0)?;
        Some(Mpc {
            signer,
            peers,
            me,
            network,
            metrics: MpcMetrics::new(),
            answers: Idempotency::new(),
        })
    }

    /// How the node is called.
    pub(super) fn node(&self) -> &config::Member {
        &self.network.members[usize::from(self.me) - 1]
    }
}

/// What tells the signer the time (`docs/design.md`, "Time").
///
/// Lower end: the newest final block, and what this machine counted since. Upper end: the newest block of all, the same,
/// and [`SLACK`] or [`LOCAL_SLACK`]; where that can't be read, the lower end and [`FINALITY`].
pub(super) struct Timekeeper {
    signer: SignerClient,
    attester: Arc<Attester>,
    newest: NewestTime,
    slack: u64,
}

impl Timekeeper {
    pub(super) fn new(
        launch: &LaunchDocument,
        signer: SignerClient,
        attester: Arc<Attester>,
        chain: Arc<ChainReader>,
    ) -> Self {
        let local = launch.chain.profile == DEVELOPMENT_PROFILE;
        Self {
            slack: if local { LOCAL_SLACK } else { SLACK },
            signer,
            attester,
            newest: NewestTime::new(chain),
        }
    }

    /// Reads the chain and tells the signer what time it is.
    ///
    /// # Errors
    /// When the signer is gone.
    pub(super) async fn tell(&self) -> Result<(), SignerFailure> {
        let newest = self.newest.now().await;
        let newest = newest.map(|newest| newest.saturating_add(self.slack));
        let (lower, upper) = interval(self.attester.current().anchor.now(), newest);
        self.signer.time(lower, upper).await
    }

    /// Goes on until the signer ends.
    pub(super) async fn run(self) {
        while self.tell().await.is_ok() {
            sleep(TELL_TIME).await;
        }
    }
}

fn interval(lower: u64, latest: Option<u64>) -> (u64, u64) {
    match latest {
        Some(latest) => (lower, latest.max(lower)),
        None => (lower, lower.saturating_add(FINALITY)),
    }
}

/// Keeps sealed blobs at the host for the signer, until it ends.
pub(super) async fn keep_blobs(mut operations: mpsc::Receiver<BlobAsker>, blobs: Blobs) {
    while let Some(asker) = operations.recv().await {
        // Why it failed is the host's affair; the signer asks again or ends.
        let reply = blobs.perform(asker.op.clone()).await.ok();
        asker.answer(reply).await;
    }
}

/// Asks contracts for the signer, until it ends.
pub(super) async fn ask_contracts(mut questions: mpsc::Receiver<ContractAsker>, chain: Arc<ChainReader>) {
    let places = Arc::new(Semaphore::new(QUESTIONS));
    while let Some(asker) = questions.recv().await {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let chain = chain.clone();
        tokio::spawn(async move {
            let data = erc1271::call(&asker.digest, &asker.signature);
            let answer = chain.call(&asker.account, &data).await;
            // A chain that can't be read says no.
            let valid = answer.is_ok_and(|answer| answer.is_some_and(|answer| erc1271::is_yes(&answer)));
            asker.answer(valid).await;
            drop(place);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_present_lies_between_both_blocks() {
        assert_eq!(interval(1000, Some(1700)), (1000, 1700));
        assert_eq!(interval(1000, Some(10)), (1000, 1000), "never upside down");
        assert_eq!(interval(1000, None), (1000, 1000 + FINALITY));
        assert_eq!(interval(u64::MAX, None), (u64::MAX, u64::MAX));
    }
}
