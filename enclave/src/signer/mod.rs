//! The signer: the only holder of shares. It has no socket but the front's, no file and no clock of its own; what the
//! front brings it, it verifies itself.
//!
//! The front's messages ([`crate::ipc::signer`]) go to the [`driver`], which asks the engine
//! ([`jeju_mpc::member::Member`]) and does what that says, in order: messages to [`peers`] (through their [`channel`]s,
//! to whom [`admission`] lets in), records into the [`vault`], events into the [`audit`] log, answers to the front
//! ([`outcome`]). The [`clock`] holds the time that the front tells.

pub mod admission;
pub mod audit;
pub mod channel;
pub mod clock;
pub mod driver;
mod engine;
pub mod outcome;
pub mod peers;
pub mod vault;

use std::convert::Infallible;
use std::os::fd::OwnedFd;
use std::time::Instant;

use jeju_attestation::launch::LaunchDocument;
use jeju_mpc::configuration::Founding;
use jeju_mpc::identity::IdentityKey;
use jeju_mpc::member::{Membership, Setup};
use jeju_mpc::network::{MemberIndex, Network};
use jeju_mpc::time::Interval;
use jeju_shim_protocol::fatal::FatalCode;
use jeju_store::SealingKey;
use rand_core::OsRng;
use tokio::time::sleep_until;

use self::audit::AuditLog;
use self::channel::ChannelKey;
use self::clock::Clock;
use self::driver::{AUDIT_PREFIX, Driver, Engine, Parts};
use self::engine::MemberEngine;
use self::peers::Peers;
use self::vault::{Opened, Records, StorageLost, Vault};
use crate::handover::Handover;
use crate::ipc::control::Reporter;
use crate::ipc::signer::{FromSigner, FrontSocket, ToSigner};

/// Signs until the node ends; returns only the reason for which it can't go on.
///
/// # Errors
/// The fatal code of what failed.
pub async fn run(
    socket: OwnedFd,
    sealing: Option<SealingKey>,
    handover: Handover,
    control: Reporter,
) -> Result<Infallible, FatalCode> {
    let launch =
        LaunchDocument::parse(&handover.launch_document).map_err(|_| FatalCode::LaunchDocumentInvalid)?;
    let (network, me) = network(&launch).ok_or(FatalCode::LaunchDocumentInvalid)?;
    let identity = IdentityKey::generate(&mut OsRng);
    let channel = ChannelKey::generate().map_err(|_| FatalCode::Internal)?;

    let mut front = FrontSocket::new(socket).map_err(|_| FatalCode::Internal)?;
    let keys = FromSigner::Keys {
        identity: identity.public().to_bytes(),
        channel: channel.public(),
    };
    send(&front, keys).await?;
    control.ready().map_err(|_| FatalCode::Internal)?;
    let mut peers = Peers::new(launch.clone(), channel).map_err(|_| FatalCode::LaunchDocumentInvalid)?;

    // Whatever is asked before the time is known would be judged by none.
    let clock = match front.next().await {
        Some(ToSigner::Time { lower, upper }) => Clock::new(Interval { lower, upper }, Instant::now()),
        Some(_) => return Err(FatalCode::Internal),
        None => return front_is_gone().await,
    };
    let Some(opened) = open_vault(&mut front, sealing.as_ref()).await? else {
        return front_is_gone().await;
    };
    let OpenVault {
        vault,
        records,
        mut early,
    } = opened;

    let (audit, records) = resume_audit(&network, me, records);
    let setup = Setup {
        network: network.clone(),
        me,
        membership: membership(&launch),
        identity,
    };
    let now = Instant::now();
    let engine =
        MemberEngine::new(setup, records, vault.state(), clock.now(now)).ok_or(FatalCode::StateLost)?;
    peers.configured(engine.configurations().chain.places().to_vec());
    let parts = Parts {
        engine,
        network,
        peers,
        clock,
        audit,
        vault,
    };
    let mut driver = Driver::new(parts, now);
    for message in early.drain(..) {
        driver.take(message, Instant::now()).map_err(lost)?;
    }
    loop {
        for frame in driver.take_frames() {
            send(&front, frame).await?;
        }
        let tick = driver.next_tick();
        tokio::select! {
            message = front.next() => match message {
                Some(message) => driver.take(message, Instant::now()).map_err(lost)?,
                None => return front_is_gone().await,
            },
            () = sleep_until(tick.into()) => driver.tick(Instant::now()).map_err(lost)?,
        }
    }
}

/// The network of the launch document, and this node's place in it.
fn network(launch: &LaunchDocument) -> Option<(Network, MemberIndex)> {
    let mpc = launch.mpc.as_ref()?;
    let network = Network {
        genesis: mpc.genesis(),
        chain_id: launch.chain.id,
        threshold: mpc.threshold,
        members: u16::try_from(mpc.members.len()).ok()?,
    };
    let me = mpc.place_of(&launch.node.agent.0)?;
    Some((network, MemberIndex(me)))
}

/// Who the members are by the launch document.
fn membership(launch: &LaunchDocument) -> Option<Membership> {
    Some(Membership {
        agent: launch.node.agent.0,
        founding: Founding::of(launch.mpc.as_ref()?),
    })
}

struct OpenVault {
    vault: Vault,
    records: Records,
    /// What came in the meantime.
    early: Vec<ToSigner>,
}

/// Messages of the front that are kept while the store is being opened. It has little to say until then.
const MAX_EARLY: usize = 1024;

/// `None` when the front is gone.
async fn open_vault(
    front: &mut FrontSocket,
    key: Option<&SealingKey>,
) -> Result<Option<OpenVault>, FatalCode> {
    let mut opened = Opened::new(key).map_err(lost)?;
    let mut early = Vec::new();
    let mut id = 0;
    while let (Some(op), Some(key)) = (opened.ask().map_err(lost)?, key) {
        id += 1;
        send(front, FromSigner::Blob { id, op }).await?;
        let reply = loop {
            match front.next().await {
                Some(ToSigner::BlobAnswer { id: answered, reply }) if answered == id => break reply,
                Some(message) if early.len() < MAX_EARLY => early.push(message),
                Some(_) => {}
                None => return Ok(None),
            }
        };
        opened.answer(key, reply).map_err(lost)?;
    }
    let (vault, records) = opened.finish().map_err(lost)?;
    Ok(Some(OpenVault {
        vault,
        records,
        early,
    }))
}

/// Takes the audit log out of the records. One that doesn't continue is begun anew: it is evidence, and no state.
fn resume_audit(network: &Network, me: MemberIndex, records: Records) -> (AuditLog, Records) {
    let (segments, records): (Records, Records) = records
        .into_iter()
        .partition(|(name, _)| name.starts_with(AUDIT_PREFIX));
    // In the order of their names, which is that of their numbers.
    let segments: Vec<Vec<u8>> = segments.into_values().map(|bytes| bytes.to_vec()).collect();
    let resumed = AuditLog::resume(&network.genesis, me.0, &segments);
    let audit = resumed.unwrap_or_else(|_| AuditLog::new(&network.genesis, me.0));
    (audit, records)
}

async fn send(front: &FrontSocket, frame: FromSigner) -> Result<(), FatalCode> {
    match front.writer.send(&frame).await {
        Ok(()) => Ok(()),
        Err(_) => front_is_gone().await,
    }
}

/// The front is about to end, and tells PID 1 why. Ending here too could hide that.
async fn front_is_gone<T>() -> Result<T, FatalCode> {
    std::future::pending().await
}

fn lost(_: StorageLost) -> FatalCode {
    FatalCode::StateLost
}
