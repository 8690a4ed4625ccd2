//! Upstreams: inference servers that the launch document names, and that this node asks in its clients' stead.
//!
//! A request is rewritten by allow-list ([`jeju_openai::upstream`]), sent on a connection of [`connect`]'s, and its answer
//! let through in [`answer`]. [`probe`] says which models there are, [`health`] when to look again.

mod answer;
mod attested;
pub(in crate::front::inference) mod connect;
mod exchange;
mod external;
mod failure;
mod health;
mod loopback;
mod pool;
mod probe;
mod salt;

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::error::Unspecified;
use http::{HeaderValue, Method};
use jeju_attestation::launch::LaunchDocument;
use jeju_attestation::launch::upstreams::{self, Confidentiality, Endpoint, Kind};
use jeju_chain::{ChainReader, Dial, public_web_tls};
use jeju_openai::Head;
use jeju_openai::upstream::answer::Stream;
use jeju_openai::upstream::request::{Target, rewrite};
use jeju_shim_protocol::fatal::FatalCode;
use tokio::sync::Semaphore;

use super::{Ask, Output, ServedModel};
use crate::front::error::ApiError;
use crate::front::identity::random;

use attested::Attested;
use connect::Connect;
use exchange::{Call, EVENTS, JSON, Route};
use external::External;
use failure::Failure;
use health::{Health, Signals};
use loopback::Loopback;
use pool::Pool;
use probe::Reason;
use salt::Salts;

/// How long the node waits for its upstreams before it says that it is ready. Models that aren't there by then are served
/// as soon as they are.
const WARM_UP: Duration = Duration::from_secs(20);

/// An upstream and what it serves.
pub(super) struct Upstream {
    kind: Kind,
    confidentiality: Confidentiality,
    models: Vec<Model>,
    route: Route,
    /// For requests.
    places: Arc<Semaphore>,
    salts: Salts,
    signals: Arc<Signals>,
}

/// A model of an upstream.
struct Model {
    served: ServedModel,
    /// In the upstream's API.
    name: String,
    fingerprint: Option<String>,
    probe: Option<upstreams::Probe>,
    health: Health,
}

/// Who is reached how.
pub(in crate::front) struct Ways {
    /// To all that isn't on loopback.
    pub(in crate::front) egress: Arc<dyn Dial>,
    /// What other nodes are appraised by.
    pub(in crate::front) chain: Arc<ChainReader>,
}

impl Upstream {
    /// An upstream of the launch document, which nothing is known of yet.
    ///
    /// # Errors
    /// [`FatalCode`] where the document names something that can't be reached.
    pub(super) fn new(
        named: &upstreams::Upstream,
        launch: &LaunchDocument,
        ways: &Ways,
    ) -> Result<Self, FatalCode> {
        let invalid = FatalCode::LaunchDocumentInvalid;
        let authority = named.authority().ok_or(invalid)?;
        let confidentiality = named.confidentiality();
        // As browsers write it: without the port where the scheme says it.
        let (_, host) = named.url.split_once("://").ok_or(invalid)?;
        let host = HeaderValue::try_from(host).map_err(|_| invalid)?;
        let connect: Box<dyn Connect> = match confidentiality {
            Confidentiality::Loopback => Box::new(Loopback::new(named.loopback_port().ok_or(invalid)?)),
            Confidentiality::External => {
                Box::new(External::new(authority, ways.egress.clone(), public_web_tls()).ok_or(invalid)?)
            }
            Confidentiality::Attested => {
                let (egress, chain) = (ways.egress.clone(), ways.chain.clone());
                Box::new(Attested::new(named, launch, egress, chain)?)
            }
        };
        let route = Route {
            connect,
            pool: Arc::new(Pool::new(keep(confidentiality))),
            authority: host,
            patience: patience(confidentiality),
        };
        Self::with(named, confidentiality, route).map_err(|_| FatalCode::Internal)
    }

    fn with(
        named: &upstreams::Upstream,
        confidentiality: Confidentiality,
        route: Route,
    ) -> Result<Self, Unspecified> {
        let models: Vec<Model> = named
            .models
            .iter()
            .map(|model| Model::new(named, model))
            .collect();
        let healths = models.iter().map(|model| model.health.clone()).collect();
        Ok(Self {
            kind: named.kind,
            confidentiality,
            models,
            route,
            places: Arc::new(Semaphore::new(named.max_concurrent.into())),
            salts: Salts::new()?,
            signals: Arc::new(Signals::new(healths)),
        })
    }

    /// Starts to look whether it is there.
    pub(super) fn start(self: &Arc<Self>) {
        tokio::spawn(health::watch(self.clone()));
        tokio::spawn(self.route.pool.clone().sweeping());
    }

    /// Waits until each model could be asked once, up to a limit that all upstreams share.
    pub(super) async fn warm_up(upstreams: &[Arc<Upstream>]) {
        let all = async {
            for upstream in upstreams {
                let mut complete = upstream.signals.complete.subscribe();
                // Its sender lives as long as the upstream.
                let _ = complete.wait_for(|complete| *complete).await;
            }
        };
        // Those that aren't there are told as such.
        let _ = tokio::time::timeout(WARM_UP, all).await;
    }

    /// What it serves.
    pub(super) fn models(&self) -> impl Iterator<Item = &ServedModel> {
        self.models.iter().map(|model| &model.served)
    }

    /// Answers for a model of [`Upstream::models`].
    pub(super) async fn answer(&self, ask: Ask) -> Result<Output, ApiError> {
        let model = self.models.iter().find(|model| model.served.id == ask.model);
        let model = model.ok_or_else(ApiError::model_not_served)?;
        let random_failed = |_| ApiError::from(Failure::Broken);
        let salt = self.salts.of(ask.tenant).map_err(random_failed)?;
        let target = Target {
            kind: self.kind,
            endpoint: ask.endpoint,
            model: &model.name,
            stream: ask.stream,
            cache_salt: &salt,
        };
        let rewritten = rewrite(target, ask.fields)?;
        if let Some(reason) = model.health.reason() {
            return Err(refused(reason));
        }
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            return Err(failure::overloaded());
        };
        let call = Call {
            method: Method::POST,
            path: path(ask.endpoint),
            body: rewritten.body,
            accept: if ask.stream { EVENTS } else { JSON },
            bearer: self.bearer(salt),
        };
        let reply = self
            .route
            .send(call)
            .await
            .map_err(|failure| self.failed(failure))?;
        let id = random::<12>().map_err(random_failed)?;
        let head = Head {
            id: format!("{}-{}", prefix(ask.endpoint), hex::encode(id)),
            model: ask.model,
            created: ask.created,
            fingerprint: model.fingerprint.clone(),
        };
        if ask.stream {
            let stream = Stream::new(ask.endpoint, head, rewritten.expected);
            let chunks = answer::stream(reply, stream, self.signals.clone(), place);
            return Ok(Output::Stream(chunks));
        }
        let document = answer::whole(reply, ask.endpoint, &head, rewritten.expected).await;
        Ok(Output::Whole(document.map_err(|failure| self.failed(failure))?))
    }

    fn failed(&self, failure: Failure) -> ApiError {
        self.signals.failed(&failure);
        failure.into()
    }

    /// Another node keeps tenants apart by their tokens.
    fn bearer(&self, salt: String) -> Option<String> {
        (self.confidentiality == Confidentiality::Attested).then_some(salt)
    }

    async fn probe(&self, model: &Model) -> Result<(), Reason> {
        let salt = self
            .salts
            .of(super::Tenant::Connection(0))
            .map_err(|_| Reason::Failed)?;
        probe::probe(&self.route, self.kind, &model.name, model.probe.as_ref(), &salt).await
    }
}

impl Model {
    fn new(upstream: &upstreams::Upstream, model: &upstreams::Model) -> Self {
        let health = Health::new();
        let shown = health.clone();
        let weights = model.weights;
        Self {
            served: ServedModel {
                id: model.id.clone(),
                sha256: None,
                weights,
                context_length: model.context_length.map(|tokens| tokens as usize),
                engine: engine(upstream.kind),
                endpoints: model.endpoints.clone(),
                confidentiality: Some(upstream.confidentiality()),
                quality: None,
                unavailable: Box::new(move || shown.reason().map(|reason| reason.code().to_owned())),
            },
            name: model.upstream_name().to_owned(),
            fingerprint: weights.map(|weights| format!("fp_{}", hex::encode(&weights.0[..6]))),
            probe: model.probe.clone(),
            health,
        }
    }
}

fn refused(reason: Reason) -> ApiError {
    match reason {
        Reason::NotVerified(code) => Failure::Connect(connect::ConnectError::NotVerified(code)).into(),
        _ => failure::unavailable(),
    }
}

fn engine(kind: Kind) -> &'static str {
    match kind {
        Kind::Vllm => "vllm",
        Kind::LlamaCpp => "llama_cpp",
        Kind::Ollama => "ollama",
        Kind::Openai => "openai",
    }
}

fn path(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Chat => "/v1/chat/completions",
        Endpoint::Completions => "/v1/completions",
        Endpoint::Embeddings => "/v1/embeddings",
    }
}

fn prefix(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Chat => "chatcmpl",
        Endpoint::Completions => "cmpl",
        Endpoint::Embeddings => "embd",
    }
}

/// How long a connection may wait for the next request. One on loopback costs nothing to make, and what isn't kept holds
/// no prompts; one to another node costs a quote. No longer than servers wait, so that few are found closed.
fn keep(confidentiality: Confidentiality) -> Duration {
    match confidentiality {
        Confidentiality::Loopback => Duration::ZERO,
        Confidentiality::Attested | Confidentiality::External => Duration::from_secs(20),
    }
}

/// How long connecting may take. Another node makes a quote.
fn patience(confidentiality: Confidentiality) -> Duration {
    match confidentiality {
        Confidentiality::Loopback => Duration::from_secs(5),
        Confidentiality::External => Duration::from_secs(15),
        Confidentiality::Attested => Duration::from_secs(45),
    }
}

#[cfg(test)]
mod tests;
