//! Reports that real GPUs and switches made.

use jeju_attestation::endorsements::Endorsements;
use jeju_attestation::nvidia::form;
use jeju_attestation::nvidia::manifest::Kind;
use jeju_attestation::nvidia::measurements::compare;
use jeju_attestation::nvidia::{Architecture, GpuError, Manifest, Report, Rules, inspect};
use jeju_attestation::roots::TrustAnchors;
use jeju_attestation::verdict::Revocation;

use super::recordings::{JUNE_2025, genuine};
use crate::vectors;

#[test]
fn every_recording_gets_its_verdict() {
    let mut wrong = Vec::new();
    for case in genuine() {
        let devices = case
            .verify()
            .map(|gpus| gpus.claims().len())
            .map_err(|error| error.code());
        let verdict = case.appraise(&Rules::strict());
        let found = verdict.as_ref().map(|_| ()).map_err(GpuError::code);
        if devices != case.genuine || found != case.expected {
            wrong.push(format!("{}: {devices:?}, {:?}", case.name, verdict.map(|_| ())));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_device_whose_certificate_is_on_hold_is_never_shown_as_good() {
    let Some(case) = genuine()
        .into_iter()
        .find(|case| case.name.ends_with("cert_hold.json"))
    else {
        return;
    };
    // Only NVIDIA's responder knows of the hold: offline all signatures are good.
    assert_eq!(case.verify().unwrap().claims().len(), 1);
    let mut rules = Rules::default();
    (rules.gpus.min, rules.gpus.max) = (1, 1);
    assert_eq!(
        case.appraise(&rules).unwrap_err().code(),
        "gpu_revocation_unknown"
    );
    let switch = genuine()
        .into_iter()
        .find(|case| case.expected.is_ok())
        .expect("one passes");
    for component in switch.appraise(&Rules::strict()).unwrap() {
        assert_eq!(component.revocation, Revocation::Unknown);
        assert_eq!(component.kind, "nvidia-switch");
        assert!(
            component
                .checks
                .iter()
                .any(|check| check.claim == "revocation" && check.value.starts_with("unknown"))
        );
    }
}

/// Claims as NVIDIA's own tools print them for the same reports.
#[test]
fn claims_are_those_that_nvidia_prints() {
    let cases = genuine();
    let claims = |name: &str| {
        let case = cases
            .iter()
            .find(|case| case.name.ends_with(name) && case.genuine.is_ok())
            .unwrap();
        case.verify().unwrap().claims().to_vec()
    };
    if cases.is_empty() {
        return;
    }
    let hopper = &claims("attestation-sdk-unit/hopperAttestationReport.txt")[0];
    let gpu = hopper.gpu().unwrap();
    assert_eq!(hopper.architecture(), Architecture::Hopper);
    assert_eq!(
        (gpu.driver_version.as_str(), hopper.vbios_version.as_str()),
        ("580.159.03", "96.00.74.00.20")
    );
    assert_eq!(
        (
            gpu.project.as_str(),
            gpu.project_sku.as_str(),
            gpu.chip_sku.as_str()
        ),
        ("1010", "0205", "862")
    );
    assert_eq!(
        (gpu.mode.name(), gpu.nvdec0, gpu.protected_pcie),
        ("spt", false, Some(false))
    );
    assert_eq!(
        hopper.driver_manifest_id().unwrap(),
        "NV_GPU_DRIVER_GH100_580.159.03"
    );
    assert_eq!(
        hopper.vbios_manifest_id(),
        "NV_GPU_VBIOS_1010_0205_862_9600740020"
    );
    let parsed: serde_json::Value = serde_json::from_slice(
        &vectors::read("nvidia/attestation-sdk-unit/spdm_parsed_output.json", 0).unwrap(),
    )
    .unwrap();
    let blocks = &parsed["MeasurementRecord"]["MeasurementBlocks"];
    assert_eq!(hopper.measurements.len(), 64);
    for measurement in &hopper.measurements {
        let printed = blocks[measurement.index.to_string()]["DMTFSpecMeasurementValue"].as_str();
        assert_eq!(printed.unwrap(), format!("0x{}", hex::encode(measurement.value)));
    }
    let fields = &parsed["OpaqueData"]["OpaqueDataField"];
    assert_eq!(
        fields["OPAQUE_FIELD_ID_MSRSCNT"],
        serde_json::json!(hopper.measurement_counts)
    );
    assert_eq!(
        fields["OPAQUE_FIELD_ID_FWID"].as_str().unwrap(),
        format!("0x{}", hex::encode(hopper.fwid.unwrap()))
    );

    let switch = &claims("switch_evidence_ls10.json")[0];
    assert_eq!(switch.architecture(), Architecture::Ls10);
    assert_eq!(hex::encode(switch.identity()), "203eb31ad9ed0008");
    let decoded: serde_json::Value = serde_json::from_slice(
        &vectors::read("nvidia/attestation-sdk-sample/switch_decoded.json", 0).unwrap(),
    )
    .unwrap();
    let printed = &decoded["SWITCH-0"];
    assert_eq!(printed["ueid"].as_str().unwrap(), decimal(switch.ueid()));
    assert_eq!(printed["hwmodel"].as_str().unwrap(), switch.hwmodel());
    assert_eq!(
        printed["x-nvidia-switch-bios-version"].as_str().unwrap(),
        switch.vbios_version
    );
    let parsed: serde_json::Value = serde_json::from_slice(
        &vectors::read("nvidia/attestation-sdk-unit/switch_spdm_parsed_output.json", 0).unwrap(),
    )
    .unwrap();
    let fields = &parsed["OpaqueData"]["OpaqueDataField"];
    let of_switch = switch.switch().unwrap();
    let pdis: Vec<String> = of_switch
        .gpu_pdis
        .iter()
        .map(|pdi| format!("0x{}", hex::encode(pdi)))
        .collect();
    assert_eq!(fields["OPAQUE_FIELD_ID_SWITCH_GPU_PDIS"], serde_json::json!(pdis));
    let ports: Vec<String> = of_switch
        .ports
        .iter()
        .map(|port| format!("{port:#04x}"))
        .collect();
    assert_eq!(fields["OPAQUE_FIELD_ID_SWITCH_PORT"], serde_json::json!(ports));
    assert_eq!(of_switch.position, Some(2));

    let blackwell = &claims("blackwellAttestationReport.txt")[0];
    assert_eq!(blackwell.architecture(), Architecture::Blackwell);
    assert_eq!(blackwell.vbios_version, "97.00.88.00.0F");
    assert_eq!(
        blackwell.driver_manifest_id().unwrap(),
        "NV_GPU_CC_DRIVER_GB100_575.32"
    );
    assert_eq!(
        blackwell.vbios_manifest_id(),
        "NV_GPU_VBIOS_G525_0220_886_970088000F"
    );
    assert_eq!(blackwell.hwmodel(), "GB100 A01 GSP BROM");

    // Each switch of the eight-GPU machine sees the eight GPUs, by the identity in their certificates.
    let gpus = claims("gpu_evidence.json");
    let mut own: Vec<_> = gpus.iter().map(|gpu| gpu.identity()).collect();
    own.sort_unstable();
    for switch in claims("switch_evidence.json") {
        let mut seen = switch.switch().unwrap().gpu_pdis.clone();
        seen.sort_unstable();
        assert_eq!(seen, own);
        assert!(
            gpus.iter()
                .all(|gpu| gpu.gpu().unwrap().switch_pdis.contains(&switch.identity()))
        );
    }
}

/// The one genuine VBIOS whose manifest is at hand, in both of NVIDIA's issues of it.
#[test]
fn a_genuine_vbios_has_the_measurements_of_its_manifest() {
    let cases = genuine();
    let Some(case) = cases
        .iter()
        .find(|case| case.name.ends_with("sdk-sample/hopperAttestationReport.txt"))
    else {
        return;
    };
    let claims = &case.verify().unwrap().claims()[0].clone();
    let golden = |name: &str| {
        let manifest = Manifest::parse(&vectors::read(name, 0).unwrap()).unwrap();
        manifest
            .verify(&[], TrustAnchors::vendors(), JUNE_2025 as i64, false)
            .unwrap()
    };
    let comparison = compare(
        claims,
        &[&golden(
            "nvidia/nvtrust-samples/1010_0200_882_96005E0001_PROD.swidtag",
        )],
    )
    .unwrap();
    assert_eq!(comparison.matched.len(), 12);
    assert!(comparison.matched.iter().all(|(_, kind)| *kind == Kind::Vbios));
    assert_eq!(comparison.uncovered.len(), 52);
    let other = "nvidia/attestation-sdk-rims/NV_GPU_VBIOS_1010_0200_882_96005E0001_measurement_mismatch.xml";
    match compare(claims, &[&golden(other)]) {
        Err(GpuError::Measurement { index, differing, .. }) => assert_eq!((index, differing), (9, 1)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_switch_passes_with_all_its_measurements() {
    let Some(case) = genuine()
        .into_iter()
        .find(|case| case.name.ends_with("switch_evidence_ls10.json") && case.expected.is_ok())
    else {
        return;
    };
    let components = case.appraise(&Rules::strict()).unwrap();
    let manifest = components[0]
        .checks
        .iter()
        .find(|check| check.claim == "VBIOS manifest")
        .unwrap();
    assert_eq!(
        manifest.value,
        "NV_SWITCH_BIOS_5612_0002_890_9610550001: measurements 0–30"
    );
    assert!(manifest.anchor.starts_with("NVIDIA CoRIM signing Root CA"));
}

#[test]
fn what_is_no_evidence_has_no_form() {
    for name in [
        "nvidia/dstack-claims/gpu_attestation_h100.json",
        "nvidia/attestation-sdk-sample/hopperClaimsv3_decoded.json",
        "nvidia/attestation-sdk-sample/hopperClaimsv3_detached_eat.json",
        "nvidia/attestation-sdk-sample/switch_detached_eat.json",
        "nvidia/trustee/hopperAttestationReport-claims.txt",
    ] {
        let Some(file) = vectors::read(name, 5) else {
            return;
        };
        let json = serde_json::from_slice(&file).unwrap();
        assert_eq!(form::read(&json), None, "{name}");
        assert_eq!(form::read_report(&file, &Endorsements::default()), None, "{name}");
    }
}

/// No byte of a genuine report can be changed, and none left out.
#[test]
fn no_byte_of_a_report_can_be_changed() {
    let Some(case) = genuine()
        .into_iter()
        .find(|case| case.name.ends_with("switch_evidence_ls10.json"))
    else {
        return;
    };
    let claims = case.verify().unwrap().claims()[0].clone();
    let report = case.form(&case.endorsements()).devices[0].report.clone();
    for at in 0..report.len() {
        let mut changed = report.clone();
        changed[at] ^= 0x10;
        let verified = Report::parse(&changed)
            .and_then(|parsed| claims.device.report(&parsed, &claims.nonce, case.at as i64));
        assert!(verified.is_err(), "byte {at}");
        assert!(Report::parse(&report[..at]).is_err(), "{at} bytes");
    }
    let parsed = Report::parse(&report).unwrap();
    let fields = inspect::fields(&parsed);
    assert!(
        fields
            .iter()
            .any(|(name, _)| name == "OPAQUE_FIELD_ID_DEVICE_PDI")
    );
}

/// A big-endian number in decimal digits.
fn decimal(bytes: &[u8]) -> String {
    let mut digits = vec![0u8];
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += u32::from(*digit) * 256;
            *digit = (carry % 10) as u8;
            carry /= 10;
        }
        while carry > 0 {
            digits.push((carry % 10) as u8);
            carry /= 10;
        }
    }
    digits
        .iter()
        .rev()
        .map(|digit| char::from(b'0' + digit))
        .collect()
}
