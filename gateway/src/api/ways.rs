//! Routes: ways to rentals, for who rents them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts as Head;
use hyper::body::Body;
use jeju_chain::{RentalRecord, RentalStatus};
use jeju_wallet_auth::account::Account;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::body::json_body;
use super::refusal::Refusal;
use super::rentals::ms;
use super::{Answer, Api};
use crate::inside::{Grant, GrantError};
use crate::routes::{NewRoute, Route, RouteError, RouteId, RouteKind, now_ms};

/// How long an answer waits for the disk.
const KEEP_TIME: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
struct CreateBody {
    #[serde(rename = "rentalId")]
    rental: String,
    #[serde(rename = "type")]
    kind: String,
    /// Of the container; none: the rental's SSH server.
    #[serde(default)]
    port: Option<u32>,
    #[serde(default)]
    certificate: Option<String>,
    #[serde(default, rename = "hostKey")]
    host_key: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RenewBody {
    certificate: String,
    host_key: String,
}

impl Api {
    pub(super) async fn create_route<B>(&self, head: &Head, body: B) -> Result<Answer, Refusal>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let user = self.account(head)?;
        let body: CreateBody = json_body(body).await?;
        let kind = RouteKind::from_name(&body.kind);
        let kind = kind.ok_or_else(|| Refusal::Request("type is ssh, http or tcp".to_owned()))?;
        let unavailable = || Refusal::RouteType(kind.name());
        if !self.parts.ways.offers(kind, self.parts.routes.has_ports()) {
            return Err(unavailable());
        }
        let grant = grant(kind, &body)?;
        let (_, rental) = self.read_rental(&body.rental).await?;
        let expires_at = usable_until(&rental, user)?;
        if let Some(grant) = &grant {
            self.check(grant, kind, &rental.id)?;
        }
        let route = self.parts.routes.create(NewRoute {
            kind,
            owner: user.0,
            rental: rental.id,
            target_host: rental.ssh_host.to_string(),
            target_port: rental.ssh_port,
            expires_at,
            inside: grant.map(Arc::new),
        })?;
        self.kept().await;
        self.made(&route)
    }

    /// Has another certificate or host key for a route into a container.
    pub(super) async fn renew_route<B>(&self, head: &Head, body: B, id: &str) -> Result<Answer, Refusal>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let user = self.account(head)?;
        let body: RenewBody = json_body(body).await?;
        let id: RouteId = id.parse().map_err(|_| RouteError::NotFound)?;
        let route = self.parts.routes.owned(&id, &user.0)?;
        let before = route.grant().ok_or(RouteError::NoContainerPort)?;
        let grant = Grant::parse(before.port(), &body.certificate, &body.host_key)?;
        let rental = format!("0x{}", hex::encode(route.asked.rental));
        let (_, rental) = self.read_rental(&rental).await?;
        let expires_at = usable_until(&rental, user)?;
        self.check(&grant, route.asked.kind, &rental.id)?;
        let routes = &self.parts.routes;
        let route = routes.replace(&id, &user.0, Arc::new(grant), expires_at)?;
        self.kept().await;
        self.made(&route)
    }

    fn check(&self, grant: &Grant, kind: RouteKind, rental: &[u8; 32]) -> Result<(), Refusal> {
        let inside = self.parts.inside.as_ref();
        let inside = inside.ok_or(Refusal::RouteType(kind.name()))?;
        Ok(grant.check(inside.key(), rental, now_ms() / 1000)?)
    }

    fn made(&self, route: &Route) -> Result<Answer, Refusal> {
        let kind = route.asked.kind.name();
        let (host, port) = self.parts.ways.to(route).ok_or(Refusal::RouteType(kind))?;
        Ok(Answer::json(&json!({
            "routeId": route.id.to_string(),
            "type": kind,
            "port": route.grant().map(|grant| grant.port()),
            "proxyHost": host,
            "proxyPort": port,
            "expiresAt": route.expires_at(),
        })))
    }

    pub(super) fn list_routes(&self, head: &Head) -> Result<Answer, Refusal> {
        let user = self.account(head)?;
        let routes = self.parts.routes.of_owner(&user.0);
        let routes: Vec<_> = routes.iter().map(|route| self.route(route)).collect();
        Ok(Answer::json(&json!({ "routes": routes })))
    }

    pub(super) async fn delete_route(&self, head: &Head, id: &str) -> Result<Answer, Refusal> {
        let user = self.account(head)?;
        let id: RouteId = id.parse().map_err(|_| RouteError::NotFound)?;
        self.parts.routes.delete(&id, &user.0)?;
        self.kept().await;
        Ok(Answer::json(&json!({ "success": true })))
    }

    /// What was answered holds after a restart too, unless the disk doesn't keep up.
    async fn kept(&self) {
        let _ = timeout(KEEP_TIME, self.parts.routes.are_kept()).await;
    }

    fn route(&self, route: &Route) -> Value {
        let (host, port) = self.parts.ways.to(route).unzip();
        json!({
            "routeId": route.id.to_string(),
            "rentalId": format!("0x{}", hex::encode(route.asked.rental)),
            "type": route.asked.kind.name(),
            "targetHost": route.asked.target_host,
            "targetPort": route.asked.target_port,
            "port": route.grant().map(|grant| grant.port()),
            "proxyHost": host,
            "proxyPort": port,
            "sessions": route.sessions(),
            "createdAt": route.created_at,
            "expiresAt": route.expires_at(),
        })
    }
}

/// Until when an account may use its rental, in milliseconds since 1970.
fn usable_until(rental: &RentalRecord, user: Account) -> Result<u64, Refusal> {
    if rental.user != user.0 {
        return Err(Refusal::RentalNotOwned);
    }
    let ends_at = ms(rental.end_time);
    match rental.status == RentalStatus::Active && ends_at > now_ms() {
        true => Ok(ends_at),
        false => Err(Refusal::RentalNotActive),
    }
}

/// What lets the gateway into a container; none where the route leads to the SSH server.
fn grant(kind: RouteKind, body: &CreateBody) -> Result<Option<Grant>, GrantError> {
    let Some(port) = body.port else {
        // What would count for nothing was meant for something.
        return match (&body.certificate, &body.host_key) {
            (None, None) => Ok(None),
            _ => Err(GrantError::Port),
        };
    };
    let port = u16::try_from(port).map_err(|_| GrantError::Port)?;
    if kind == RouteKind::Ssh {
        return Err(GrantError::Port);
    }
    let certificate = body.certificate.as_deref().unwrap_or_default();
    Grant::parse(port, certificate, body.host_key.as_deref().unwrap_or_default()).map(Some)
}
