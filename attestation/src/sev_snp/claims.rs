//! What a genuine report says, by the vendor's names (56860, table "ATTESTATION_REPORT Structure").

use super::SnpError;
use super::bits::{GuestPolicy, KeyInfo, PlatformInfo};
use super::chain::VerifiedVek;
use super::parse::Report;
use super::tcb::{FirmwareVersion, Tcb};
use super::vek::VekKind;
use crate::evidence::LaunchBinding;
use crate::hash::is_zero;
use crate::hex_bytes::HexBytes;
use crate::measurement::MeasurementId;
use crate::roots::AmdProduct;
use crate::verdict::Revocation;

/// Claims of a report whose signature and chain were verified. Only verification makes them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Claims {
    /// The report itself.
    pub report: Report,
    /// Product of the chip: from CPUID and the VEK's certificate, which agree; for version 2, from the certificate.
    pub product: AmdProduct,
    /// GUEST_SVN, 004h: the guest's version in its ID block.
    pub guest_svn: u32,
    /// POLICY, 008h.
    pub policy: GuestPolicy,
    /// FAMILY_ID, 010h, from the ID block.
    pub family_id: [u8; 16],
    /// IMAGE_ID, 020h, from the ID block.
    pub image_id: [u8; 16],
    /// VMPL, 030h: 0 to 3.
    pub vmpl: u32,
    /// CURRENT_TCB, 038h: of the firmware that runs.
    pub current_tcb: Tcb,
    /// PLATFORM_INFO, 040h.
    pub platform_info: PlatformInfo,
    /// KEY_INFO, 048h: AUTHOR_KEY_EN, MASK_CHIP_KEY and SIGNING_KEY.
    pub key_info: KeyInfo,
    /// REPORT_DATA, 050h: what the guest asked to have signed.
    pub report_data: [u8; 64],
    /// MEASUREMENT, 090h: launch digest, SHA-384.
    pub measurement: [u8; 48],
    /// HOST_DATA, 0C0h: set by the host at launch, for good.
    pub host_data: [u8; 32],
    /// ID_KEY_DIGEST, 0E0h: SHA-384 of the key that signed the ID block; zeros without one.
    pub id_key_digest: [u8; 48],
    /// AUTHOR_KEY_DIGEST, 110h: SHA-384 of the key that certified the ID key; zeros without one.
    pub author_key_digest: [u8; 48],
    /// REPORT_ID, 140h: of this guest.
    pub report_id: [u8; 32],
    /// REPORT_ID_MA, 160h: of its migration agent; all ones without one.
    pub report_id_ma: [u8; 32],
    /// REPORTED_TCB, 180h: the one that the VEK is derived from, as its certificate says.
    pub reported_tcb: Tcb,
    /// CPUID_FAM_ID, CPUID_MOD_ID and CPUID_STEP, 188h to 18Ah; from version 3 on.
    pub cpuid: Option<(u8, u8, u8)>,
    /// CHIP_ID, 1A0h; zeros where it is masked.
    pub chip_id: [u8; 64],
    /// COMMITTED_TCB, 1E0h: firmware can't go back below it.
    pub committed_tcb: Tcb,
    /// CURRENT_BUILD, CURRENT_MINOR and CURRENT_MAJOR, 1E8h to 1EAh.
    pub current_version: FirmwareVersion,
    /// COMMITTED_BUILD, COMMITTED_MINOR and COMMITTED_MAJOR, 1ECh to 1EEh.
    pub committed_version: FirmwareVersion,
    /// LAUNCH_TCB, 1F0h: when the guest was launched or imported.
    pub launch_tcb: Tcb,
    /// LAUNCH_MIT_VECTOR, 1F8h: mitigations in force at launch; from version 5 on.
    pub launch_mit_vector: Option<u64>,
    /// CURRENT_MIT_VECTOR, 200h: mitigations in force now; from version 5 on.
    pub current_mit_vector: Option<u64>,
    /// Kind of the key that signed.
    pub key: VekKind,
    /// hwID of the VCEK's certificate; `None` for a VLEK.
    pub hwid: Option<[u8; 64]>,
    /// cspID of the VLEK's certificate; `None` for a VCEK.
    pub csp_id: Option<String>,
    /// SHA-256 of the VEK's certificate.
    pub vek_fingerprint: [u8; 32],
    /// Name of the pinned ARK.
    pub root: &'static str,
    /// What is known of the revocation of the chain.
    pub revocation: Revocation,
}

impl Claims {
    pub(super) fn new(report: &Report, vek: &VerifiedVek) -> Result<Self, SnpError> {
        let product = vek.product();
        let tcb = |name, offset| Tcb::read(product, &report.field(offset)).ok_or(SnpError::TcbReserved(name));
        let version = |offset| {
            let [build, minor, major] = report.field(offset);
            FirmwareVersion { major, minor, build }
        };
        let mitigations = |offset| (report.version() >= 5).then(|| report.u64(offset));
        Ok(Self {
            product,
            guest_svn: report.u32(0x004),
            policy: report.policy(),
            family_id: report.field(0x010),
            image_id: report.field(0x020),
            vmpl: report.vmpl(),
            current_tcb: tcb("CURRENT_TCB", 0x038)?,
            platform_info: report.platform_info(),
            key_info: report.key_info(),
            report_data: report.field(0x050),
            measurement: report.field(0x090),
            host_data: report.field(0x0C0),
            id_key_digest: report.field(0x0E0),
            author_key_digest: report.field(0x110),
            report_id: report.field(0x140),
            report_id_ma: report.field(0x160),
            reported_tcb: tcb("REPORTED_TCB", 0x180)?,
            cpuid: report.cpuid(),
            chip_id: report.chip_id(),
            committed_tcb: tcb("COMMITTED_TCB", 0x1E0)?,
            current_version: version(0x1E8),
            committed_version: version(0x1EC),
            launch_tcb: tcb("LAUNCH_TCB", 0x1F0)?,
            launch_mit_vector: mitigations(0x1F8),
            current_mit_vector: mitigations(0x200),
            key: vek.kind(),
            hwid: vek.hwid(),
            csp_id: vek.csp_id().map(str::to_owned),
            vek_fingerprint: vek.fingerprint(),
            root: vek.root(),
            revocation: match vek.revocation_lists() {
                Some(_) => Revocation::Good,
                None => Revocation::Unknown,
            },
            report: report.clone(),
        })
    }

    /// Measurement id: MEASUREMENT, POLICY as in the report, and VMPL, because one guest can have reports of several.
    pub fn measurement_id(&self) -> MeasurementId {
        MeasurementId::sev_snp(&self.measurement, &self.policy.0.to_le_bytes(), self.vmpl)
    }

    /// The chip, as CHIP_ID; where the report masks it, as the VCEK's certificate names it. `None`: a VLEK signed, and
    /// the report doesn't say on which chip.
    pub fn platform(&self) -> Option<[u8; 64]> {
        match is_zero(&self.chip_id) {
            true => self.hwid,
            false => Some(self.chip_id),
        }
    }

    /// What the silicon says of the launch document.
    pub fn launch_binding(&self) -> LaunchBinding {
        match is_zero(&self.host_data) {
            true => LaunchBinding::NotSettable,
            false => LaunchBinding::Bound(self.host_data),
        }
    }

    /// Whether the guest asked for exactly this to be signed.
    pub fn check_report_data(&self, expected: &[u8; 64]) -> Result<(), SnpError> {
        match self.report_data == *expected {
            true => Ok(()),
            false => Err(SnpError::ReportData {
                found: Box::new(HexBytes(self.report_data)),
                expected: Box::new(HexBytes(*expected)),
            }),
        }
    }

    /// Whether the guest was launched with exactly this.
    pub fn check_host_data(&self, expected: &[u8; 32]) -> Result<(), SnpError> {
        match self.host_data == *expected {
            true => Ok(()),
            false => Err(SnpError::HostData {
                found: HexBytes(self.host_data),
                expected: HexBytes(*expected),
            }),
        }
    }
}

/// Every field of a report by its name, in order. Nothing is verified; TCB versions are shown as bytes, because version
/// 2 doesn't say how to read them.
pub fn fields(report: &Report) -> Vec<(&'static str, String)> {
    let hex = |range: core::ops::Range<usize>| hex::encode(&report.bytes()[range]);
    let byte = |at: usize| report.bytes()[at].to_string();
    let key_info = report.key_info();
    let mut fields = vec![
        ("VERSION", report.version().to_string()),
        ("GUEST_SVN", report.u32(0x004).to_string()),
        ("POLICY", format!("{:#x}", report.policy().0)),
        ("FAMILY_ID", hex(0x010..0x020)),
        ("IMAGE_ID", hex(0x020..0x030)),
        ("VMPL", report.vmpl().to_string()),
        ("SIGNATURE_ALGO", report.u32(0x034).to_string()),
        ("CURRENT_TCB", hex(0x038..0x040)),
        ("PLATFORM_INFO", format!("{:#x}", report.platform_info().0)),
        ("AUTHOR_KEY_EN", u8::from(key_info.author_key_en()).to_string()),
        ("MASK_CHIP_KEY", u8::from(key_info.mask_chip_key()).to_string()),
        ("SIGNING_KEY", report.signing_key().to_string()),
        ("REPORT_DATA", hex(0x050..0x090)),
        ("MEASUREMENT", hex(0x090..0x0C0)),
        ("HOST_DATA", hex(0x0C0..0x0E0)),
        ("ID_KEY_DIGEST", hex(0x0E0..0x110)),
        ("AUTHOR_KEY_DIGEST", hex(0x110..0x140)),
        ("REPORT_ID", hex(0x140..0x160)),
        ("REPORT_ID_MA", hex(0x160..0x180)),
        ("REPORTED_TCB", hex(0x180..0x188)),
    ];
    if let Some((family, model, stepping)) = report.cpuid() {
        fields.extend([
            ("CPUID_FAM_ID", format!("{family:#04x}")),
            ("CPUID_MOD_ID", format!("{model:#04x}")),
            ("CPUID_STEP", format!("{stepping:#04x}")),
        ]);
    }
    fields.extend([
        ("CHIP_ID", hex(0x1A0..0x1E0)),
        ("COMMITTED_TCB", hex(0x1E0..0x1E8)),
        ("CURRENT_BUILD", byte(0x1E8)),
        ("CURRENT_MINOR", byte(0x1E9)),
        ("CURRENT_MAJOR", byte(0x1EA)),
        ("COMMITTED_BUILD", byte(0x1EC)),
        ("COMMITTED_MINOR", byte(0x1ED)),
        ("COMMITTED_MAJOR", byte(0x1EE)),
        ("LAUNCH_TCB", hex(0x1F0..0x1F8)),
    ]);
    if report.version() >= 5 {
        fields.extend([
            ("LAUNCH_MIT_VECTOR", format!("{:#x}", report.u64(0x1F8))),
            ("CURRENT_MIT_VECTOR", format!("{:#x}", report.u64(0x200))),
        ]);
    }
    let signature = report.signature();
    let (r, s) = signature.split_at(signature.len() / 2);
    fields.extend([("SIGNATURE.R", hex::encode(r)), ("SIGNATURE.S", hex::encode(s))]);
    fields
}
