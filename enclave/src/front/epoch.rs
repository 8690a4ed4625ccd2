//! An epoch: a response key, the quote that vouches for it, and the bundle that carries both to verifiers.

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use jeju_attestation::bundle::Bundle;
use jeju_attestation::claims::{Claims, ClaimsBuffer, Mode, Receipts, Role};
use jeju_attestation::hash::sha256;
use jeju_attestation::response::{EvidenceReference, render_quote};
use jeju_attestation::stripped::{StripError, strip};
use jeju_attestation::structured_field::binary;
use jeju_quote::Evidence;

use super::identity::{Identity, random};
use crate::anchor::Anchor;

/// The key that signs an epoch's responses.
pub(super) struct ResponseKey {
    pair: Ed25519KeyPair,
    public: [u8; 32],
}

impl ResponseKey {
    pub(super) fn generate() -> Result<Self, Unspecified> {
        let seed = zeroize::Zeroizing::new(random::<32>()?);
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).map_err(|_| Unspecified)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| Unspecified)?;
        Ok(Self { pair, public })
    }

    pub(super) fn public(&self) -> [u8; 32] {
        self.public
    }

    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.pair
            .sign(message)
            .as_ref()
            .try_into()
            .expect("an Ed25519 signature has 64 bytes")
    }
}

/// Claims of an epoch quote; a fresh quote changes mode, nonce and channel.
pub(super) fn claims(identity: &Identity, anchor: &Anchor, epoch: u32, resp: [u8; 32]) -> Claims {
    Claims {
        pubkey_hash: identity.tls.spki_sha256(),
        mode: Mode::Epoch,
        role: Role::Server,
        resp,
        evm: identity.evm_public(),
        keys: sha256(&identity.keys),
        boot: identity.boot,
        epoch,
        receipts: Receipts::default(),
        launch: identity.launch_digest(),
        agent: identity.agent,
        chain: identity.chain,
        anchor: (anchor.block.number, anchor.block.hash),
        gpu: ([0; 32], 0),
        log: [0; 32],
        nonce: [0; 32],
        channel: [0; 32],
    }
}

/// A quoted claims-buffer as it is served.
pub(super) struct Quoted {
    /// Exact bytes of the bundle.
    pub(super) bundle: bytes::Bytes,
    /// SHA-256 of the bundle.
    pub(super) digest: [u8; 32],
    /// The evidence inside.
    pub(super) evidence: Evidence,
    /// The claims inside.
    pub(super) claims: ClaimsBuffer,
}

impl Quoted {
    pub(super) fn new(identity: &Identity, claims: ClaimsBuffer, evidence: Evidence) -> Self {
        let bundle = Bundle {
            tee: evidence.tee,
            cpu: evidence.cpu.clone(),
            claims: claims.bytes().to_vec(),
            keys: identity.keys.clone(),
            launch: identity.launch.clone(),
            endorsements: evidence.endorsements.clone(),
            gpu: Vec::new(),
            log: Vec::new(),
        }
        .encode();
        Self {
            digest: Bundle::digest(&bundle),
            bundle: bundle.into(),
            evidence,
            claims,
        }
    }
}

/// A running epoch.
pub(super) struct Epoch {
    pub(super) key: ResponseKey,
    pub(super) quoted: Quoted,
    pub(super) reference: EvidenceReference,
    pub(super) anchor: Anchor,
    /// The quote without certificate material, as headers and certificates carry it.
    pub(super) stripped_quote: Vec<u8>,
    /// `Jeju-Quote`, rendered once.
    pub(super) quote_header: String,
    /// `Jeju-Claims`, rendered once.
    pub(super) claims_header: String,
}

impl Epoch {
    /// # Errors
    /// When the device's quote isn't laid out as one of its platform.
    pub(super) fn new(key: ResponseKey, quoted: Quoted, anchor: Anchor) -> Result<Self, StripError> {
        let evidence = &quoted.evidence;
        let stripped_quote = strip(evidence.tee, &evidence.cpu)?;
        Ok(Self {
            reference: EvidenceReference {
                digest: quoted.digest,
                epoch: quoted.claims.claims().epoch,
                tee: evidence.tee,
            },
            quote_header: render_quote(&stripped_quote, evidence.cpu.len()),
            claims_header: binary(quoted.claims.bytes()),
            stripped_quote,
            key,
            quoted,
            anchor,
        })
    }
}
