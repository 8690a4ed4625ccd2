//! Claims → component of a verdict: rules and reference values.

use serde::{Deserialize, Deserializer, Serialize};

use super::TdxError;
use super::claims::Claims;
use super::parse::TdReport;
use crate::hash::is_zero;
use crate::hex_bytes::HexBytes;
use crate::intel::rules::TcbRules;
use crate::verdict::{Check, Component, Revocation, TcbState};

/// TDATTRIBUTES (Intel TDX Module ABI Specification, "ATTRIBUTES").
mod attribute {
    pub const TUD: u64 = 0xFF;
    pub const SERVTD_EXT: u64 = 1 << 17;
    pub const SEPT_VE_DISABLE: u64 = 1 << 28;
    pub const MIGRATABLE: u64 = 1 << 29;
    pub const KL: u64 = 1 << 31;
    pub const TPA: u64 = 1 << 62;
    pub const PERFMON: u64 = 1 << 63;
    /// Allowed without a rule: ICSSD (a defence against single-stepping), LASS and PKS (the domain's own protections).
    pub const HARMLESS: u64 = 1 << 16 | 1 << 27 | 1 << 30;
    pub const RESERVED: u64 =
        !(TUD | SERVTD_EXT | SEPT_VE_DISABLE | MIGRATABLE | KL | TPA | PERFMON | HARMLESS);
}

/// XFAM (the same, "XFAM"): x87 and SSE are always on; AVX, AVX-512, PT, PKRU, CET, UINTR, LBR, AMX and APX may be.
mod xfam {
    pub const FIXED: u64 = 0b11;
    pub const DEFINED: u64 =
        FIXED | 1 << 2 | 0b111 << 5 | 1 << 8 | 1 << 9 | 0b11 << 11 | 1 << 14 | 1 << 15 | 0b11 << 17 | 1 << 19;
}

/// What a trust domain may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Rules on the platform's TCB.
    pub tcb: TcbRules,
    /// Measurement ids ([`Claims::measurement`]) that pass: reference values. Absent or empty, nothing passes. `None`,
    /// which no document can say, is for callers that look the measurement up themselves.
    #[serde(
        default = "nothing",
        deserialize_with = "listed",
        skip_serializing_if = "Option::is_none"
    )]
    pub measurements: Option<Vec<HexBytes<32>>>,
    /// TDX modules (MRSEAM) that pass; empty: each that Intel's TCB info accepts.
    #[serde(default)]
    pub modules: Vec<HexBytes<48>>,
    /// Service domains (MRSERVICETD) that may be bound to the domain; empty: none.
    #[serde(default)]
    pub service_tds: Vec<HexBytes<48>>,
    /// Whether domains pass that have SEPT_VE_DISABLE off. Only for guests that a paravisor runs which handles #VE
    /// itself: on Azure.
    #[serde(default)]
    pub sept_ve_enabled: bool,
    /// Whether domains pass whose RTMR0–2 are zero. Only where the boot is measured elsewhere: on Azure into a vTPM, whose
    /// evidence must then be verified too.
    #[serde(default)]
    pub boot_not_measured: bool,
    /// Whether domains pass that a migration domain may move to another platform.
    #[serde(default)]
    pub migratable: bool,
    /// Whether domains pass that may use performance monitoring (PERFMON).
    #[serde(default)]
    pub perfmon: bool,
    /// Whether domains pass that may use Key Locker.
    #[serde(default)]
    pub key_locker: bool,
    /// REPORTDATA that the quote must have. Belongs to a session, so that no document has it.
    #[serde(skip)]
    pub report_data: Option<[u8; 64]>,
}

fn nothing() -> Option<Vec<HexBytes<32>>> {
    Some(Vec::new())
}

fn listed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<HexBytes<32>>>, D::Error> {
    Vec::deserialize(deserializer).map(Some)
}

impl Rules {
    /// What holds where there is no policy. Reference values aren't asked for.
    pub fn strict() -> Self {
        Self {
            tcb: TcbRules::strict(),
            measurements: None,
            modules: Vec::new(),
            service_tds: Vec::new(),
            sept_ve_enabled: false,
            boot_not_measured: false,
            migratable: false,
            perfmon: false,
            key_locker: false,
            report_data: None,
        }
    }
}

/// Judges a genuine quote.
pub fn appraise(claims: &Claims, rules: &Rules) -> Result<Component, TdxError> {
    let report = &claims.report;
    check_module(report)?;
    check_attributes(report, rules)?;
    check_xfam(report)?;
    if let Some(found) = report.mr_service_td.map(HexBytes)
        && !is_zero(&found.0)
        && !rules.service_tds.contains(&found)
    {
        return Err(TdxError::ServiceTd(found));
    }
    rules.tcb.check(&claims.tcb, &claims.platform, claims.at)?;
    if is_zero(&report.mr_td) {
        return Err(TdxError::MrTdZero);
    }
    if report.rtmr[..3].iter().all(|register| is_zero(register)) && !rules.boot_not_measured {
        return Err(TdxError::BootNotMeasured);
    }
    let mr_seam = HexBytes(report.mr_seam);
    if !rules.modules.is_empty() && !rules.modules.contains(&mr_seam) {
        return Err(TdxError::MrSeam(mr_seam));
    }
    let measurement = claims.measurement();
    if let Some(listed) = &rules.measurements
        && !listed.contains(&HexBytes(measurement.0))
    {
        return Err(TdxError::MeasurementUnknown(measurement));
    }
    if let Some(expected) = rules.report_data
        && expected != report.report_data
    {
        return Err(TdxError::ReportData {
            found: HexBytes(report.report_data).to_string(),
            expected: HexBytes(expected).to_string(),
        });
    }
    Ok(Component {
        kind: "tdx",
        tcb: Some(TcbState {
            status: claims.tcb.status.name().to_owned(),
            advisories: claims.tcb.advisories.clone(),
        }),
        // Without both lists there are no claims.
        revocation: Revocation::Good,
        checks: checks(claims, rules),
    })
}

fn check_module(report: &TdReport) -> Result<(), TdxError> {
    if is_zero(&report.mr_seam) {
        return Err(TdxError::MrSeamZero);
    }
    if !is_zero(&report.mr_signer_seam) {
        return Err(TdxError::MrSignerSeam(hex::encode(report.mr_signer_seam)));
    }
    if !is_zero(&report.seam_attributes) {
        return Err(TdxError::SeamAttributes(hex::encode(report.seam_attributes)));
    }
    Ok(())
}

fn check_attributes(report: &TdReport, rules: &Rules) -> Result<(), TdxError> {
    let attributes = u64::from_le_bytes(report.td_attributes);
    let has = |bit: u64| attributes & bit != 0;
    // The whole byte: each of its bits opens the domain in one way or another.
    if has(attribute::TUD) {
        return Err(TdxError::Debug(report.td_attributes[0]));
    }
    if has(attribute::RESERVED) {
        return Err(TdxError::AttributesReserved(hex::encode(report.td_attributes)));
    }
    if has(attribute::TPA) {
        return Err(TdxError::ProvisioningAgent);
    }
    if has(attribute::SERVTD_EXT) {
        return Err(TdxError::ServiceTdExtended);
    }
    if !has(attribute::SEPT_VE_DISABLE) && !rules.sept_ve_enabled {
        return Err(TdxError::SeptVeEnabled);
    }
    if has(attribute::MIGRATABLE) && !rules.migratable {
        return Err(TdxError::Migratable);
    }
    if has(attribute::PERFMON) && !rules.perfmon {
        return Err(TdxError::Perfmon);
    }
    if has(attribute::KL) && !rules.key_locker {
        return Err(TdxError::KeyLocker);
    }
    Ok(())
}

fn check_xfam(report: &TdReport) -> Result<(), TdxError> {
    let features = u64::from_le_bytes(report.xfam);
    if features & xfam::FIXED != xfam::FIXED {
        return Err(TdxError::XfamFixed(hex::encode(report.xfam)));
    }
    if features & !xfam::DEFINED != 0 {
        return Err(TdxError::XfamReserved(hex::encode(report.xfam)));
    }
    Ok(())
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
    let certified = "PCK certificate, chain to the pinned root, revocation lists";
    let mut checks = vec![
        quoted(
            "MRSEAM",
            hex::encode(report.mr_seam),
            "signer and attributes are those of Intel's TDX module",
        ),
        quoted(
            "TDATTRIBUTES",
            hex::encode(report.td_attributes),
            "no debug, no reserved bits, others by rule",
        ),
        quoted(
            "XFAM",
            hex::encode(report.xfam),
            "fixed bits set, no reserved bits",
        ),
        quoted("MRTD", hex::encode(report.mr_td), signed),
        quoted("MRCONFIGID", hex::encode(report.mr_config_id), signed),
        quoted("MROWNER", hex::encode(report.mr_owner), signed),
        quoted("MROWNERCONFIG", hex::encode(report.mr_owner_config), signed),
    ];
    let names = ["RTMR0", "RTMR1", "RTMR2", "RTMR3"];
    for (name, register) in names.into_iter().zip(&report.rtmr) {
        checks.push(quoted(name, hex::encode(register), signed));
    }
    let bound = match rules.report_data {
        Some(_) => "equals the expected value",
        None => signed,
    };
    checks.push(quoted("REPORTDATA", hex::encode(report.report_data), bound));
    if let Some(service_td) = report.mr_service_td {
        checks.push(quoted(
            "MRSERVICETD",
            hex::encode(service_td),
            "zero or listed by the policy",
        ));
    }
    let measured = match rules.measurements {
        Some(_) => "listed by the policy",
        // Whoever called may have looked it up, or not.
        None => "MRTD, RTMR0-2, TDATTRIBUTES and XFAM",
    };
    checks.push(quoted("measurement", claims.measurement().to_string(), measured));
    checks.push(quoted(
        "TEE_TCB_SVN",
        hex::encode(report.tee_tcb_svn),
        "level of the TCB info",
    ));
    if let Some(svn) = report.tee_tcb_svn_2 {
        checks.push(quoted(
            "TEE_TCB_SVN_2",
            hex::encode(svn),
            "compared with the latest level",
        ));
    }
    checks.extend(claims.tcb.checks(claims.root));
    checks.extend(claims.platform.checks(claims.ca, &pck, certified));
    checks
}
