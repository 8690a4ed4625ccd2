//! Attested sessions with one node, kept for the next request.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::payer::Payer;
use super::rules::Rules;
use crate::discover::Offer;
use crate::error::Error;
use crate::node_url::NodeUrl;
use crate::session::{Limits, Session, SessionError};

/// Sessions at a time: each costs the node a fresh quote.
const MAX_SESSIONS: usize = 64;
const MAX_IDLE: usize = 16;
/// Attestations at a time: nodes make few fresh quotes a second, and answer who is over that with 'too many requests'.
const MAX_ATTESTING: usize = 2;
/// Nodes close connections that are idle for a minute; a request on its way then would be lost, and can't be repeated.
const MAX_IDLE_TIME: Duration = Duration::from_secs(45);

pub(super) struct Pool {
    node: NodeUrl,
    /// Whose node it is to be, where it was found on chain.
    offer: Option<Offer>,
    rules: Rules,
    limits: Limits,
    idle: Mutex<Vec<(Session, Instant)>>,
    permits: Arc<Semaphore>,
    attesting: Semaphore,
}

/// A session that nobody else uses; closed when dropped, unless given back.
pub(super) struct Lease {
    pub(super) session: Session,
    /// Whether it served before, and so may have died unseen.
    pub(super) reused: bool,
    pool: Arc<Pool>,
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    pub(super) fn new(node: NodeUrl, rules: Rules, limits: Limits) -> Self {
        Self {
            node,
            offer: None,
            rules,
            limits,
            idle: Mutex::new(Vec::new()),
            permits: Arc::new(Semaphore::new(MAX_SESSIONS)),
            attesting: Semaphore::new(MAX_ATTESTING),
        }
    }

    /// Of the node of an offer: another provider's is refused.
    pub(super) fn of(offer: Offer, rules: Rules, limits: Limits) -> Self {
        let node = offer.node.clone();
        Self {
            offer: Some(offer),
            ..Self::new(node, rules, limits)
        }
    }

    /// An idle session, or a new one; waits while all are in use.
    pub(super) async fn lease(self: &Arc<Self>) -> Result<Lease, Error> {
        let limit = self.limits.response;
        let permit = tokio::time::timeout(limit, self.permits.clone().acquire_owned())
            .await
            .ok()
            .and_then(Result::ok)
            .ok_or(SessionError::Timeout {
                what: "a free session",
                limit,
            })?;
        let (session, reused) = match self.take_idle() {
            Some(session) => (session, true),
            None => self.attested().await?,
        };
        Ok(Lease {
            session,
            reused,
            pool: self.clone(),
            _permit: permit,
        })
    }

    /// A new session, or an idle one after all, if one came back during the wait.
    async fn attested(&self) -> Result<(Session, bool), Error> {
        // Never closed, so a place always comes.
        let _place = self.attesting.acquire().await.ok();
        if let Some(session) = self.take_idle() {
            return Ok((session, true));
        }
        let session = Session::connect(&self.node, self.rules.now(), self.limits).await?;
        if let Some(offer) = &self.offer {
            offer.check(&session)?;
        }
        Ok((session, false))
    }

    fn take_idle(&self) -> Option<Session> {
        self.prune();
        self.idle().pop().map(|(session, _)| session)
    }

    /// Closes idle sessions that are over, about to be closed by the node, or judged by rules that aren't in force any more.
    pub(super) fn prune(&self) {
        let party = self.rules.now();
        self.idle().retain(|(session, since)| {
            !session.is_over() && session.is_judged_by(&party) && since.elapsed() < MAX_IDLE_TIME
        });
    }

    /// Hands in what is owed to the node, on an idle session.
    pub(super) async fn flush(&self, payer: &dyn Payer) {
        self.prune();
        let due = {
            let mut idle = self.idle();
            let due = idle.iter().position(|(session, _)| payer.is_due(session));
            due.map(|place| idle.remove(place).0)
        };
        if let Some(mut session) = due {
            payer.flush(&mut session).await;
            self.keep(session);
        }
    }

    /// Keeps a session for the next request, if it can serve one.
    fn keep(&self, session: Session) {
        let mut idle = self.idle();
        if !session.is_over() && idle.len() < MAX_IDLE {
            idle.push((session, Instant::now()));
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Session, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// Keeps the session for the next request.
    pub(super) fn give_back(self) {
        self.pool.keep(self.session);
    }
}
