//! A connection whose other end was accepted: how long it may be used, and the signature of each answer on it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use http::{HeaderValue, request, response};
use jeju_attestation::appraisal::MeasurementStatus;
use jeju_attestation::bundle::Bundle;
use jeju_attestation::evidence::Genuine;
use jeju_attestation::rejection::Rejection;
use jeju_attestation::response::{
    EndReason, RequestFields, Session as AttestedKey, StreamVerifier, VerifiedHead, header, verify_head,
};
use jeju_attestation::structured_field::binary;
use jeju_session::{Attested, EndOnDrop, Epochs, HeaderView, Sender, random_nonce, request_fields};
use sha2::{Digest, Sha256};
use tokio::task::AbortHandle;
use tokio::time::sleep;
use zeroize::Zeroizing;

use super::super::connect::{Check, ConnectError, Session};
use super::{Judge, Refusal};

/// What is known of the other end.
pub(super) struct Node {
    judge: Arc<Judge>,
    epochs: Mutex<Epochs>,
    bundle: Bundle,
    genuine: Genuine,
    channel: [u8; 32],
    /// The latest time that it may have been when the node was attested, in seconds since 1970.
    attested: u64,
    /// When the registry was last asked and had its measurement in force; `None` once it hasn't.
    in_force: Mutex<Option<Instant>>,
    /// Ends the connection with its last holder.
    _connection: Arc<EndOnDrop>,
}

/// The connection's own hold on the node. Answers under way have theirs.
pub(super) struct NodeSession {
    node: Arc<Node>,
    watch: AbortHandle,
}

impl NodeSession {
    /// Of a node that was attested and accepted, by what the registry was `asked` then.
    pub(super) fn new(judge: Arc<Judge>, attested: Attested, asked: Instant) -> (Sender, Self) {
        let channel = attested.connection.channel();
        let (sender, connection) = attested.connection.into_sender();
        let node = Arc::new(Node {
            attested: judge.clock.now(),
            judge,
            epochs: Mutex::new(attested.epochs),
            bundle: attested.bundle,
            genuine: attested.genuine,
            channel,
            in_force: Mutex::new(Some(asked)),
            _connection: connection,
        });
        let watch = tokio::spawn(watch(node.clone())).abort_handle();
        (sender, Self { node, watch })
    }
}

impl Drop for NodeSession {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

impl Session for NodeSession {
    fn is_usable(&self) -> bool {
        let node = &self.node;
        let age = node.judge.clock.now().saturating_sub(node.attested);
        let in_force = *node.in_force.lock().unwrap_or_else(PoisonError::into_inner);
        age < node.judge.policy.max_age_seconds
            && in_force.is_some_and(|seen| seen.elapsed() < node.judge.limits.in_force_within)
    }

    fn begin(&self, head: &mut request::Parts, body: &[u8]) -> Result<Box<dyn Check>, ConnectError> {
        let nonce = random_nonce().map_err(Refusal::from)?;
        let value = HeaderValue::from_str(&binary(&nonce)).expect("base64 is visible");
        head.headers.insert(header::NONCE, value);
        Ok(Box::new(NodeCheck {
            request: request_fields(&head.method, &head.uri, body, nonce),
            node: self.node.clone(),
            body: Body::Ahead,
        }))
    }
}

impl Node {
    /// The key that a response names. A later epoch of the same boot is verified first: its quote is genuine and of the
    /// node that was accepted, of which nothing but the epoch may differ. How old the node's block may be is bounded by the
    /// session's own age.
    fn key(&self, head: &response::Parts) -> Result<AttestedKey, Rejection> {
        let mut epochs = self.epochs.lock().unwrap_or_else(PoisonError::into_inner);
        let key = match epochs.known(head)? {
            Some(key) => key,
            None => {
                let now = self.judge.clock.now();
                let genuine = epochs.verify_next(head, &self.bundle, &self.judge.verifier, now)?;
                epochs.remember(genuine.tee, &genuine.claims)
            }
        };
        Ok(AttestedKey {
            channel: Some(self.channel),
            ..key
        })
    }
}

/// Goes on reading the registry. A measurement that is no longer in force ends the session for good; one that can't be
/// read ends it once the last answer is too old.
async fn watch(node: Arc<Node>) {
    loop {
        sleep(node.judge.limits.watch_every).await;
        let (measurement, tee) = (&node.genuine.measurement, node.genuine.tee);
        let said = node.judge.registry.status(measurement, tee).await;
        let mut in_force = node.in_force.lock().unwrap_or_else(PoisonError::into_inner);
        match said {
            Ok((MeasurementStatus::Active, asked)) => *in_force = Some(asked),
            Ok(_) => {
                *in_force = None;
                return;
            }
            Err(_) => {}
        }
    }
}

/// The check of one answer.
struct NodeCheck {
    node: Arc<Node>,
    request: RequestFields,
    body: Body,
}

enum Body {
    /// The head is still to come.
    Ahead,
    /// Must have this digest.
    Whole(Sha256, [u8; 32]),
    Stream(Box<StreamVerifier>),
    /// Refused, or over.
    Over,
}

impl Check for NodeCheck {
    fn head(&mut self, head: &response::Parts) -> Result<(), ConnectError> {
        self.body = Body::Over;
        self.body = self.verify(head).map_err(Refusal::from)?;
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), ConnectError> {
        match &mut self.body {
            Body::Whole(hash, _) => hash.update(bytes),
            Body::Stream(verifier) => match verifier.push(bytes).map(Zeroizing::new) {
                Ok(_) => {}
                Err(rejection) => {
                    self.body = Body::Over;
                    return Err(Refusal::from(rejection).into());
                }
            },
            Body::Ahead | Body::Over => return Err(Refusal::from(Rejection::BodyDigest).into()),
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), ConnectError> {
        match std::mem::replace(&mut self.body, Body::Over) {
            Body::Whole(hash, signed) => match <[u8; 32]>::from(hash.finalize()) == signed {
                true => Ok(()),
                false => Err(Refusal::from(Rejection::BodyDigest).into()),
            },
            Body::Ahead | Body::Over => Err(Refusal::from(Rejection::BodyDigest).into()),
            Body::Stream(verifier) => match verifier.finish().map_err(Refusal::from)? {
                EndReason::Stop | EndReason::Length => Ok(()),
                // Signed, and so the node itself says that the answer isn't whole.
                EndReason::Error | EndReason::Abort => Err(ConnectError::Unreachable),
            },
        }
    }
}

impl NodeCheck {
    fn verify(&self, head: &response::Parts) -> Result<Body, Rejection> {
        let key = self.node.key(head)?;
        let headers = HeaderView(&head.headers);
        Ok(
            match verify_head(&self.request, head.status.as_u16(), &headers, &key)? {
                VerifiedHead::Body(digest) => Body::Whole(Sha256::new(), digest),
                VerifiedHead::Stream { start } => Body::Stream(Box::new(StreamVerifier::new(key.key, start))),
            },
        )
    }
}
