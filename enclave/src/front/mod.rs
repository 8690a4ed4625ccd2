//! The front: attested TLS on 4007 and, on nodes with a signer, 4010; the HTTP APIs behind them, and a signature on every
//! answer.
//!
//! A request goes one way: socket → [`listener`] (TLS) → [`exchange`] (bounded body, route, signature) → [`api`] → an
//! engine → back through [`signing`]. Evidence is made once per [`epoch`] from the keys of the [`identity`] and a
//! recent block ([`crate::anchor`]), and on demand for a verifier's nonce ([`attester`]). [`wallet`] says whose a request is,
//! [`payments`] whether it is served and what it costs. [`mpc`] carries for the signer,
//! [`api`] for the rentals role. [`receipts`] keeps what is said of answers.

mod api;
mod attester;
mod epoch;
mod error;
mod exchange;
mod identity;
mod inference;
mod listener;
mod metrics;
mod mpc;
mod payments;
mod peers;
mod receipts;
mod signing;
mod stall;
mod storage;
mod wallet;
mod workers;

use std::convert::Infallible;
use std::sync::Arc;

use jeju_attestation::launch::LaunchDocument;
use jeju_attested_tls::{peer_server_config, server_config};
use jeju_chain::public_web_tls;
use jeju_shim_protocol::Port;
use jeju_shim_protocol::fatal::FatalCode;
use jeju_shim_protocol::transport::Listener;
use tokio::sync::Semaphore;

use crate::anchor::{self, AnchorReader};
use crate::blobs::Blobs;
use crate::egress::{Egress, TargetEgress};
use crate::handover::Context;
use crate::ipc::rentals::RentalsClient;
use crate::ipc::signer::SignerClient;
use crate::ipc::spawner::Spawner;
use crate::newest::NewestTime;

use self::api::Rentals;
use self::attester::Attester;
use self::exchange::Surface;
use self::identity::Identity;
use self::inference::places::Places;
use self::inference::{Inference, Ways};
use self::listener::Service;
use self::metrics::Metrics;
use self::mpc::{Mpc, Timekeeper};
use self::payments::Payments;
use self::peers::Peers;
use self::wallet::Wallets;
use self::workers::code::Remote;
use self::workers::outbound::Fetcher;
use self::workers::processes::Processes;
use self::workers::{Clock, Workers};

/// What every request can reach.
struct Node {
    launch: LaunchDocument,
    attester: Arc<Attester>,
    inference: Inference,
    /// For answers under way.
    places: Places,
    /// Who signs requests.
    wallets: Arc<Wallets>,
    metrics: Arc<Metrics>,
    /// On a node that is paid.
    payments: Option<Arc<Payments>>,
    /// On a node with a signer.
    mpc: Option<Mpc>,
    /// On a node that rents out machines.
    rentals: Option<Rentals>,
    /// On a node that runs workers.
    workers: Option<Arc<Workers>>,
    /// Places of long request bodies, in KiB.
    bodies: Arc<Semaphore>,
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
        signer,
        rentals,
        workers,
        payments_sealing,
        control,
    } = context;
    let document = handover.launch_document.clone();
    let launch = LaunchDocument::parse(&document).map_err(|_| FatalCode::LaunchDocumentInvalid)?;
    // Listening first: a port that can't be had is known before minutes of work.
    let listen = |port| {
        handover
            .transport
            .listen(port)
            .map_err(|_| FatalCode::ListenerFailed)
    };
    let listener = listen(Port::Node)?;
    let (signer, mpc_listener) = match signer {
        Some(socket) => {
            let signer = SignerClient::connect(socket).await;
            (
                Some(signer.map_err(|_| FatalCode::ProcessDied)?),
                Some(listen(Port::Mpc)?),
            )
        }
        None => (None, None),
    };

    let workers_listener = workers.as_ref().map(|_| listen(Port::Workers)).transpose()?;

    let rentals = match rentals {
        Some(socket) => {
            let rentals = RentalsClient::connect(socket).await;
            Some(rentals.map_err(|_| FatalCode::ProcessDied)?)
        }
        None => None,
    };

    let egress = Arc::new(Egress::new(
        handover.transport.clone(),
        launch.egress.allow.clone(),
    ));
    let chain = anchor::chain_reader(&launch, handover.transport.clone())
        .map_err(|_| FatalCode::LaunchDocumentInvalid)?;
    let ways = Ways {
        egress: egress.clone(),
        chain: chain.clone(),
    };
    let inference = Inference::load(&launch, models, &ways)?;
    let mpc_keys = signer.as_ref().map(|(_, keys, _)| *keys);
    let ssh_key = rentals.as_ref().map(|(_, key)| *key);
    let identity =
        Identity::generate(&launch, document, mpc_keys, ssh_key).map_err(|_| FatalCode::Internal)?;
    let hpke = identity.hpke.clone();
    let anchors = AnchorReader::new(chain.clone());
    let attester = Attester::start(
        identity,
        launch.receipts.clone(),
        launch.node.clone(),
        anchors,
        quotes,
    )
    .await?;
    let tls = server_config(attester.certificate()).map_err(|_| FatalCode::Internal)?;
    tokio::spawn(attester.clone().rotate_epochs());

    let wallets = Arc::new(Wallets::new(&launch, chain.clone()));
    let payments = match launch.payments.clone() {
        Some(config) => {
            let parts = payments::Parts {
                config,
                chain: chain.clone(),
                wallets: wallets.clone(),
                attester: attester.clone(),
                blobs: Blobs::new(handover.transport.clone()),
                sealing: payments_sealing,
            };
            let payments = Payments::open(&launch, parts).await;
            Some(payments.map_err(|_| FatalCode::Internal)?)
        }
        None => None,
    };
    let rentals = rentals.map(|(role, _)| Rentals {
        role,
        wallets: wallets.clone(),
    });
    let mpc = match signer {
        Some((client, _, streams)) => {
            let time = Timekeeper::new(&launch, client.clone(), attester.clone(), chain.clone());
            time.tell().await.map_err(|_| FatalCode::ProcessDied)?;
            tokio::spawn(time.run());
            let blobs = Blobs::new(handover.transport.clone());
            tokio::spawn(mpc::keep_blobs(streams.blobs, blobs));
            tokio::spawn(mpc::ask_contracts(streams.contracts, chain.clone()));
            let parts = peers::Parts {
                signer: client.clone(),
                quotes: attester.clone(),
                certificate: attester.certificate(),
                egress,
                chain: chain.clone(),
            };
            let peers = Peers::new(&launch, parts).map_err(|_| FatalCode::LaunchDocumentInvalid)?;
            Some(Mpc::new(&launch, client, peers).ok_or(FatalCode::LaunchDocumentInvalid)?)
        }
        None => None,
    };
    let peers = match &mpc {
        Some(mpc) => {
            let tls = peer_server_config(attester.certificate()).map_err(|_| FatalCode::Internal)?;
            Some((Arc::new(tls), mpc.peers.clone()))
        }
        None => None,
    };
    let workers = match (workers, launch.workers.clone()) {
        (Some(context), Some(config)) => {
            let spawner = Spawner::new(context.spawner).map_err(|_| FatalCode::ProcessDied)?;
            let dial = Arc::new(TargetEgress(handover.transport.clone()));
            let fetcher = Fetcher::new(&config, &launch.node.names, dial, &public_web_tls());
            let registry = config.registry.as_ref().map(|registry| registry.0);
            let parts = workers::Parts {
                processes: Processes::new(spawner, config.processes, Arc::new(fetcher.clone())),
                code: Arc::new(Remote::new(fetcher, chain.clone(), registry)),
                config,
                blobs: Blobs::new(handover.transport.clone()),
                sealing: context.sealing,
                hpke,
                time: Clock::Chain(NewestTime::new(chain.clone())),
            };
            let workers = Workers::open(parts).await.map_err(|_| FatalCode::Internal)?;
            workers.keep_schedules();
            Some(workers)
        }
        (None, _) => None,
        (Some(_), None) => return Err(FatalCode::LaunchDocumentInvalid),
    };
    let node = Arc::new(Node {
        launch,
        attester,
        inference,
        places: Places::default(),
        wallets,
        payments,
        metrics: Arc::new(Metrics::new()),
        mpc,
        rentals,
        workers,
        bodies: Arc::new(Semaphore::new(exchange::BODIES)),
    });
    let http = Arc::new(tls);
    let service = |surface, peers| Service {
        http: http.clone(),
        surface,
        node: node.clone(),
        peers,
    };
    let node_service = service(Surface::Node, None);
    let mpc_service = service(Surface::Mpc, peers);
    if let Some(mpc) = &node.mpc {
        mpc.peers.dial();
    }
    node.inference.warm_up().await;
    control.ready().map_err(|_| FatalCode::ProcessDied)?;
    let workers_service = service(Surface::Workers, None);
    tokio::select! {
        ended = listener::serve(listener, node_service) => ended,
        ended = serve_if(mpc_listener, mpc_service) => ended,
        ended = serve_if(workers_listener, workers_service) => ended,
    }
}

/// Serves a port that the node may not have.
async fn serve_if(listener: Option<Listener>, service: Service) -> Result<Infallible, FatalCode> {
    match listener {
        Some(listener) => listener::serve(listener, service).await,
        None => std::future::pending().await,
    }
}
