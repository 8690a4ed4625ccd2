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
    "usage: jeju-enclave --platform simulated --transport unix:DIR [--model FILE]... [--state DIR]"
} else {
    "jeju-enclave of a release build runs only as PID 1 of its image"
};

/// What the command line asks for.
#[derive(Debug)]
pub enum Arguments {
    /// Be a role of a node; only ever asked for by the node's first process.
    Role(RoleArguments),
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
    /// Socket between front and quote role.
    pub quotes: OwnedFd,
    /// Model files.
    pub models: Vec<OwnedFd>,
}

/// Options of process mode.
#[cfg(feature = "sim")]
#[derive(Debug)]
pub struct ProcessArguments {
    /// Always Unix sockets: a process has no vsock of its own.
    pub transport: GuestTransport,
    /// Model files.
    pub models: Vec<PathBuf>,
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
        let state = options.take("--state")?.map(PathBuf::from);
        Ok(Arguments::Process(ProcessArguments {
            transport,
            models,
            state,
        }))
    }

    #[cfg(not(feature = "sim"))]
    fn parse_process(options: &mut Options) -> Result<Arguments, BadArgument> {
        options.finish()?;
        Err(BadArgument(OsString::new()))
    }
}

/// Parses what `jeju-init` passes to PID 1: a `--model DESCRIPTOR:NAME` for each model.
///
/// # Errors
/// [`BadArgument`] for anything else.
pub fn parse_boot(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Vec<(String, OwnedFd)>, BadArgument> {
    let mut options = Options::parse(arguments)?;
    let mut names = Vec::new();
    let mut numbers = Vec::new();
    for model in options.take_all("--model") {
        let parts = model.to_str().and_then(|text| text.split_once(':'));
        let (number, name) = parts.ok_or_else(|| BadArgument(model.clone()))?;
        numbers.push(descriptor(number.into())?);
        names.push(name.to_owned());
    }
    options.finish()?;
    Ok(names.into_iter().zip(take_descriptors(&numbers)?).collect())
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
            descriptor(options.require("--quotes")?)?,
        ];
        for model in options.take_all("--model") {
            numbers.push(descriptor(model)?);
        }
        let mut owned = take_descriptors(&numbers)?.into_iter();
        let (Some(handover), Some(control), Some(quotes)) = (owned.next(), owned.next(), owned.next()) else {
            unreachable!("three numbers were put in above");
        };
        Ok(RoleArguments {
            role,
            handover,
            control,
            quotes,
            models: owned.collect(),
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
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Arguments, BadArgument> {
        Arguments::parse(arguments.iter().map(OsString::from))
    }

    #[cfg(feature = "sim")]
    #[test]
    fn process_mode() {
        let arguments = [
            "--platform",
            "simulated",
            "--transport",
            "unix:/d",
            "--model",
            "a",
            "--model",
            "b",
            "--state",
            "s",
        ];
        let Ok(Arguments::Process(process)) = parse(&arguments) else {
            panic!()
        };
        assert_eq!(process.transport, GuestTransport::Unix("/d".into()));
        assert_eq!(process.models, [PathBuf::from("a"), "b".into()]);
        assert_eq!(process.state, Some("s".into()));
    }

    #[test]
    fn anything_else_is_refused() {
        for arguments in [
            &[][..],
            &["--help"],
            &["--platform", "tdx", "--transport", "unix:/d"],
            &["--platform", "simulated", "--transport", "vsock"],
            &["--platform", "simulated", "--transport", "unix:"],
            &["--platform", "simulated"],
            &[
                "--platform",
                "simulated",
                "--transport",
                "unix:/d",
                "--transport",
                "unix:/e",
            ],
            &["--platform", "simulated", "--transport", "unix:/d", "--more", "x"],
            &["--platform", "simulated", "--transport", "unix:/d", "--model"],
            &[
                "--role",
                "shell",
                "--handover",
                "3",
                "--control",
                "4",
                "--quotes",
                "5",
            ],
            &["--role", "front", "--handover", "3"],
        ] {
            assert!(parse(arguments).is_err(), "{arguments:?}");
        }
    }

    #[test]
    fn models_of_the_image_are_named_descriptors() {
        let boot = |arguments: &[&str]| parse_boot(arguments.iter().map(OsString::from));
        let file = || std::os::fd::IntoRawFd::into_raw_fd(std::fs::File::open("/dev/null").unwrap());
        let (first, second) = (format!("{}:a.gguf", file()), format!("{}:b:c.gguf", file()));
        let models = boot(&["--model", &first, "--model", &second]).unwrap();
        let names: Vec<_> = models.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a.gguf", "b:c.gguf"]);
        assert!(boot(&[]).unwrap().is_empty());
        let open = file();
        for arguments in [
            &["--model"][..],
            &["--model", "900:a"],
            &["--model", "1:a"],
            &["--model", &format!("{open}")],
            &["--model", &format!("{open}:a"), "--model", &format!("{open}:b")],
            &["--role", "front"],
            &["quiet"],
        ] {
            assert!(boot(arguments).is_err(), "{arguments:?}");
        }
    }

    #[test]
    fn descriptors_must_be_open_distinct_and_not_the_standard_ones() {
        for numbers in [["900", "901", "902"], ["0", "1", "2"], ["-1", "x", ""]] {
            let [handover, control, quotes] = numbers;
            let arguments = [
                "--role",
                "quote",
                "--handover",
                handover,
                "--control",
                control,
                "--quotes",
                quotes,
            ];
            assert!(parse(&arguments).is_err(), "{numbers:?}");
        }
        let file = std::fs::File::open("/dev/null").unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&file).to_string();
        let arguments = [
            "--role",
            "quote",
            "--handover",
            &number,
            "--control",
            &number,
            "--quotes",
            &number,
        ];
        assert!(parse(&arguments).is_err());
    }
}
