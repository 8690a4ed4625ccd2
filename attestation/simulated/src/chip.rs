//! The root key of this machine's simulated silicon, and the chip that it vouches for.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{EcdsaKeyPair, KeyPair};
use jeju_attestation::hash::{sha256, tagged_sha256};
use jeju_attestation::simulated::{REPORT_LEN, ROOT_LEN, Report, SIGNATURE_TAG, SIGNED_LEN};
use zeroize::Zeroizing;

use crate::key_store::{self, CHIP_ID_LEN, SiliconError};

const SEALING_SALT: &[u8] = b"jeju-simulated-sealing-v1";

/// The development root of one machine: made once, kept in a folder, never committed or shared.
#[derive(Clone)]
pub struct Silicon {
    root: Arc<EcdsaKeyPair>,
    root_public: [u8; ROOT_LEN],
    chip_id: [u8; CHIP_ID_LEN],
    secret: Arc<Zeroizing<[u8; 32]>>,
}

impl Silicon {
    /// Opens the root under `dir`, or makes it: `root.key` (PKCS #8, mode 0600), `root.pub` (the public point in
    /// hexadecimal, for development policies) and `chip.id`.
    ///
    /// # Errors
    /// [`SiliconError`], above all for a key that others than its owner can reach.
    pub fn open_or_create(dir: &Path) -> Result<Self, SiliconError> {
        let stored = key_store::open_or_create(dir)?;
        let root_public = stored
            .key
            .public_key()
            .as_ref()
            .try_into()
            .map_err(|_| SiliconError::Generation)?;
        Ok(Self {
            root: Arc::new(stored.key),
            root_public,
            chip_id: stored.chip_id,
            secret: Arc::new(stored.secret),
        })
    }

    /// The root's public key: an uncompressed P-256 point.
    pub fn root_public(&self) -> [u8; ROOT_LEN] {
        self.root_public
    }

    /// SHA-256 of [`Self::root_public`], as reports carry it.
    pub fn root_id(&self) -> [u8; 32] {
        sha256(&self.root_public)
    }

    /// Identity of this machine's chip: the same for every guest on it, as with a real CPU.
    pub fn platform_id(&self) -> [u8; 32] {
        tagged_sha256("jeju-simulated-platform-v1", &[&self.root_id(), &self.chip_id])
    }

    /// The chip as one guest sees it. `image_digest` is what the launcher loaded ([`crate::measure`]), `host_data` the
    /// SHA-256 of the launch document, or zeros where the launcher sets none.
    pub fn chip(&self, image_digest: [u8; 32], host_data: [u8; 32]) -> Chip {
        Chip {
            silicon: self.clone(),
            image_digest,
            host_data,
        }
    }
}

impl fmt::Debug for Silicon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Silicon")
            .field("root_id", &hex::encode(self.root_id()))
            .finish_non_exhaustive()
    }
}

/// Simulated silicon with one guest's measurement, fixed at its launch.
#[derive(Debug, Clone)]
pub struct Chip {
    silicon: Silicon,
    image_digest: [u8; 32],
    host_data: [u8; 32],
}

impl Chip {
    /// What the launcher set for this guest.
    pub fn host_data(&self) -> [u8; 32] {
        self.host_data
    }

    /// The key for sealing: of this machine's silicon, for this image with this HOST_DATA. HKDF-SHA256 (RFC 5869), as
    /// `docs/wire-formats.md` §6 says.
    pub fn sealing_key(&self) -> Zeroizing<[u8; 32]> {
        let prk = Salt::new(HKDF_SHA256, SEALING_SALT).extract(&self.silicon.secret[..]);
        let mut key = Zeroizing::new([0; 32]);
        prk.expand(&[&self.image_digest, &self.host_data], HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut key[..]))
            .expect("HKDF gives as much as one hash");
        key
    }

    /// A signed report (`docs/wire-formats.md` §3) over REPORT_DATA.
    pub fn report(&self, report_data: [u8; 64]) -> [u8; REPORT_LEN] {
        let signed = Report::unsigned(
            &self.image_digest,
            &self.host_data,
            &report_data,
            &self.silicon.platform_id(),
            &self.silicon.root_id(),
        );
        let signature = self
            .silicon
            .root
            .sign(&SystemRandom::new(), &[SIGNATURE_TAG, &signed].concat())
            .expect("a P-256 key that was checked when read signs any message");
        let mut report = [0; REPORT_LEN];
        report[..SIGNED_LEN].copy_from_slice(&signed);
        report[SIGNED_LEN..].copy_from_slice(signature.as_ref());
        report
    }
}
