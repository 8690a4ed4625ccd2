//! Evidence of a session: the node that the certificate vouches for, and the epochs of it that responses name.
//!
//! Certificates and headers carry quotes without their certificate material, so the evidence of real hardware can't be
//! verified before the answer to the challenge has brought the whole quote. Until [`Epochs::confirm`] has verified
//! what was presented, nothing but that answer is read.

use std::collections::VecDeque;

use http::response::Parts;
use jeju_attestation::bundle::Bundle;
use jeju_attestation::claims::{Claims, ClaimsBuffer, MAX_LEN};
use jeju_attestation::evidence::{Genuine, NodeEvidence, Verifier};
use jeju_attestation::hash::sha256;
use jeju_attestation::rejection::Rejection;
use jeju_attestation::response::{Headers, ResponseFields, Session as AttestedKey, header, parse_quote};
use jeju_attestation::stripped::{restore, restore_unpadded};
use jeju_attestation::structured_field::parse_binary;
use jeju_attestation::tee::Tee;
use jeju_attested_tls::PeerEvidence;

use crate::response::HeaderView;

/// A session sees the current and the previous epoch; the rest is room for clocks that jump.
const REMEMBERED: usize = 8;

/// The epochs of one node, as far as they were seen.
pub struct Epochs {
    /// The certificate's node; its claims are all that is known of it until they are confirmed.
    claims: ClaimsBuffer,
    tee: Tee,
    node: Option<Genuine>,
    /// What was presented and is to be confirmed.
    presented: Vec<Presented>,
    /// Newest last, by SHA-256 of the claims-buffer.
    known: VecDeque<([u8; 32], AttestedKey)>,
}

/// A stripped quote, and the claims that it is said to vouch for.
struct Presented {
    tee: Tee,
    quote: Vec<u8>,
    /// Length of the whole quote, where it is named.
    full_len: Option<usize>,
    claims: Vec<u8>,
}

impl Epochs {
    /// Of the node whose certificate's evidence this is.
    pub(crate) fn new(peer: &PeerEvidence) -> Self {
        let evidence = &peer.certificate.evidence;
        let mut epochs = Self {
            claims: peer.claims.clone(),
            tee: evidence.tee,
            node: peer.genuine.clone(),
            presented: Vec::new(),
            known: VecDeque::new(),
        };
        if peer.genuine.is_none() {
            epochs.presented.push(Presented {
                tee: evidence.tee,
                quote: evidence.quote.clone(),
                full_len: None,
                claims: evidence.claims.clone(),
            });
        }
        epochs.remember(evidence.tee, &peer.claims);
        epochs
    }

    /// The key of the claims that a response names, if they were seen before.
    ///
    /// # Errors
    /// Where it names none.
    pub fn known(&self, head: &Parts) -> Result<Option<AttestedKey>, Rejection> {
        let digest = sha256(&claims(head)?);
        Ok(self
            .known
            .iter()
            .find(|(known, _)| *known == digest)
            .map(|(_, key)| key.clone()))
    }

    /// The key of claims that the answer to the challenge names, which may be of a later epoch than the certificate's.
    /// They are of this node by what they say; whether that is true is [`Epochs::confirm`]'s to find out.
    pub(crate) fn present(&mut self, head: &Parts) -> Result<AttestedKey, Rejection> {
        let presented = presented(head)?;
        let buffer = ClaimsBuffer::parse(&presented.claims)?;
        self.check_same_claims(buffer.claims())?;
        if presented.tee != self.tee {
            return Err(Rejection::OtherNode("tee"));
        }
        let key = self.remember(presented.tee, &buffer);
        self.presented.push(presented);
        Ok(key)
    }

    /// Verifies all that was presented, with the material of the bundle that answered the challenge. What isn't
    /// genuine, or not of one node, ends the session.
    pub(crate) fn confirm(
        &mut self,
        bundle: &Bundle,
        verifier: &Verifier,
        now: u64,
    ) -> Result<(), Rejection> {
        for presented in std::mem::take(&mut self.presented) {
            let genuine = presented.verify(bundle, verifier, now)?;
            match &self.node {
                None => self.node = Some(genuine),
                Some(_) => self.check_same_node(&genuine)?,
            }
        }
        Ok(())
    }

    /// Verifies the quote and claims in a response's own headers: genuine, and of this node. `bundle` is the one that
    /// answered the challenge.
    ///
    /// # Errors
    /// What isn't so.
    pub fn verify_next(
        &self,
        head: &Parts,
        bundle: &Bundle,
        verifier: &Verifier,
        now: u64,
    ) -> Result<Genuine, Rejection> {
        let genuine = presented(head)?.verify(bundle, verifier, now)?;
        self.check_same_node(&genuine)?;
        Ok(genuine)
    }

    /// Whether evidence is of the certificate's node: of what a boot fixes, nothing may differ.
    ///
    /// # Errors
    /// What differs.
    pub fn check_same_node(&self, other: &Genuine) -> Result<(), Rejection> {
        let node = self.node.as_ref().ok_or(Rejection::OtherNode("certificate"))?;
        self.check_same_claims(other.claims.claims())?;
        differing(&[
            ("tee", node.tee == other.tee),
            ("measurement", node.measurement == other.measurement),
            ("platform", node.platform == other.platform),
            ("launch binding", node.launch_binding == other.launch_binding),
        ])
    }

    fn check_same_claims(&self, found: &Claims) -> Result<(), Rejection> {
        let node = self.claims.claims();
        differing(&[
            ("boot", node.boot == found.boot),
            ("pubkey-hash", node.pubkey_hash == found.pubkey_hash),
            ("evm", node.evm == found.evm),
            ("keys", node.keys == found.keys),
            ("launch", node.launch == found.launch),
            ("agent", node.agent == found.agent),
            ("chain", node.chain == found.chain),
            ("gpu", node.gpu.1 == found.gpu.1),
        ])
    }

    /// Remembers the key of claims.
    pub fn remember(&mut self, tee: Tee, buffer: &ClaimsBuffer) -> AttestedKey {
        let claims = buffer.claims();
        let key = AttestedKey {
            key: claims.resp,
            tee,
            epoch: claims.epoch,
            channel: None,
        };
        if self.known.len() == REMEMBERED {
            self.known.pop_front();
        }
        self.known.push_back((buffer.digest(), key.clone()));
        key
    }
}

impl Presented {
    fn verify(&self, bundle: &Bundle, verifier: &Verifier, now: u64) -> Result<Genuine, Rejection> {
        // A node doesn't change its platform, and material of another one wouldn't fit.
        if self.tee != bundle.tee {
            return Err(Rejection::OtherNode("tee"));
        }
        let quote = match self.full_len {
            Some(full_len) => restore(self.tee, &self.quote, &bundle.cpu, full_len),
            None => restore_unpadded(self.tee, &self.quote, &bundle.cpu),
        };
        let evidence = NodeEvidence {
            tee: self.tee,
            quote: &quote.map_err(Rejection::QuoteMaterial)?,
            endorsements: &bundle.endorsements,
            claims: &self.claims,
        };
        verifier.verify(&evidence, now)
    }
}

fn differing(same: &[(&'static str, bool)]) -> Result<(), Rejection> {
    match same.iter().find(|(_, same)| !same) {
        Some((name, _)) => Err(Rejection::OtherNode(name)),
        None => Ok(()),
    }
}

/// Quote and claims in a response's headers.
fn presented(head: &Parts) -> Result<Presented, Rejection> {
    let headers = HeaderView(&head.headers);
    let text = headers
        .get(header::QUOTE)
        .ok_or(Rejection::HeaderMissing(header::QUOTE))?;
    let (quote, full_len) = parse_quote(text).ok_or(Rejection::HeaderMalformed(header::QUOTE))?;
    let (fields, _) = ResponseFields::parse(head.status.as_u16(), &headers)?;
    Ok(Presented {
        tee: fields.evidence.tee,
        quote,
        full_len: Some(full_len),
        claims: claims(head)?,
    })
}

fn claims(head: &Parts) -> Result<Vec<u8>, Rejection> {
    let headers = HeaderView(&head.headers);
    let text = headers
        .get(header::CLAIMS)
        .ok_or(Rejection::HeaderMissing(header::CLAIMS))?;
    let claims = parse_binary(text).ok_or(Rejection::HeaderMalformed(header::CLAIMS))?;
    match claims.len() {
        0..=MAX_LEN => Ok(claims),
        _ => Err(Rejection::HeaderMalformed(header::CLAIMS)),
    }
}
