//! Evidence of a session: the node that the certificate vouches for, and the epochs of it that responses name.

use std::collections::VecDeque;

use http::response::Parts;
use jeju_attestation::claims::MAX_LEN;
use jeju_attestation::evidence::{Genuine, verify};
use jeju_attestation::hash::sha256;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::rejection::Rejection;
use jeju_attestation::response::{Headers, ResponseFields, Session as AttestedKey, header, parse_quote};
use jeju_attestation::structured_field::parse_binary;
use jeju_attestation::tee::Tee;

use super::response::HeaderView;

/// A session sees the current and the previous epoch; the rest is room for clocks that jump.
const REMEMBERED: usize = 8;

pub(super) struct Epochs {
    node: Genuine,
    /// Newest last, by SHA-256 of the claims-buffer.
    known: VecDeque<([u8; 32], AttestedKey)>,
}

impl Epochs {
    /// Of the node whose certificate's evidence this is.
    pub(super) fn new(node: Genuine) -> Self {
        let mut epochs = Self {
            node: node.clone(),
            known: VecDeque::new(),
        };
        epochs.remember(&node);
        epochs
    }

    /// The key of the claims that a response names, if they were verified before.
    pub(super) fn known(&self, head: &Parts) -> Result<Option<AttestedKey>, Rejection> {
        let digest = sha256(&claims(head)?);
        Ok(self
            .known
            .iter()
            .find(|(known, _)| *known == digest)
            .map(|(_, key)| key.clone()))
    }

    /// Verifies the quote and claims in a response's own headers: genuine, and of this node.
    pub(super) fn verify_next(&self, head: &Parts, roots: &[HexBytes<65>]) -> Result<Genuine, Rejection> {
        let headers = HeaderView(&head.headers);
        let text = headers
            .get(header::QUOTE)
            .ok_or(Rejection::HeaderMissing(header::QUOTE))?;
        let (stripped, full_len) = parse_quote(text).ok_or(Rejection::HeaderMalformed(header::QUOTE))?;
        let (fields, _) = ResponseFields::parse(head.status.as_u16(), &headers)?;
        let tee = fields.evidence.tee;
        let quote = restore(tee, stripped, full_len)?;
        let genuine = verify(tee, &quote, &claims(head)?, roots)?;
        self.check_same_node(&genuine)?;
        Ok(genuine)
    }

    /// Whether evidence is of the certificate's node: of what a boot fixes, nothing may differ.
    pub(super) fn check_same_node(&self, other: &Genuine) -> Result<(), Rejection> {
        let (node, found) = (self.node.claims.claims(), other.claims.claims());
        let same = [
            ("boot", node.boot == found.boot),
            ("pubkey-hash", node.pubkey_hash == found.pubkey_hash),
            ("evm", node.evm == found.evm),
            ("keys", node.keys == found.keys),
            ("launch", node.launch == found.launch),
            ("agent", node.agent == found.agent),
            ("chain", node.chain == found.chain),
            ("gpu", node.gpu.1 == found.gpu.1),
            ("tee", self.node.tee == other.tee),
            ("measurement", self.node.measurement == other.measurement),
            ("platform", self.node.platform == other.platform),
            ("launch binding", self.node.launch_binding == other.launch_binding),
        ];
        match same.iter().find(|(_, same)| !same) {
            Some((name, _)) => Err(Rejection::OtherNode(name)),
            None => Ok(()),
        }
    }

    /// Remembers verified evidence.
    pub(super) fn remember(&mut self, genuine: &Genuine) -> AttestedKey {
        let claims = genuine.claims.claims();
        let key = AttestedKey {
            key: claims.resp,
            tee: genuine.tee,
            epoch: claims.epoch,
            channel: None,
        };
        if self.known.len() == REMEMBERED {
            self.known.pop_front();
        }
        self.known.push_back((genuine.claims.digest(), key.clone()));
        key
    }
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

/// Puts back the certificate material that headers leave out. Simulated reports have none.
fn restore(tee: Tee, stripped: Vec<u8>, full_len: usize) -> Result<Vec<u8>, Rejection> {
    match tee {
        Tee::Simulated if stripped.len() == full_len => Ok(stripped),
        Tee::Simulated => Err(Rejection::HeaderMalformed(header::QUOTE)),
        Tee::Tdx | Tee::SevSnp | Tee::Nitro => Err(Rejection::TeeNotSupported(tee)),
    }
}
