//! The gateway's HTTP API: what the chain says, in the documents that Jeju clients know, and transactions for their own
//! wallets. Nothing here is a secret but ids of routes, and nothing of it has to be believed: clients check evidence and
//! chain by themselves.
//!
//! | module | what it does |
//! |---|---|
//! | `serve` | HTTP/1.1, and headers for browsers |
//! | `resource`, `query`, `body` | what a request asks for |
//! | `listings`, `status`, `documents` | providers and models; how the gateway is |
//! | `parts` | what it answers from |
//! | `rentals`, `transactions` | rentals, and what renters' wallets sign |
//! | `reputation` | what the rental contract counted |
//! | `ways` | routes to rentals |
//! | `card` | who the gateway is, for agents |
//! | `fixed` | what it doesn't do |
//! | `refusal` | why a request isn't answered |

mod body;
mod card;
mod documents;
mod fixed;
mod listings;
mod parts;
mod query;
mod refusal;
mod rentals;
mod reputation;
mod resource;
mod serve;
mod status;
mod transactions;
mod ways;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts as Head;
use http::{Method, StatusCode};
use hyper::body::Body;
use jeju_chain::Block;
use jeju_wallet_auth::account::Account;
use serde_json::Value;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::auth::Auth;
use crate::limits::{Buckets, peer};
use crate::passthrough::Counters;
use crate::routes::now_ms;

use refusal::Refusal;
use resource::{Cost, Methods, Resource};

pub use parts::{Contracts, Info, Parts, Rates};
pub use serve::serve;

/// Wallets and addresses whose requests are counted, each.
const COUNTED: usize = 100_000;
/// Requests that read the chain at a time.
const READS: usize = 32;
/// How long one waits for its turn.
const TURN: Duration = Duration::from_secs(5);

/// The API.
pub struct Api {
    parts: Parts,
    auth: Auth,
    wallets: Buckets<[u8; 20]>,
    addresses: Buckets<IpAddr>,
    reads: Buckets<IpAddr>,
    chain_reads: Semaphore,
    answered: Answered,
    /// Of the API itself.
    connections: Arc<Counters>,
}

/// Answers by kind.
#[derive(Debug, Default)]
struct Answered {
    success: AtomicU64,
    refused: AtomicU64,
    rate_limited: AtomicU64,
    failed: AtomicU64,
}

/// An answer.
pub(crate) struct Answer {
    status: StatusCode,
    content_type: &'static str,
    body: Vec<u8>,
    /// Seconds.
    retry_after: Option<u64>,
    allow: Option<Methods>,
}

impl Answer {
    fn json(document: &Value) -> Self {
        Self::text(document.to_string().into_bytes())
    }

    /// JSON that is text already.
    fn text(body: Vec<u8>) -> Self {
        Self {
            status: StatusCode::OK,
            content_type: "application/json",
            body,
            retry_after: None,
            allow: None,
        }
    }
}

impl Api {
    /// Answers from these.
    pub fn new(parts: Parts) -> Self {
        Self {
            auth: Auth::default(),
            wallets: Buckets::new(parts.rates.wallet, COUNTED),
            addresses: Buckets::new(parts.rates.address, COUNTED),
            reads: Buckets::new(parts.rates.reads, COUNTED),
            chain_reads: Semaphore::new(READS),
            answered: Answered::default(),
            connections: Arc::default(),
            parts,
        }
    }

    pub(crate) async fn answer<B>(&self, head: &Head, body: B, from: IpAddr) -> Answer
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let outcome = self.handle(head, body, from).await;
        let answer = outcome.unwrap_or_else(|refusal| refusal.answer());
        let counter = match answer.status {
            StatusCode::TOO_MANY_REQUESTS => &self.answered.rate_limited,
            status if status.is_success() => &self.answered.success,
            status if status.is_server_error() => &self.answered.failed,
            _ => &self.answered.refused,
        };
        counter.fetch_add(1, Relaxed);
        answer
    }

    async fn handle<B>(&self, head: &Head, body: B, from: IpAddr) -> Result<Answer, Refusal>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let resource = Resource::of(head.uri.path()).ok_or(Refusal::NotFound)?;
        let methods = resource.methods();
        if !methods.contains(&head.method) {
            return Err(Refusal::Method(methods));
        }
        let asker = peer(self.asker(head, from));
        match resource.cost() {
            Cost::None => {}
            Cost::Memory => self.reads.take(asker)?,
            Cost::Chain => self.addresses.take(asker)?,
        }
        let query = head.uri.query().unwrap_or_default();
        let creates = head.method == Method::POST;
        match resource {
            Resource::Health => Ok(self.health()),
            Resource::Metrics => Ok(self.metrics()),
            Resource::AgentCard => Ok(self.agent_card()),
            Resource::AgentRegistration => Ok(self.agent_registration()),
            Resource::Providers => self.providers(query),
            Resource::Provider(account) => self.provider(account).await,
            Resource::ReputationOfUser(account) => self.user_reputation(account).await,
            Resource::ReputationOfProvider(account) => self.provider_reputation(account, query).await,
            Resource::Models => self.models(query),
            Resource::Gateway => Ok(self.gateway()),
            Resource::Stats => Ok(self.stats()),
            Resource::Rentals if creates => self.create_rental(head, body).await,
            Resource::Rentals => self.rentals(query).await,
            Resource::Quote => self.quote(query).await,
            Resource::Rental(id) => self.rental(id).await,
            Resource::Change(id, change) => self.change_rental(head, body, id, change).await,
            Resource::Routes if creates => self.create_route(head, body).await,
            Resource::Routes => self.list_routes(head),
            Resource::Route(id) if head.method == Method::PUT => self.renew_route(head, body, id).await,
            Resource::Route(id) => self.delete_route(head, id).await,
            Resource::Proxy => Err(self.proxy()),
            Resource::CloudStatus => Ok(fixed::cloud_status()),
            Resource::CloudSkills => Ok(fixed::cloud_skills()),
            Resource::CloudInference => Err(Refusal::Cloud),
            Resource::CloudSkill => Err(Refusal::Skills),
        }
    }

    /// Whose request it is, by its signature; each wallet has its bucket.
    fn account(&self, head: &Head) -> Result<Account, Refusal> {
        let account = self.auth.verify(&head.headers, now_ms())?;
        self.wallets.take(account.0)?;
        Ok(account)
    }

    /// Where a request comes from.
    fn asker(&self, head: &Head, from: IpAddr) -> IpAddr {
        if !self.parts.rates.forwarded {
            return from;
        }
        // The last one is the web server's own word; those before it are the client's.
        let last = head.headers.get_all("x-forwarded-for").iter().next_back();
        let last = last.and_then(|value| value.to_str().ok()?.rsplit(',').next()?.trim().parse().ok());
        last.unwrap_or(from)
    }

    /// The newest block, and a place among those that read the chain.
    async fn newest(&self) -> Result<(SemaphorePermit<'_>, Block), Refusal> {
        let place = match timeout(TURN, self.chain_reads.acquire()).await {
            Ok(Ok(place)) => place,
            Ok(Err(_)) | Err(_) => return Err(Refusal::ChainBusy),
        };
        Ok((place, self.parts.chain.newest_block().await?))
    }
}
