//! Claims and rules → accepted or not.
//!
//! First what no genuine firmware says, then what is never accepted, then the rules.

use super::SnpError;
use super::claims::{Claims, fields};
use super::rules::{Floor, Requirement, Rules};
use super::vek::VekKind;
use crate::hash::is_zero;
use crate::hex_bytes::HexBytes;
use crate::verdict::{Check, Component, Revocation, TcbState};

/// Appraises genuine claims. REPORT_DATA and HOST_DATA are compared by [`Claims::check_report_data`] and
/// [`Claims::check_host_data`]: their values belong to a session, not to a policy.
pub fn appraise(claims: &Claims, rules: &Rules) -> Result<Component, SnpError> {
    check_consistency(claims)?;
    check_guest_policy(claims, rules)?;
    check_platform(claims, rules)?;
    check_key(claims, rules)?;
    if rules.is_policy() {
        check_floors(claims, rules)?;
        check_guest(claims, rules)?;
    }
    Ok(component(claims))
}

fn check_consistency(claims: &Claims) -> Result<(), SnpError> {
    let (policy, platform) = (claims.policy, claims.platform_info);
    if !policy.bit_17() {
        return Err(SnpError::PolicyBit17);
    }
    if policy.reserved() != 0 {
        return Err(SnpError::PolicyReserved(policy.reserved()));
    }
    let (reported, committed, current) = (claims.reported_tcb, claims.committed_tcb, claims.current_tcb);
    if !current.at_least(&reported) {
        return Err(SnpError::ReportedAboveCurrent { reported, current });
    }
    if !current.at_least(&committed) {
        return Err(SnpError::CommittedAboveCurrent { committed, current });
    }
    if claims.committed_version > claims.current_version {
        return Err(SnpError::CommittedVersionAboveCurrent {
            committed: claims.committed_version,
            current: claims.current_version,
        });
    }
    let (major, minor) = (policy.abi_major(), policy.abi_minor());
    if (major, minor) > (claims.current_version.major, claims.current_version.minor) {
        return Err(SnpError::AbiAboveFirmware {
            wanted: format!("{major}.{minor}"),
            current: claims.current_version,
        });
    }
    // Firmware doesn't start a guest on a platform that is not as its policy asks.
    if platform.smt_en() && !policy.smt() {
        return Err(SnpError::SmtContradiction);
    }
    if policy.rapl_dis() && !platform.rapl_dis() {
        return Err(SnpError::RaplContradiction);
    }
    if policy.ciphertext_hiding() && !platform.ciphertext_hiding_dram_en() {
        return Err(SnpError::CiphertextContradiction);
    }
    Ok(())
}

fn check_guest_policy(claims: &Claims, rules: &Rules) -> Result<(), SnpError> {
    let (policy, platform) = (claims.policy, claims.platform_info);
    if policy.debug() {
        return Err(SnpError::Debug);
    }
    if policy.migrate_ma() {
        return Err(SnpError::MigrateMa);
    }
    let no_agent = is_zero(&claims.report_id_ma) || claims.report_id_ma == [0xFF; 32];
    if !no_agent {
        return Err(SnpError::MigrationAgent(HexBytes(claims.report_id_ma)));
    }
    if !rules.vmpl.iter().any(|level| u32::from(*level) == claims.vmpl) {
        return Err(SnpError::Vmpl {
            found: claims.vmpl,
            accepted: rules.vmpl.clone(),
        });
    }
    if policy.smt() && !rules.smt {
        return Err(SnpError::Smt);
    }
    if policy.cxl_allow() && !rules.cxl {
        return Err(SnpError::Cxl);
    }
    for requirement in &rules.required {
        let (met, refusal) = match requirement {
            Requirement::SingleSocket => (policy.single_socket(), SnpError::MultipleSockets),
            Requirement::Aes256Xts => (policy.mem_aes_256_xts(), SnpError::Aes256Xts),
            Requirement::RaplDisabled => (policy.rapl_dis(), SnpError::Rapl),
            Requirement::CiphertextHiding => (policy.ciphertext_hiding(), SnpError::CiphertextHiding),
            Requirement::PageSwapDisabled => (policy.page_swap_disable(), SnpError::PageSwap),
            Requirement::Ecc => (platform.ecc_en(), SnpError::Ecc),
            Requirement::Tsme => (platform.tsme_en(), SnpError::Tsme),
        };
        if !met {
            return Err(refusal);
        }
    }
    let (major, minor) = (policy.abi_major(), policy.abi_minor());
    if (major, minor) < rules.abi {
        return Err(SnpError::AbiBelowMinimum {
            found: format!("{major}.{minor}"),
            minimum: format!("{}.{}", rules.abi.0, rules.abi.1),
        });
    }
    Ok(())
}

fn check_platform(claims: &Claims, rules: &Rules) -> Result<(), SnpError> {
    let platform = claims.platform_info;
    // Firmware was exchanged for an older one while the guest ran.
    if !claims.current_tcb.at_least(&claims.launch_tcb) {
        return Err(SnpError::LaunchAboveCurrent {
            launch: claims.launch_tcb,
            current: claims.current_tcb,
        });
    }
    let committed =
        claims.committed_tcb == claims.current_tcb && claims.committed_version == claims.current_version;
    if !committed && !rules.provisional_firmware {
        return Err(SnpError::Provisional {
            committed: claims.committed_tcb,
            current: claims.current_tcb,
        });
    }
    // BadRAM: memory modules that lie about their size let the host write to the guest's memory.
    if !platform.alias_check_complete() && !rules.alias_check_incomplete {
        return Err(SnpError::AliasCheck);
    }
    if platform.unknown() != 0 && !rules.platform_info_unknown {
        return Err(SnpError::PlatformInfoUnknown(platform.unknown()));
    }
    Ok(())
}

fn check_key(claims: &Claims, rules: &Rules) -> Result<(), SnpError> {
    if claims.key == VekKind::Vlek && !rules.vlek {
        return Err(SnpError::Vlek(claims.csp_id.clone().unwrap_or_default()));
    }
    if is_zero(&claims.chip_id) && !rules.masked_chip_id {
        return Err(SnpError::ChipIdMasked);
    }
    if claims.revocation == Revocation::Unknown && !rules.revocation_unknown {
        return Err(SnpError::RevocationUnknown);
    }
    Ok(())
}

fn check_floors(claims: &Claims, rules: &Rules) -> Result<(), SnpError> {
    let floor: &Floor = rules
        .products
        .get(&claims.product)
        .ok_or(SnpError::ProductNotAccepted(claims.product.name()))?;
    let launch = floor.launch_tcb.unwrap_or(floor.tcb);
    if !claims.reported_tcb.at_least(&floor.tcb) {
        return Err(SnpError::TcbBelowFloor {
            found: claims.reported_tcb,
            floor: floor.tcb,
        });
    }
    if !claims.committed_tcb.at_least(&floor.tcb) {
        return Err(SnpError::CommittedTcbBelowFloor {
            found: claims.committed_tcb,
            floor: floor.tcb,
        });
    }
    if !claims.launch_tcb.at_least(&launch) {
        return Err(SnpError::LaunchTcbBelowFloor {
            found: claims.launch_tcb,
            floor: launch,
        });
    }
    if claims.committed_version < floor.firmware {
        return Err(SnpError::FirmwareBelowMinimum {
            found: claims.committed_version,
            minimum: floor.firmware,
        });
    }
    let wanted = floor.launch_mitigations | floor.current_mitigations;
    match (claims.launch_mit_vector, claims.current_mit_vector) {
        (Some(found), _) if found & floor.launch_mitigations != floor.launch_mitigations => {
            Err(SnpError::LaunchMitigations {
                found,
                wanted: floor.launch_mitigations,
            })
        }
        (_, Some(found)) if found & floor.current_mitigations != floor.current_mitigations => {
            Err(SnpError::CurrentMitigations {
                found,
                wanted: floor.current_mitigations,
            })
        }
        (None, _) | (_, None) if wanted != 0 => Err(SnpError::MitigationsAbsent(claims.report.version())),
        _ => Ok(()),
    }
}

fn check_guest(claims: &Claims, rules: &Rules) -> Result<(), SnpError> {
    let id = claims.measurement_id();
    let measured = rules.measurements.contains(&HexBytes(claims.measurement))
        || rules.measurement_ids.contains(&HexBytes(id.0));
    if !measured {
        return Err(SnpError::Measurement {
            measurement: HexBytes(claims.measurement),
            id,
        });
    }
    let (id_key, author_key) = (HexBytes(claims.id_key_digest), HexBytes(claims.author_key_digest));
    if is_zero(&id_key.0) {
        if !rules.no_id_block {
            return Err(SnpError::IdBlockMissing);
        }
    } else if !rules.id_keys.contains(&id_key) {
        match claims.key_info.author_key_en() {
            true if rules.author_keys.contains(&author_key) => {}
            true => return Err(SnpError::AuthorKeyNotAccepted { id_key, author_key }),
            false => return Err(SnpError::IdKey(id_key)),
        }
    }
    let listed =
        |value: &HexBytes<16>, accepted: &[HexBytes<16>]| is_zero(&value.0) || accepted.contains(value);
    let (family, image) = (HexBytes(claims.family_id), HexBytes(claims.image_id));
    if !listed(&family, &rules.family_ids) {
        return Err(SnpError::FamilyId(family));
    }
    if !listed(&image, &rules.image_ids) {
        return Err(SnpError::ImageId(image));
    }
    if claims.guest_svn < rules.guest_svn {
        return Err(SnpError::GuestSvn {
            found: claims.guest_svn,
            minimum: rules.guest_svn,
        });
    }
    Ok(())
}

/// The verdict's lines: each field of the report, then what was established around it.
fn component(claims: &Claims) -> Component {
    let fingerprint = hex::encode(&claims.vek_fingerprint[..8]);
    let vek = format!("{}, {} 0x{fingerprint}…", claims.root, claims.key);
    let mut checks: Vec<Check> = fields(&claims.report)
        .into_iter()
        .map(|(name, value)| {
            let (value, check) = described(claims, name, value);
            Check::new(name, value, &vek, check)
        })
        .collect();
    checks.extend([
        Check::new("product", claims.product.name(), claims.root, "certificate"),
        Check::new("measurement id", claims.measurement_id(), &vek, "signature"),
    ]);
    if let Some(hwid) = &claims.hwid {
        let check = "certificate chain; equals CHIP_ID unless that is masked";
        checks.push(Check::new("hwID", hex::encode(hwid), claims.root, check));
    }
    if let Some(provider) = &claims.csp_id {
        checks.push(Check::new("cspID", provider, claims.root, "certificate chain"));
    }
    checks.push(match claims.revocation {
        Revocation::Good => {
            let check = "the ARK's revocation list is in force and does not name the chain";
            Check::new("revocation", "good", claims.root, check)
        }
        Revocation::Unknown => Check::new("revocation", "unknown", "none", "no revocation list was at hand"),
    });
    Component {
        kind: "sev-snp",
        tcb: Some(TcbState {
            status: tcb_status(claims),
            advisories: Vec::new(),
        }),
        revocation: claims.revocation,
        checks,
    }
}

/// What a field says, and the check on it beside the signature.
fn described(claims: &Claims, name: &str, value: String) -> (String, &'static str) {
    match name {
        "REPORTED_TCB" => (
            claims.reported_tcb.to_string(),
            "signature; equals the VEK certificate's SPLs; not above CURRENT_TCB",
        ),
        "CURRENT_TCB" => (claims.current_tcb.to_string(), "signature"),
        "COMMITTED_TCB" => (
            claims.committed_tcb.to_string(),
            "signature; not above CURRENT_TCB",
        ),
        "LAUNCH_TCB" => (claims.launch_tcb.to_string(), "signature; not above CURRENT_TCB"),
        "POLICY" => (
            value,
            "signature; neither DEBUG nor MIGRATE_MA, reserved bits as specified",
        ),
        "VMPL" => (value, "signature; accepted by rule"),
        "CHIP_ID" if is_zero(&claims.chip_id) => ("masked".to_owned(), "signature"),
        "CHIP_ID" if claims.hwid.is_some() => (value, "signature; equals the VEK certificate's hwID"),
        "CPUID_FAM_ID" | "CPUID_MOD_ID" => (value, "signature; the VEK certificate's product"),
        "SIGNING_KEY" => (value, "signature; the VEK certificate's kind"),
        "PLATFORM_INFO" if claims.platform_info.alias_check_complete() => (value, "signature"),
        "PLATFORM_INFO" => (format!("{value}, memory alias check not shown"), "signature"),
        "REPORT_ID_MA" => (value, "signature; no migration agent"),
        _ => (value, "signature"),
    }
}

/// AMD has no word for the state of a TCB version: the relation of the versions is told.
fn tcb_status(claims: &Claims) -> String {
    let provisional =
        claims.committed_tcb != claims.current_tcb || claims.committed_version != claims.current_version;
    match (claims.reported_tcb == claims.committed_tcb, provisional) {
        (true, false) => "reported = committed = current",
        (false, false) => "reported below committed = current",
        (true, true) => "provisional: reported = committed, below current",
        (false, true) => "provisional: reported, committed and current differ",
    }
    .to_owned()
}
