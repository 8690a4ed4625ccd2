//! Recordings of real GPUs and switches, and what must be said of each.

use jeju_attestation::endorsements::Endorsements;
use jeju_attestation::nvidia::form::{self, Form};
use jeju_attestation::nvidia::{GpuError, Gpus, Rules, verify_all};
use jeju_attestation::roots::TrustAnchors;
use jeju_attestation::verdict::Component;

use crate::vectors;

/// What NVIDIA's samples were asked with.
const SAMPLES: &str = "931d8dd0add203ac3d8b4fbde75e115278eefcdceac5b87671a748f32364dfcb";
/// 2025-06-15.
pub const JUNE_2025: u64 = 1_750_000_000;
/// 2026-09-21.
const SEPTEMBER_2026: u64 = 1_790_000_000;

/// A recording, and what must be said of it.
pub struct GenuineCase {
    /// Its file, and what was put to it.
    pub name: &'static str,
    /// The file.
    pub evidence: Vec<u8>,
    /// Files that go with it.
    pub endorsements: Vec<Vec<u8>>,
    /// Seconds since 1970.
    pub at: u64,
    /// What it is asked with. Where nothing else records it, it is the file's own, which says nothing of freshness.
    pub nonce: Option<Vec<u8>>,
    /// How many devices are genuine, chain and signature, or why they aren't.
    pub genuine: Result<usize, &'static str>,
    /// The verdict without a policy.
    pub expected: Result<(), &'static str>,
}

const HOPPER: &str = "attestation-sdk-sample/hopperCertChain.txt";
const HOPPER_EXPIRED: &str = "attestation-sdk-sample/hopperCertChainExpired.txt";
const BLACKWELL: &str = "attestation-sdk-sample/blackwellCertChain.txt";
const SWITCH: &str = "attestation-sdk-sample/switchCertChain.txt";
const UNIT_HOPPER: &str = "attestation-sdk-unit/hopperCertChain.txt";
const UNIT_SWITCH: &str = "attestation-sdk-unit/switchCertChain.txt";
const SWITCH_RIM: &str = "attestation-sdk-unit/switchVBIOSRim_NV_SWITCH_BIOS_5612_0002_890_9610550001.xml";
const SWITCH_BROKEN: &str =
    "attestation-sdk-rims/NV_SWITCH_BIOS_5612_0002_890_9610550001_invalid_signature.xml";
const SWITCH_OTHER: &str =
    "attestation-sdk-rims/NV_SWITCH_BIOS_5612_0002_890_9610550001_measurement_mismatch.xml";
const VBIOS: &str = "nvtrust-samples/1010_0200_882_96005E0001_PROD.swidtag";
const VBIOS_04: &str = "nvtrust-samples/1010_0205_862_96005E0004_PROD.swidtag";
const DRIVER_535: &str = "attestation-sdk-rims/NV_GPU_DRIVER_GH100_535.86.09_measurement_mismatch.xml";
const DRIVER_570: &str = "attestation-sdk-rims/NV_GPU_DRIVER_GH100_570.124.03_expired.xml";
const DRIVER_550: &str = "attestation-sdk-unit/NV_GPU_DRIVER_GH100_550.144.03.xml";
const CASE1: &str = "trustee/hopper_cert_chain_case1.txt";
const CASE2: &str = "trustee/hopper_cert_chain_case2.txt";
const CASE3: &str = "trustee/hopper_cert_chain_case3.txt";
const CASE4: &str = "trustee/hopper_cert_chain_case4.txt";
const COCO: &str = "trustee/hopper_coco_certs1.txt";
const NVTRUST: &str = "nvtrust-samples/hopperCertChain.txt";

/// The nonce of `spdm_req_parsed_output.json`.
const UNIT_NONCE: &str = "5bb22e377702d4e1e8215a903ba094826b9ac7f731dee1fe8102958bf2840aca";
const MISSING: Result<(), &str> = Err("gpu_rim_missing");

/// File, files that go with it, time, nonce (empty: the file's own), devices that are genuine, verdict without a policy.
type Row = (
    &'static str,
    &'static [&'static str],
    u64,
    &'static str,
    Result<usize, &'static str>,
    Result<(), &'static str>,
);

const ROWS: &[Row] = &[
    (
        "attestation-sdk-evidence/hopper_evidence.json",
        &[],
        JUNE_2025,
        "",
        Ok(1),
        MISSING,
    ),
    (
        "attestation-sdk-evidence/hopper_evidence_cert_hold.json",
        &[],
        JUNE_2025,
        SAMPLES,
        Ok(1),
        MISSING,
    ),
    (
        "attestation-sdk-evidence/multi_gpu_hopper.json",
        &[],
        JUNE_2025,
        "",
        Ok(4),
        MISSING,
    ),
    (
        "attestation-sdk-evidence/multi_switch_ls10.json",
        &[SWITCH_RIM],
        SEPTEMBER_2026,
        SAMPLES,
        Err("gpu_repeated"),
        Err("gpu_repeated"),
    ),
    (
        "attestation-sdk-evidence/switch_evidence_ls10.json",
        &[SWITCH_RIM],
        SEPTEMBER_2026,
        SAMPLES,
        Ok(1),
        Ok(()),
    ),
    (
        "attestation-sdk-evidence/switch_evidence_ls10.json",
        &[],
        SEPTEMBER_2026,
        SAMPLES,
        Ok(1),
        MISSING,
    ),
    // The signer was valid from 2026-05-20.
    (
        "attestation-sdk-evidence/switch_evidence_ls10.json",
        &[SWITCH_RIM],
        JUNE_2025,
        SAMPLES,
        Ok(1),
        Err("x509_not_yet_valid"),
    ),
    (
        "attestation-sdk-evidence/switch_evidence_ls10.json",
        &[SWITCH_BROKEN],
        JUNE_2025,
        SAMPLES,
        Ok(1),
        Err("rim_digest"),
    ),
    // A GPU's manifest under a switch's name and version.
    (
        "attestation-sdk-evidence/switch_evidence_ls10.json",
        &[SWITCH_OTHER],
        JUNE_2025,
        SAMPLES,
        Ok(1),
        MISSING,
    ),
    (
        "attestation-sdk-sample/blackwellAttestationReport.txt",
        &[BLACKWELL],
        JUNE_2025,
        SAMPLES,
        Ok(1),
        MISSING,
    ),
    (
        "attestation-sdk-sample/hopperAttestationReport.txt",
        &[HOPPER],
        JUNE_2025,
        "",
        Ok(1),
        MISSING,
    ),
    (
        "attestation-sdk-sample/hopperAttestationReport.txt",
        &[HOPPER, VBIOS],
        JUNE_2025,
        "",
        Ok(1),
        MISSING,
    ),
    (
        "attestation-sdk-sample/hopperAttestationReport.txt",
        &[HOPPER, DRIVER_550],
        JUNE_2025,
        "",
        Ok(1),
        Err("gpu_rim_version"),
    ),
    (
        "attestation-sdk-sample/hopperAttestationReport.txt",
        &[HOPPER, VBIOS, DRIVER_535],
        JUNE_2025,
        "",
        Ok(1),
        Err("rim_digest"),
    ),
    (
        "attestation-sdk-sample/hopperAttestationReport.txt",
        &[BLACKWELL],
        JUNE_2025,
        "",
        Err("gpu_signature"),
        Err("gpu_signature"),
    ),
    // What ended is the signer of the driver's manifest, not the device.
    (
        "attestation-sdk-sample/hopperAttestationReportExpired.txt",
        &[HOPPER_EXPIRED],
        JUNE_2025,
        SAMPLES,
        Ok(1),
        MISSING,
    ),
    (
        "attestation-sdk-sample/hopperAttestationReportExpired.txt",
        &[HOPPER_EXPIRED, DRIVER_570, VBIOS_04],
        JUNE_2025,
        SAMPLES,
        Ok(1),
        Err("x509_expired"),
    ),
    (
        "attestation-sdk-sample/hopperAttestationReportInvalidSignature.txt",
        &[HOPPER],
        JUNE_2025,
        SAMPLES,
        Err("gpu_signature"),
        Err("gpu_signature"),
    ),
    (
        "attestation-sdk-sample/switchAttestationReport.txt",
        &[SWITCH, SWITCH_RIM],
        SEPTEMBER_2026,
        SAMPLES,
        Ok(1),
        Ok(()),
    ),
    (
        "attestation-sdk-sample/switchAttestationReportInvalidSignature.txt",
        &[SWITCH, SWITCH_RIM],
        SEPTEMBER_2026,
        "",
        Err("gpu_signature"),
        Err("gpu_signature"),
    ),
    (
        "attestation-sdk-unit/evidence_hopper_590_12.json",
        &[],
        JUNE_2025,
        "",
        Ok(1),
        MISSING,
    ),
    (
        "attestation-sdk-unit/hopperAttestationReport.txt",
        &[UNIT_HOPPER],
        JUNE_2025,
        UNIT_NONCE,
        Ok(1),
        MISSING,
    ),
    (
        "attestation-sdk-unit/hopperAttestationReport.txt",
        &[UNIT_HOPPER],
        JUNE_2025,
        SAMPLES,
        Err("gpu_nonce_mismatch"),
        Err("gpu_nonce_mismatch"),
    ),
    (
        "attestation-sdk-unit/hopperAttestationReport.txt",
        &[UNIT_HOPPER, DRIVER_550],
        JUNE_2025,
        UNIT_NONCE,
        Ok(1),
        Err("gpu_rim_version"),
    ),
    (
        "attestation-sdk-unit/switchAttestationReport.txt",
        &[UNIT_SWITCH, SWITCH_RIM],
        SEPTEMBER_2026,
        SAMPLES,
        Ok(1),
        Ok(()),
    ),
    (
        "nvtrust-ppcie-8gpu/gpu_evidence.json",
        &[],
        JUNE_2025,
        "",
        Ok(8),
        MISSING,
    ),
    (
        "nvtrust-ppcie-8gpu/switch_evidence.json",
        &[],
        JUNE_2025,
        "",
        Ok(4),
        MISSING,
    ),
    (
        "nvtrust-ppcie-8gpu/switch_evidence.json",
        &[SWITCH_RIM],
        SEPTEMBER_2026,
        "",
        Ok(4),
        Err("gpu_rim_version"),
    ),
    (
        "nvtrust-samples/hopperAttestationReport.txt",
        &[NVTRUST],
        JUNE_2025,
        SAMPLES,
        Ok(1),
        MISSING,
    ),
    (
        "trustee/hopperAttestationReport.txt",
        &[CASE1],
        JUNE_2025,
        SAMPLES,
        Ok(1),
        MISSING,
    ),
    // The root alone; no production line; no leaf.
    (
        "trustee/hopperAttestationReport.txt",
        &[CASE2],
        JUNE_2025,
        SAMPLES,
        Err("gpu_chain_length"),
        Err("gpu_chain_length"),
    ),
    (
        "trustee/hopperAttestationReport.txt",
        &[CASE3],
        JUNE_2025,
        SAMPLES,
        Err("gpu_chain_length"),
        Err("gpu_chain_length"),
    ),
    (
        "trustee/hopperAttestationReport.txt",
        &[CASE4],
        JUNE_2025,
        SAMPLES,
        Err("gpu_chain_length"),
        Err("gpu_chain_length"),
    ),
    // One zero byte behind the signature.
    (
        "trustee/hopper_coco_report1.txt",
        &[COCO],
        JUNE_2025,
        "",
        Ok(1),
        MISSING,
    ),
];

/// All recordings; empty where they aren't at hand.
pub fn genuine() -> Vec<GenuineCase> {
    let read = |name: &str| vectors::read(&format!("nvidia/{name}"), ROWS.len());
    let mut cases = Vec::new();
    for (name, endorsements, at, nonce, genuine, expected) in ROWS {
        let Some(evidence) = read(name) else {
            return Vec::new();
        };
        let mut case = GenuineCase {
            name,
            evidence,
            endorsements: endorsements.iter().filter_map(|name| read(name)).collect(),
            at: *at,
            nonce: Some(hex::decode(nonce).unwrap()),
            genuine: *genuine,
            expected: *expected,
        };
        if nonce.is_empty() {
            let form = case.form(&case.endorsements());
            let own = || form.devices[0].report[4..36].to_vec();
            case.nonce = Some(form.nonce.map_or_else(own, |nonce| nonce.to_vec()));
        }
        cases.push(case);
    }
    cases
}

impl GenuineCase {
    pub fn endorsements(&self) -> Endorsements {
        let mut bag = Endorsements::default();
        for file in &self.endorsements {
            bag.add(file).unwrap();
        }
        bag
    }

    pub fn form(&self, bag: &Endorsements) -> Form {
        serde_json::from_slice(&self.evidence)
            .ok()
            .and_then(|json| form::read(&json))
            .or_else(|| form::read_report(&self.evidence, bag))
            .unwrap_or_else(|| panic!("{} has no form that is known", self.name))
    }

    pub fn verify(&self) -> Result<Gpus, GpuError> {
        let bag = self.endorsements();
        let form = self.form(&bag);
        let nonce = self
            .nonce
            .as_deref()
            .and_then(|nonce| nonce.try_into().ok())
            .unwrap();
        let lists = &bag.revocation_lists;
        verify_all(
            &form.devices,
            &nonce,
            lists,
            TrustAnchors::vendors(),
            self.at as i64,
        )
    }

    pub fn appraise(&self, rules: &Rules) -> Result<Vec<Component>, GpuError> {
        let bag = self.endorsements();
        let roots = TrustAnchors::vendors();
        let lists = &bag.revocation_lists;
        self.verify()?
            .appraise(&bag.manifests, lists, roots, rules, self.at as i64)
    }
}
