//! `jeju rental create`.

use std::path::{Path, PathBuf};

use clap::Args;
use jeju_attestation::hash::sha256;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::launch::rentals::Isolation;
use jeju_chain::{MAX_IMAGE_BYTES, MAX_SCRIPT_BYTES};
use jeju_contracts::rental::{self, NewRental};
use jeju_wallet_auth::account::Account;
use serde_json::{Value, json};

use super::super::amount::Amount;
use super::super::market::sending_key;
use super::super::public_key::{self, PublicKey};
use super::super::{Market, RentalError, RentalNode};
use super::change::with_transaction;
use super::in_container::{self, MAX_UPLOAD};
use super::{ActorArguments, Printed, transaction};
use crate::files;
use crate::node_url::NodeUrl;
use crate::trust::address;

/// Options of `jeju rental create`.
#[derive(Debug, Clone, Args)]
pub struct CreateArguments {
    /// Account of the provider [default: that of the node]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    provider: Option<HexBytes<20>>,
    /// How long
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=720))]
    hours: u64,
    /// Public key that logs in (.pub file): ed25519, ecdsa or their sk- kinds. Public for good, without its comment
    #[arg(long, value_name = "FILE")]
    ssh_key: PathBuf,
    /// Image, best with its digest [default: the node's own]. Public for good
    #[arg(long, value_name = "REF")]
    image: Option<String>,
    /// Start-up script, run once in the container. Its digest goes on chain, itself to the node
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// Put the script itself on chain, public for good
    #[arg(long, requires = "script")]
    public_script: bool,
    /// Node of the provider, as https://host:port: is verified before anything is paid, and gets the script
    #[arg(long, value_name = "URL")]
    node: Option<NodeUrl>,
    /// Pay no more than this, as 0.05eth
    #[arg(long, value_name = "AMOUNT")]
    max_cost: Option<Amount>,
    /// Seconds to wait for the node to see the rental and take the script
    #[arg(long, value_name = "SECONDS", default_value_t = 1200)]
    timeout: u64,
    #[command(flatten)]
    pub(super) actor: ActorArguments,
}

/// What goes on chain of a script, and what to the node.
struct Script {
    on_chain: String,
    upload: Option<Vec<u8>>,
}

pub(super) async fn run(arguments: &CreateArguments) -> Result<Printed, RentalError> {
    let ssh_key = read_key(&arguments.ssh_key)?;
    let image = arguments.image.clone().unwrap_or_default();
    check_image(&image)?;
    let script = read_script(arguments)?;
    let account = arguments.actor.account.read()?;
    let (market, mut node) = arguments
        .actor
        .market
        .market_and_node(arguments.node.as_ref())
        .await?;
    let provider = provider(arguments.provider, node.as_ref())?;
    let cost = price(&market, provider, arguments).await?;

    let wanted = NewRental {
        provider: provider.0.into(),
        hours: arguments.hours,
        ssh_public_key: ssh_key.to_string(),
        container_image: image.clone(),
        startup_script: script.on_chain.clone(),
    };
    let key = sending_key(&account)?;
    let sender = market.sender(&key);
    let (id, receipt) = rental::create(&sender, market.contract.into(), &wanted, cost.0).await?;
    let id = HexBytes(id.0);

    let mut lines = vec![
        format!("rental      {id}"),
        format!("cost        {cost} for {} h", arguments.hours),
        format!("transaction {}", transaction(&receipt)),
    ];
    if !image.is_empty() && !image.contains("@sha256:") {
        lines.push(
            "note        the image is named without its digest: the host chooses what it stands for"
                .to_owned(),
        );
    }
    let isolation = node.as_ref().map(|node| node.facts().isolation);
    if isolation == Some(Isolation::Host) {
        lines.push(
            "isolation   host: the provider's machine can see and change everything in the container"
                .to_owned(),
        );
    }
    let uploaded = match (&script.upload, &mut node) {
        (None, _) => None,
        (Some(_), None) => {
            lines.push(format!(
                "script      not at the node yet: jeju rental script {id} --script FILE --node URL"
            ));
            Some(false)
        }
        (Some(bytes), Some(node)) => {
            eprintln!("jeju: rental {id} is made; waiting until the node sees it and takes the script");
            in_container::hand_over(&market, node, &account, id, bytes, arguments.timeout)
                .await
                .map_err(|source| RentalError::Made {
                    rental: id,
                    source: Box::new(source),
                })?;
            lines.push("script      taken by the node".to_owned());
            Some(true)
        }
    };
    let json = json!({
        "rentalId": id,
        "provider": Account(provider.0).to_string(),
        "hours": arguments.hours,
        "costWei": cost.0.to_string(),
        "sshPublicKey": ssh_key.to_string(),
        "containerImage": image,
        "startupScript": script.on_chain,
        "isolation": isolation.map(Isolation::name),
        "scriptUploaded": uploaded.map_or(Value::Null, Value::Bool),
    });
    Ok(Printed::report(lines, with_transaction(json, &receipt)))
}

fn read_key(path: &Path) -> Result<PublicKey, RentalError> {
    let text = files::text(path, public_key::MAX_FILE)?;
    text.parse().map_err(|source| RentalError::PublicKey {
        path: path.display().to_string(),
        source,
    })
}

/// Empty, or what the node could read as a reference; what it reads it strictly is its own.
fn check_image(image: &str) -> Result<(), RentalError> {
    let is_character = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@".contains(&byte);
    match image.len() <= MAX_IMAGE_BYTES && !image.starts_with('-') && image.bytes().all(is_character) {
        true => Ok(()),
        false => Err(RentalError::Image(image.chars().take(300).collect())),
    }
}

fn read_script(arguments: &CreateArguments) -> Result<Script, RentalError> {
    let Some(path) = &arguments.script else {
        return Ok(Script {
            on_chain: String::new(),
            upload: None,
        });
    };
    let most = if arguments.public_script {
        MAX_SCRIPT_BYTES
    } else {
        MAX_UPLOAD
    };
    let bytes = files::read(path, most)?;
    if bytes.len() > most {
        return Err(RentalError::ScriptLength {
            found: bytes.len(),
            most,
        });
    }
    if bytes.is_empty() {
        return Err(RentalError::Usage("the script is empty"));
    }
    if !arguments.public_script {
        return Ok(Script {
            on_chain: in_container::digest_text(&sha256(&bytes)),
            upload: Some(bytes),
        });
    }
    let text = String::from_utf8(bytes).map_err(|_| RentalError::Usage("a public script must be UTF-8"))?;
    // The node would take it for the digest of another script.
    if text.starts_with("sha256:") {
        return Err(RentalError::Usage("a public script can't begin with sha256:"));
    }
    Ok(Script {
        on_chain: text,
        upload: None,
    })
}

fn provider(named: Option<HexBytes<20>>, node: Option<&RentalNode>) -> Result<HexBytes<20>, RentalError> {
    let Some(node) = node else {
        return named.ok_or(RentalError::Usage(
            "name the provider: --provider ADDRESS or --node URL",
        ));
    };
    if let Some(named) = named {
        node.check_provider(Account(named.0))?;
    }
    Ok(node.facts().provider)
}

/// What it costs by the newest block; the contract takes no less than its price, and credits what is more.
async fn price(
    market: &Market,
    provider: HexBytes<20>,
    arguments: &CreateArguments,
) -> Result<Amount, RentalError> {
    let block = market.block().await?;
    let offer = market.offer(&block, provider).await?;
    let (least, most) = (offer.minimum_hours, offer.maximum_hours);
    if !(u64::from(least)..=u64::from(most)).contains(&arguments.hours) {
        return Err(RentalError::Hours {
            hours: arguments.hours,
            least,
            most,
        });
    }
    if !offer.docker_enabled && arguments.image.is_some() {
        return Err(RentalError::Usage(
            "the provider's offer lets tenants choose no image: leave --image out",
        ));
    }
    let hours = arguments.hours;
    let cost = Amount(
        market
            .reader
            .rental_cost_at(&block, &market.contract, &provider.0, hours)
            .await?,
    );
    match arguments.max_cost {
        Some(most) if cost > most => Err(RentalError::Cost { cost, most }),
        _ => Ok(cost),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_that_could_be_options_or_commands_are_refused() {
        let digest = format!("registry.example:5000/a/b_c@sha256:{}", "0".repeat(64));
        for image in ["", "busybox", "debian:13", &digest] {
            assert!(check_image(image).is_ok(), "{image}");
        }
        for image in ["-v", "a b", "a;b", "a\nb", "é", &"a".repeat(257)] {
            assert_eq!(check_image(image).unwrap_err().code(), "image_invalid", "{image}");
        }
    }
}
