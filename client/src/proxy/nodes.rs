//! Which nodes a request may go to, the best first.

use std::sync::Arc;

use http::StatusCode;

use super::inbound::Outbound;
use super::market::{Market, Seat};
use super::payer::Payer;
use super::pool::Pool;
use super::refusal::Refusal;
use crate::error::Error;

/// The nodes that a proxy asks.
pub(super) enum Nodes {
    /// One, which the user named.
    One(Arc<Pool>),
    /// The providers of a model.
    Market(Arc<Market>),
}

/// A node that a request may go to.
pub(super) struct Candidate {
    pub(super) pool: Arc<Pool>,
    seat: Option<Arc<Seat>>,
}

impl Nodes {
    /// Whether a request may go to any.
    pub(super) fn check(&self, outbound: &Outbound) -> Result<(), Refusal> {
        match self {
            Nodes::One(_) => Ok(()),
            Nodes::Market(market) => market.check(&outbound.body),
        }
    }

    /// Where it may go, the best first; there may be none.
    pub(super) fn candidates(&self) -> Vec<Candidate> {
        match self {
            Nodes::One(pool) => vec![Candidate {
                pool: pool.clone(),
                seat: None,
            }],
            Nodes::Market(market) => {
                let seats = market.seats().into_iter();
                let candidate = |seat: Arc<Seat>| Candidate {
                    pool: seat.pool.clone(),
                    seat: Some(seat),
                };
                seats.map(candidate).collect()
            }
        }
    }

    /// What to say where there was none.
    pub(super) fn none(&self) -> Refusal {
        match self {
            Nodes::One(_) => Refusal::NoProvider(String::new()),
            Nodes::Market(market) => Refusal::NoProvider(market.summary()),
        }
    }

    /// The market, if there is one.
    pub(super) fn clone_market(&self) -> Option<Arc<Market>> {
        match self {
            Nodes::One(_) => None,
            Nodes::Market(market) => Some(market.clone()),
        }
    }

    pub(super) fn prune(&self) {
        self.pools().iter().for_each(|pool| pool.prune());
    }

    /// Hands in what is owed, on idle sessions.
    pub(super) async fn flush(&self, payer: &dyn Payer) {
        for pool in self.pools() {
            pool.flush(payer).await;
        }
    }

    fn pools(&self) -> Vec<Arc<Pool>> {
        match self {
            Nodes::One(pool) => vec![pool.clone()],
            Nodes::Market(market) => market.all().into_iter().map(|seat| seat.pool.clone()).collect(),
        }
    }
}

impl Candidate {
    /// It failed: others come before it for a while.
    pub(super) fn failed(&self, error: &Error) {
        if let Some(seat) = &self.seat {
            seat.failed(error);
        }
    }

    /// It does nothing for a request.
    pub(super) fn turned_away(&self, status: StatusCode) {
        if let Some(seat) = &self.seat {
            seat.turned_away(status);
        }
    }

    /// It answered.
    pub(super) fn served(&self) {
        if let Some(seat) = &self.seat {
            seat.served();
        }
    }
}
