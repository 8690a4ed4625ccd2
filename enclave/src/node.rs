//! What the first process of a node does, as PID 1 and in process mode alike: from power-on to roles that serve.
//!
//! The order is the security argument: the launch document is fetched and bound to the platform before any key exists,
//! and the kernel is seeded from the TEE before anything draws from it.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use jeju_attestation::launch::{LaunchDocument, workers};
use jeju_attestation::tee::Tee;
use jeju_quote::entropy::{self, EntropyError};
use jeju_quote::launch_binding::{self, LaunchBindingError};
use jeju_quote::{DetectError, Device};
use jeju_shim_protocol::fatal::{FatalCode, SERIAL_READY};
use jeju_shim_protocol::transport::GuestTransport;
use jeju_store::{PlatformSecret, SealingKey, SealingRoot};

use crate::fatal::print_line;
use crate::handover::{Handover, ModelFile, seal_key};
use crate::ipc::{control, spawner};
use crate::loopback;
use crate::supervise::{self, Child, Confinement, Outcome, Role, Signals, Start, Workers};

/// Memory of an owner's process beside that of its isolates, in bytes.
const WORKER_MEMORY: u64 = 256 << 20;
/// Isolates that may use all of their memory at the same time in an owner's process.
const FULL_ISOLATES: u64 = 4;

/// What differs between an image and process mode.
#[derive(Debug)]
pub struct Setup {
    /// Whether this is a measured image.
    pub image: bool,
    /// How to reach the host.
    pub transport: GuestTransport,
    /// Open models.
    pub models: Vec<ModelFile>,
    /// The program that is put into containers of rentals.
    pub agent: Option<File>,
    /// Directory for state, in process mode only.
    pub state: Option<PathBuf>,
}

/// Runs the node until it ends; all its processes are gone then.
pub fn run(setup: Setup, device: Device) -> Outcome {
    match start(setup, device) {
        Ok(started) => supervise::run(&started.signals, started.children, started.workers, || {
            print_line(SERIAL_READY)
        }),
        Err(code) => Outcome::Fatal(code),
    }
}

/// The quoting device of an image's platform; in a development build simulated silicon where there is no TEE.
///
/// # Errors
/// [`FatalCode::NoTeeFound`], or [`FatalCode::QuotingFailed`] when the device can't be opened.
pub fn device_of_image(transport: &GuestTransport) -> Result<Device, FatalCode> {
    match jeju_quote::detect(Path::new("/")) {
        Ok(platform) => Device::open(&platform).map_err(|_| FatalCode::QuotingFailed),
        Err(DetectError::None) => simulated_device(transport),
        Err(_) => Err(FatalCode::NoTeeFound),
    }
}

/// Simulated silicon, which a release build doesn't know.
///
/// # Errors
/// [`FatalCode::NoTeeFound`] in a release build.
#[cfg_attr(not(feature = "sim"), allow(unused_variables))]
pub fn simulated_device(transport: &GuestTransport) -> Result<Device, FatalCode> {
    #[cfg(feature = "sim")]
    return Ok(Device::simulated(transport.clone()));
    #[cfg(not(feature = "sim"))]
    return Err(FatalCode::NoTeeFound);
}

/// What PID 1 watches.
struct Started {
    signals: Signals,
    children: Vec<Child>,
    workers: Option<Workers>,
}

fn start(setup: Setup, device: Device) -> Result<Started, FatalCode> {
    let tee = device.tee();
    seed_kernel(tee, setup.image)?;
    let launch_document = block_on(crate::launch::fetch(&setup.transport))?;
    let digest = LaunchDocument::digest(&launch_document);
    let binding = launch_binding::bind(&device, &digest).map_err(|error| match error {
        LaunchBindingError::Device(_) => FatalCode::QuotingFailed,
        _ => FatalCode::LaunchDigestMismatch,
    })?;
    let keys = keys(&device, digest);
    // The quote role opens the device again, as its own user.
    drop(device);

    let handover = Handover {
        tee,
        image: setup.image,
        transport: setup.transport,
        launch_document,
        binding,
        state: setup.state,
        models: setup.models.iter().map(|model| model.name.clone()).collect(),
    };
    // Before the first child, so that no signal is lost; and not earlier, so that until then a signal simply ends us.
    let signals = Signals::take().map_err(|_| FatalCode::Internal)?;
    let files = Files {
        models: &setup.models,
        agent: setup.agent.as_ref(),
    };
    let (children, workers) = start_roles(&handover, files, &keys)?;
    Ok(Started {
        signals,
        children,
        workers,
    })
}

/// Gives the kernel's generator entropy from the TEE (DESIGN §3.9): what the host provides isn't credited.
fn seed_kernel(tee: Tee, image: bool) -> Result<(), FatalCode> {
    let seed = entropy::seed(tee).map_err(|_| FatalCode::NoEntropySource)?;
    match entropy::credit_kernel(&seed) {
        // A developer's machine was seeded at its own boot.
        Err(EntropyError::NotPermitted) if !image => Ok(()),
        outcome => outcome.map_err(|_| FatalCode::NoEntropySource),
    }
}

fn block_on<T>(future: impl Future<Output = Result<T, FatalCode>>) -> Result<T, FatalCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|_| FatalCode::Internal)?.block_on(future)
}

/// Keys of the stores of roles. Where the platform has none, shares, workers and payments last as long as the boot.
#[derive(Default)]
struct Keys {
    signer: Option<SealingKey>,
    workers: Option<SealingKey>,
    payments: Option<SealingKey>,
}

fn keys(device: &Device, launch: [u8; 32]) -> Keys {
    let Some(secret) = device.sealing_secret().ok().flatten() else {
        return Keys::default();
    };
    let secret = PlatformSecret::new(secret, launch);
    Keys {
        signer: secret.seal_key(b"signer"),
        workers: secret.seal_key(b"workers"),
        payments: secret.seal_key(b"payments"),
    }
}

/// Open files that roles inherit.
#[derive(Clone, Copy)]
struct Files<'a> {
    models: &'a [ModelFile],
    agent: Option<&'a File>,
}

/// Sockets between the front and the roles behind it. Nodes that sign nothing or rent out nothing have no such process.
struct Sockets {
    quotes: (OwnedFd, OwnedFd),
    signer: Option<(OwnedFd, OwnedFd)>,
    rentals: Option<(OwnedFd, OwnedFd)>,
    /// The front's end alone.
    spawner: Option<OwnedFd>,
}

/// Keys in files that roles inherit.
struct KeyFiles {
    signer: Option<File>,
    workers: Option<File>,
    payments: Option<File>,
}

type Named<'a> = Vec<(&'static str, BorrowedFd<'a>)>;

fn start_roles(
    handover: &Handover,
    files: Files,
    keys: &Keys,
) -> Result<(Vec<Child>, Option<Workers>), FatalCode> {
    let sealed = handover.seal().map_err(|_| FatalCode::Internal)?;
    let document =
        LaunchDocument::parse(&handover.launch_document).map_err(|_| FatalCode::LaunchDocumentInvalid)?;
    if document.services.rentals && files.agent.is_none() {
        return Err(FatalCode::AgentMissing);
    }
    if handover.image
        && document
            .upstreams
            .iter()
            .any(|upstream| upstream.loopback_port().is_some())
    {
        loopback::bring_up().map_err(|_| FatalCode::Internal)?;
    }
    let pair = || control::socketpair(libc::SOCK_STREAM).map_err(|_| FatalCode::Internal);
    let (workers, spawner) = workers(handover, document.workers.as_ref())?.unzip();
    let sockets = Sockets {
        quotes: pair()?,
        signer: document.services.mpc.then(pair).transpose()?,
        rentals: document.services.rentals.then(pair).transpose()?,
        spawner,
    };
    let file = |key: &Option<SealingKey>, is_wanted: bool| {
        let key = key.as_ref().filter(|_| is_wanted);
        key.map(seal_key).transpose().map_err(|_| FatalCode::Internal)
    };
    let keys = KeyFiles {
        signer: file(&keys.signer, sockets.signer.is_some())?,
        workers: file(&keys.workers, sockets.spawner.is_some())?,
        payments: file(&keys.payments, document.payments.is_some())?,
    };
    let mut children = Vec::new();
    for role in Role::ALL {
        let Some(own) = descriptors(role, &sockets, files, &keys) else {
            continue;
        };
        match start_role(role, handover, &sealed, own) {
            Ok(child) => children.push(child),
            Err(_) => {
                supervise::stop(&children, std::time::Duration::ZERO);
                return Err(FatalCode::SandboxFailed);
            }
        }
    }
    Ok((children, workers))
}

/// What starts processes for workers, and the front's end of it; on a node that runs some.
fn workers(
    handover: &Handover,
    section: Option<&workers::Workers>,
) -> Result<Option<(Workers, OwnedFd)>, FatalCode> {
    let Some(section) = section else {
        return Ok(None);
    };
    let (requests, front) = spawner::pair().map_err(|_| FatalCode::Internal)?;
    let memory = WORKER_MEMORY + FULL_ISOLATES * (u64::from(section.memory_mb) << 20);
    let confinement = confinement(Role::Worker, handover);
    let mut workers = Workers::new(requests, section.processes, memory, confinement);
    if handover.image {
        workers.share().map_err(|_| FatalCode::SandboxFailed)?;
    }
    Ok(Some((workers, front)))
}

/// A role's own descriptors; none for a role that this node doesn't have.
fn descriptors<'a>(
    role: Role,
    sockets: &'a Sockets,
    files: Files<'a>,
    keys: &'a KeyFiles,
) -> Option<Named<'a>> {
    match role {
        Role::Quote => Some(vec![("--quotes", sockets.quotes.0.as_fd())]),
        Role::Signer => {
            let mut named = vec![("--signer", sockets.signer.as_ref()?.0.as_fd())];
            named.extend(keys.signer.as_ref().map(|file| ("--sealing", file.as_fd())));
            Some(named)
        }
        Role::Rentals => Some(vec![
            ("--rentals", sockets.rentals.as_ref()?.0.as_fd()),
            ("--agent", files.agent?.as_fd()),
        ]),
        Role::Front => {
            let mut named = vec![("--quotes", sockets.quotes.1.as_fd())];
            named.extend(sockets.signer.as_ref().map(|pair| ("--signer", pair.1.as_fd())));
            named.extend(sockets.rentals.as_ref().map(|pair| ("--rentals", pair.1.as_fd())));
            named.extend(sockets.spawner.as_ref().map(|end| ("--spawner", end.as_fd())));
            let key = keys.workers.as_ref();
            named.extend(key.map(|file| ("--workers-sealing", file.as_fd())));
            let key = keys.payments.as_ref();
            named.extend(key.map(|file| ("--payments-sealing", file.as_fd())));
            named.extend(files.models.iter().map(|model| ("--model", model.file.as_fd())));
            Some(named)
        }
        // Started when the front asks for one.
        Role::Worker => None,
    }
}

fn start_role(role: Role, handover: &Handover, sealed: &File, own: Named) -> std::io::Result<Child> {
    let (inbox, control) = control::pair()?;
    let mut named = vec![("--handover", sealed.as_fd()), ("--control", control.as_fd())];
    named.extend(own);
    let mut arguments: Vec<OsString> = vec!["--role".into(), role.name().into()];
    for (name, descriptor) in &named {
        arguments.extend([OsString::from(name), descriptor.as_raw_fd().to_string().into()]);
    }
    let inherited: Vec<BorrowedFd> = named.into_iter().map(|(_, descriptor)| descriptor).collect();
    Start {
        program: Path::new("/proc/self/exe"),
        role,
        user: role.id(),
        arguments,
        inherited: &inherited,
        confinement: confinement(role, handover),
    }
    .spawn(inbox)
}

fn confinement(role: Role, handover: &Handover) -> Confinement {
    match (handover.image, role, handover.tee) {
        (false, ..) => Confinement::SameUser,
        (true, Role::Quote, Tee::Tdx | Tee::SevSnp) => Confinement::OwnUserConfigfs,
        (true, ..) => Confinement::OwnUser,
    }
}
