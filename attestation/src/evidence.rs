//! Evidence of a node → genuine or not: parse, chain of trust, and binding to the claims. Nothing here asks for policy
//! but for the roots.

use std::borrow::Cow;

use crate::bundle::Bundle;
use crate::claims::{ClaimsBuffer, Role};
use crate::endorsements::Endorsements;
use crate::hardware::{Hardware, HardwareVerifier};
use crate::hash::is_zero;
use crate::hex_bytes::HexBytes;
use crate::measurement::MeasurementId;
use crate::policy::{Policy, PolicyError};
use crate::rejection::Rejection;
use crate::roots::TrustAnchors;
use crate::simulated::Report;
use crate::tee::Tee;

/// Whether silicon binds the launch document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaunchBinding {
    /// To this digest.
    Bound([u8; 32]),
    /// To something that is not the digest in its form; these are the first bytes of it.
    Other([u8; 32]),
    /// The platform's field is all zeros: not settable here.
    NotSettable,
}

/// What a node shows: a whole quote, and the claims that it is said to vouch for.
#[derive(Debug, Clone, Copy)]
pub struct NodeEvidence<'a> {
    /// Platform.
    pub tee: Tee,
    /// The quote with its certificate material.
    pub quote: &'a [u8],
    /// Endorsements that came with it, as the platform gives them; may be empty.
    pub endorsements: &'a [u8],
    /// Exact bytes of the claims-buffer.
    pub claims: &'a [u8],
}

impl<'a> NodeEvidence<'a> {
    /// Of a bundle.
    pub fn of(bundle: &'a Bundle) -> Self {
        Self {
            tee: bundle.tee,
            quote: &bundle.cpu,
            endorsements: &bundle.endorsements,
            claims: &bundle.claims,
        }
    }
}

/// Evidence that was made by the silicon it names, for exactly these claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Genuine {
    /// Platform.
    pub tee: Tee,
    /// The claims.
    pub claims: ClaimsBuffer,
    /// What was measured at launch.
    pub measurement: MeasurementId,
    /// Identity of the platform; `None` where the evidence has none.
    pub platform: Option<[u8; 32]>,
    /// What the silicon says of the launch document.
    pub launch_binding: LaunchBinding,
    /// Everything that the silicon says, to be appraised.
    pub hardware: Hardware,
}

/// Verifies evidence against roots of trust. Keeps what it verified of chips and collateral, so that a node's next quote
/// costs one or two signatures.
#[derive(Debug)]
pub struct Verifier {
    hardware: HardwareVerifier,
    simulated_roots: Vec<HexBytes<65>>,
}

impl Verifier {
    /// With the roots that a policy names: the vendors', or test roots under a development policy. `endorsements` is
    /// what the relying party has of the vendors' collateral itself.
    ///
    /// # Errors
    /// A test root that isn't a certificate of an authority.
    pub fn of_policy(policy: &Policy, endorsements: Endorsements) -> Result<Self, PolicyError> {
        Ok(Self {
            hardware: HardwareVerifier::new(policy.trust_anchors()?, endorsements),
            simulated_roots: policy.simulated_roots().to_vec(),
        })
    }

    /// With the vendors' roots alone.
    pub fn vendors(endorsements: Endorsements) -> Self {
        Self {
            hardware: HardwareVerifier::new(Cow::Borrowed(TrustAnchors::vendors()), endorsements),
            simulated_roots: Vec::new(),
        }
    }

    /// For simulated silicon beside the vendors' roots.
    pub fn simulated(roots: &[HexBytes<65>]) -> Self {
        Self {
            simulated_roots: roots.to_vec(),
            ..Self::vendors(Endorsements::default())
        }
    }

    /// The hardware's part.
    pub fn hardware(&self) -> &HardwareVerifier {
        &self.hardware
    }

    /// Verifies a quote and its binding to the claims at `now` (seconds since 1970). The claims must speak for the end
    /// that accepted the connection.
    pub fn verify(&self, evidence: &NodeEvidence<'_>, now: u64) -> Result<Genuine, Rejection> {
        self.verify_end(evidence, Role::Server, now)
    }

    /// The same for the end that is named: between two nodes, each knows which one the other is.
    pub fn verify_end(&self, evidence: &NodeEvidence<'_>, end: Role, now: u64) -> Result<Genuine, Rejection> {
        let claims = ClaimsBuffer::parse(evidence.claims)?;
        let hardware = match evidence.tee {
            Tee::Simulated => self.verify_simulated(evidence.quote)?,
            tee => self
                .hardware
                .verify_tee(tee, evidence.quote, evidence.endorsements, now)?,
        };
        if hardware.report_data() != Some(claims.report_data().as_slice()) {
            return Err(Rejection::ReportData);
        }
        match (claims.claims().role, end) {
            (Role::Server, Role::Server) | (Role::Client, Role::Client) => {}
            (Role::Client, Role::Server) => return Err(Rejection::ClientRole),
            (Role::Server, Role::Client) => return Err(Rejection::ServerRole),
        }
        let launch = claims.claims().launch;
        Ok(Genuine {
            tee: evidence.tee,
            measurement: hardware.measurement().ok_or(Rejection::ReportData)?,
            platform: hardware.platform(),
            launch_binding: hardware.launch_binding(&launch),
            claims,
            hardware,
        })
    }

    fn verify_simulated(&self, quote: &[u8]) -> Result<Hardware, Rejection> {
        if self.simulated_roots.is_empty() {
            return Err(Rejection::TeeNotAccepted(Tee::Simulated));
        }
        let report = Report::parse(quote)?;
        let root = self
            .simulated_roots
            .iter()
            .find(|root| report.is_signed_by(&root.0))
            .ok_or(Rejection::SimulatedRoot)?;
        Ok(Hardware::Simulated {
            root: Box::new(*root),
            report: Box::new(report),
        })
    }
}

/// Binding of a register or field that holds the digest itself.
pub(crate) fn binding_of(digest: &[u8; 32]) -> LaunchBinding {
    match is_zero(digest) {
        true => LaunchBinding::NotSettable,
        false => LaunchBinding::Bound(*digest),
    }
}

/// The first eight bytes in hex, for lines that people read.
pub(crate) fn short(bytes: &[u8]) -> String {
    format!("0x{}…", hex::encode(&bytes[..bytes.len().min(8)]))
}
