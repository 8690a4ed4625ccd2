//! SEV-SNP attestation reports (56860, table "ATTESTATION_REPORT Structure").

use super::{Product, Vek};
use crate::key::Key;

/// Every field of a report.
#[derive(Debug, Clone)]
pub struct ReportTemplate {
    /// 000h
    pub version: u32,
    /// 004h
    pub guest_svn: u32,
    /// 008h
    pub policy: u64,
    /// 010h
    pub family_id: [u8; 16],
    /// 020h
    pub image_id: [u8; 16],
    /// 030h
    pub vmpl: u32,
    /// 034h
    pub signature_algo: u32,
    /// 038h
    pub current_tcb: [u8; 8],
    /// 040h
    pub platform_info: u64,
    /// 048h
    pub key_info: u32,
    /// 050h
    pub report_data: [u8; 64],
    /// 090h
    pub measurement: [u8; 48],
    /// 0C0h
    pub host_data: [u8; 32],
    /// 0E0h
    pub id_key_digest: [u8; 48],
    /// 110h
    pub author_key_digest: [u8; 48],
    /// 140h
    pub report_id: [u8; 32],
    /// 160h
    pub report_id_ma: [u8; 32],
    /// 180h
    pub reported_tcb: [u8; 8],
    /// 188h; zeros before version 3
    pub cpuid: [u8; 3],
    /// 1A0h
    pub chip_id: [u8; 64],
    /// 1E0h
    pub committed_tcb: [u8; 8],
    /// 1E8h: build, minor, major
    pub current_version: [u8; 3],
    /// 1ECh: build, minor, major
    pub committed_version: [u8; 3],
    /// 1F0h
    pub launch_tcb: [u8; 8],
    /// 1F8h; zero before version 5
    pub launch_mit_vector: u64,
    /// 200h; zero before version 5
    pub current_mit_vector: u64,
    /// Bytes to put anywhere before signing.
    pub patches: Vec<(usize, u8)>,
}

impl ReportTemplate {
    /// A report of a guest that allows nothing but SMT, on a committed platform with its memory checked.
    pub fn new(product: Product, vek: Vek, version: u32) -> Self {
        let tcb = product.tcb(4, 1, 23, 0xD5);
        let mut chip_id = [0xC1; 64];
        match (vek, product) {
            (Vek::Vlek, _) => chip_id = [0; 64],
            (Vek::Vcek, Product::Turin) => chip_id[8..].fill(0),
            (Vek::Vcek, _) => {}
        }
        let mitigations = if version < 5 { 0 } else { 0b11 };
        Self {
            version,
            guest_svn: 7,
            policy: 1 << 17 | 1 << 16 | 0x1F,
            family_id: [0; 16],
            image_id: [0; 16],
            vmpl: 0,
            signature_algo: 1,
            current_tcb: tcb,
            platform_info: 0x25,
            key_info: match vek {
                Vek::Vcek => 0,
                Vek::Vlek => 1 << 2,
            },
            report_data: [0xD0; 64],
            measurement: [0x3E; 48],
            host_data: [0x40; 32],
            id_key_digest: [0; 48],
            author_key_digest: [0; 48],
            report_id: [0x1D; 32],
            report_id_ma: [0xFF; 32],
            reported_tcb: tcb,
            cpuid: if version < 3 { [0; 3] } else { product.cpuid() },
            chip_id,
            committed_tcb: tcb,
            current_version: [29, 55, 1],
            committed_version: [29, 55, 1],
            launch_tcb: tcb,
            launch_mit_vector: mitigations,
            current_mit_vector: mitigations,
            patches: Vec::new(),
        }
    }

    /// Without the signature.
    pub fn unsigned(&self) -> Vec<u8> {
        let mut report = vec![0; 0x4A0];
        let mut put = |at: usize, bytes: &[u8]| report[at..at + bytes.len()].copy_from_slice(bytes);
        put(0x000, &self.version.to_le_bytes());
        put(0x004, &self.guest_svn.to_le_bytes());
        put(0x008, &self.policy.to_le_bytes());
        put(0x010, &self.family_id);
        put(0x020, &self.image_id);
        put(0x030, &self.vmpl.to_le_bytes());
        put(0x034, &self.signature_algo.to_le_bytes());
        put(0x038, &self.current_tcb);
        put(0x040, &self.platform_info.to_le_bytes());
        put(0x048, &self.key_info.to_le_bytes());
        put(0x050, &self.report_data);
        put(0x090, &self.measurement);
        put(0x0C0, &self.host_data);
        put(0x0E0, &self.id_key_digest);
        put(0x110, &self.author_key_digest);
        put(0x140, &self.report_id);
        put(0x160, &self.report_id_ma);
        put(0x180, &self.reported_tcb);
        put(0x188, &self.cpuid);
        put(0x1A0, &self.chip_id);
        put(0x1E0, &self.committed_tcb);
        put(0x1E8, &self.current_version);
        put(0x1EC, &self.committed_version);
        put(0x1F0, &self.launch_tcb);
        put(0x1F8, &self.launch_mit_vector.to_le_bytes());
        put(0x200, &self.current_mit_vector.to_le_bytes());
        for (at, byte) in &self.patches {
            report[*at] = *byte;
        }
        report
    }

    /// The report, signed: r and s little-endian in 72 bytes each.
    pub fn sign(&self, key: &Key) -> Vec<u8> {
        let mut report = self.unsigned();
        let signature = key.sign_fixed(&report[..0x2A0]);
        let (r, s) = signature.split_at(signature.len() / 2);
        for (at, scalar) in [(0x2A0, r), (0x2E8, s)] {
            for (offset, byte) in scalar.iter().rev().enumerate() {
                report[at + offset] = *byte;
            }
        }
        report
    }
}
