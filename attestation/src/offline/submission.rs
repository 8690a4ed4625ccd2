//! Files → evidence: which kind it is, and what came along.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::bundle::Bundle;
use crate::endorsements::Endorsements;
use crate::input::{self, Decoded, InputError};
use crate::rejection::Rejection;
use crate::{nitro, nvidia, sev_snp, sgx, tdx};

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
    pub(super) evidence: Evidence,
    /// What the file had beside the evidence.
    pub(super) brought: Endorsements,
    /// The nonce that the file says the evidence answers.
    pub(super) nonce: Option<Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Evidence {
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
