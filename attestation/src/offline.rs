//! Verdicts on evidence in files: what `jeju evidence` and the WebAssembly module both answer, with the same bytes.
//!
//! Without a policy the answer is only whether the evidence is genuine and in what state; debug mode, revoked or
//! out-of-date firmware, and whatever can't be established are refusals then too.

mod json;
mod submission;

use std::borrow::Cow;

use serde::Serialize;

use crate::appraisal::{Anchor, Challenge, Inputs, Reference, appraise, check_platform};
use crate::bundle::{self, Bundle};
use crate::endorsements::Endorsements;
use crate::event_log::EventLog;
use crate::evidence::{NodeEvidence, Verifier};
use crate::hardware::{Expected, HardwareVerifier};
use crate::hex_bytes::HexBytes;
use crate::input::InputError;
use crate::policy::{Kind, Policy};
use crate::rejection::Rejection;
use crate::roots::TrustAnchors;
use crate::verdict::{Component, Verdict};
use crate::{nitro, nvidia, sev_snp, sgx, tdx};

pub use json::{MAX_REQUEST_LEN, answer};
pub use submission::{EvidenceKind, Submission};

use submission::Evidence;

/// Version of the answer's form.
pub const SCHEMA: &str = "tag:jeju,2026:evidence-verdict/1";

/// What is asked.
#[derive(Debug, Clone)]
pub struct Request {
    /// The evidence.
    pub submission: Submission,
    /// What vendors say about their hardware.
    pub endorsements: Endorsements,
    /// Nonce that the evidence must answer.
    pub nonce: Option<Vec<u8>>,
    /// REPORT_DATA that it must carry; zeros follow a shorter one.
    pub report_data: Option<Vec<u8>>,
    /// Log of the measured boot, to be replayed to the registers of a TDX quote.
    pub event_log: Option<Vec<u8>>,
    /// The time to judge by, in seconds since 1970.
    pub at: u64,
    /// Appraisal policy.
    pub policy: Option<Policy>,
}

/// What was found, where nothing was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// `genuine` without a policy, `affirming` with one.
    pub status: &'static str,
    /// `none` or `policy`.
    pub appraisal: &'static str,
    /// Kind of the policy; `None` without one. A development verdict says nothing about real hardware.
    pub policy_kind: Option<Kind>,
    /// Kind of the evidence.
    pub kind: &'static str,
    /// The time that was judged by.
    pub at: u64,
    /// Whether the chain of trust ends in test roots.
    pub test_roots: bool,
    /// Measurement id.
    pub measurement: Option<HexBytes<32>>,
    /// Platform id.
    pub platform: Option<HexBytes<32>>,
    /// REPORT_DATA, as `0x` and hex.
    pub report_data: Option<String>,
    /// CPU, each GPU, event log.
    pub components: Vec<Component>,
    /// For a node's bundle under a policy, the node's verdict.
    pub node: Option<Verdict>,
    /// What this answer says nothing about.
    pub not_checked: Vec<&'static str>,
}

impl Answer {
    /// The answer as one line of JSON.
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers are JSON")
    }

    fn new(request: &Request, anchors: &TrustAnchors) -> Self {
        let (status, appraisal) = match request.policy {
            Some(_) => ("affirming", "policy"),
            None => ("genuine", "none"),
        };
        Self {
            schema: SCHEMA,
            status,
            appraisal,
            policy_kind: request.policy.as_ref().map(|policy| policy.kind),
            kind: request.submission.kind(),
            at: request.at,
            test_roots: anchors.are_test_roots(),
            measurement: None,
            platform: None,
            report_data: None,
            components: Vec::new(),
            node: None,
            not_checked: Vec::new(),
        }
    }
}

/// Verifies evidence, and appraises it if there is a policy.
pub fn verify(request: &Request) -> Result<Answer, Rejection> {
    match &request.submission.evidence {
        Evidence::Bundle(bundle) => verify_bundle(request, bundle),
        Evidence::Cpu(kind, evidence) => verify_cpu(request, *kind, evidence),
        Evidence::Devices(devices) => verify_devices(request, devices),
    }
}

fn hardware_verifier(request: &Request, endorsements: Endorsements) -> Result<HardwareVerifier, Rejection> {
    let anchors = match &request.policy {
        Some(policy) => policy.trust_anchors()?,
        None => Cow::Borrowed(TrustAnchors::vendors()),
    };
    Ok(HardwareVerifier::new(anchors, endorsements))
}

fn verify_cpu(request: &Request, kind: EvidenceKind, evidence: &[u8]) -> Result<Answer, Rejection> {
    // What the file brought is no better and no worse than what was handed over beside it.
    let mut endorsements = request.endorsements.clone();
    endorsements.extend(request.submission.brought.clone())?;
    let verifier = hardware_verifier(request, endorsements)?;
    let at = request.at;
    let hardware = match kind {
        EvidenceKind::Tdx => verifier.tdx(evidence, at)?,
        EvidenceKind::Sgx => verifier.sgx(evidence, at)?,
        EvidenceKind::Snp => verifier.sev_snp(evidence, Endorsements::default(), at)?,
        EvidenceKind::Nitro => verifier.nitro(evidence, at)?,
        EvidenceKind::Nvidia => return Err(InputError::Unknown.into()),
    };
    let mut answer = Answer::new(request, verifier.anchors());
    let expected = Expected {
        nonce: request.nonce.clone(),
        report_data: request.report_data.clone(),
    };
    answer
        .components
        .push(hardware.appraise(request.policy.as_ref(), &expected, at)?);
    if let Some(policy) = &request.policy {
        policy.check_roots(verifier.anchors())?;
        policy.check_hardware(&hardware)?;
    }
    match &request.event_log {
        Some(log) => answer.components.push(hardware.replay(&EventLog::read(log)?)?),
        None if request
            .policy
            .as_ref()
            .is_some_and(|policy| policy.require_event_log) =>
        {
            return Err(Rejection::LogMissing);
        }
        None => {}
    }
    answer.measurement = hardware.measurement().map(|id| HexBytes(id.0));
    answer.platform = hardware.platform().map(HexBytes);
    answer.report_data = hardware
        .report_data()
        .map(|bytes| format!("0x{}", hex::encode(bytes)));
    if request.report_data.is_none() {
        answer
            .not_checked
            .push("what REPORT_DATA binds: no expected value was given");
    }
    if request.nonce.is_none() && request.report_data.is_none() {
        answer.not_checked.push("freshness: no nonce was given");
    }
    if let Some(policy) = &request.policy {
        if policy.registry.is_some() {
            answer
                .not_checked
                .push("what the policy says of nodes: this is evidence of a CPU alone");
        }
        if policy.gpu.is_some() {
            answer
                .not_checked
                .push("what the policy says of GPUs: this is evidence of a CPU alone");
        }
    }
    Ok(answer)
}

fn verify_devices(request: &Request, devices: &[nvidia::Evidence]) -> Result<Answer, Rejection> {
    if request.report_data.is_some() {
        return Err(Rejection::ReportDataNotCarried(EvidenceKind::Nvidia.name()));
    }
    if request.event_log.is_some() {
        return Err(Rejection::LogRegisters(EvidenceKind::Nvidia.name()));
    }
    let verifier = hardware_verifier(request, request.endorsements.clone())?;
    let rules = match &request.policy {
        Some(policy) => {
            policy.check_roots(verifier.anchors())?;
            // Devices name no machine, and have no registers of a boot.
            check_platform(policy, None)?;
            if policy.require_event_log {
                return Err(Rejection::LogMissing);
            }
            policy.gpu.clone().ok_or(Rejection::RulesMissing("nvidia"))?
        }
        None => nvidia::Rules::strict(),
    };
    // A bare report brings no chain: then the certificates that were handed over are it.
    let mut devices = devices.to_vec();
    if let [device] = devices.as_mut_slice()
        && device.certificates.is_empty()
    {
        device.certificates.clone_from(&request.endorsements.certificates);
    }
    let mut answer = Answer::new(request, verifier.anchors());
    let nonce = match (&request.nonce, &request.submission.nonce, devices.first()) {
        (Some(nonce), ..) => nonce.clone(),
        (None, Some(nonce), _) => nonce.clone(),
        (None, None, Some(device)) => nvidia::Report::parse(&device.report)?.nonce.to_vec(),
        (None, None, None) => Vec::new(),
    };
    if request.nonce.is_none() {
        answer
            .not_checked
            .push("freshness: no nonce was given, the file's own was taken");
    }
    let nonce: [u8; 32] = nonce.try_into().map_err(|_| Rejection::Nonce)?;
    answer.components = verifier.gpus(
        &devices,
        request.submission.brought.clone(),
        &nonce,
        &rules,
        request.at,
    )?;
    answer
        .not_checked
        .push("where the devices are: their reports don't say in which machine");
    Ok(answer)
}

fn verify_bundle(request: &Request, bundle: &Bundle) -> Result<Answer, Rejection> {
    if request.report_data.is_some() {
        // A bundle's REPORT_DATA is the digest of the claims in it, and nothing else.
        return Err(Rejection::ReportDataNotCarried("bundle"));
    }
    if request.event_log.is_some() {
        // A bundle brings the log that its claims name, or none.
        return Err(Rejection::LogDigest);
    }
    let verifier = match &request.policy {
        Some(policy) => Verifier::of_policy(policy, request.endorsements.clone())?,
        None => Verifier::vendors(request.endorsements.clone()),
    };
    let genuine = verifier.verify(&NodeEvidence::of(bundle), request.at)?;
    let challenge = match &request.nonce {
        Some(nonce) => Some(Challenge {
            nonce: nonce.as_slice().try_into().map_err(|_| Rejection::Nonce)?,
            channel: None,
        }),
        None => None,
    };
    let mut answer = Answer::new(request, verifier.hardware().anchors());
    answer.measurement = Some(HexBytes(genuine.measurement.0));
    answer.platform = genuine.platform.map(HexBytes);
    answer.report_data = Some(format!("0x{}", hex::encode(genuine.claims.report_data())));
    match &request.policy {
        Some(policy) => {
            let inputs = Inputs {
                policy,
                reference: Reference::pinned(policy, &genuine.measurement),
                anchor: Anchor::Unchecked,
                challenge,
                bundle,
                verifier: verifier.hardware(),
                now: request.at,
            };
            let verdict = appraise(&genuine, &inputs)?;
            answer.components.push(verdict.cpu.clone());
            answer.components.extend(verdict.gpus.iter().cloned());
            answer.components.extend(verdict.log.clone());
            answer.node = Some(verdict);
        }
        None => {
            if challenge.is_some_and(|challenge| challenge.nonce != genuine.claims.claims().nonce) {
                return Err(Rejection::Nonce);
            }
            answer.components.push(
                genuine
                    .hardware
                    .appraise(None, &Expected::default(), request.at)?,
            );
            answer
                .not_checked
                .push("keys, launch document, GPUs and boot log of the bundle: that takes a policy");
        }
    }
    answer
        .not_checked
        .push("which connection the quote was made for: a file has none");
    Ok(answer)
}

/// Every field of evidence by its name in the vendor's specification; nothing is verified.
pub fn inspect(submission: &Submission) -> Result<Vec<(String, String)>, Rejection> {
    let named = |fields: Vec<(&'static str, String)>| {
        fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect::<Vec<_>>()
    };
    Ok(match &submission.evidence {
        Evidence::Bundle(bundle) => named(bundle::fields(bundle)),
        Evidence::Cpu(EvidenceKind::Tdx, bytes) => named(tdx::fields(&tdx::Quote::parse(bytes)?)),
        Evidence::Cpu(EvidenceKind::Sgx, bytes) => named(sgx::fields(&sgx::Quote::parse(bytes)?)),
        Evidence::Cpu(EvidenceKind::Snp, bytes) => named(sev_snp::fields(&sev_snp::Report::parse(bytes)?)),
        Evidence::Cpu(EvidenceKind::Nitro, bytes) => named(nitro::fields(&nitro::parse(bytes)?)),
        Evidence::Cpu(EvidenceKind::Nvidia, _) => return Err(InputError::Unknown.into()),
        Evidence::Devices(devices) => {
            let mut fields = Vec::new();
            for (index, device) in devices.iter().enumerate() {
                fields.push(("device".to_owned(), (index + 1).to_string()));
                fields.extend(nvidia::inspect::fields(&nvidia::Report::parse(&device.report)?));
            }
            fields
        }
    })
}
