//! Start of a role's process: read the handover, enter the sandbox, and only then take input.

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use jeju_attestation::launch::LaunchDocument;
use jeju_attestation::launch::upstreams::Upstream;
use jeju_inference::wipe_stack;
use jeju_quote::Device;
use jeju_shim_protocol::fatal::FatalCode;
use jeju_shim_protocol::transport::GuestTransport;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::{OwnDescriptors, RoleArguments};
use crate::core_dumps;
use crate::handover::{Context, Handover, ModelFile, WorkersContext, open_key};
use crate::ipc::control::Reporter;
use crate::ipc::quote::QuoteClient;
use crate::node;
use crate::quote::ServeError;
use crate::sandbox::{self, Files, Needs};
use crate::supervise::Role;

/// How long a role's last tasks may take when it is asked to end.
const END_WAIT: Duration = Duration::from_millis(500);

/// Plays a role until the node ends. Returns never: the process ends with its role.
pub fn run(arguments: RoleArguments) -> ! {
    let control = Reporter::new(
        arguments
            .control
            .try_clone()
            .unwrap_or_else(|_| std::process::exit(1)),
    );
    let code = match play(arguments) {
        Ok(()) => std::process::exit(0),
        Err(code) => code,
    };
    control.fatal(code);
    std::process::exit(64 + i32::from(code.as_u16()))
}

/// Runs an owner's workers until the front closes the channel. Returns never.
pub fn run_worker(channel: OwnedFd) -> ! {
    let confined = core_dumps::forbid().is_ok() && {
        forbid_branch_speculation();
        // A kernel without Landlock: the front's process, which came first, has told or refused it.
        sandbox::enter(&Needs::of_worker()).is_ok()
    };
    if !confined {
        std::process::exit(1)
    }
    let channel = UnixStream::from(channel);
    let Ok(served) = channel.try_clone() else {
        std::process::exit(1)
    };
    let outcome = jeju_workers::serve(served);
    // At once, and not when the kernel has taken the memory back: the front sends the next event to another process.
    let _ = channel.shutdown(Shutdown::Both);
    std::process::exit(i32::from(outcome.is_err()))
}

/// Keeps branches that strangers' code has trained from steering the node's other processes on the same CPU, and the
/// other way round (Spectre, variant 2), where the kernel leaves that to processes.
fn forbid_branch_speculation() {
    // SAFETY: a plain system call. It fails where the CPU doesn't need it, or the kernel does it for all.
    unsafe {
        libc::prctl(
            libc::PR_SET_SPECULATION_CTRL,
            libc::PR_SPEC_INDIRECT_BRANCH,
            libc::PR_SPEC_FORCE_DISABLE,
            0,
            0,
        )
    };
}

/// `Ok` when the role was asked to end.
fn play(arguments: RoleArguments) -> Result<(), FatalCode> {
    // Neither a debugger nor a core dump of another process may show this one's keys. Reset by exec, so set here.
    // SAFETY: a plain system call.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) };
    let handover = Handover::open(&File::from(arguments.handover)).map_err(|_| FatalCode::Internal)?;
    let control = Reporter::new(arguments.control);
    match arguments.own {
        OwnDescriptors::Quote { quotes } => {
            // Before the sandbox, which leaves no way to open a device node.
            let device = match handover.image {
                true => node::device_of_image(&handover.transport)?,
                false => node::simulated_device(&handover.transport)?,
            };
            if device.tee() != handover.tee {
                return Err(FatalCode::QuotingFailed);
            }
            enter_sandbox(Role::Quote, &handover)?;
            let runtime = runtime(Builder::new_current_thread())?;
            until_asked_to_end(runtime, serve_quotes(device, quotes, handover, control))
        }
        OwnDescriptors::Signer { front, sealing } => {
            let sealing = sealing.map(|file| open_key(&File::from(file))).transpose();
            let sealing = sealing.map_err(|_| FatalCode::Internal)?;
            enter_sandbox(Role::Signer, &handover)?;
            // One thread: shares lie in the memory of one, and no other can wait for what it holds.
            let runtime = runtime(Builder::new_current_thread())?;
            until_asked_to_end(runtime, crate::signer::run(front, sealing, handover, control))
        }
        OwnDescriptors::Rentals { front, agent } => {
            // Before the sandbox, which leaves no way to open a file.
            crate::rentals::ssh::open_randomness();
            enter_sandbox(Role::Rentals, &handover)?;
            let runtime = runtime(Builder::new_multi_thread())?;
            until_asked_to_end(
                runtime,
                crate::rentals::run(front, agent.into(), handover, control),
            )
        }
        OwnDescriptors::Front {
            quotes,
            signer,
            rentals,
            spawner,
            workers_sealing,
            payments_sealing,
            models,
        } => {
            if models.len() != handover.models.len() {
                return Err(FatalCode::Internal);
            }
            let key = |file: Option<OwnedFd>| {
                let key = file.map(|file| open_key(&File::from(file))).transpose();
                key.map_err(|_| FatalCode::Internal)
            };
            let (sealing, payments_sealing) = (key(workers_sealing)?, key(payments_sealing)?);
            let workers = spawner.map(|spawner| WorkersContext { spawner, sealing });
            enter_sandbox(Role::Front, &handover)?;
            let models = handover.models.iter().zip(models);
            let models = models
                .map(|(name, file)| ModelFile {
                    name: name.clone(),
                    file: file.into(),
                })
                .collect();
            let runtime = runtime(Builder::new_multi_thread())?;
            until_asked_to_end(runtime, async move {
                let quotes = QuoteClient::new(quotes).map_err(|_| FatalCode::Internal)?;
                crate::front::run(Context {
                    handover,
                    models,
                    quotes,
                    signer,
                    rentals,
                    workers,
                    payments_sealing,
                    control,
                })
                .await
            })
        }
    }
}

async fn serve_quotes(
    device: Device,
    socket: OwnedFd,
    handover: Handover,
    control: Reporter,
) -> Result<Infallible, FatalCode> {
    let serve = crate::quote::serve(device, socket, &handover.launch_document);
    control.ready().map_err(|_| FatalCode::Internal)?;
    match serve.await {
        // The front is about to end, and tells PID 1 why. Ending here too could hide that.
        Ok(()) => std::future::pending().await,
        Err(ServeError::Malformed) => Err(FatalCode::Internal),
        Err(ServeError::Start(_)) => Err(FatalCode::QuotingFailed),
    }
}

fn enter_sandbox(role: Role, handover: &Handover) -> Result<(), FatalCode> {
    let sockets = match &handover.transport {
        GuestTransport::Vsock => None,
        GuestTransport::Unix(directory) => Some(directory.clone()),
    };
    let needs = Needs {
        role,
        tee: handover.tee,
        sockets,
        state: handover.state.clone(),
        upstreams: match role {
            Role::Front => loopback_ports(&handover.launch_document),
            Role::Quote | Role::Signer | Role::Rentals | Role::Worker => Vec::new(),
        },
    };
    match sandbox::enter(&needs) {
        Ok(Files::Enforced) => Ok(()),
        // The kernel of an image is ours and has all of it; anything less is a broken build.
        Ok(Files::Partial) if handover.image => Err(FatalCode::SandboxFailed),
        Ok(Files::Partial) => {
            eprintln!(
                "jeju-enclave: this kernel has no or an old Landlock; role {} runs with seccomp alone",
                role.name()
            );
            Ok(())
        }
        Err(error) => {
            if !handover.image {
                eprintln!("jeju-enclave: role {}: {error}", role.name());
            }
            Err(FatalCode::SandboxFailed)
        }
    }
}

/// Where upstreams on loopback listen. None of a document that is none: the front says so, once it is confined.
fn loopback_ports(launch_document: &[u8]) -> Vec<u16> {
    let document = LaunchDocument::parse(launch_document);
    let upstreams = document.map(|document| document.upstreams).unwrap_or_default();
    upstreams.iter().filter_map(Upstream::loopback_port).collect()
}

/// Threads with nothing to do keep nothing of what they did.
fn runtime(mut builder: Builder) -> Result<Runtime, FatalCode> {
    let builder = builder.enable_all().on_thread_park(wipe_stack);
    builder.build().map_err(|_| FatalCode::Internal)
}

/// Runs a role's work; SIGTERM ends it in order, so that listeners remove their sockets.
fn until_asked_to_end(
    runtime: Runtime,
    work: impl Future<Output = Result<Infallible, FatalCode>>,
) -> Result<(), FatalCode> {
    let outcome = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(|_: io::Error| FatalCode::Internal)?;
        tokio::select! {
            outcome = work => outcome.map(|never| match never {}),
            _ = terminate.recv() => Ok(()),
        }
    });
    runtime.shutdown_timeout(END_WAIT);
    outcome
}
