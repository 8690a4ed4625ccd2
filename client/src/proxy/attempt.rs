//! A request to one node after the other, until one has answered.
//!
//! What was not sent goes to the next node as a matter of course. What was sent is sent again only as often as the user
//! allows, and only while nothing of an answer has come: an answer that doesn't verify, and a stream that has begun, are
//! what the caller gets. A node that turns a request away has done nothing for it: the next one is asked, if the user allows
//! any retry.

use std::sync::Arc;

use http::StatusCode;

use super::inbound::Outbound;
use super::nodes::{Candidate, Nodes};
use super::payer::{Bill, PayRefusal, Payer};
use super::pool::Lease;
use super::refusal::Refusal;
use crate::error::Error;
use crate::session::{SessionError, VerifiedResponse};

/// Where requests go, and what pays for them.
pub(super) struct Upstream {
    pub(super) nodes: Nodes,
    /// How often a request that was sent may be sent again, to another node.
    pub(super) retries: u32,
    pub(super) payer: Option<Arc<dyn Payer>>,
}

/// An answer, and the session that it came on.
pub(super) struct Answer {
    pub(super) lease: Lease,
    pub(super) response: VerifiedResponse,
    pub(super) bill: Option<Box<dyn Bill>>,
}

/// Why a node gave no answer.
enum Failed {
    /// Nothing was sent.
    Unsent(Error),
    /// It isn't paid for, so nothing was sent.
    Unpaid(PayRefusal),
    /// It was sent, and nothing came back.
    Unanswered(Error),
    /// What came back is of no use, or may be on its way.
    Answered(Error),
}

impl Upstream {
    /// Asks the nodes in turn.
    pub(super) async fn ask(&self, outbound: &Outbound) -> Result<Answer, Refusal> {
        let mut left = if outbound.is_repeatable() { self.retries } else { 0 };
        let mut last = None;
        for candidate in self.nodes.candidates() {
            match self.attempt(&candidate, outbound).await {
                Ok(answer) if left > 0 && is_turned_away(answer.response.status) => {
                    // Verified: nothing was done for the request, so it isn't done twice. Shown, if nobody else does better.
                    candidate.turned_away(answer.response.status);
                    if let Some(Ok(before)) = last.replace(Ok(answer)) {
                        settle(before);
                    }
                    continue;
                }
                Ok(answer) => {
                    candidate.served();
                    if let Some(Ok(before)) = last {
                        settle(before);
                    }
                    return Ok(answer);
                }
                Err(Failed::Unpaid(refusal)) => note(&mut last, Refusal::Payment(refusal)),
                Err(Failed::Unsent(error)) => {
                    candidate.failed(&error);
                    note(&mut last, error.into());
                }
                Err(Failed::Unanswered(error)) => {
                    candidate.failed(&error);
                    if left == 0 {
                        return Err(error.into());
                    }
                    eprintln!(
                        "jeju proxy: nothing was answered ({}); asking the next provider",
                        error.code()
                    );
                    left -= 1;
                    note(&mut last, error.into());
                }
                Err(Failed::Answered(error)) => {
                    candidate.failed(&error);
                    return Err(error.into());
                }
            }
        }
        last.unwrap_or_else(|| Err(self.nodes.none()))
    }

    /// Hands in what is owed, on idle sessions.
    pub(super) async fn flush(&self) {
        if let Some(payer) = &self.payer {
            self.nodes.flush(payer.as_ref()).await;
        }
    }

    /// Idle sessions die unseen. A request is sent on another one only if nothing of it was sent before.
    async fn attempt(&self, candidate: &Candidate, outbound: &Outbound) -> Result<Answer, Failed> {
        loop {
            let mut lease = candidate.pool.lease().await.map_err(Failed::Unsent)?;
            let mut headers = outbound.headers.clone();
            let bill = match &self.payer {
                None => None,
                Some(payer) => {
                    let (method, path) = (&outbound.method, &outbound.path_and_query);
                    let begun = payer.begin(&mut lease.session, method, path, &mut headers, &outbound.body);
                    match begun.await {
                        Ok(bill) => bill,
                        Err(_) if lease.reused && lease.session.is_over() => continue,
                        Err(refusal) => {
                            if !lease.session.is_over() {
                                lease.give_back();
                            }
                            return Err(Failed::Unpaid(refusal));
                        }
                    }
                }
            };
            let sent = lease.session.request(
                outbound.method.clone(),
                &outbound.path_and_query,
                headers,
                outbound.body.clone(),
            );
            match sent.await {
                Ok(response) => {
                    return Ok(Answer {
                        lease,
                        response,
                        bill,
                    });
                }
                Err(error @ Error::Session(SessionError::SessionOver)) => {
                    if let Some(bill) = bill {
                        bill.unsent();
                    }
                    if !lease.reused {
                        return Err(Failed::Unsent(error));
                    }
                }
                // The connection broke before the answer was there.
                Err(error @ Error::Session(SessionError::Http(_))) => return Err(Failed::Unanswered(error)),
                Err(error) => return Err(Failed::Answered(error)),
            }
        }
    }
}

/// Whether a node says that it does nothing for the request: it has no room, or isn't paid.
fn is_turned_away(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::PAYMENT_REQUIRED | StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    )
}

/// Remembers an error for the caller, unless there is an answer.
fn note(last: &mut Option<Result<Answer, Refusal>>, refusal: Refusal) {
    if !matches!(last, Some(Ok(_))) {
        *last = Some(Err(refusal));
    }
}

/// An answer that nobody will see.
fn settle(answer: Answer) {
    use crate::session::VerifiedBody;
    if let VerifiedBody::Whole(body) = &answer.response.body {
        if let Some(bill) = answer.bill {
            bill.whole(answer.response.status, &answer.response.headers, body);
        }
        answer.lease.give_back();
    }
}
