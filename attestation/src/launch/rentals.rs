//! The rental part of the launch document: whose rentals the node takes, where tenants log in, and what a machine is.

use serde::{Deserialize, Serialize};

use super::LaunchError;
use crate::hex_bytes::HexBytes;

/// Most rentals that run at a time.
pub const MAX_RENTALS: u16 = 256;
/// Most images that a document lists.
pub const MAX_IMAGES: usize = 64;
/// Longest image reference, in bytes; that of `ComputeRental`.
pub const MAX_IMAGE: usize = 256;

/// What a node rents out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rentals {
    /// `ComputeRental`.
    pub contract: HexBytes<20>,
    /// The provider's account, whose rentals these are.
    pub provider: HexBytes<20>,
    /// Host name or address at which tenants log in; published on chain.
    pub host: String,
    /// Its port.
    #[serde(default = "default_port")]
    pub port: u16,
    /// Most rentals that run at a time.
    #[serde(default = "default_max")]
    pub max: u16,
    /// Whether tenants choose an image. Without, all get `default_image`.
    #[serde(default = "yes")]
    pub docker: bool,
    /// Images that tenants may choose; none: any.
    #[serde(default)]
    pub images: Vec<String>,
    /// The image of a rental that names none.
    #[serde(default)]
    pub default_image: Option<String>,
    /// Where containers may connect to.
    #[serde(default)]
    pub network: Network,
    /// Where containers run.
    pub isolation: Isolation,
}

/// Where containers may connect to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// Nowhere: each has a loopback interface only, which tenants reach through SSH.
    #[default]
    None,
    /// Wherever the host's network leads.
    Open,
}

/// Where containers run, and so who can look into them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// On the host's Docker: the host sees and can change everything in them.
    Host,
}

impl Isolation {
    /// As policies and documents write it.
    pub const fn name(self) -> &'static str {
        match self {
            Isolation::Host => "host",
        }
    }
}

impl Network {
    /// As documents write it.
    pub const fn name(self) -> &'static str {
        match self {
            Network::None => "none",
            Network::Open => "open",
        }
    }
}

impl Rentals {
    /// Whether the parts agree.
    pub(super) fn check(&self) -> Result<(), LaunchError> {
        let invalid = |field, value: &dyn ToString| {
            Err(LaunchError::Value {
                field,
                value: value.to_string(),
            })
        };
        if !super::is_host(&self.host) {
            return invalid("rentals.host", &self.host);
        }
        if self.port == 0 {
            return invalid("rentals.port", &self.port);
        }
        if !(1..=MAX_RENTALS).contains(&self.max) {
            return invalid("rentals.max", &self.max);
        }
        if self.images.len() > MAX_IMAGES {
            return invalid("rentals.images", &self.images.len());
        }
        let named = self.images.iter().chain(&self.default_image);
        if let Some(image) = named.into_iter().find(|image| !is_image(image)) {
            return invalid("rentals.images", image);
        }
        if !self.docker && self.default_image.is_none() {
            return invalid("rentals.default_image", &"");
        }
        Ok(())
    }
}

/// Whether a text may be an image reference at all; the node reads it strictly.
fn is_image(image: &str) -> bool {
    (1..=MAX_IMAGE).contains(&image.len())
        && !image.starts_with('-')
        && image
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_./:@".contains(&b))
}

fn default_port() -> u16 {
    2222
}

fn default_max() -> u16 {
    10
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::super::{LaunchDocument, SAMPLE};
    use super::*;

    const RENTALS: &str = r#"
[rentals]
contract = "0x0101010101010101010101010101010101010101"
provider = "0x0202020202020202020202020202020202020202"
host = "ssh.example"
images = ["debian:13"]
default_image = "busybox"
isolation = "host"
"#;

    fn parse(rentals: &str) -> Result<LaunchDocument, LaunchError> {
        let on = SAMPLE.replacen("inference = true", "inference = true\nrentals = true", 1);
        LaunchDocument::parse((on + rentals).as_bytes())
    }

    #[test]
    fn reads_what_is_rented_out() {
        let document = parse(RENTALS).unwrap();
        assert_eq!(document.services.enabled(), ["inference", "rentals"]);
        let rentals = document.rentals.unwrap();
        assert_eq!((rentals.port, rentals.max, rentals.docker), (2222, 10, true));
        assert_eq!(rentals.network, Network::None);
        assert_eq!(rentals.isolation.name(), "host");
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let refused = |from: &str, to: &str| {
            assert!(RENTALS.contains(from), "{from}");
            match parse(&RENTALS.replacen(from, to, 1)) {
                Err(LaunchError::Value { field, .. }) => field,
                other => panic!("{from} -> {to}: {other:?}"),
            }
        };
        assert_eq!(refused("ssh.example", "ssh example"), "rentals.host");
        assert_eq!(refused("host = \"ssh", "port = 0\nhost = \"ssh"), "rentals.port");
        assert_eq!(refused("host = \"ssh", "max = 0\nhost = \"ssh"), "rentals.max");
        assert_eq!(refused("host = \"ssh", "max = 257\nhost = \"ssh"), "rentals.max");
        assert_eq!(refused("debian:13", "--privileged"), "rentals.images");
        assert_eq!(refused("\"busybox\"", "\"busy box\""), "rentals.images");
        assert_eq!(
            refused("default_image = \"busybox\"", "docker = false"),
            "rentals.default_image"
        );
        for wrong in ["isolation = \"enclave\"", "isolation = \"none\"", ""] {
            let document = RENTALS.replacen("isolation = \"host\"", wrong, 1);
            assert!(matches!(parse(&document), Err(LaunchError::Toml(_))), "{wrong}");
        }
        let on = SAMPLE.replacen("inference = true", "rentals = true", 1);
        let off = SAMPLE.to_owned() + RENTALS;
        for document in [on, off] {
            assert!(matches!(
                LaunchDocument::parse(document.as_bytes()),
                Err(LaunchError::Value { field: "rentals", .. })
            ));
        }
    }
}
