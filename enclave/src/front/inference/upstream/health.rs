//! Which models of an upstream can be asked now. One task an upstream probes those that can't, ever more seldom.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jeju_attestation::launch::upstreams::Kind;
use tokio::sync::{Notify, watch};
use tokio::time::sleep;

use super::Upstream;
use super::failure::Failure;
use super::probe::Reason;

/// Until the first probe after a failure, and after a failed probe at first.
const FIRST: Duration = Duration::from_millis(500);
/// Between probes of what is away, at most.
const LAST: Duration = Duration::from_secs(30);
/// Between looks at models that may become somebody else's.
const AGAIN: Duration = Duration::from_secs(60);

/// Whether a model can be asked.
#[derive(Clone)]
pub(super) struct Health(Arc<Mutex<Option<Reason>>>);

impl Health {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Some(Reason::Starting))))
    }

    /// Why not, where it can't.
    pub(super) fn reason(&self) -> Option<Reason> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, reason: Option<Reason>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    }
}

/// What requests tell the task of an upstream, and it whoever waits.
pub(super) struct Signals {
    models: Vec<Health>,
    /// A request found the upstream away.
    lost: Notify,
    /// Whether each model could be asked once.
    pub(super) complete: watch::Sender<bool>,
}

impl Signals {
    pub(super) fn new(models: Vec<Health>) -> Self {
        Self {
            models,
            lost: Notify::new(),
            complete: watch::Sender::new(false),
        }
    }

    /// Takes the failure of a request. An upstream that can't be reached, or that isn't who it should be, isn't asked again
    /// until it answers a probe. Other failures may be the request's own.
    pub(super) fn failed(&self, failure: &Failure) {
        if let Failure::Connect(_) = failure {
            let reason = Reason::from(failure.clone());
            for model in &self.models {
                model.set(Some(reason.clone()));
            }
            self.lost.notify_one();
        }
    }
}

/// Probes for as long as the node lives.
pub(super) async fn watch(upstream: Arc<Upstream>) {
    let mut pause = FIRST;
    loop {
        let mut all = true;
        for model in &upstream.models {
            if model.health.reason().is_some() {
                let outcome = upstream.probe(model).await;
                all &= outcome.is_ok();
                model.health.set(outcome.err());
            }
        }
        if !all {
            sleep(pause).await;
            pause = (pause * 2).min(LAST);
            continue;
        }
        upstream.signals.complete.send_replace(true);
        pause = FIRST;
        let again = async {
            match upstream.kind {
                Kind::Ollama => sleep(AGAIN).await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            () = upstream.signals.lost.notified() => sleep(FIRST).await,
            // Looked at while it is served: what was right a minute ago most likely still is.
            () = again => recheck(&upstream).await,
        }
    }
}

async fn recheck(upstream: &Upstream) {
    for model in &upstream.models {
        let outcome = upstream.probe(model).await;
        model.health.set(outcome.err());
    }
}
