//! Headers and bodies, written out from Intel's tables.

use sha2::{Digest, Sha256};

/// Quote header.
#[derive(Debug, Clone)]
pub struct QuoteHeader {
    /// Bytes 0–1.
    pub version: u16,
    /// Bytes 2–3.
    pub attestation_key_type: u16,
    /// Bytes 4–7.
    pub tee_type: u32,
    /// Bytes 8–11.
    pub svns: [u8; 4],
    /// Bytes 12–27.
    pub qe_vendor: [u8; 16],
    /// Bytes 28–47.
    pub user_data: [u8; 20],
}

impl QuoteHeader {
    /// Of a TDX quote of version 4.
    pub fn tdx() -> Self {
        let vendor = hex::decode("939a7233f79c4ca9940a0db3957f0607").expect("a UUID");
        Self {
            version: 4,
            attestation_key_type: 2,
            tee_type: 0x81,
            svns: [0; 4],
            qe_vendor: vendor.try_into().expect("16 bytes"),
            user_data: [0x77; 20],
        }
    }

    /// Of an SGX quote of version 3.
    pub fn sgx() -> Self {
        Self {
            version: 3,
            tee_type: 0,
            svns: [8, 0, 13, 0],
            ..Self::tdx()
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        [
            &self.version.to_le_bytes()[..],
            &self.attestation_key_type.to_le_bytes(),
            &self.tee_type.to_le_bytes(),
            &self.svns,
            &self.qe_vendor,
            &self.user_data,
        ]
        .concat()
    }
}

/// Body of a quote.
#[derive(Debug, Clone)]
pub enum Body {
    /// Of a trust domain.
    Td(Box<TdReport>),
    /// Of an enclave.
    Enclave(Box<EnclaveReport>),
    /// Anything.
    Bytes(Vec<u8>),
}

impl Body {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Body::Td(report) => report.to_bytes(),
            Body::Enclave(report) => report.to_bytes(),
            Body::Bytes(bytes) => bytes.clone(),
        }
    }
}

/// TD report, in the order of its fields.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names are those of Intel's table")]
pub struct TdReport {
    pub tee_tcb_svn: [u8; 16],
    pub mr_seam: [u8; 48],
    pub mr_signer_seam: [u8; 48],
    pub seam_attributes: [u8; 8],
    pub td_attributes: [u8; 8],
    pub xfam: [u8; 8],
    pub mr_td: [u8; 48],
    pub mr_config_id: [u8; 48],
    pub mr_owner: [u8; 48],
    pub mr_owner_config: [u8; 48],
    pub rtmr: [[u8; 48]; 4],
    pub report_data: [u8; 64],
    /// TDX 1.5: TEE_TCB_SVN_2 and MRSERVICETD.
    pub extended: Option<([u8; 16], [u8; 48])>,
}

impl TdReport {
    /// Of a domain that is right in every point: module of version 1 and ISVSVN 7, SEPT_VE_DISABLE, AVX-512.
    pub fn right() -> Self {
        let mut tee_tcb_svn = [0; 16];
        tee_tcb_svn[..3].copy_from_slice(&[7, 1, 6]);
        let mut mr_config_id = [0; 48];
        mr_config_id[..32].fill(0xC1);
        Self {
            tee_tcb_svn,
            mr_seam: [0x5E; 48],
            mr_signer_seam: [0; 48],
            seam_attributes: [0; 8],
            td_attributes: [0, 0, 0, 0x10, 0, 0, 0, 0],
            xfam: [0xE7, 0, 6, 0, 0, 0, 0, 0],
            mr_td: [0xD0; 48],
            mr_config_id,
            mr_owner: [0; 48],
            mr_owner_config: [0; 48],
            rtmr: [[0xA0; 48], [0xA1; 48], [0xA2; 48], [0xA3; 48]],
            report_data: [0xDA; 64],
            extended: None,
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = [
            &self.tee_tcb_svn[..],
            &self.mr_seam,
            &self.mr_signer_seam,
            &self.seam_attributes,
            &self.td_attributes,
            &self.xfam,
            &self.mr_td,
            &self.mr_config_id,
            &self.mr_owner,
            &self.mr_owner_config,
            self.rtmr.as_flattened(),
            &self.report_data,
        ]
        .concat();
        if let Some((svn, service_td)) = &self.extended {
            bytes.extend(svn);
            bytes.extend(service_td);
        }
        bytes
    }
}

/// Report of an enclave, in the order of its fields.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names are those of Intel's table")]
pub struct EnclaveReport {
    pub cpu_svn: [u8; 16],
    pub misc_select: [u8; 4],
    pub reserved1: [u8; 12],
    pub isv_ext_prod_id: [u8; 16],
    pub attributes: [u8; 16],
    pub mr_enclave: [u8; 32],
    pub reserved2: [u8; 32],
    pub mr_signer: [u8; 32],
    pub reserved3: [u8; 32],
    pub config_id: [u8; 64],
    pub isv_prod_id: u16,
    pub isv_svn: u16,
    pub config_svn: u16,
    pub reserved4: [u8; 42],
    pub isv_family_id: [u8; 16],
    pub report_data: [u8; 64],
}

impl EnclaveReport {
    /// Of an enclave that is right in every point: initialized, 64 bit, x87 and SSE.
    pub fn right() -> Self {
        let mut attributes = [0; 16];
        attributes[0] = 0b101;
        attributes[8] = 0b11;
        Self {
            cpu_svn: [3; 16],
            misc_select: [0; 4],
            reserved1: [0; 12],
            isv_ext_prod_id: [0; 16],
            attributes,
            mr_enclave: [0xE5; 32],
            reserved2: [0; 32],
            mr_signer: [0x51; 32],
            reserved3: [0; 32],
            config_id: [0; 64],
            isv_prod_id: 9,
            isv_svn: 4,
            config_svn: 0,
            reserved4: [0; 42],
            isv_family_id: [0; 16],
            report_data: [0xDA; 64],
        }
    }

    /// Of the quoting enclave of SGX.
    pub fn qe() -> Self {
        let mut attributes = [0; 16];
        attributes[0] = 0x15;
        attributes[8] = 0xE7;
        Self {
            attributes,
            mr_signer: [0x8C; 32],
            isv_prod_id: 1,
            isv_svn: 6,
            ..Self::right()
        }
    }

    /// Of the quoting enclave of TDX.
    pub fn td_qe() -> Self {
        Self {
            mr_signer: [0xDC; 32],
            isv_prod_id: 2,
            ..Self::qe()
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        [
            &self.cpu_svn[..],
            &self.misc_select,
            &self.reserved1,
            &self.isv_ext_prod_id,
            &self.attributes,
            &self.mr_enclave,
            &self.reserved2,
            &self.mr_signer,
            &self.reserved3,
            &self.config_id,
            &self.isv_prod_id.to_le_bytes(),
            &self.isv_svn.to_le_bytes(),
            &self.config_svn.to_le_bytes(),
            &self.reserved4,
            &self.isv_family_id,
            &self.report_data,
        ]
        .concat()
    }
}

/// REPORTDATA by which a quoting enclave vouches for its attestation key.
pub(super) fn vouch(key: &[u8], authentication_data: &[u8]) -> [u8; 64] {
    let mut report_data = [0; 64];
    let hash = Sha256::digest([key, authentication_data].concat());
    report_data[..32].copy_from_slice(&hash);
    report_data
}
