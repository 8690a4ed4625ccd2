//! The command line, parsed strictly: each option once, none unknown.

use std::ffi::{OsStr, OsString};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
#[cfg(feature = "sim")]
use std::path::PathBuf;

#[cfg(feature = "sim")]
use jeju_shim_protocol::transport::GuestTransport;

use crate::supervise::Role;

/// How to call this program, as far as this build can be called.
pub const USAGE: &str = if cfg!(feature = "sim") {
    "usage: jeju-enclave --platform simulated --transport unix:DIR [--model FILE]... [--agent FILE] [--state DIR]"
} else {
    "jeju-enclave of a release build runs only as PID 1 of its image"
};

/// What the command line asks for.
#[derive(Debug)]
pub enum Arguments {
    /// Be a role of a node; only ever asked for by the node's first process.
    Role(RoleArguments),
    /// Run workers of an owner; as [`Arguments::Role`]. The channel to the front is all that the process gets.
    Worker(OwnedFd),
    /// Run a node as ordinary processes.
    #[cfg(feature = "sim")]
    Process(ProcessArguments),
}

/// Descriptors that a role inherits.
#[derive(Debug)]
pub struct RoleArguments {
    /// Which role.
    pub role: Role,
    /// The sealed [`crate::handover::Handover`].
    pub handover: OwnedFd,
    /// Control socket to the first process.
    pub control: OwnedFd,
    /// The role's own sockets and files.
    pub own: OwnDescriptors,
}

/// What only some roles inherit.
#[derive(Debug)]
pub enum OwnDescriptors {
    /// The quote role's.
    Quote {
        /// Its socket to the front.
        quotes: OwnedFd,
    },
    /// The signer's.
    Signer {
        /// Its socket to the front.
        front: OwnedFd,
        /// The sealed key of its store, where the platform gives one ([`crate::handover::open_key`]).
        sealing: Option<OwnedFd>,
    },
    /// The rentals role's.
    Rentals {
        /// Its socket to the front.
        front: OwnedFd,
        /// The program that is put into containers.
        agent: OwnedFd,
    },
    /// The front's.
    Front {
        /// Its socket to the quote role.
        quotes: OwnedFd,
        /// Its socket to the signer, where there is one.
        signer: Option<OwnedFd>,
        /// Its socket to the rentals role, where there is one.
        rentals: Option<OwnedFd>,
        /// Its socket to PID 1 for processes that run workers, on a node that runs some.
        spawner: Option<OwnedFd>,
        /// The sealed key of the workers' store, where the platform gives one.
        workers_sealing: Option<OwnedFd>,
        /// The same of the store of accounts that pay, on a node with payments.
        payments_sealing: Option<OwnedFd>,
        /// Model files.
        models: Vec<OwnedFd>,
    },
}

/// Options of process mode.
#[cfg(feature = "sim")]
#[derive(Debug)]
pub struct ProcessArguments {
    /// Always Unix sockets: a process has no vsock of its own.
    pub transport: GuestTransport,
    /// Model files.
    pub models: Vec<PathBuf>,
    /// The program that is put into containers of rentals.
    pub agent: Option<PathBuf>,
    /// Directory for state.
    pub state: Option<PathBuf>,
}

/// The first argument that can't be understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad argument {}", .0.display())]
pub struct BadArgument(pub OsString);

impl Arguments {
    /// Parses the arguments after the program's name.
    ///
    /// # Errors
    /// [`BadArgument`] for an unknown, repeated, missing or malformed one.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Arguments, BadArgument> {
        let mut options = Options::parse(arguments)?;
        let parsed = match options.take("--role")? {
            Some(role) if role == Role::Worker.name() => {
                let channel = descriptor(options.require("--channel")?)?;
                Arguments::Worker(take_descriptors(&[channel])?.remove(0))
            }
            Some(role) => Arguments::Role(RoleArguments::parse(&role, &mut options)?),
            None => Self::parse_process(&mut options)?,
        };
        options.finish()?;
        Ok(parsed)
    }

    #[cfg(feature = "sim")]
    fn parse_process(options: &mut Options) -> Result<Arguments, BadArgument> {
        let platform = options.require("--platform")?;
        if platform != "simulated" {
            return Err(BadArgument(platform));
        }
        let transport = options.require("--transport")?;
        let parsed = transport.to_str().and_then(|text| text.parse().ok());
        let Some(transport @ GuestTransport::Unix(_)) = parsed else {
            return Err(BadArgument(transport));
        };
        let models = options
            .take_all("--model")
            .into_iter()
            .map(PathBuf::from)
            .collect();
        let agent = options.take("--agent")?.map(PathBuf::from);
        let state = options.take("--state")?.map(PathBuf::from);
        Ok(Arguments::Process(ProcessArguments {
            transport,
            models,
            agent,
            state,
        }))
    }

    #[cfg(not(feature = "sim"))]
    fn parse_process(options: &mut Options) -> Result<Arguments, BadArgument> {
        options.finish()?;
        Err(BadArgument(OsString::new()))
    }
}

/// What `jeju-init` opened for PID 1.
#[derive(Debug)]
pub struct BootFiles {
    /// Models, each with its file name.
    pub models: Vec<(String, OwnedFd)>,
    /// The program that is put into containers of rentals.
    pub agent: Option<OwnedFd>,
}

/// Parses what `jeju-init` passes to PID 1: a `--model DESCRIPTOR:NAME` for each model, and `--agent DESCRIPTOR`.
///
/// # Errors
/// [`BadArgument`] for anything else.
pub fn parse_boot(arguments: impl IntoIterator<Item = OsString>) -> Result<BootFiles, BadArgument> {
    let mut options = Options::parse(arguments)?;
    let mut names = Vec::new();
    let mut numbers = Vec::new();
    for model in options.take_all("--model") {
        let parts = model.to_str().and_then(|text| text.split_once(':'));
        let (number, name) = parts.ok_or_else(|| BadArgument(model.clone()))?;
        numbers.push(descriptor(number.into())?);
        names.push(name.to_owned());
    }
    if let Some(agent) = options.take("--agent")? {
        numbers.push(descriptor(agent)?);
    }
    options.finish()?;
    let mut files = take_descriptors(&numbers)?.into_iter();
    let models = names.into_iter().zip(files.by_ref()).collect();
    Ok(BootFiles {
        models,
        agent: files.next(),
    })
}

impl RoleArguments {
    fn parse(role: &OsStr, options: &mut Options) -> Result<RoleArguments, BadArgument> {
        let role = role
            .to_str()
            .and_then(Role::from_name)
            .ok_or_else(|| BadArgument(role.into()))?;
        let mut numbers = vec![
            descriptor(options.require("--handover")?)?,
            descriptor(options.require("--control")?)?,
        ];
        let (required, optional): (&[&str], &[&str]) = match role {
            Role::Quote => (&["--quotes"], &[]),
            Role::Signer => (&["--signer"], &["--sealing"]),
            Role::Rentals => (&["--rentals", "--agent"], &[]),
            Role::Front => (
                &["--quotes"],
                &[
                    "--signer",
                    "--rentals",
                    "--spawner",
                    "--workers-sealing",
                    "--payments-sealing",
                ],
            ),
            Role::Worker => return Err(BadArgument(role.name().into())),
        };
        for name in required {
            numbers.push(descriptor(options.require(name)?)?);
        }
        let mut given = Vec::new();
        for name in optional {
            let named = options.take(name)?;
            given.push(named.is_some());
            numbers.extend(named.map(descriptor).transpose()?);
        }
        if role == Role::Front {
            for model in options.take_all("--model") {
                numbers.push(descriptor(model)?);
            }
        }
        let mut owned = take_descriptors(&numbers)?.into_iter();
        let mut next = || owned.next().expect("as many as numbers");
        let (handover, control) = (next(), next());
        let own = match role {
            Role::Quote => OwnDescriptors::Quote { quotes: next() },
            Role::Signer => OwnDescriptors::Signer {
                front: next(),
                sealing: given[0].then(&mut next),
            },
            Role::Rentals => OwnDescriptors::Rentals {
                front: next(),
                agent: next(),
            },
            Role::Front => OwnDescriptors::Front {
                quotes: next(),
                signer: given[0].then(&mut next),
                rentals: given[1].then(&mut next),
                spawner: given[2].then(&mut next),
                workers_sealing: given[3].then(&mut next),
                payments_sealing: given[4].then(&mut next),
                models: owned.collect(),
            },
            Role::Worker => return Err(BadArgument(role.name().into())),
        };
        Ok(RoleArguments {
            role,
            handover,
            control,
            own,
        })
    }
}

/// Owns descriptors that are open. Each must be named once.
fn take_descriptors(numbers: &[RawFd]) -> Result<Vec<OwnedFd>, BadArgument> {
    for (at, number) in numbers.iter().enumerate() {
        if numbers[..at].contains(number) {
            return Err(BadArgument(number.to_string().into()));
        }
    }
    let owned = numbers.iter().map(|number| {
        // Who starts a program hands on what it means to, and nothing else.
        // SAFETY: plain system calls; the descriptor is open, and each number is taken once.
        unsafe {
            libc::fcntl(*number, libc::F_SETFD, libc::FD_CLOEXEC);
            OwnedFd::from_raw_fd(*number)
        }
    });
    Ok(owned.collect())
}

/// An open descriptor above stdin, stdout and stderr.
fn descriptor(text: OsString) -> Result<RawFd, BadArgument> {
    let number = text
        .to_str()
        .and_then(|text| text.parse().ok())
        .filter(|number| *number > 2);
    // SAFETY: a plain system call; on a number that isn't open it fails.
    match number {
        Some(number) if unsafe { libc::fcntl(number, libc::F_GETFD) } >= 0 => Ok(number),
        _ => Err(BadArgument(text)),
    }
}

/// `--name value` pairs.
struct Options {
    pairs: Vec<(OsString, OsString)>,
}

impl Options {
    fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Options, BadArgument> {
        let mut arguments = arguments.into_iter();
        let mut pairs = Vec::new();
        while let Some(name) = arguments.next() {
            match arguments.next() {
                Some(value) => pairs.push((name, value)),
                None => return Err(BadArgument(name)),
            }
        }
        Ok(Options { pairs })
    }

    fn take_all(&mut self, name: &str) -> Vec<OsString> {
        self.pairs
            .extract_if(.., |(found, _)| found == name)
            .map(|(_, value)| value)
            .collect()
    }

    fn take(&mut self, name: &str) -> Result<Option<OsString>, BadArgument> {
        let mut values = self.take_all(name);
        match values.len() {
            0 | 1 => Ok(values.pop()),
            _ => Err(BadArgument(name.into())),
        }
    }

    fn require(&mut self, name: &str) -> Result<OsString, BadArgument> {
        self.take(name)?.ok_or_else(|| BadArgument(name.into()))
    }

    fn finish(&mut self) -> Result<(), BadArgument> {
        match self.pairs.pop() {
            Some((name, _)) => Err(BadArgument(name)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
