//! Starts the node's roles as processes of their own, and watches over them.
//!
//! No role is ever restarted: the death of one ends the node, because whatever made it die may be an attack, and keys
//! and session state die with it anyway. Processes that run workers come and go ([`Workers`]): they hold no key, and what
//! runs in them is meant to be thrown away.

mod child;
mod shares;
mod signals;
mod workers;

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use jeju_shim_protocol::fatal::FatalCode;

pub use child::{Child, Confinement, Start};
pub use signals::Signals;
pub use workers::Workers;

use crate::ipc::control::{Control, Received};

/// How long roles have to end by themselves when they are asked to.
const STOP_WAIT: Duration = Duration::from_secs(10);

/// A process of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The only user of the quoting devices.
    Quote,
    /// The only holder of shares of threshold keys; on nodes that offer them.
    Signer,
    /// Tenants' containers and the way into them; on nodes that rent out machines.
    Rentals,
    /// Attested TLS, HTTP and inference.
    Front,
    /// Workers of one owner. As many processes as there are owners whose workers run, and often none.
    Worker,
}

impl Role {
    /// All that every start of a node has one process of, in the order in which they start.
    pub const ALL: [Role; 4] = [Role::Quote, Role::Signer, Role::Rentals, Role::Front];

    /// The name on the command line of the role's process.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Quote => "quote",
            Role::Signer => "signer",
            Role::Rentals => "rentals",
            Role::Front => "front",
            Role::Worker => "worker",
        }
    }

    /// The inverse of [`Role::name`], among [`Role::ALL`].
    pub fn from_name(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.name() == name)
    }

    /// User and group id inside the image; of a worker's process the first of as many as there may be.
    pub(crate) const fn id(self) -> u32 {
        match self {
            Role::Quote => 100,
            Role::Front => 101,
            Role::Signer => 102,
            Role::Rentals => 103,
            Role::Worker => 1000,
        }
    }

    /// Most open descriptors.
    pub(crate) const fn open_files(self) -> u64 {
        match self {
            Role::Worker => 16,
            Role::Quote | Role::Signer => 64,
            Role::Rentals | Role::Front => 4096,
        }
    }
}

/// How the node ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was asked to (SIGTERM or SIGINT; in an image nobody can).
    Stopped,
    /// It can't go on.
    Fatal(FatalCode),
}

/// Watches until the node ends, then ends all roles. Calls `on_ready` once, when every role has reported that it is
/// ready. `signals` must have been taken before the roles were started. `workers` on a node that runs some.
pub fn run(
    signals: &Signals,
    mut children: Vec<Child>,
    mut workers: Option<Workers>,
    on_ready: impl FnOnce(),
) -> Outcome {
    let outcome = watch(signals, &mut children, workers.as_mut(), on_ready);
    let outcome = outcome.unwrap_or(Outcome::Fatal(FatalCode::Internal));
    // First of all: nothing waits for what they do.
    drop(workers);
    let patience = match outcome {
        Outcome::Stopped => STOP_WAIT,
        Outcome::Fatal(_) => Duration::ZERO,
    };
    stop(&children, patience);
    outcome
}

/// Ends roles: asks, waits up to `patience`, then kills. Returns when all are gone.
pub fn stop(children: &[Child], patience: Duration) {
    if !patience.is_zero() {
        children.iter().for_each(|child| child.signal(libc::SIGTERM));
    }
    let deadline = Instant::now() + patience;
    for child in children {
        while !child.is_gone() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        if !child.is_gone() {
            child.signal(libc::SIGKILL);
            child.wait();
        }
    }
}

fn watch(
    signals: &Signals,
    children: &mut [Child],
    mut workers: Option<&mut Workers>,
    on_ready: impl FnOnce(),
) -> io::Result<Outcome> {
    let mut on_ready = Some(on_ready);
    loop {
        wait_for_input(signals, children, workers.as_deref())?;
        if signals.stop_requested() {
            return Ok(Outcome::Stopped);
        }
        // Messages before deaths: a role says why right before it ends.
        for child in children.iter_mut() {
            if let Some(code) = take_messages(child) {
                return Ok(Outcome::Fatal(code));
            }
        }
        if reap(children, workers.as_deref_mut()) {
            return Ok(Outcome::Fatal(FatalCode::ProcessDied));
        }
        if let Some(Err(code)) = workers.as_deref_mut().map(Workers::take_requests) {
            return Ok(Outcome::Fatal(code));
        }
        if children.iter().all(|child| child.ready)
            && let Some(on_ready) = on_ready.take()
        {
            on_ready();
        }
    }
}

/// Sleeps until a signal or a message is there.
fn wait_for_input(signals: &Signals, children: &[Child], workers: Option<&Workers>) -> io::Result<()> {
    use std::os::fd::AsRawFd;

    let mut sources = vec![signals.as_fd().as_raw_fd()];
    sources.extend(
        children
            .iter()
            .filter(|child| !child.silent)
            .map(|child| child.inbox.as_fd().as_raw_fd()),
    );
    sources.extend(workers.and_then(Workers::source).map(|source| source.as_raw_fd()));
    let mut polled: Vec<libc::pollfd> = sources
        .into_iter()
        .map(|fd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        })
        .collect();
    // SAFETY: the pointer and the count are those of `polled`, which outlives the call.
    let ready = unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, -1) };
    match ready {
        -1 => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            error => Err(error),
        },
        _ => Ok(()),
    }
}

/// Most packets taken from one role in a row, so that one that floods can't hide the death of another.
const MESSAGES_AT_ONCE: usize = 8;

fn take_messages(child: &mut Child) -> Option<FatalCode> {
    for _ in 0..MESSAGES_AT_ONCE {
        match child.inbox.receive() {
            Received::Message(Control::Ready) => child.ready = true,
            Received::Message(Control::Fatal(code)) => return Some(code),
            Received::Malformed => return Some(FatalCode::Internal),
            Received::Nothing => break,
            Received::Closed => {
                // Its death follows, or it lives on without a word; a closed socket would wake the loop for ever.
                child.silent = true;
                break;
            }
        }
    }
    None
}

/// Takes all dead processes off the kernel's list, also orphans that PID 1 inherits. Whether a role was among them.
fn reap(children: &[Child], mut workers: Option<&mut Workers>) -> bool {
    let mut role_died = false;
    loop {
        let mut status = 0;
        // SAFETY: `status` outlives the call.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
        if pid <= 0 {
            return role_died;
        }
        if let Some(child) = children.iter().find(|child| child.pid() == pid) {
            child.mark_gone();
            role_died = true;
        } else if let Some(workers) = workers.as_deref_mut() {
            workers.mark_gone(pid);
        }
    }
}
