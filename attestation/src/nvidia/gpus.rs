//! All devices of a node: their reports only count together, for one nonce, and each device once.

use super::appraise::{kinds, pick};
use super::manifest::{Golden, Manifest};
use super::{Claims, Device, GpuError, Report, Rules, appraise};
use crate::hex_bytes::HexBytes;
use crate::roots::TrustAnchors;
use crate::verdict::Component;
use crate::x509::pem_certificates;

/// Most devices of a node.
pub const MAX_DEVICES: usize = 32;

/// What one device hands over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Report.
    pub report: Vec<u8>,
    /// Certificates, leaf first, root included, as DER.
    pub certificates: Vec<Vec<u8>>,
}

impl Evidence {
    /// A report with its chain as PEM, as NVML gives it.
    pub fn new(report: Vec<u8>, pem: &[u8]) -> Result<Self, GpuError> {
        let certificates = pem_certificates(pem).map_err(GpuError::Chain)?;
        Ok(Self { report, certificates })
    }
}

/// Devices whose reports and certificates are genuine, each a different one, all for one nonce. Nothing is said yet of
/// what runs on them: [`Gpus::appraise`] does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpus {
    claims: Vec<Claims>,
}

/// Verifies all reports: chains, signatures, nonce, firmware identity, and that no device is there twice. `lists` are
/// revocation lists as they were handed over. `now` in seconds since 1970.
pub fn verify_all(
    evidence: &[Evidence],
    nonce: &[u8; 32],
    lists: &[Vec<u8>],
    roots: &TrustAnchors,
    now: i64,
) -> Result<Gpus, GpuError> {
    check_number(evidence.len())?;
    let claims = evidence
        .iter()
        .map(|evidence| {
            let report = Report::parse(&evidence.report)?;
            Device::verify(&evidence.certificates, lists, roots, now)?.report(&report, nonce, now)
        })
        .collect::<Result<Vec<_>, _>>()?;
    Gpus::of(claims)
}

fn check_number(devices: usize) -> Result<(), GpuError> {
    match devices {
        0 => Err(GpuError::NoDevices),
        1..=MAX_DEVICES => Ok(()),
        many => Err(GpuError::ManyDevices(many)),
    }
}

impl Gpus {
    /// Devices that were verified one by one, such as with a kept [`Device`]. One GPU that answers eight times would
    /// pass for eight, and one that answers for another session would pass for one of this.
    pub fn of(claims: Vec<Claims>) -> Result<Self, GpuError> {
        check_number(claims.len())?;
        for (index, own) in claims.iter().enumerate() {
            let same = |other: &Claims| {
                let (other, own) = (&other.device, &own.device);
                other.pdi == own.pdi
                    || other.serial == own.serial
                    || other.leaf_fingerprint == own.leaf_fingerprint
            };
            let earlier = &claims[..index];
            if earlier.iter().any(same) {
                return Err(GpuError::Repeated(HexBytes(own.identity())));
            }
            if let Some(first) = earlier.first().filter(|first| first.nonce != own.nonce) {
                return Err(GpuError::Nonce {
                    found: HexBytes(own.nonce),
                    expected: HexBytes(first.nonce),
                });
            }
        }
        Ok(Self { claims })
    }

    /// What each device says.
    pub fn claims(&self) -> &[Claims] {
        &self.claims
    }

    /// Verifies those of `manifests` (XML) that the devices name. The rules say whether signers may have ended.
    pub fn golden(
        &self,
        manifests: &[Vec<u8>],
        lists: &[Vec<u8>],
        roots: &TrustAnchors,
        rules: &Rules,
        now: i64,
    ) -> Result<Vec<Golden>, GpuError> {
        let manifests = manifests
            .iter()
            .map(|document| Manifest::parse(document))
            .collect::<Result<Vec<_>, _>>()?;
        let mut golden: Vec<Golden> = Vec::new();
        for claims in &self.claims {
            for kind in kinds(claims) {
                let named = pick(claims, &manifests, Manifest::identity, *kind)?;
                let known = |golden: &Golden| golden.identity().digest == named.identity().digest;
                if !golden.iter().any(known) {
                    golden.push(named.verify(lists, roots, now, rules.expired_manifest_signers)?);
                }
            }
        }
        Ok(golden)
    }

    /// Appraises all devices: their number, each device by the rules, then the manifests and the measurements.
    pub fn appraise(
        &self,
        manifests: &[Vec<u8>],
        lists: &[Vec<u8>],
        roots: &TrustAnchors,
        rules: &Rules,
        now: i64,
    ) -> Result<Vec<Component>, GpuError> {
        self.check_rules(rules)?;
        let golden = self.golden(manifests, lists, roots, rules, now)?;
        self.appraise_with(&golden, rules, now)
    }

    /// The same with manifests that were verified before.
    pub fn appraise_with(
        &self,
        golden: &[Golden],
        rules: &Rules,
        now: i64,
    ) -> Result<Vec<Component>, GpuError> {
        self.check_rules(rules)?;
        self.claims
            .iter()
            .map(|claims| appraise(claims, golden, rules, now))
            .collect()
    }

    fn check_rules(&self, rules: &Rules) -> Result<(), GpuError> {
        rules.check_counts(&self.claims)?;
        self.claims
            .iter()
            .try_for_each(|claims| rules.check_device(claims))
    }
}
