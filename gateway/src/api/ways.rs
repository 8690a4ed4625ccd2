//! Routes: ways to rentals, for who rents them.

use std::time::Duration;

use bytes::Bytes;
use http::request::Parts as Head;
use hyper::body::Body;
use jeju_chain::RentalStatus;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::body::json_body;
use super::refusal::Refusal;
use super::rentals::ms;
use super::{Answer, Api};
use crate::routes::{NewRoute, Route, RouteError, RouteId, RouteKind, now_ms};

/// How long an answer waits for the disk.
const KEEP_TIME: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
struct CreateBody {
    #[serde(rename = "rentalId")]
    rental: String,
    #[serde(rename = "type")]
    kind: String,
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
        let (_, rental) = self.read_rental(&body.rental).await?;
        if rental.user != user.0 {
            return Err(Refusal::RentalNotOwned);
        }
        let expires_at = ms(rental.end_time);
        if rental.status != RentalStatus::Active || expires_at <= now_ms() {
            return Err(Refusal::RentalNotActive);
        }
        let route = self.parts.routes.create(NewRoute {
            kind,
            owner: user.0,
            rental: rental.id,
            target_host: rental.ssh_host.to_string(),
            target_port: rental.ssh_port,
            expires_at,
        })?;
        self.kept().await;
        let (host, port) = self.parts.ways.to(&route).ok_or_else(unavailable)?;
        Ok(Answer::json(&json!({
            "routeId": route.id.to_string(),
            "type": kind.name(),
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
            "proxyHost": host,
            "proxyPort": port,
            "sessions": route.sessions(),
            "createdAt": route.created_at,
            "expiresAt": route.expires_at(),
        })
    }
}
