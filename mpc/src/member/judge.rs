//! What becomes of requests: this member's own authority decides, whoever passed the request on.

use jeju_attestation::hash::sha256;

use super::{Event, Member, Output, Turn};
use crate::authority::{Action, Decision, Grant};
use crate::configuration::Proposal;
use crate::message::{ExchangeId, MAX_REQUEST, SessionId, Start};
use crate::network::{MemberIndex, RootId};
use crate::refusal::Refusal;

/// Most questions to contracts that are open at once.
const MAX_QUESTIONS: usize = 256;

/// What goes on when a request has been judged.
pub(crate) enum Then {
    /// This member coordinates for a client.
    Answer { ticket: u64 },
    /// A peer wants commitments.
    Sign {
        from: MemberIndex,
        exchange: ExchangeId,
        root: RootId,
        sharing: SessionId,
    },
    /// A peer leads a ceremony.
    Join { from: MemberIndex, start: Start },
    /// A peer passes a policy on.
    Policy { from: MemberIndex, exchange: ExchangeId },
    /// A peer shows a policy that it keeps.
    Shown { from: MemberIndex },
}

/// A request that waits for a contract's answer.
pub(crate) struct Question {
    request: Vec<u8>,
    then: Then,
}

impl Member {
    pub(super) fn requested(&mut self, ticket: u64, bytes: &[u8], turn: &mut Turn<'_>) {
        if bytes.len() > MAX_REQUEST {
            let outcome = Err(Refusal::Malformed("longer than any request"));
            return turn.push(Output::Answer { ticket, outcome });
        }
        self.judge(bytes.to_vec(), Then::Answer { ticket }, turn);
    }

    /// Judges a request and goes on.
    pub(crate) fn judge(&mut self, request: Vec<u8>, then: Then, turn: &mut Turn<'_>) {
        if let Ok(proposal) = Proposal::parse(&request) {
            return self.proposed(&request, &proposal, then, turn);
        }
        match self.decide(&request, &then, None, turn) {
            Decision::Allowed(grant) => self.judged(&request, then, Ok(grant), turn),
            Decision::Refused(refusal) => self.judged(&request, then, Err(refusal), turn),
            Decision::AskContract(_) if self.questions.len() >= MAX_QUESTIONS => {
                self.judged(&request, then, Err(Refusal::Busy), turn);
            }
            Decision::AskContract(question) => {
                self.last_question += 1;
                let query = self.last_question;
                self.questions.insert(query, Question { request, then });
                turn.push(Output::AskContract { query, question });
            }
        }
    }

    /// A contract answered.
    pub(super) fn answered(&mut self, query: u64, valid: bool, turn: &mut Turn<'_>) {
        let Some(Question { request, then }) = self.questions.remove(&query) else {
            return;
        };
        let judged = match self.decide(&request, &then, Some(valid), turn) {
            Decision::Allowed(grant) => Ok(grant),
            Decision::Refused(refusal) => Err(refusal),
            Decision::AskContract(_) => Err(Refusal::Signature),
        };
        self.judged(&request, then, judged, turn);
    }

    fn decide(&self, request: &[u8], then: &Then, contract: Option<bool>, turn: &Turn<'_>) -> Decision {
        let decision = match then {
            Then::Shown { .. } => self.authority.shown(request, contract),
            _ => self.authority.decide(request, turn.now, contract),
        };
        match &decision {
            Decision::Allowed(grant) if grant.action.path().is_some_and(|path| self.is_reserved(path)) => {
                Decision::Refused(Refusal::NotAllowed)
            }
            _ => decision,
        }
    }

    pub(crate) fn judged(
        &mut self,
        request: &[u8],
        then: Then,
        judged: Result<Grant, Refusal>,
        turn: &mut Turn<'_>,
    ) {
        // Of what came before this boot nothing is remembered, so a replay couldn't be told from a new request.
        let old = |grant: &Grant| grant.issued < self.started.upper && !matches!(then, Then::Shown { .. });
        let judged = judged.and_then(|grant| match old(&grant) {
            true => Err(Refusal::IssuedAt(grant.issued)),
            false => Ok(grant),
        });
        if let Err(refusal) = &judged {
            let from = match &then {
                Then::Answer { .. } => None,
                Then::Sign { from, .. }
                | Then::Join { from, .. }
                | Then::Policy { from, .. }
                | Then::Shown { from } => Some(*from),
            };
            turn.push(Output::Audit(Event::Refused {
                request: sha256(request),
                code: refusal.code(),
                from,
            }));
        }
        match then {
            Then::Answer { ticket } => match judged {
                Err(refusal) => turn.push(Output::Answer {
                    ticket,
                    outcome: Err(refusal),
                }),
                // Whoever asks here is to go elsewhere, whatever this one still has or never had.
                Ok(_) if !self.has_place() => turn.push(Output::Answer {
                    ticket,
                    outcome: Err(Refusal::NoPlace),
                }),
                Ok(grant) => match &grant.action {
                    Action::Keygen(_) | Action::Refresh(_) => {
                        self.start_job(ticket, grant, request.to_vec(), turn);
                    }
                    Action::Sign { .. } => self.start_signing(ticket, grant, request.to_vec(), turn),
                    Action::SetPolicy(_) => self.start_policy(ticket, grant, request.to_vec(), turn),
                },
            },
            Then::Sign {
                from,
                exchange,
                root,
                sharing,
            } => self.sign_judged(from, (exchange, root, sharing), request, judged, turn),
            Then::Join { from, start } => self.join_judged(from, &start, judged, turn),
            Then::Policy { from, exchange } => self.policy_judged(from, exchange, judged, turn),
            Then::Shown { from } => self.shown_judged(from, judged, turn),
        }
    }
}
