//! The stored form of routes: JSON.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Chain;
use super::document::array;
use crate::inside::Grant;
use crate::routes::{KeptRoute, NewRoute, RouteKind};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Document {
    chain_id: u64,
    rentals: String,
    routes: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Entry {
    id: String,
    kind: String,
    owner: String,
    rental: String,
    host: String,
    port: u16,
    own_port: Option<u16>,
    created_at: u64,
    expires_at: u64,
    /// Not there in files of gateways that had no ways into containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inside: Option<Inside>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Inside {
    port: u16,
    certificate: String,
    host_key: String,
}

pub(super) fn text(chain: &Chain, routes: &[KeptRoute]) -> Vec<u8> {
    let document = Document {
        chain_id: chain.id,
        rentals: hex::encode(chain.rentals),
        routes: routes.iter().map(entry).collect(),
    };
    serde_json::to_vec(&document).unwrap_or_default()
}

pub(super) fn parse(body: &[u8], chain: &Chain) -> Option<Vec<KeptRoute>> {
    let document: Document = serde_json::from_slice(body).ok()?;
    let is_this = document.chain_id == chain.id && array(&document.rentals)? == chain.rentals;
    is_this.then(|| document.routes.into_iter().map(route).collect())?
}

fn entry(route: &KeptRoute) -> Entry {
    let asked = &route.asked;
    Entry {
        id: route.id.to_string(),
        kind: asked.kind.name().to_owned(),
        owner: hex::encode(asked.owner),
        rental: hex::encode(asked.rental),
        host: asked.target_host.clone(),
        port: asked.target_port,
        own_port: route.port,
        created_at: route.created_at,
        expires_at: asked.expires_at,
        inside: asked.inside.as_ref().map(|grant| Inside {
            port: grant.port(),
            certificate: grant.certificate_line().to_owned(),
            host_key: grant.host_key_line().to_owned(),
        }),
    }
}

fn route(entry: Entry) -> Option<KeptRoute> {
    let inside = entry
        .inside
        .map(|inside| Grant::parse(inside.port, &inside.certificate, &inside.host_key));
    Some(KeptRoute {
        id: entry.id.parse().ok()?,
        port: entry.own_port,
        created_at: entry.created_at,
        asked: NewRoute {
            kind: RouteKind::from_name(&entry.kind)?,
            owner: array(&entry.owner)?,
            rental: array(&entry.rental)?,
            target_host: entry.host,
            target_port: entry.port,
            expires_at: entry.expires_at,
            inside: inside.transpose().ok()?.map(Arc::new),
        },
    })
}
