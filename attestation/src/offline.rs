//! Verdicts on evidence in files: what `jeju evidence` and the WebAssembly module both answer, with the same bytes.
//!
//! Without a policy the answer is only whether the evidence is genuine and in what state; debug mode, revoked or
//! out-of-date firmware, and whatever can't be established are refusals then too.

use core::fmt;
use std::borrow::Cow;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use crate::appraisal::{Anchor, Challenge, Inputs, Reference, appraise, check_platform};
use crate::bundle::{self, Bundle};
use crate::endorsements::Endorsements;
use crate::event_log::EventLog;
use crate::evidence::{NodeEvidence, Verifier};
use crate::hardware::{Expected, HardwareVerifier};
use crate::hex_bytes::HexBytes;
use crate::input::{self, Decoded, InputError, base64};
use crate::policy::{Kind, Policy};
use crate::reasons::shown;
use crate::rejection::Rejection;
use crate::roots::TrustAnchors;
use crate::verdict::{Component, Verdict};
use crate::{nitro, nvidia, sev_snp, sgx, tdx};

/// Version of the answer's form.
pub const SCHEMA: &str = "tag:jeju,2026:evidence-verdict/1";
/// Longest request to [`answer`], in bytes.
pub const MAX_REQUEST_LEN: usize = 8 * 1024 * 1024;
/// Most endorsements in it.
const MAX_FILES: usize = 256;

/// A kind of evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EvidenceKind {
    /// Intel TDX quote.
    Tdx,
    /// Intel SGX quote.
    Sgx,
    /// AMD SEV-SNP report.
    Snp,
    /// AWS Nitro attestation document.
    Nitro,
    /// NVIDIA attestation reports, of one device or several.
    Nvidia,
}

impl EvidenceKind {
    /// All of them.
    pub const ALL: [EvidenceKind; 5] = [
        EvidenceKind::Tdx,
        EvidenceKind::Sgx,
        EvidenceKind::Snp,
        EvidenceKind::Nitro,
        EvidenceKind::Nvidia,
    ];

    /// The name on command lines and in requests.
    pub const fn name(self) -> &'static str {
        match self {
            EvidenceKind::Tdx => "tdx",
            EvidenceKind::Sgx => "sgx",
            EvidenceKind::Snp => "snp",
            EvidenceKind::Nitro => "nitro",
            EvidenceKind::Nvidia => "nvidia",
        }
    }

    /// The inverse of [`EvidenceKind::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Evidence out of a file, in whatever form it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    evidence: Evidence,
    /// What the file had beside the evidence.
    brought: Endorsements,
    /// The nonce that the file says the evidence answers.
    nonce: Option<Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Evidence {
    /// A node's evidence bundle.
    Bundle(Box<Bundle>),
    /// What a CPU made.
    Cpu(EvidenceKind, Vec<u8>),
    /// What GPUs and switches made.
    Devices(Vec<nvidia::Evidence>),
}

impl Submission {
    /// Reads a file. Without `named`, the evidence itself says what it is.
    pub fn read(file: &[u8], named: Option<EvidenceKind>) -> Result<Self, Rejection> {
        let text = file.trim_ascii();
        if is_bundle(text) {
            // Has its own limit, and is read without holding more than it says.
            let bundle = Bundle::parse(text)?;
            return match named {
                None => Ok(Self {
                    evidence: Evidence::Bundle(Box::new(bundle)),
                    brought: Endorsements::default(),
                    nonce: None,
                }),
                Some(named) => Err(Rejection::EvidenceKind {
                    found: "bundle",
                    named: named.name(),
                }),
            };
        }
        let submission = match input::decode(file)? {
            Decoded::Json(json) => Self::of_json(&json)?,
            Decoded::Bytes(bytes) => Self::of_bytes(bytes, named).ok_or(InputError::Unknown)?,
        };
        match (named, submission.kind()) {
            (Some(named), found) if found != named.name() => Err(Rejection::EvidenceKind {
                found,
                named: named.name(),
            }),
            _ => Ok(submission),
        }
    }

    /// Name of the kind: that of [`EvidenceKind`], or `bundle`.
    pub fn kind(&self) -> &'static str {
        match &self.evidence {
            Evidence::Bundle(_) => "bundle",
            Evidence::Cpu(kind, _) => kind.name(),
            Evidence::Devices(_) => EvidenceKind::Nvidia.name(),
        }
    }

    fn cpu(kind: EvidenceKind, evidence: Vec<u8>, brought: Endorsements, nonce: Option<Vec<u8>>) -> Self {
        Self {
            evidence: Evidence::Cpu(kind, evidence),
            brought,
            nonce,
        }
    }

    fn of_json(json: &Value) -> Result<Self, Rejection> {
        if let Some(form) = tdx::form::read(json) {
            return Ok(Self::cpu(
                EvidenceKind::Tdx,
                form.evidence,
                form.endorsements,
                form.nonce,
            ));
        }
        if let Some(form) = sgx::form::read(json) {
            return Ok(Self::cpu(
                EvidenceKind::Sgx,
                form.evidence,
                form.endorsements,
                form.nonce,
            ));
        }
        if let Some(form) = sev_snp::read(json) {
            return Ok(Self::cpu(
                EvidenceKind::Snp,
                form.evidence,
                form.endorsements,
                form.nonce,
            ));
        }
        if let Some(form) = nitro::read(json) {
            return Ok(Self::cpu(
                EvidenceKind::Nitro,
                form.evidence,
                form.endorsements,
                form.nonce,
            ));
        }
        let form = nvidia::form::read(json).ok_or(InputError::Unknown)?;
        Ok(Self {
            evidence: Evidence::Devices(form.devices),
            brought: form.endorsements,
            nonce: form.nonce.map(Into::into),
        })
    }

    fn of_bytes(bytes: Vec<u8>, named: Option<EvidenceKind>) -> Option<Self> {
        let bare = |kind, bytes| Self::cpu(kind, bytes, Endorsements::default(), None);
        match named.or_else(|| tell(&bytes))? {
            EvidenceKind::Snp => match sev_snp::read_bytes(&bytes) {
                Some(form) => Some(Self::cpu(
                    EvidenceKind::Snp,
                    form.evidence,
                    form.endorsements,
                    form.nonce,
                )),
                None => Some(bare(EvidenceKind::Snp, bytes)),
            },
            EvidenceKind::Nvidia => Some(Self {
                evidence: Evidence::Devices(vec![nvidia::Evidence {
                    report: bytes,
                    certificates: Vec::new(),
                }]),
                brought: Endorsements::default(),
                nonce: None,
            }),
            kind => Some(bare(kind, bytes)),
        }
    }
}

/// Whether a file is a collection of the kind that bundles are, as no vendor's form is.
fn is_bundle(text: &[u8]) -> bool {
    const TYPE: &[u8] = b"\"__cmwc_t\"";
    text.starts_with(b"{") && text.windows(TYPE.len()).any(|window| window == TYPE)
}

/// What raw evidence is, by its first bytes.
fn tell(bytes: &[u8]) -> Option<EvidenceKind> {
    /// GET_MEASUREMENTS of SPDM 1.1.
    const SPDM_REQUEST: [u8; 2] = [0x11, 0xE0];
    /// COSE_Sign1: an array of four, whose first is a byte string of four bytes; perhaps tagged.
    const COSE: [&[u8]; 2] = [&[0x84, 0x44], &[0xD2, 0x84, 0x44]];
    if COSE.iter().any(|start| bytes.starts_with(start)) {
        return Some(EvidenceKind::Nitro);
    }
    if bytes.starts_with(&SPDM_REQUEST) {
        return Some(EvidenceKind::Nvidia);
    }
    if sev_snp::read_bytes(bytes).is_some() {
        return Some(EvidenceKind::Snp);
    }
    // Version, attestation key type, TEE type (Intel DCAP, appendix A).
    let (version, tee_type) = (bytes.get(..2)?, bytes.get(4..8)?);
    match (version, tee_type) {
        ([3, 0], _) => Some(EvidenceKind::Sgx),
        ([4 | 5, 0], [0x81, 0, 0, 0]) => Some(EvidenceKind::Tdx),
        _ => None,
    }
}

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

/// A request as JSON (`docs/wire-formats.md` §11).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonRequest<'a> {
    #[serde(borrow)]
    evidence: Cow<'a, str>,
    #[serde(default)]
    tee: Option<EvidenceKind>,
    #[serde(borrow, default)]
    endorsements: Files<'a>,
    #[serde(default)]
    nonce: Option<String>,
    #[serde(default)]
    report_data: Option<String>,
    #[serde(borrow, default)]
    event_log: Option<Text<'a>>,
    at: u64,
    #[serde(borrow, default)]
    policy: Option<Text<'a>>,
    #[serde(default)]
    development: bool,
}

/// Copied only where it has escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// At most [`MAX_FILES`]: a million empty ones would take many times their text.
#[derive(Default)]
struct Files<'a>(Vec<Text<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Files<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Files<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an array of at most {MAX_FILES} texts")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Files<'de>, A::Error> {
                let mut files = Vec::new();
                while let Some(file) = items.next_element()? {
                    if files.len() == MAX_FILES {
                        return Err(de::Error::invalid_length(MAX_FILES + 1, &self));
                    }
                    files.push(file);
                }
                Ok(Files(files))
            }
        }
        deserializer.deserialize_seq(List)
    }
}

/// Answers a request in JSON with an answer or a refusal in JSON. Never fails.
pub fn answer(request: &[u8]) -> String {
    let usage = |code: &str, message: String| refusal("usage", code, message);
    if request.len() > MAX_REQUEST_LEN {
        return usage(
            "request_invalid",
            format!("request is longer than {MAX_REQUEST_LEN} bytes"),
        );
    }
    let request: JsonRequest<'_> = match serde_json::from_slice(request) {
        Ok(request) => request,
        Err(error) => return usage("request_invalid", shown(error)),
    };
    let bytes = |text: &str| match text.is_empty() {
        true => Some(Vec::new()),
        false => base64(text.as_bytes()),
    };
    let hex = |text: &Option<String>| text.as_deref().map(hex::decode).transpose();
    let (Some(file), Ok(nonce), Ok(report_data)) = (
        bytes(&request.evidence),
        hex(&request.nonce),
        hex(&request.report_data),
    ) else {
        return usage("request_invalid", "base64 and hex are expected".to_owned());
    };
    let event_log = match request.event_log.as_ref().map(|Text(text)| bytes(text)) {
        Some(None) => return usage("request_invalid", "base64 is expected".to_owned()),
        log => log.flatten(),
    };
    let mut endorsements = Endorsements::default();
    for Text(text) in &request.endorsements.0 {
        let added = bytes(text).map(|bytes| endorsements.add(&bytes));
        match added {
            Some(Ok(())) => {}
            Some(Err(error)) => return usage("endorsement_invalid", error.to_string()),
            None => return usage("request_invalid", "base64 is expected".to_owned()),
        }
    }
    let policy = match request
        .policy
        .as_ref()
        .map(|Text(text)| Policy::parse(text, request.development))
    {
        Some(Err(error)) => return usage("policy_invalid", error.to_string()),
        policy => policy.and_then(Result::ok),
    };
    let answer = Submission::read(&file, request.tee).and_then(|submission| {
        verify(&Request {
            submission,
            endorsements,
            nonce,
            report_data,
            event_log,
            at: request.at,
            policy,
        })
    });
    match answer {
        Ok(answer) => answer.json(),
        Err(rejection) => refusal(rejection.class().name(), rejection.code(), rejection.to_string()),
    }
}

fn refusal(class: &str, code: &str, message: String) -> String {
    json!({
        "status": "contraindicated",
        "code": code,
        "class": class,
        "message": message,
    })
    .to_string()
}
