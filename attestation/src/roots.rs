//! The roots of trust: vendors' certificates, pinned by their DER.
//!
//! [`TrustAnchors::vendors`] is what every verdict on real hardware rests on. Test roots can be added for synthetic
//! silicon; anchors that hold any say so, and appraisal refuses them under a production policy.

use std::sync::OnceLock;

use crate::x509::{Certificate, PublicKey, Validity, X509Error};

/// A pinned root certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    name: &'static str,
    der: Vec<u8>,
    subject_der: Vec<u8>,
    key: PublicKey,
    validity: Validity,
    path_length: Option<u32>,
    fingerprint: [u8; 32],
}

impl Root {
    /// Reads a self-signed certificate. `name` is what verdicts call it.
    fn new(name: &'static str, der: &[u8]) -> Result<Self, X509Error> {
        let certificate = Certificate::parse(der)?;
        let (authority, path_length) = certificate.basic_constraints();
        if !authority {
            return Err(X509Error::NotCa(certificate.subject()));
        }
        Ok(Self {
            name,
            der: der.to_vec(),
            subject_der: certificate.subject_der().to_vec(),
            key: certificate.public_key()?,
            validity: Validity {
                not_before: certificate.not_before(),
                not_after: certificate.not_after(),
            },
            path_length,
            fingerprint: certificate.fingerprint(),
        })
    }

    /// What verdicts call it.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The certificate.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Its subject's name, as DER.
    pub fn subject_der(&self) -> &[u8] {
        &self.subject_der
    }

    /// Its key.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Its dates.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// SHA-256 of the certificate.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    /// Whether `below` authorities may stand below it.
    pub(crate) fn check_path_length(&self, below: usize) -> Result<(), ()> {
        match self.path_length {
            Some(most) if below > most as usize => Err(()),
            _ => Ok(()),
        }
    }
}

/// Products of AMD, each with a root of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AmdProduct {
    /// Family 19h, models 00h–0Fh: EPYC 7003.
    Milan,
    /// Family 19h, models 10h–1Fh and A0h–AFh: EPYC 9004 and 8004 (Genoa, Bergamo, Siena).
    Genoa,
    /// Family 1Ah: EPYC 9005.
    Turin,
}

impl AmdProduct {
    /// All of them.
    pub const ALL: [AmdProduct; 3] = [AmdProduct::Milan, AmdProduct::Genoa, AmdProduct::Turin];

    /// The name in certificates and policies.
    pub const fn name(self) -> &'static str {
        match self {
            AmdProduct::Milan => "milan",
            AmdProduct::Genoa => "genoa",
            AmdProduct::Turin => "turin",
        }
    }
}

/// The roots that evidence is verified against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustAnchors {
    /// Intel SGX Root CA.
    intel: Vec<Root>,
    /// ARK of each product.
    amd: Vec<(AmdProduct, Root)>,
    /// AWS Nitro Enclaves root G1.
    aws_nitro: Vec<Root>,
    /// NVIDIA Device Identity CA.
    nvidia_device: Vec<Root>,
    /// NVIDIA's root for signing reference integrity manifests.
    nvidia_rim: Vec<Root>,
    test: bool,
}

/// Roots of synthetic silicon, as DER: whoever holds their keys can make any evidence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TestRoots {
    /// Stands for Intel's.
    pub intel: Option<Vec<u8>>,
    /// Stand for AMD's.
    pub amd: Vec<(AmdProduct, Vec<u8>)>,
    /// Stands for AWS's.
    pub aws_nitro: Option<Vec<u8>>,
    /// Stands for NVIDIA's device root.
    pub nvidia_device: Option<Vec<u8>>,
    /// Stands for NVIDIA's root of reference integrity manifests.
    pub nvidia_rim: Option<Vec<u8>>,
}

impl TrustAnchors {
    /// The vendors' roots, and nothing else.
    pub fn vendors() -> &'static Self {
        static VENDORS: OnceLock<TrustAnchors> = OnceLock::new();
        VENDORS.get_or_init(|| {
            let root =
                |name, der| Root::new(name, der).expect("a pinned root is a certificate of an authority");
            Self {
                intel: vec![root("Intel SGX Root CA", INTEL)],
                amd: vec![
                    (AmdProduct::Milan, root("AMD ARK-Milan", AMD_MILAN)),
                    (AmdProduct::Genoa, root("AMD ARK-Genoa", AMD_GENOA)),
                    (AmdProduct::Turin, root("AMD ARK-Turin", AMD_TURIN)),
                ],
                aws_nitro: vec![root("AWS Nitro Enclaves Root-G1", AWS_NITRO)],
                nvidia_device: vec![root("NVIDIA Device Identity CA", NVIDIA_DEVICE)],
                nvidia_rim: vec![root("NVIDIA CoRIM signing Root CA", NVIDIA_RIM)],
                test: false,
            }
        })
    }

    /// Test roots in the place of the vendors'. A vendor for whom none is given keeps no root at all.
    pub fn for_development(roots: &TestRoots) -> Result<Self, X509Error> {
        let one = |name, der: &Option<Vec<u8>>| -> Result<Vec<Root>, X509Error> {
            der.iter().map(|der| Root::new(name, der)).collect()
        };
        Ok(Self {
            intel: one("development root for Intel", &roots.intel)?,
            amd: roots
                .amd
                .iter()
                .map(|(product, der)| Ok((*product, Root::new("development root for AMD", der)?)))
                .collect::<Result<_, X509Error>>()?,
            aws_nitro: one("development root for AWS", &roots.aws_nitro)?,
            nvidia_device: one("development root for NVIDIA", &roots.nvidia_device)?,
            nvidia_rim: one("development root for NVIDIA manifests", &roots.nvidia_rim)?,
            test: true,
        })
    }

    /// Intel's.
    pub fn intel(&self) -> &[Root] {
        &self.intel
    }

    /// AMD's for a product: one, or none.
    pub fn amd(&self, product: AmdProduct) -> Option<&Root> {
        self.amd
            .iter()
            .find(|(of, _)| *of == product)
            .map(|(_, root)| root)
    }

    /// AWS's for Nitro Enclaves.
    pub fn aws_nitro(&self) -> &[Root] {
        &self.aws_nitro
    }

    /// NVIDIA's of device identities.
    pub fn nvidia_device(&self) -> &[Root] {
        &self.nvidia_device
    }

    /// NVIDIA's of reference integrity manifests.
    pub fn nvidia_rim(&self) -> &[Root] {
        &self.nvidia_rim
    }

    /// Whether these are test roots, on which no statement about real hardware can rest.
    pub fn are_test_roots(&self) -> bool {
        self.test
    }
}

const INTEL: &[u8] = include_bytes!("../roots/intel-sgx-root.der");
const AMD_MILAN: &[u8] = include_bytes!("../roots/amd-ark-milan.der");
const AMD_GENOA: &[u8] = include_bytes!("../roots/amd-ark-genoa.der");
const AMD_TURIN: &[u8] = include_bytes!("../roots/amd-ark-turin.der");
const AWS_NITRO: &[u8] = include_bytes!("../roots/aws-nitro-g1.der");
const NVIDIA_DEVICE: &[u8] = include_bytes!("../roots/nvidia-device.der");
const NVIDIA_RIM: &[u8] = include_bytes!("../roots/nvidia-rim.der");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::sha256;
    use crate::x509::SignatureAlgorithm;

    /// SHA-256 of each root's DER as the vendor publishes it; `roots/PROVENANCE.md` says where.
    #[test]
    fn pinned_roots_are_the_published_ones() {
        let vendors = TrustAnchors::vendors();
        let all = [
            (
                &vendors.intel[0],
                "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3",
            ),
            (
                &vendors.amd[0].1,
                "69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd",
            ),
            (
                &vendors.amd[1].1,
                "4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1",
            ),
            (
                &vendors.amd[2].1,
                "1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a",
            ),
            (
                &vendors.aws_nitro[0],
                "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b",
            ),
            (
                &vendors.nvidia_device[0],
                "102bf659d5419614c9d8e6aecebc80454eb26b1df6a769ac720b9a690b167b48",
            ),
            (
                &vendors.nvidia_rim[0],
                "12977b5115acb0381179279fffeb5a8c4d264971ebb32298023a465fa41df5d1",
            ),
        ];
        for (root, published) in all {
            assert_eq!(hex::encode(sha256(root.der())), published, "{}", root.name());
            let certificate = Certificate::parse(root.der()).unwrap();
            let algorithm = certificate.signature_algorithm().unwrap();
            let signed = (certificate.signed_bytes(), certificate.signature());
            assert_eq!(
                root.key().verify(algorithm, signed.0, signed.1),
                Ok(()),
                "{}",
                root.name()
            );
            assert_eq!(certificate.subject_der(), certificate.issuer_der());
        }
        assert_eq!(
            Certificate::parse(AMD_TURIN).unwrap().signature_algorithm(),
            Ok(SignatureAlgorithm::RsaPssSha384)
        );
    }

    #[test]
    fn test_roots_say_so() {
        assert!(!TrustAnchors::vendors().are_test_roots());
        let none = TrustAnchors::for_development(&TestRoots::default()).unwrap();
        assert!(none.are_test_roots() && none.intel.is_empty() && none.amd.is_empty());
    }
}
