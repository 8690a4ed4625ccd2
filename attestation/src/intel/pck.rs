//! PCK certificates: which platform it is, and the key that vouches for its quoting enclave.

use super::DcapError;
use crate::der::{Item, Items, only, tag};
use crate::roots::{Root, TrustAnchors};
use crate::verdict::Check;
use crate::x509::{
    Certificate, PathRules, PublicKey, RevocationList, Validity, X509Error, pem_certificates, verify_path,
};

/// 1.2.840.113741.1.13.1, the SGX extension; the items below it append one or two arcs.
const SGX_EXTENSION: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF8, 0x4D, 0x01, 0x0D, 0x01];
const LEAF_NAME: &str = "Intel SGX PCK Certificate";

const PATH: PathRules = PathRules {
    longest: 3,
    judged: &[],
    end_entity: true,
};

/// The authority that issued a PCK certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PckCa {
    /// Single-package platforms that Intel knows from manufacturing.
    Processor,
    /// Platforms that registered themselves; these have an instance id and a configuration.
    Platform,
}

impl PckCa {
    /// Common name.
    pub const fn name(self) -> &'static str {
        match self {
            PckCa::Processor => "Intel SGX PCK Processor CA",
            PckCa::Platform => "Intel SGX PCK Platform CA",
        }
    }
}

/// Configuration of a platform (…13.1.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Configuration {
    /// Whether packages can be added (`dynamicPlatform`).
    pub dynamic_platform: Option<bool>,
    /// Whether Intel's registration service keeps the platform's keys (`cachedKeys`).
    pub cached_keys: Option<bool>,
    /// Whether simultaneous multithreading is on (`SMTEnabled`).
    pub smt_enabled: Option<bool>,
}

/// The SGX extension of a PCK certificate (PCK Certificate and CRL Profile Specification, §1.3.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PckExtension {
    /// …13.1.1: PPID, which identifies the processor package. 16 bytes.
    pub ppid: [u8; 16],
    /// …13.1.2.1–16: SVN of each TCB component.
    pub tcb_svn: [u8; 16],
    /// …13.1.2.17: PCESVN.
    pub pce_svn: u16,
    /// …13.1.2.18: CPUSVN.
    pub cpu_svn: [u8; 16],
    /// …13.1.3: PCEID.
    pub pce_id: [u8; 2],
    /// …13.1.4: FMSPC: family, model, stepping, platform type and custom SKU.
    pub fmspc: [u8; 6],
    /// …13.1.5: SGX type: 0 standard, 1 scalable, 2 scalable with integrity.
    pub sgx_type: u8,
    /// …13.1.6: platform instance id (PIID), of platforms that registered themselves. 16 bytes.
    pub platform_instance_id: Option<[u8; 16]>,
    /// …13.1.7: configuration, of the same.
    pub configuration: Option<Configuration>,
}

impl PckExtension {
    /// Reads the content of the extension.
    pub fn parse(value: &[u8]) -> Result<Self, DcapError> {
        let outer = only(value, tag::SEQUENCE).map(Items);
        let mut items = outer.ok_or(DcapError::SgxExtension("is not a SEQUENCE"))?;
        let (mut ppid, mut tcb, mut pce_id, mut fmspc) = (None, None, None, None);
        let (mut sgx_type, mut platform_instance_id, mut configuration) = (None, None, None);
        while !items.is_empty() {
            let (arcs, item) = entry(&mut items).ok_or(DcapError::SgxExtension("has no pairs"))?;
            match arcs {
                [1] => set(&mut ppid, item.octets(), "PPID")?,
                [2] => set(&mut tcb, sequence(item).and_then(Tcb::read), "TCB")?,
                [3] => set(&mut pce_id, item.octets(), "PCEID")?,
                [4] => set(&mut fmspc, item.octets(), "FMSPC")?,
                [5] => set(&mut sgx_type, item.enumerated(), "SGX type")?,
                [6] => set(&mut platform_instance_id, item.octets(), "platform instance id")?,
                [7] => set(
                    &mut configuration,
                    sequence(item).and_then(Configuration::read),
                    "configuration",
                )?,
                // Items of later revisions say nothing about those that are judged here.
                _ => {}
            }
        }
        let tcb = tcb.ok_or(DcapError::SgxExtension("TCB is missing"))?;
        Ok(Self {
            ppid: ppid.ok_or(DcapError::SgxExtension("PPID is missing"))?,
            tcb_svn: tcb.components,
            pce_svn: tcb.pce_svn,
            cpu_svn: tcb.cpu_svn,
            pce_id: pce_id.ok_or(DcapError::SgxExtension("PCEID is missing"))?,
            fmspc: fmspc.ok_or(DcapError::SgxExtension("FMSPC is missing"))?,
            sgx_type: sgx_type.ok_or(DcapError::SgxExtension("SGX type is missing"))?,
            platform_instance_id,
            configuration,
        })
    }
}

impl PckExtension {
    /// Lines of a verdict.
    pub(crate) fn checks(&self, ca: PckCa, anchor: &str, check: &'static str) -> Vec<Check> {
        let line = |claim, value: String| Check::new(claim, value, anchor, check);
        let mut checks = vec![
            line("PCK authority", ca.name().to_owned()),
            line("PPID", hex::encode(self.ppid)),
            line("FMSPC", hex::encode(self.fmspc)),
            line("PCEID", hex::encode(self.pce_id)),
            line("PCESVN", self.pce_svn.to_string()),
            line("CPUSVN", hex::encode(self.cpu_svn)),
            line("SGX TCB component SVNs", hex::encode(self.tcb_svn)),
            line("SGX type", self.sgx_type.to_string()),
        ];
        if let Some(id) = self.platform_instance_id {
            checks.push(line("platform instance id", hex::encode(id)));
        }
        if let Some(configuration) = self.configuration {
            let flag = |flag: Option<bool>| flag.map_or("not stated".to_owned(), |on| on.to_string());
            checks.extend([
                line("dynamicPlatform", flag(configuration.dynamic_platform)),
                line("cachedKeys", flag(configuration.cached_keys)),
                line("SMTEnabled", flag(configuration.smt_enabled)),
            ]);
        }
        checks
    }
}

fn set<T>(slot: &mut Option<T>, value: Option<T>, name: &'static str) -> Result<(), DcapError> {
    match slot.replace(value.ok_or(DcapError::SgxExtension(name))?) {
        // The second of two could say something else than the one that another reader takes.
        Some(_) => Err(DcapError::SgxExtension("has an item twice")),
        None => Ok(()),
    }
}

struct Tcb {
    components: [u8; 16],
    pce_svn: u16,
    cpu_svn: [u8; 16],
}

impl Tcb {
    fn read(mut items: Items<'_>) -> Option<Self> {
        let mut components = [None; 16];
        let (mut pce_svn, mut cpu_svn) = (None, None);
        while !items.is_empty() {
            let (arcs, item) = entry(&mut items)?;
            let twice = match arcs {
                [2, number @ 1..=16] => components[usize::from(*number) - 1]
                    .replace(u8::try_from(item.integer()?).ok()?)
                    .is_some(),
                [2, 17] => pce_svn.replace(item.integer()?).is_some(),
                [2, 18] => cpu_svn.replace(item.octets()?).is_some(),
                _ => false,
            };
            if twice {
                return None;
            }
        }
        let mut svns = [0; 16];
        for (svn, component) in svns.iter_mut().zip(components) {
            *svn = component?;
        }
        Some(Self {
            components: svns,
            pce_svn: pce_svn?,
            cpu_svn: cpu_svn?,
        })
    }
}

impl Configuration {
    fn read(mut items: Items<'_>) -> Option<Self> {
        let mut flags = [None; 3];
        while !items.is_empty() {
            let (arcs, item) = entry(&mut items)?;
            if let [7, number @ 1..=3] = arcs
                && flags[usize::from(*number) - 1].replace(item.boolean()?).is_some()
            {
                return None;
            }
        }
        Some(Self {
            dynamic_platform: flags[0],
            cached_keys: flags[1],
            smt_enabled: flags[2],
        })
    }
}

/// The next SEQUENCE of an OBJECT IDENTIFIER and one item; gives the arcs below the SGX extension's.
fn entry<'a>(items: &mut Items<'a>) -> Option<(&'a [u8], Item<'a>)> {
    let mut pair = Items(items.expect(tag::SEQUENCE)?);
    let identifier = pair.expect(tag::OBJECT_IDENTIFIER)?;
    let item = pair.next()?;
    let arcs = identifier.strip_prefix(SGX_EXTENSION)?;
    pair.is_empty().then_some((arcs, item))
}

fn sequence(item: Item<'_>) -> Option<Items<'_>> {
    item.expect(tag::SEQUENCE).map(Items)
}

/// A PCK chain whose signatures, names and extension were checked. Whether it was revoked is a matter of collateral.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedPck {
    chain: Vec<u8>,
    key: PublicKey,
    extension: PckExtension,
    subject: String,
    serial: Vec<u8>,
    ca: PckCa,
    ca_subject_der: Vec<u8>,
    ca_serial: Vec<u8>,
    ca_key: PublicKey,
    root: &'static str,
    root_fingerprint: [u8; 32],
    validity: Validity,
}

impl VerifiedPck {
    /// Verifies the PEM of a chain, end entity first, up to one of Intel's pinned roots at `now` (seconds since 1970).
    pub fn verify(chain: &[u8], anchors: &TrustAnchors, now: i64) -> Result<Self, DcapError> {
        let mut ders = pem_certificates(chain).map_err(DcapError::PckChain)?;
        // A pinned root at the end says nothing new, and need not be read.
        if ders.len() > 2
            && let Some(last) = ders.last()
            && anchors.intel().iter().any(|root| root.der() == last)
        {
            ders.pop();
        }
        let certificates = ders
            .iter()
            .map(|der| Certificate::parse(der))
            .collect::<Result<Vec<_>, _>>()
            .map_err(DcapError::PckChain)?;
        let path = verify_path(&certificates, anchors.intel(), PATH, now).map_err(DcapError::PckChain)?;
        // Below the root stand the authority and the leaf, nothing else: what else there was would be on no list that is
        // looked at.
        let [leaf, issuer] = certificates.as_slice() else {
            return Err(DcapError::PckChainLength(certificates.len()));
        };
        if leaf.subject() != LEAF_NAME {
            return Err(DcapError::PckName(leaf.subject()));
        }
        // The root signs other certificates too: only these two authorities issue PCK certificates.
        let ca = [PckCa::Processor, PckCa::Platform]
            .into_iter()
            .find(|ca| ca.name() == issuer.subject())
            .ok_or_else(|| DcapError::PckCa(issuer.subject()))?;
        let value = leaf
            .extension(SGX_EXTENSION)
            .map_err(DcapError::PckChain)?
            .ok_or(DcapError::SgxExtensionMissing)?;
        let extension = PckExtension::parse(value)?;
        check_ca(ca, &extension)?;
        Ok(Self {
            chain: chain.to_vec(),
            key: path.key,
            extension,
            subject: leaf.subject(),
            serial: leaf.serial().to_vec(),
            ca,
            ca_subject_der: issuer.subject_der().to_vec(),
            ca_serial: issuer.serial().to_vec(),
            ca_key: issuer.public_key().map_err(DcapError::PckChain)?,
            root: path.root,
            root_fingerprint: path.root_fingerprint,
            validity: path.validity,
        })
    }

    /// Whether the chain is still valid at `now`.
    pub(crate) fn check_current(&self, now: i64) -> Result<(), DcapError> {
        let Validity {
            not_before,
            not_after,
        } = self.validity;
        let subject = self.subject.clone();
        if now < not_before {
            return Err(DcapError::PckChain(X509Error::NotYetValid {
                subject,
                not_before,
                now,
            }));
        }
        if now > not_after {
            return Err(DcapError::PckChain(X509Error::Expired {
                subject,
                not_after,
                now,
            }));
        }
        Ok(())
    }

    /// Whether neither the certificate nor its authority is on a list; the lists are of their issuers.
    pub(crate) fn check_revocation(
        &self,
        root: &RevocationList,
        ca: &RevocationList,
    ) -> Result<(), DcapError> {
        if root.has(&self.ca_serial) {
            return Err(DcapError::RootCrl(X509Error::Revoked {
                subject: self.ca.name().to_owned(),
                serial: hex::encode(&self.ca_serial),
            }));
        }
        if ca.has(&self.serial) {
            return Err(DcapError::PckCrl(X509Error::Revoked {
                subject: self.subject.clone(),
                serial: hex::encode(&self.serial),
            }));
        }
        Ok(())
    }

    /// The PEM that was verified, byte for byte.
    pub fn chain(&self) -> &[u8] {
        &self.chain
    }

    /// The PCK itself.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// What the certificate says of the platform.
    pub fn extension(&self) -> &PckExtension {
        &self.extension
    }

    /// Serial number of the certificate, big-endian, without leading zeros.
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// The authority that issued it.
    pub fn ca(&self) -> PckCa {
        self.ca
    }

    /// That authority's name as DER, and its key.
    pub(crate) fn ca_identity(&self) -> (&[u8], &PublicKey) {
        (&self.ca_subject_der, &self.ca_key)
    }

    /// Name of the pinned root.
    pub fn root(&self) -> &'static str {
        self.root
    }

    /// The pinned root that the chain ends in.
    pub(crate) fn root_among<'a>(&self, anchors: &'a TrustAnchors) -> Result<&'a Root, DcapError> {
        anchors
            .intel()
            .iter()
            .find(|root| root.fingerprint() == self.root_fingerprint)
            .ok_or_else(|| DcapError::PckChain(X509Error::UntrustedRoot(self.root.to_owned())))
    }

    /// SHA-256 of that root's DER.
    pub(crate) fn root_fingerprint(&self) -> [u8; 32] {
        self.root_fingerprint
    }

    /// When all certificates of the chain are valid.
    pub fn validity(&self) -> Validity {
        self.validity
    }
}

/// What a platform authority's certificates have, a processor authority's don't: one that has it half comes from
/// neither.
fn check_ca(ca: PckCa, extension: &PckExtension) -> Result<(), DcapError> {
    let problem = match (ca, extension.platform_instance_id, extension.configuration) {
        (PckCa::Processor, None, None) | (PckCa::Platform, Some(_), Some(_)) => return Ok(()),
        (PckCa::Processor, Some(_), _) => "has a platform instance id",
        (PckCa::Processor, None, Some(_)) => "has a configuration",
        (PckCa::Platform, None, _) => "has no platform instance id",
        (PckCa::Platform, Some(_), None) => "has no configuration",
    };
    Err(DcapError::PckOfOtherCa {
        ca: ca.name(),
        problem,
    })
}
