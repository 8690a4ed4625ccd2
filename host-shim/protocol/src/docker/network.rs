use std::collections::BTreeMap;

use serde::Serialize;

use super::container::{AGENT_LABEL, RENTAL_LABEL, agent_label, encode, same};
use super::json::Value;
use super::{ContainerName, Refusal};

/// A network of one container: a bridge of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetworkSpec {
    /// Name, that of the container.
    pub name: ContainerName,
    /// The node's agent id: label `jeju.agent`.
    pub agent: [u8; 32],
    /// Whether it leads nowhere. One that isn't reaches whatever the host's own firewall lets through.
    pub internal: bool,
}

impl NetworkSpec {
    pub(super) fn emit(&self) -> Vec<u8> {
        encode(&Body {
            name: self.name.to_string(),
            check_duplicate: true,
            driver: "bridge",
            scope: "local",
            enable_ipv6: false,
            ipam: Ipam {
                driver: "default",
                options: Nothing {},
                config: [],
            },
            internal: self.internal,
            attachable: false,
            ingress: false,
            config_only: false,
            options: Nothing {},
            labels: BTreeMap::from([
                (AGENT_LABEL, hex::encode(self.agent)),
                (RENTAL_LABEL, hex::encode(self.name.id())),
            ]),
        })
    }

    pub(super) fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let given = Value::read(body)?;
        let template = Self {
            name: ContainerName::from_id([0; 32]),
            agent: [0; 32],
            internal: true,
        };
        given.only_keys_of(&Value::read(&template.emit())?, &[])?;
        let spec = Self {
            name: given.text("Name")?.parse()?,
            agent: agent_label(&given)?,
            internal: given.boolean("Internal")?,
        };
        same(&given, body, &spec.emit())?;
        Ok(spec)
    }
}

/// Body of `networks/create`: `NetworkCreateRequest` of the Engine API 1.41.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Body {
    check_duplicate: bool,
    driver: &'static str,
    scope: &'static str,
    #[serde(rename = "EnableIPv6")]
    enable_ipv6: bool,
    #[serde(rename = "IPAM")]
    ipam: Ipam,
    internal: bool,
    attachable: bool,
    ingress: bool,
    config_only: bool,
    options: Nothing,
    labels: BTreeMap<&'static str, String>,
    name: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Ipam {
    driver: &'static str,
    options: Nothing,
    config: [&'static str; 0],
}

/// An object without keys.
#[derive(Serialize)]
struct Nothing {}
