//! Claims → component of a verdict: rules and reference values.

use serde::{Deserialize, Deserializer, Serialize};

use super::SgxError;
use super::claims::Claims;
use crate::hash::is_zero;
use crate::hex_bytes::HexBytes;
use crate::intel::enclave_report::EnclaveReport;
use crate::intel::rules::TcbRules;
use crate::verdict::{Check, Component, Revocation, TcbState};

/// Flags of ATTRIBUTES (Intel SDM vol. 3D, "ATTRIBUTES").
mod flag {
    pub const INIT: u64 = 1;
    pub const DEBUG: u64 = 1 << 1;
    pub const PROVISION_KEY: u64 = 1 << 4;
    pub const EINITTOKEN_KEY: u64 = 1 << 5;
    /// MODE64BIT, CET, KSS and AEXNOTIFY.
    pub const HARMLESS: u64 = 1 << 2 | 1 << 6 | 1 << 7 | 1 << 10;
    pub const RESERVED: u64 = !(INIT | DEBUG | PROVISION_KEY | EINITTOKEN_KEY | HARMLESS);
}

/// x87 and SSE, in XFRM.
const XFRM_FIXED: u8 = 0b11;

/// An enclave that passes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enclave {
    /// MRSIGNER: who signed it.
    pub mr_signer: HexBytes<32>,
    /// ISVPRODID: which of the signer's enclaves.
    pub isv_prod_id: u16,
    /// Lowest ISVSVN.
    pub least_isv_svn: u16,
    /// MRENCLAVE: exactly which build. Absent, the signer is trusted to sign only good ones.
    #[serde(default)]
    pub mr_enclave: Option<HexBytes<32>>,
}

/// What an enclave may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Rules on the platform's TCB.
    pub tcb: TcbRules,
    /// Enclaves that pass: reference values. Absent or empty, nothing passes. `None`, which no document can say, is for
    /// callers that look the enclave up themselves.
    #[serde(
        default = "nothing",
        deserialize_with = "listed",
        skip_serializing_if = "Option::is_none"
    )]
    pub enclaves: Option<Vec<Enclave>>,
    /// CONFIGIDs that pass beside zero.
    #[serde(default)]
    pub config_ids: Vec<HexBytes<64>>,
    /// Whether enclaves pass that have the provisioning key, by which a platform can be recognized for life.
    #[serde(default)]
    pub provision_key: bool,
    /// REPORTDATA that the quote must have. Belongs to a session, so that no document has it.
    #[serde(skip)]
    pub report_data: Option<[u8; 64]>,
}

fn nothing() -> Option<Vec<Enclave>> {
    Some(Vec::new())
}

fn listed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Enclave>>, D::Error> {
    Vec::deserialize(deserializer).map(Some)
}

impl Rules {
    /// What holds where there is no policy. Reference values aren't asked for.
    pub fn strict() -> Self {
        Self {
            tcb: TcbRules::strict(),
            enclaves: None,
            config_ids: Vec::new(),
            provision_key: false,
            report_data: None,
        }
    }
}

/// Judges a genuine quote.
pub fn appraise(claims: &Claims, rules: &Rules) -> Result<Component, SgxError> {
    let report = &claims.report;
    check_attributes(report, rules)?;
    let config_id = HexBytes(report.config_id);
    if !is_zero(&config_id.0) && !rules.config_ids.contains(&config_id) {
        return Err(SgxError::ConfigId(config_id));
    }
    rules.tcb.check(&claims.tcb, &claims.platform, claims.at)?;
    if let Some(enclaves) = &rules.enclaves {
        check_identity(report, enclaves)?;
    }
    if let Some(expected) = rules.report_data
        && expected != report.report_data
    {
        return Err(SgxError::ReportData {
            found: HexBytes(report.report_data).to_string(),
            expected: HexBytes(expected).to_string(),
        });
    }
    Ok(Component {
        kind: "sgx",
        tcb: Some(TcbState {
            status: claims.tcb.status.name().to_owned(),
            advisories: claims.tcb.advisories.clone(),
        }),
        // Without both lists there are no claims.
        revocation: Revocation::Good,
        checks: checks(claims, rules),
    })
}

fn check_attributes(report: &EnclaveReport, rules: &Rules) -> Result<(), SgxError> {
    let has = |bits: u64| report.flags() & bits != 0;
    if !has(flag::INIT) {
        return Err(SgxError::NotInitialized);
    }
    if has(flag::DEBUG) {
        return Err(SgxError::Debug);
    }
    if has(flag::RESERVED) {
        return Err(SgxError::AttributesReserved(hex::encode(report.attributes)));
    }
    if has(flag::EINITTOKEN_KEY) {
        return Err(SgxError::LaunchKey);
    }
    if has(flag::PROVISION_KEY) && !rules.provision_key {
        return Err(SgxError::ProvisionKey);
    }
    let xfrm = &report.attributes[8..];
    if xfrm[0] & XFRM_FIXED != XFRM_FIXED {
        return Err(SgxError::XfrmFixed(hex::encode(xfrm)));
    }
    Ok(())
}

/// Looks for an entry that fits; the reason is that of the entry that fits best.
fn check_identity(report: &EnclaveReport, enclaves: &[Enclave]) -> Result<(), SgxError> {
    let mut reason = (0, SgxError::MrSigner(HexBytes(report.mr_signer)));
    for enclave in enclaves {
        let (depth, refused) = if enclave.mr_signer.0 != report.mr_signer {
            continue;
        } else if enclave.isv_prod_id != report.isv_prod_id {
            (1, SgxError::IsvProdId(report.isv_prod_id))
        } else if report.isv_svn < enclave.least_isv_svn {
            let (found, least) = (report.isv_svn, enclave.least_isv_svn);
            (2, SgxError::IsvSvn { found, least })
        } else if enclave.mr_enclave.is_some_and(|of| of.0 != report.mr_enclave) {
            (3, SgxError::MrEnclave(HexBytes(report.mr_enclave)))
        } else {
            return Ok(());
        };
        if depth > reason.0 {
            reason = (depth, refused);
        }
    }
    Err(reason.1)
}

fn checks(claims: &Claims, rules: &Rules) -> Vec<Check> {
    let report = &claims.report;
    let pck = format!(
        "{}, PCK certificate {}",
        claims.root,
        hex::encode(&claims.pck_serial)
    );
    let signed = "signed by an attestation key for which Intel's quoting enclave vouches";
    let quoted = |claim, value: String, check| Check::new(claim, value, &pck, check);
    let identity = match rules.enclaves {
        Some(_) => "listed by the policy",
        None => signed,
    };
    let bound = match rules.report_data {
        Some(_) => "equals the expected value",
        None => signed,
    };
    let mut checks = vec![
        quoted(
            "ATTRIBUTES",
            hex::encode(report.attributes),
            "initialized, no debug, no reserved bits, others by rule",
        ),
        quoted("MISCSELECT", hex::encode(report.misc_select), signed),
        quoted("MRENCLAVE", hex::encode(report.mr_enclave), identity),
        quoted("MRSIGNER", hex::encode(report.mr_signer), identity),
        quoted("ISVPRODID", report.isv_prod_id.to_string(), identity),
        quoted("ISVSVN", report.isv_svn.to_string(), identity),
        quoted("ISVEXTPRODID", hex::encode(report.isv_ext_prod_id), signed),
        quoted("ISVFAMILYID", hex::encode(report.isv_family_id), signed),
        quoted(
            "CONFIGID",
            hex::encode(report.config_id),
            "zero or listed by the policy",
        ),
        quoted("CONFIGSVN", report.config_svn.to_string(), signed),
        quoted("REPORTDATA", hex::encode(report.report_data), bound),
        quoted("CPUSVN of the report", hex::encode(report.cpu_svn), signed),
    ];
    checks.extend(claims.tcb.checks(claims.root));
    let certified = "PCK certificate, chain to the pinned root, revocation lists";
    checks.extend(claims.platform.checks(claims.ca, &pck, certified));
    checks
}
