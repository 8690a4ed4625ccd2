//! Keys that sign as vendors' do.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING,
    ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair, RSA_PSS_SHA384,
};

use crate::der;

/// A signing key.
pub struct Key {
    kind: Kind,
    public: Vec<u8>,
}

enum Kind {
    /// PKCS #8.
    P256(Vec<u8>),
    P384(Vec<u8>),
    Rsa(RsaKeyPair),
}

impl Key {
    /// A new P-256 key.
    pub fn p256() -> Self {
        Self::elliptic(&ECDSA_P256_SHA256_FIXED_SIGNING, Kind::P256)
    }

    /// A new P-384 key.
    pub fn p384() -> Self {
        Self::elliptic(&ECDSA_P384_SHA384_FIXED_SIGNING, Kind::P384)
    }

    /// The RSA-4096 key of the synthetic ARK.
    pub fn amd_ark() -> Self {
        Self::rsa(include_bytes!("../keys/amd-ark.test.der"))
    }

    /// The RSA-4096 key of the synthetic ASK.
    pub fn amd_ask() -> Self {
        Self::rsa(include_bytes!("../keys/amd-ask.test.der"))
    }

    fn elliptic(algorithm: &'static EcdsaSigningAlgorithm, kind: fn(Vec<u8>) -> Kind) -> Self {
        let document =
            EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).expect("keys can be made");
        let pkcs8 = document.as_ref().to_vec();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, &pkcs8).expect("a key just made");
        Self {
            public: pair.public_key().as_ref().to_vec(),
            kind: kind(pkcs8),
        }
    }

    /// `der` is an RSAPrivateKey (RFC 8017 §A.1.2).
    fn rsa(der: &[u8]) -> Self {
        let pair = RsaKeyPair::from_der(der).expect("a committed key");
        Self {
            public: pair.public_key().as_ref().to_vec(),
            kind: Kind::Rsa(pair),
        }
    }

    /// Uncompressed point, or RSAPublicKey in DER.
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// SubjectPublicKeyInfo.
    pub fn spki(&self) -> Vec<u8> {
        let algorithm = match self.kind {
            Kind::P256(_) => {
                der::sequence(&[&der::oid("1.2.840.10045.2.1"), &der::oid("1.2.840.10045.3.1.7")])
            }
            Kind::P384(_) => der::sequence(&[&der::oid("1.2.840.10045.2.1"), &der::oid("1.3.132.0.34")]),
            Kind::Rsa(_) => der::sequence(&[&der::oid("1.2.840.113549.1.1.1"), &der::null()]),
        };
        der::sequence(&[&algorithm, &der::bits(&self.public)])
    }

    /// AlgorithmIdentifier of the signatures it makes.
    pub fn algorithm(&self) -> Vec<u8> {
        match self.kind {
            Kind::P256(_) => der::sequence(&[&der::oid("1.2.840.10045.4.3.2")]),
            Kind::P384(_) => der::sequence(&[&der::oid("1.2.840.10045.4.3.3")]),
            Kind::Rsa(_) => {
                let sha384 = der::sequence(&[&der::oid("2.16.840.1.101.3.4.2.2"), &der::null()]);
                let mgf1 = der::sequence(&[&der::oid("1.2.840.113549.1.1.8"), &sha384]);
                let parameters = der::sequence(&[
                    &der::explicit(0, &sha384),
                    &der::explicit(1, &mgf1),
                    &der::explicit(2, &der::number(48)),
                ]);
                der::sequence(&[&der::oid("1.2.840.113549.1.1.10"), &parameters])
            }
        }
    }

    /// A signature as X.509 carries it.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.kind {
            Kind::P256(pkcs8) => elliptic(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8, message),
            Kind::P384(pkcs8) => elliptic(&ECDSA_P384_SHA384_ASN1_SIGNING, pkcs8, message),
            Kind::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PSS_SHA384, &SystemRandom::new(), message, &mut signature)
                    .expect("a checked key signs");
                signature
            }
        }
    }

    /// r ‖ s, big-endian; for elliptic curves only.
    pub fn sign_fixed(&self, message: &[u8]) -> Vec<u8> {
        match &self.kind {
            Kind::P256(pkcs8) => elliptic(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, message),
            Kind::P384(pkcs8) => elliptic(&ECDSA_P384_SHA384_FIXED_SIGNING, pkcs8, message),
            Kind::Rsa(_) => panic!("an RSA signature has no r and s"),
        }
    }
}

fn elliptic(algorithm: &'static EcdsaSigningAlgorithm, pkcs8: &[u8], message: &[u8]) -> Vec<u8> {
    EcdsaKeyPair::from_pkcs8(algorithm, pkcs8)
        .and_then(|pair| {
            pair.sign(&SystemRandom::new(), message)
                .map_err(|_| unreachable!("a checked key signs"))
        })
        .expect("a key just made")
        .as_ref()
        .to_vec()
}
