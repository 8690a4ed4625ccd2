//! `jeju mpc configure`.

use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args, Subcommand};
use jeju_attestation::hex_bytes::HexBytes;
use jeju_mpc::authority::payload::HexData;
use jeju_mpc::configuration::{Configuration, Place, Proposal};
use serde_json::{Value, json};

use super::super::answer::hex;
use super::super::configurations::{Configurations, RootKey};
use super::super::{MpcClient, MpcError};
use super::payload::{data, hash};
use super::{NetworkArguments, Printed, RequestArguments};
use crate::files;

/// Longest file of typed data, in bytes: a proposal has 12 KiB.
const MAX_LEN: usize = 16 * 1024;

/// Who has the network's places.
#[derive(Debug, Clone, Subcommand)]
pub enum ConfigureCommand {
    /// Show who has them, and what of that is verified
    Show(ShowArguments),
    /// Print the typed data that governance signs so that places pass to other nodes
    Draft(DraftArguments),
    /// Bring what governance signs, or signed, to the members
    Propose(ProposeArguments),
}

/// Options of `jeju mpc configure show`.
#[derive(Debug, Clone, Args)]
pub struct ShowArguments {
    #[command(flatten)]
    network: NetworkArguments,
}

/// Options of `jeju mpc configure draft`.
#[derive(Debug, Clone, Args)]
pub struct DraftArguments {
    #[command(flatten)]
    network: NetworkArguments,
    /// A place that passes to this agent, on this machine (may be given several times); machines are left out where the network names none
    #[arg(long = "place", value_name = "INDEX=AGENT[:PLATFORM]", value_parser = change, required = true)]
    places: Vec<Change>,
}

/// Options of `jeju mpc configure propose`.
#[derive(Debug, Clone, Args)]
#[command(group(ArgGroup::new("what").required(true).args(["places", "from"])))]
pub struct ProposeArguments {
    #[command(flatten)]
    request: RequestArguments,
    /// A place that passes to this agent, on this machine (may be given several times); machines are left out where the network names none
    #[arg(long = "place", value_name = "INDEX=AGENT[:PLATFORM]", value_parser = change)]
    places: Vec<Change>,
    /// Typed data, as `draft` printed it
    #[arg(long, value_name = "FILE", conflicts_with = "places")]
    from: Option<PathBuf>,
    /// Governance's signature of it, 65 bytes, where its key isn't here
    #[arg(long, value_name = "HEX", requires = "from", value_parser = data, conflicts_with_all = ["places", "key", "wallet"])]
    signature: Option<HexData>,
}

/// Index and next holder of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Change(u16, Place);

impl ConfigureCommand {
    pub(super) fn json(&self) -> bool {
        match self {
            ConfigureCommand::Show(arguments) => arguments.network.json,
            ConfigureCommand::Draft(arguments) => arguments.network.json,
            ConfigureCommand::Propose(arguments) => arguments.request.network.json,
        }
    }

    pub(super) async fn run(&self) -> Result<Printed, MpcError> {
        match self {
            ConfigureCommand::Show(arguments) => {
                let known = arguments.network.client()?.configurations().await?;
                Ok(shown(&known))
            }
            ConfigureCommand::Draft(arguments) => {
                let mut client = arguments.network.client()?;
                Ok(drafted(&draft(&mut client, &arguments.places).await?))
            }
            ConfigureCommand::Propose(arguments) => propose(arguments).await,
        }
    }
}

async fn draft(client: &mut MpcClient, places: &[Change]) -> Result<Configuration, MpcError> {
    let places: Vec<_> = places
        .iter()
        .map(|Change(index, place)| (*index, *place))
        .collect();
    client.configurations().await?.draft(&places)
}

async fn propose(arguments: &ProposeArguments) -> Result<Printed, MpcError> {
    let read = arguments.from.as_deref().map(read).transpose()?;
    let account = match arguments.signature {
        Some(_) => None,
        None => Some(arguments.request.account.read()?),
    };
    let mut client = arguments.request.network.client()?;
    let configuration = match read {
        Some(configuration) => configuration,
        None => draft(&mut client, &arguments.places).await?,
    };
    let digest = configuration.digest();
    let signature = match (&arguments.signature, account) {
        (Some(signature), _) => signature.clone(),
        (None, Some(account)) => HexData(account.sign(&digest).0.to_vec()),
        (None, None) => return Err(MpcError::Payload("nobody signs".to_owned())),
    };
    let number = configuration.number;
    let proposal = Proposal {
        configuration,
        signature,
    };
    let known = client.configure(&proposal).await?;
    let mut printed = shown(&known);
    printed.json["success"] = true.into();
    printed.json["proposed"] = json!({ "number": number, "digest": HexBytes(digest) });
    Ok(printed)
}

/// Typed data, as `draft` printed it.
fn read(path: &Path) -> Result<Configuration, MpcError> {
    let text = files::text(path, MAX_LEN)?;
    serde_json::from_str(&text)
        .ok()
        .and_then(|value| Configuration::of_typed_data(&value))
        .ok_or_else(|| MpcError::Payload(format!("{} is no typed data of a configuration", path.display())))
}

fn drafted(configuration: &Configuration) -> Printed {
    let typed_data = configuration.typed_data();
    let digest = HexBytes(configuration.digest());
    Printed {
        lines: vec![format!("{typed_data:#}")],
        json: json!({
            "number": configuration.number,
            "digest": digest,
            "configuration": configuration,
            "typedData": typed_data,
        }),
    }
}

fn shown(known: &Configurations) -> Printed {
    let (facts, chain) = (&known.facts, &known.chain);
    let root_key = known.root_key();
    let heard = known.nodes.iter().filter(|(_, said)| said.is_ok()).count();
    let governance = facts.founding.governance.map(|account| account.to_string());
    let mut lines = vec![
        format!(
            "network     {} ({}): {} of {} members sign together, chain {}",
            facts.name,
            hex(&facts.genesis),
            facts.threshold,
            facts.members,
            facts.chain_id
        ),
        format!("number      {}, digest {}", chain.number(), hex(&chain.digest())),
    ];
    for (index, place) in (1..).zip(chain.places()) {
        let machine = place.machine().map_or("any".to_owned(), |machine| hex(&machine));
        lines.push(format!(
            "place {index:<5} agent {}, machine {machine}",
            place.agent
        ));
    }
    lines.push(format!(
        "governance  {}  <- the first configuration",
        governance.as_deref().unwrap_or("none: it never changes")
    ));
    lines.push(match &root_key {
        Some(RootKey::Governance(key)) => format!("root key    {}  <- governance names it", hex(key)),
        Some(RootKey::Members(key, count)) => format!(
            "root key    {}  <- {count} members say so, not verified{}",
            hex(key),
            if *count < usize::from(facts.threshold) {
                ": fewer than must sign"
            } else {
                ""
            }
        ),
        None => "root key    none yet: no key was made".to_owned(),
    });
    lines.push(
        "verified    the first configuration: it is the launch document's whose digest the policy accepts"
            .to_owned(),
    );
    if chain.number() > 0 {
        lines.push(format!(
            "verified    configurations 1 to {}: each follows on the one before, governance signed it, the root key approved it",
            chain.number()
        ));
    }
    lines.push(format!(
        "unverified  that there is no later one: {heard} of {} nodes answered, and none shows one",
        known.nodes.len()
    ));
    let mut nodes = Vec::new();
    for (url, said) in &known.nodes {
        match said {
            Ok(said) => {
                let approves = said.approves.map(HexBytes);
                let next = approves.map_or(String::new(), |next| format!(", approves {next} as the next"));
                lines.push(format!("{url}: number {}{next}", said.number));
                nodes.push(json!({
                    "url": url.to_string(),
                    "agent": HexBytes(said.agent),
                    "number": said.number,
                    "rootKey": said.root_key.map(HexBytes),
                    "approves": approves,
                }));
            }
            Err(error) => {
                lines.push(format!("{url}: {error} ({})", error.code()));
                nodes.push(
                    json!({ "url": url.to_string(), "error": error.to_string(), "code": error.code() }),
                );
            }
        }
    }
    let later = chain
        .all_later()
        .iter()
        .map(|later| json!({ "proposal": later.proposal, "approval": HexBytes(later.approval) }));
    let json = json!({
        "network": hex(&facts.genesis),
        "networkId": facts.name,
        "chainId": facts.chain_id,
        "threshold": facts.threshold,
        "governance": governance,
        "number": chain.number(),
        "digest": hex(&chain.digest()),
        "places": chain.places(),
        "rootKey": root_key.map(|key| hex(&key.bytes())),
        "configurations": later.collect::<Vec<_>>(),
        "verified": {
            "governance": chain.number(),
            "approvals": chain.number(),
            "rootKey": by(root_key),
        },
        "nodes": nodes,
    });
    Printed { lines, json }
}

/// By whose word the root key is the one.
fn by(root_key: Option<RootKey>) -> Value {
    match root_key {
        None => Value::Null,
        Some(RootKey::Governance(_)) => "governance".into(),
        Some(RootKey::Members(_, count)) => count.into(),
    }
}

fn change(text: &str) -> Result<Change, String> {
    let form = || {
        "a place's index, =, the agent's 32 bytes in hexadecimal, and : and the machine's if one is named"
            .to_owned()
    };
    let (index, place) = text.split_once('=').ok_or_else(form)?;
    let (agent, platform) = match place.split_once(':') {
        Some((agent, platform)) => (hash(agent)?, hash(platform)?),
        None => (hash(place)?, HexBytes([0; 32])),
    };
    let index = index.parse().map_err(|_| form())?;
    Ok(Change(index, Place { agent, platform }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_a_command_line() {
        let (agent, machine) = (format!("0x{}", "ab".repeat(32)), format!("0x{}", "cd".repeat(32)));
        let place = |platform| Place {
            agent: HexBytes([0xab; 32]),
            platform: HexBytes(platform),
        };
        assert_eq!(change(&format!("2={agent}")), Ok(Change(2, place([0; 32]))));
        assert_eq!(
            change(&format!("31={agent}:{machine}")),
            Ok(Change(31, place([0xcd; 32])))
        );
        for wrong in [
            agent.clone(),
            format!("={agent}"),
            format!("x={agent}"),
            format!("70000={agent}"),
            format!("2={agent}:"),
            format!("2={agent}:0xcd"),
            "2=0xab".to_owned(),
            String::new(),
        ] {
            assert!(change(&wrong).is_err(), "{wrong}");
        }
    }
}
