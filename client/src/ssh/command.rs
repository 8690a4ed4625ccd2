//! `jeju ssh`, `jeju ssh-known-hosts`, `jeju ssh-config`.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use jeju_attestation::hex_bytes::HexBytes;
use serde_json::json;

use super::SshError;
use super::host_key::KnownName;
use super::known_hosts::KnownHostsFile;
use super::node::RentalNode;
use super::openssh::{Login, stanza_options};
use super::place::Place;
use crate::node_url::NodeUrl;
use crate::rental::command::Printed;
use crate::route::RouteAt;
use crate::session::Limits;
use crate::trust::TrustArguments;

/// User name of a login that names no rental: the node takes the newest of the key's.
const NEWEST: &str = "newest";
/// Digits of a rental's id that name it as a user.
const USER_DIGITS: usize = 16;

/// Which node, and by which rules.
#[derive(Debug, Args)]
pub struct NodeArguments {
    /// Node, as https://host:port
    #[arg(long, value_name = "URL")]
    pub node: NodeUrl,
    /// By which rules it is judged
    #[command(flatten)]
    pub trust: TrustArguments,
    /// Seconds until giving up on verifying the node
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub timeout: u64,
    /// Print one JSON object; of a login, where there is none
    #[arg(long)]
    pub json: bool,
}

impl NodeArguments {
    async fn connect(&self) -> Result<RentalNode, SshError> {
        let limits = Limits {
            attest: Duration::from_secs(self.timeout),
            ..Limits::default()
        };
        RentalNode::connect(&self.node, self.trust.relying_party()?, limits).await
    }
}

/// A rental: by its id, or the newest of the key that logs in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Rental {
    /// The newest.
    #[default]
    Newest,
    /// By its id.
    Id(HexBytes<32>),
}

impl Rental {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            NEWEST => Ok(Rental::Newest),
            id => HexBytes::parse(&id.to_ascii_lowercase())
                .map(Rental::Id)
                .ok_or_else(|| "0x and 64 hex digits, or `newest`, are expected".to_owned()),
        }
    }

    /// The user name that means it.
    fn user(&self) -> String {
        match self {
            Rental::Newest => NEWEST.to_owned(),
            Rental::Id(id) => id.to_string()[..2 + USER_DIGITS].to_owned(),
        }
    }
}

/// Where one logs in.
#[derive(Debug, Args)]
pub struct LoginArguments {
    /// Rental: its id, or `newest` for the newest of your key
    #[arg(value_name = "RENTAL", value_parser = Rental::parse)]
    pub named: Option<Rental>,
    /// The same as an option
    #[arg(long, value_name = "RENTAL", value_parser = Rental::parse, conflicts_with = "named")]
    pub rental: Option<Rental>,
    /// Log in here, instead of where the node says
    #[arg(long, value_name = "HOST:PORT")]
    pub address: Option<Place>,
    /// Go through a gateway's route (jeju route create), as ROUTE@HOST[:PORT]; is not trusted
    #[arg(long, value_name = "ROUTE@GATEWAY")]
    pub route: Option<RouteAt>,
}

impl LoginArguments {
    fn rental(&self) -> Rental {
        self.named.or(self.rental).unwrap_or_default()
    }

    /// The command that carries ssh's bytes, where they don't go directly.
    fn proxy_command(&self) -> Result<Option<String>, SshError> {
        let Some(route) = &self.route else {
            return Ok(None);
        };
        let program = env::current_exe().map_err(SshError::file("jeju"))?;
        // ssh has a shell read it.
        let program = format!("'{}'", quotable(&program.to_string_lossy())?);
        Ok(Some(format!(
            "{program} route connect '{}'",
            quotable(&route.to_string())?
        )))
    }

    async fn place(&self, node: &mut RentalNode) -> Result<Place, SshError> {
        // One that doesn't run has no lease, and the key would log in to another of its rentals.
        if let Rental::Id(rental) = self.rental() {
            node.check_active(&rental).await?;
        }
        match &self.address {
            Some(place) => Ok(place.clone()),
            None => node.place(),
        }
    }
}

/// Options of `jeju ssh`.
#[derive(Debug, Args)]
pub struct SshArguments {
    /// The node
    #[command(flatten)]
    pub node: NodeArguments,
    /// Where to log in
    #[command(flatten)]
    pub login: LoginArguments,
    /// OpenSSH's client, 8.5 or later
    #[arg(long, value_name = "FILE", default_value = "ssh")]
    pub ssh_program: PathBuf,
    /// Arguments of ssh: options, then a command
    #[arg(last = true, value_name = "SSH ARGUMENTS")]
    pub arguments: Vec<OsString>,
}

impl SshArguments {
    /// Verifies the node, says so on standard error, and becomes OpenSSH, whose exit code the caller sees then.
    ///
    /// # Errors
    /// Any of [`SshError`]; no connection to the SSH port was made.
    pub async fn run(&self) -> SshError {
        match self.become_ssh().await {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    async fn become_ssh(&self) -> Result<std::convert::Infallible, SshError> {
        let mut node = self.node.connect().await?;
        let place = self.login.place(&mut node).await?;
        let alias = node.alias();
        let known_hosts = KnownHostsFile::write(&node.host_key().known_hosts_line(&alias))?;
        let proxy = self.login.proxy_command()?;
        let login = Login {
            program: &self.ssh_program,
            alias: &alias,
            known_hosts: known_hosts.path(),
            place: &place,
            proxy: proxy.as_deref(),
            user: &self.login.rental().user(),
            arguments: &self.arguments,
        };
        login.check()?;
        eprintln!("{}", node.lines().join("\n"));
        drop(node);
        Err(login.exec())
    }
}

/// Options of `jeju ssh-known-hosts`.
#[derive(Debug, Args)]
pub struct KnownHostsArguments {
    /// The node
    #[command(flatten)]
    pub node: NodeArguments,
    /// The host that ssh looks for: %H in KnownHostsCommand
    #[arg(value_name = "HOST")]
    pub host: KnownName,
}

impl KnownHostsArguments {
    /// Verifies the node; the line of known hosts for the host that was asked for.
    ///
    /// # Errors
    /// Any of [`SshError`].
    pub async fn run(&self) -> Result<Printed, SshError> {
        let node = self.node.connect().await?;
        let line = node.host_key().known_hosts_line(&self.host);
        let json = json!({ "host": self.host.to_string(), "knownHosts": line });
        Ok(Printed::report(vec![line], json))
    }
}

/// Options of `jeju ssh-config`.
#[derive(Debug, Args)]
pub struct ConfigArguments {
    /// The node
    #[command(flatten)]
    pub node: NodeArguments,
    /// Where to log in
    #[command(flatten)]
    pub login: LoginArguments,
    /// Name for the rental: `ssh NAME` [default: jeju- and digits of the agent]
    #[arg(long)]
    pub name: Option<KnownName>,
}

impl ConfigArguments {
    /// Verifies the node; a section for ssh's configuration file with which ssh, scp and sftp verify it anew at each connection.
    ///
    /// # Errors
    /// Any of [`SshError`].
    pub async fn run(&self) -> Result<Printed, SshError> {
        let mut node = self.node.connect().await?;
        let place = self.login.place(&mut node).await?;
        let alias = node.alias();
        let name = self.name.as_ref().unwrap_or(&alias);
        let mut lines = vec![
            format!("# {}", self.node.node),
            "# At the top of the file: of several values ssh takes the first.".to_owned(),
            format!("Host {name}"),
        ];
        let mut line = |option: &str, value: &str| lines.push(format!("    {option} {value}"));
        line("HostName", place.host());
        line("Port", &place.port().to_string());
        line("User", &self.login.rental().user());
        line("HostKeyAlias", &alias.to_string());
        for (option, value) in stanza_options() {
            line(option, value);
        }
        line("KnownHostsCommand", &self.command()?);
        if let Some(proxy) = self.login.proxy_command()? {
            line("ProxyCommand", &proxy);
        }
        let json = json!({ "name": name.to_string(), "config": lines.join("\n") });
        Ok(Printed::report(lines, json))
    }

    /// This program, told to verify the same node by the same rules.
    fn command(&self) -> Result<String, SshError> {
        let program = env::current_exe().map_err(SshError::file("jeju"))?;
        let mut words = vec![quoted(&program.to_string_lossy())?, "ssh-known-hosts".to_owned()];
        let mut option = |name: &str, value: &str| {
            words.extend([name.to_owned(), quoted(value)?]);
            Ok::<_, SshError>(())
        };
        option("--node", &self.node.node.to_string())?;
        option("--timeout", &self.node.timeout.to_string())?;
        let trust = &self.node.trust;
        for (name, path) in [
            ("--policy", &trust.policy),
            ("--collateral", &trust.endorsements.collateral),
            ("--config", &trust.config),
            ("--snapshot", &trust.reference.snapshot),
        ] {
            if let Some(path) = path {
                option(name, &absolute(path)?)?;
            }
        }
        if let Some(folder) = &trust.reference.policy_state {
            // It needn't be there yet.
            let folder = std::path::absolute(folder).map_err(SshError::file(folder))?;
            option("--policy-state", &folder.to_string_lossy())?;
        }
        if let Some(governance) = &trust.reference.governance {
            option("--governance", &governance.to_string())?;
        }
        for url in &trust.rpc {
            option("--rpc", url)?;
        }
        for gateway in &trust.via {
            option("--via", &gateway.to_string())?;
        }
        if let Some(registry) = &trust.registry {
            option("--registry", &registry.to_string())?;
        }
        if let Some(id) = trust.chain_id {
            option("--chain-id", &id.to_string())?;
        }
        for path in &trust.endorsements.files {
            option("--endorsements", &absolute(path)?)?;
        }
        let flags = [
            ("--development", trust.development),
            ("--direct", trust.direct),
            ("--allow-rpc", trust.reference.allow_rpc),
        ];
        let set = flags.into_iter().filter(|(_, is_set)| *is_set);
        words.extend(set.map(|(name, _)| name.to_owned()));
        // The host behind the last option, which may take several values.
        words.extend(["--".to_owned(), "%H".to_owned()]);
        Ok(words.join(" "))
    }
}

fn absolute(path: &Path) -> Result<String, SshError> {
    let path = path.canonicalize().map_err(SshError::file(path))?;
    Ok(path.to_string_lossy().into_owned())
}

/// A word that quotes of either kind hold together, in ssh's configuration and in a shell.
fn quotable(word: &str) -> Result<String, SshError> {
    match word.is_empty() || word.contains(|c: char| c.is_control() || "\"'\\$\u{fffd}".contains(c)) {
        true => Err(SshError::Unquotable(word.to_owned())),
        false => Ok(word.replace('%', "%%")),
    }
}

/// A word of `KnownHostsCommand`: OpenSSH splits it at blanks outside quotes, and reads what stands behind a `%`.
fn quoted(word: &str) -> Result<String, SshError> {
    let word = quotable(word)?;
    Ok(match word.contains(' ') {
        true => format!("\"{word}\""),
        false => word,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rental_is_named_by_its_first_digits() {
        let id = format!("0x{}", "aB".repeat(32));
        assert_eq!(Rental::parse(&id).unwrap().user(), "0xabababababababab");
        assert_eq!(Rental::parse("newest").unwrap().user(), "newest");
        assert!(Rental::parse("0xab").is_err() && Rental::parse("root").is_err());
    }

    #[test]
    fn words_of_a_command_are_quoted_or_refused() {
        assert_eq!(quoted("/usr/bin/jeju").unwrap(), "/usr/bin/jeju");
        assert_eq!(quoted("/a b/100%").unwrap(), "\"/a b/100%%\"");
        for bad in ["", "a\"b", "a'b", "a\\b", "a\nb", "$HOME"] {
            assert_eq!(quoted(bad).unwrap_err().code(), "ssh_config_unquotable", "{bad}");
        }
    }
}
