//! What a verified document says, with AWS's names, and what follows from it for this project.

use std::collections::BTreeMap;

use sha2::{Digest, Sha384};

use super::chain::Verified;
use super::parse::{Document, ModuleId, PCR_LEN, SignedDocument};
use super::{NitroError, appraise::pcr_name};
use crate::hash::is_zero;
use crate::measurement::MeasurementId;
use crate::verdict::Revocation;
use crate::x509::{Certificate, Validity};

/// The register that this project's boot extends with the launch digest and locks.
pub const LAUNCH_PCR: u8 = 16;

/// Claims of a document that AWS's hypervisor made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Enclave and instance (§2.2 `module_id`).
    pub module_id: ModuleId,
    /// When the document was made, in milliseconds since 1970 (`timestamp`).
    pub timestamp: u64,
    /// Registers that can no longer change, 48 bytes each (`pcrs`). PCR0: the image; PCR1: kernel and boot ramdisk;
    /// PCR2: application; PCR3: hash of the instance's IAM role; PCR4: hash of the instance id; PCR8: hash of the key that
    /// signed the image. PCR0 to PCR2 are always among them.
    pub pcrs: BTreeMap<u8, [u8; PCR_LEN]>,
    /// `public_key`, at most 1024 bytes.
    pub public_key: Option<Vec<u8>>,
    /// `user_data`, at most 512 bytes. In this project REPORT_DATA: 64 bytes.
    pub user_data: Option<Vec<u8>>,
    /// `nonce`, at most 512 bytes.
    pub nonce: Option<Vec<u8>>,
    /// Name of the pinned root.
    pub root: &'static str,
    /// SHA-256 of the root's DER.
    pub root_fingerprint: [u8; 32],
    /// When the whole chain is valid.
    pub validity: Validity,
    /// What is known of revocation.
    pub revocation: Revocation,
    /// PCR0, PCR1 and PCR2.
    launch: [[u8; PCR_LEN]; 3],
}

/// What PCR16 says of the launch document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Launch {
    /// It was extended exactly once, with this digest, and locked.
    Bound,
    /// Nothing was ever extended into it, or it isn't locked (documents list locked registers only).
    NotSettable,
    /// It binds something else.
    Other([u8; PCR_LEN]),
}

impl Claims {
    /// Takes the claims out of a verified document.
    pub fn of(verified: &Verified<'_>) -> Result<Self, NitroError> {
        let document = verified.document;
        let pcr = |index: u8| {
            let pcr = document.pcrs.get(&index).copied();
            pcr.ok_or(NitroError::PcrMissing(index))
        };
        Ok(Self {
            module_id: document.module_id.clone(),
            timestamp: document.timestamp,
            pcrs: document.pcrs.clone(),
            public_key: document.public_key.clone(),
            user_data: document.user_data.clone(),
            nonce: document.nonce.clone(),
            root: verified.root,
            root_fingerprint: verified.root_fingerprint,
            validity: verified.validity,
            revocation: verified.revocation,
            launch: [pcr(0)?, pcr(1)?, pcr(2)?],
        })
    }

    /// What was measured at launch: PCR0 to PCR2.
    pub fn measurement(&self) -> MeasurementId {
        let [image, kernel, application] = &self.launch;
        MeasurementId::nitro([image, kernel, application])
    }

    /// Identity of the platform, as bytes: the instance id. The enclave's id changes at each start.
    pub fn platform(&self) -> &[u8] {
        self.module_id.instance().as_bytes()
    }

    /// The first of PCR0 to PCR2 that is all zeros, as the hypervisor makes them for an enclave whose console, and so
    /// whose memory, is open to the instance.
    pub fn debug(&self) -> Option<u8> {
        (0..3u8)
            .zip(&self.launch)
            .find(|(_, pcr)| is_zero(&pcr[..]))
            .map(|(index, _)| index)
    }

    /// Whether PCR16 binds a launch document with this digest.
    pub fn launch(&self, digest: &[u8]) -> Launch {
        match self.pcrs.get(&LAUNCH_PCR) {
            None => Launch::NotSettable,
            Some(pcr) if is_zero(pcr) => Launch::NotSettable,
            Some(pcr) if *pcr == launch_pcr(digest) => Launch::Bound,
            Some(pcr) => Launch::Other(*pcr),
        }
    }
}

/// PCR16 after its one extension with a launch digest.
pub fn launch_pcr(digest: &[u8]) -> [u8; PCR_LEN] {
    extend(&[0; PCR_LEN], digest)
}

/// ExtendPCR: SHA-384 of the register's value and the data.
pub fn extend(pcr: &[u8; PCR_LEN], data: &[u8]) -> [u8; PCR_LEN] {
    Sha384::new()
        .chain_update(pcr)
        .chain_update(data)
        .finalize()
        .into()
}

/// Every field of a document, as received, for people; nothing is verified.
pub fn fields(signed: &SignedDocument) -> Vec<(&'static str, String)> {
    let Document {
        module_id,
        timestamp,
        pcrs,
        certificate,
        cabundle,
        public_key,
        user_data,
        nonce,
    } = signed.document();
    let mut fields = vec![
        ("alg", "ES384 (-35)".to_owned()),
        ("module_id", module_id.to_string()),
        ("timestamp", format!("{timestamp} (ms since 1970)")),
        ("digest", "SHA384".to_owned()),
    ];
    fields.extend(
        pcrs.iter()
            .map(|(index, pcr)| (pcr_name(*index), hex::encode(pcr))),
    );
    fields.push(("certificate", certificate_line(certificate)));
    fields.extend(cabundle.iter().map(|der| ("cabundle", certificate_line(der))));
    for (name, value) in [
        ("public_key", public_key),
        ("user_data", user_data),
        ("nonce", nonce),
    ] {
        fields.push((name, optional(value.as_deref())));
    }
    fields.push(("signature", hex::encode(signed.signature())));
    fields
}

pub(super) fn optional(value: Option<&[u8]>) -> String {
    value.map_or_else(|| "absent".to_owned(), hex::encode)
}

fn certificate_line(der: &[u8]) -> String {
    match Certificate::parse(der) {
        Ok(certificate) => format!(
            "{}, serial {}, valid from {} to {}, SHA-256 {}",
            certificate.subject(),
            hex::encode(certificate.serial()),
            certificate.not_before(),
            certificate.not_after(),
            hex::encode(certificate.fingerprint())
        ),
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `python3 -c 'import hashlib; print(hashlib.sha384(bytes(48)+bytes([0x22])*32).hexdigest())'`
    #[test]
    fn launch_register() {
        assert_eq!(hex::encode(launch_pcr(&[0x22; 32])), LAUNCH_22);
    }

    const LAUNCH_22: &str =
        "ea4a27f526100acf02fbfccbdd1fcdb7d86bc43c0ae6f1e36485d4319e53db9a8b87fa25b3b4eb31aee9531d16eef4a0";
}
