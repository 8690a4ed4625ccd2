//! Machines by the hour: containers that tenants paid for on chain, and the SSH server by which they reach them.
//!
//! One process holds all of it and nothing else: no key but the SSH host key, which it makes at its start. The manager reads the
//! chain and the container engine and makes the one what the other asks for; who may log in stands in the table of
//! [`lease`]s, which the SSH server reads; both reach containers through a [`backend`].

mod api;
pub mod backend;
mod chain;
pub mod docker;
pub mod lease;
mod manager;
pub mod pace;
pub mod ssh;

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use jeju_attestation::launch::LaunchDocument;
use jeju_shim_protocol::Port;
use jeju_shim_protocol::fatal::FatalCode;

use self::api::Api;
use self::backend::ContainerBackend;
use self::chain::Contract;
use self::docker::DockerBackend;
use self::lease::Leases;
use self::manager::board::Board;
use self::ssh::HostKey;
use crate::anchor;
use crate::handover::Handover;
use crate::ipc::control::Reporter;
use crate::ipc::rentals::FrontSocket;

/// Longest program of the rental agent, in bytes.
const MAX_AGENT: usize = 4 << 20;

/// Serves until the node ends; returns only the reason for which it can't go on.
///
/// # Errors
/// The fatal code of what failed.
pub async fn run(
    front: OwnedFd,
    agent: File,
    handover: Handover,
    control: Reporter,
) -> Result<Infallible, FatalCode> {
    let launch =
        LaunchDocument::parse(&handover.launch_document).map_err(|_| FatalCode::LaunchDocumentInvalid)?;
    let rules = launch.rentals.clone().ok_or(FatalCode::LaunchDocumentInvalid)?;
    let agent = read_agent(&agent).map_err(|_| FatalCode::AgentMissing)?;
    let listener = handover
        .transport
        .listen(Port::Ssh)
        .map_err(|_| FatalCode::ListenerFailed)?;

    // The front waits for the key. Nothing before it, and nothing that the node's start waits for, asks Docker or the chain.
    let key = HostKey::generate();
    let front = FrontSocket::new(front).map_err(|_| FatalCode::Internal)?;
    let named = front.host_key(&key.public()).await;
    named.map_err(|_| FatalCode::ProcessDied)?;

    let reader = anchor::chain_reader(&launch, handover.transport.clone())
        .map_err(|_| FatalCode::LaunchDocumentInvalid)?;
    let chain = Arc::new(Contract::new(reader, &rules));
    let backend: Arc<dyn ContainerBackend> = Arc::new(DockerBackend::new(
        handover.transport.clone(),
        launch.node.agent.0,
        agent,
    ));
    let leases = Arc::new(Leases::new());
    let board = Arc::new(Board::new(rules, leases.clone()));
    let api = Arc::new(Api::new(board.clone(), backend.clone()));
    control.ready().map_err(|_| FatalCode::Internal)?;

    tokio::select! {
        ended = ssh::serve(listener, key, leases, backend.clone()) => ended,
        () = manager::run(board, chain, backend) => Err(FatalCode::Internal),
        // The front is about to end, and tells PID 1 why. Ending here too could hide that.
        () = async { api.serve(front).await; std::future::pending().await } => Err(FatalCode::Internal),
    }
}

/// The program that is put into containers.
fn read_agent(file: &File) -> io::Result<Bytes> {
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    if !(1..=MAX_AGENT).contains(&length) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut program = vec![0; length];
    file.read_exact_at(&mut program, 0)?;
    Ok(program.into())
}

#[cfg(test)]
mod tests;
