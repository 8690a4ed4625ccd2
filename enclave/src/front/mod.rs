//! The front: attested TLS on 4007, the HTTP API behind it, and a signature on every answer.
//!
//! A request goes one way: socket → [`listener`] (TLS) → [`exchange`] (bounded body, route, signature) → [`api`] → an
//! engine → back through [`signing`]. Evidence is made once per [`epoch`] from the keys of the [`identity`] and a
//! recent block ([`anchor`]), and on demand for a verifier's nonce ([`attester`]).

mod anchor;
mod api;
mod attester;
mod egress;
mod embedded;
mod engine;
mod epoch;
mod error;
mod exchange;
mod identity;
mod listener;
mod metrics;
mod model_file;
mod signing;

use std::convert::Infallible;
use std::sync::Arc;

use jeju_attestation::launch::LaunchDocument;
use jeju_attested_tls::server_config;
use jeju_shim_protocol::Port;
use jeju_shim_protocol::fatal::FatalCode;

use crate::handover::Context;

use self::anchor::AnchorReader;
use self::attester::Attester;
use self::identity::Identity;
use self::metrics::Metrics;

/// What every request can reach.
struct Node {
    launch: LaunchDocument,
    attester: Arc<Attester>,
    engine: Option<Box<dyn engine::InferenceEngine>>,
    metrics: Metrics,
}

/// Serves until the node ends; returns only the reason for which it can't go on.
///
/// # Errors
/// The fatal code of what failed.
pub async fn run(context: Context) -> Result<Infallible, FatalCode> {
    let Context {
        handover,
        models,
        quotes,
        control,
    } = context;
    let document = handover.launch_document.clone();
    let launch = LaunchDocument::parse(&document).map_err(|_| FatalCode::LaunchDocumentInvalid)?;
    // Listening first: a port that can't be had is known before minutes of work.
    let listener = handover
        .transport
        .listen(Port::Node)
        .map_err(|_| FatalCode::ListenerFailed)?;

    let engine = match launch.services.inference {
        true => Some(embedded::load(&launch.models, models)?),
        false => None,
    };
    let identity = Identity::generate(&launch, document).map_err(|_| FatalCode::Internal)?;
    let anchors = AnchorReader::new(&launch, handover.transport.clone())
        .map_err(|_| FatalCode::LaunchDocumentInvalid)?;
    let attester = Attester::start(identity, launch.node.clone(), anchors, quotes).await?;
    let tls = server_config(attester.certificate()).map_err(|_| FatalCode::Internal)?;
    tokio::spawn(attester.clone().rotate_epochs());

    let node = Arc::new(Node {
        launch,
        attester,
        engine,
        metrics: Metrics::new(),
    });
    control.ready().map_err(|_| FatalCode::ProcessDied)?;
    listener::serve(listener, Arc::new(tls), node).await
}
