//! What a tenant ordered, read from the texts on chain and judged by this node's rules.

use std::str::FromStr;

use jeju_attestation::hash::sha256;
use jeju_attestation::launch::rentals::Rentals;
use jeju_chain::{Offer, RentalRecord};
use jeju_shim_protocol::docker::ImageReference;
use russh::keys::{Algorithm, PublicKey};

use crate::rentals::backend::Resources;

/// What a container is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Image, by the text that the engine is given.
    pub image: String,
    /// Start-up script.
    pub script: Script,
}

/// A rental's start-up script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Script {
    /// It has none.
    None,
    /// It is on chain.
    Public(Vec<u8>),
    /// Its SHA-256 digest is on chain; the tenant hands it over.
    Digest([u8; 32]),
}

/// Why a rental isn't run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Stable name.
    pub code: &'static str,
    /// For people. Shown to everybody.
    pub message: String,
}

impl Refusal {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

impl Script {
    /// Whether these bytes are the script.
    pub fn is(&self, script: &[u8]) -> bool {
        matches!(self, Script::Digest(digest) if sha256(script) == *digest)
    }
}

impl Order {
    /// Reads a rental.
    ///
    /// # Errors
    /// Why this node won't ever run it: what is judged here never changes while the node lives.
    pub fn read(record: &RentalRecord, rules: &Rentals) -> Result<Order, Refusal> {
        if !record.ssh_public_key.is_empty() && key(record).is_none() {
            let message =
                "The rental's SSH key isn't one line of authorized_keys with an Ed25519 or ECDSA key.";
            return Err(Refusal::new("key_unsupported", message));
        }
        Ok(Order {
            image: image(record, rules)?,
            script: script(record)?,
        })
    }
}

/// The key that logs in, in SSH's wire form (RFC 4253 §6.6); `None` where there is none, or one that no SSH client here has.
pub fn key(record: &RentalRecord) -> Option<Vec<u8>> {
    let line = record.ssh_public_key.as_str()?.trim();
    let key = PublicKey::from_openssh(line).ok()?;
    let modern = matches!(
        key.algorithm(),
        Algorithm::Ed25519 | Algorithm::Ecdsa { .. } | Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256
    );
    key.to_bytes()
        .ok()
        .filter(|_| modern && !line.contains(char::is_control))
}

fn image(record: &RentalRecord, rules: &Rentals) -> Result<String, Refusal> {
    let not_allowed = |message| Err(Refusal::new("image_not_allowed", message));
    let malformed = |_| Refusal::new("image_invalid", "The rental's image isn't an image reference.");
    let chosen = match record.container_image.is_empty() {
        true => None,
        false => {
            let text = record.container_image.as_str().unwrap_or_default();
            Some(ImageReference::from_str(text).map_err(malformed)?)
        }
    };
    let default = rules.default_image.as_deref().map(ImageReference::from_str);
    let default = default.transpose().map_err(malformed)?;
    match (chosen, default) {
        (None, Some(default)) => Ok(default.to_string()),
        (None, None) => not_allowed("The rental names no image, and the node has no default."),
        (Some(chosen), Some(default)) if chosen == default => Ok(chosen.to_string()),
        _ if !rules.docker => not_allowed("On this node tenants don't choose an image."),
        (Some(chosen), _) => {
            let listed = |image: &String| ImageReference::from_str(image).is_ok_and(|image| image == chosen);
            match rules.images.is_empty() || rules.images.iter().any(listed) {
                true => Ok(chosen.to_string()),
                false => not_allowed("The image isn't on the node's list."),
            }
        }
    }
}

fn script(record: &RentalRecord) -> Result<Script, Refusal> {
    let text = record.startup_script.as_bytes();
    let Some(digest) = text.strip_prefix(b"sha256:") else {
        return Ok(match text.is_empty() {
            true => Script::None,
            false => Script::Public(text.to_vec()),
        });
    };
    let mut bytes = [0; 32];
    match hex::decode_to_slice(digest.trim_ascii_end(), &mut bytes) {
        Ok(()) => Ok(Script::Digest(bytes)),
        Err(_) => Err(Refusal::new(
            "script_invalid",
            "The rental's script begins as a digest does, and isn't sha256: and 64 hexadecimal digits.",
        )),
    }
}

/// What a rental gets: what the offer says.
///
/// # Errors
/// Why nothing can be made of the offer. The provider may change it.
pub fn resources(offer: Option<&Offer>) -> Result<Resources, Refusal> {
    let Some(offer) = offer else {
        return Err(Refusal::new(
            "offer_missing",
            "The provider has no offer on chain.",
        ));
    };
    let machine = &offer.resources;
    if machine.gpu_count > 0 {
        let message = "The provider offers GPUs, and this node has none.";
        return Err(Refusal::new("gpu_unavailable", message));
    }
    let sane = (1..=MAX_CORES).contains(&machine.cpu_cores)
        && (1..=MAX_MEMORY_GIB).contains(&machine.memory_gb)
        && (1..=MAX_STORAGE_GB).contains(&machine.storage_gb);
    if !sane {
        let message = format!(
            "The provider offers {} cores, {} GB of memory and {} GB of storage, which no machine has.",
            machine.cpu_cores, machine.memory_gb, machine.storage_gb
        );
        return Err(Refusal::new("offer_invalid", message));
    }
    Ok(Resources {
        cpu_cores: machine.cpu_cores,
        memory_gib: machine.memory_gb,
        storage_gb: machine.storage_gb,
        bandwidth_mbps: machine.bandwidth_mbps,
    })
}

/// More than any machine has: a provider who mistook the unit.
const MAX_CORES: u16 = 4096;
const MAX_MEMORY_GIB: u32 = 1 << 16;
const MAX_STORAGE_GB: u32 = 1 << 20;

#[cfg(test)]
mod tests;
