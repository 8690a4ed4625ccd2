//! The call of OpenSSH: with options under which no host key but the verified one counts, whatever its configuration files and the
//! user's own arguments say.
//!
//! Of options given with `-o`, OpenSSH takes the first; ours come first. A few letters (`-S`, `-A`) replace what was said before,
//! and builds of OpenSSH have options of their own, so it is asked what it makes of all of it (`ssh -G`) before it is started.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::SshError;
use super::host_key::{ALGORITHM, KnownName};
use super::place::Place;

/// What is wrong with another value.
const KEY: &str = "could let another host key pass";
const AGENT: &str = "would hand your SSH agent to the host that runs the container";

/// Options, their values, how `ssh -G` shows that they hold (no value: by not naming the option), and why another value is refused.
const OPTIONS: [(&str, &str, &[&str], &str); 11] = [
    ("StrictHostKeyChecking", "yes", &["yes", "true"], KEY),
    ("GlobalKnownHostsFile", "/dev/null", &["/dev/null"], KEY),
    ("KnownHostsCommand", "none", &[], KEY),
    ("HostKeyAlgorithms", ALGORITHM, &[ALGORITHM], KEY),
    ("VerifyHostKeyDNS", "no", &["no", "false"], KEY),
    ("NoHostAuthenticationForLocalhost", "no", &["no", "false"], KEY),
    ("UpdateHostKeys", "no", &["no", "false"], KEY),
    ("CheckHostIP", "no", &["no", "false"], KEY),
    // A connection that is shared was opened by another call, under other options.
    ("ControlMaster", "no", &["no", "false"], KEY),
    ("ControlPath", "none", &[], KEY),
    ("ForwardAgent", "no", &["no"], AGENT),
];

/// A login.
#[derive(Debug)]
pub(super) struct Login<'a> {
    pub(super) program: &'a Path,
    /// The name in the file of known hosts.
    pub(super) alias: &'a KnownName,
    pub(super) known_hosts: &'a Path,
    pub(super) place: &'a Place,
    /// The command that carries its bytes, where they don't go directly.
    pub(super) proxy: Option<&'a str>,
    pub(super) user: &'a str,
    /// The user's own.
    pub(super) arguments: &'a [OsString],
}

impl Login<'_> {
    /// Asks OpenSSH what it makes of all arguments, and refuses those that would weaken what was verified.
    pub(super) fn check(&self) -> Result<(), SshError> {
        let output = self
            .command(&["-G"])
            .stdin(Stdio::null())
            .output()
            .map_err(|source| self.not_started(source))?;
        let shown = String::from_utf8_lossy(&output.stdout);
        let shown: BTreeMap<&str, &str> = shown.lines().filter_map(|line| line.split_once(' ')).collect();
        // Some letters end the program before it shows anything.
        if !output.status.success() || !shown.contains_key("stricthostkeychecking") {
            let words = String::from_utf8_lossy(&output.stderr);
            let words = words
                .lines()
                .last()
                .unwrap_or("it shows no configuration with -G");
            return Err(SshError::Arguments(words.to_owned()));
        }
        let holds = |name: &str, values: &[&str]| match shown.get(name) {
            Some(value) => values.contains(value),
            None => values.is_empty(),
        };
        let known_hosts = self.known_hosts.to_string_lossy();
        let own = [
            ("userknownhostsfile", known_hosts.as_ref()),
            ("hostkeyalias", &self.alias.to_string()),
        ];
        let refused = |option: &str, why| SshError::Weakened {
            option: option.to_owned(),
            found: shown
                .get(&*option.to_ascii_lowercase())
                .copied()
                .unwrap_or("")
                .to_owned(),
            why,
        };
        for (option, value) in own {
            if !holds(option, &[value]) {
                return Err(refused(option, KEY));
            }
        }
        for (option, _, values, why) in OPTIONS {
            if !holds(&option.to_ascii_lowercase(), values) {
                return Err(refused(option, why));
            }
        }
        // Of builds with Kerberos: it takes the place of host keys. Others don't know the option, so that it can't be set before.
        let kerberos = "gssapikeyexchange";
        match holds(kerberos, &[]) || holds(kerberos, &["no"]) {
            true => Ok(()),
            false => Err(refused(kerberos, KEY)),
        }
    }

    /// Becomes OpenSSH. Returns only if that fails.
    pub(super) fn exec(&self) -> SshError {
        let source = self.command(&[]).exec();
        self.not_started(source)
    }

    fn command(&self, first: &[&str]) -> Command {
        let mut command = Command::new(self.program);
        command.args(first);
        for (option, value, ..) in OPTIONS {
            command.arg("-o").arg(format!("{option}={value}"));
        }
        let mut known_hosts = OsString::from("UserKnownHostsFile=");
        known_hosts.push(self.known_hosts);
        command.arg("-o").arg(known_hosts);
        command.arg("-o").arg(format!("HostKeyAlias={}", self.alias));
        if let Some(proxy) = self.proxy {
            command.arg("-o").arg(format!("ProxyCommand={proxy}"));
        }
        command.args(["-p", &self.place.port().to_string(), "-l", self.user]);
        // ssh goes on reading options behind the host.
        command.arg(self.place.host()).args(self.arguments);
        command
    }

    fn not_started(&self, source: std::io::Error) -> SshError {
        SshError::Program {
            program: self.program.to_owned(),
            source,
        }
    }
}

/// The same options for a configuration file, with a command in the place of the file of known hosts.
pub(super) fn stanza_options() -> impl Iterator<Item = (&'static str, &'static str)> {
    let options = OPTIONS.into_iter().map(|(option, value, ..)| (option, value));
    options
        .filter(|(option, _)| *option != "KnownHostsCommand")
        .chain([("UserKnownHostsFile", "/dev/null")])
}
