//! [`SignaturePrimitives`] through aws-lc-rs.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA384_FIXED,
    ED25519, RSA_PSS_2048_8192_SHA384, UnparsedPublicKey, VerificationAlgorithm,
};

use super::{BadSignature, EcdsaSignature, SignaturePrimitives};

pub(super) struct AwsLc;

impl SignaturePrimitives for AwsLc {
    fn p256_sha256(
        &self,
        key: &[u8],
        message: &[u8],
        signature: EcdsaSignature<'_>,
    ) -> Result<(), BadSignature> {
        match signature {
            EcdsaSignature::Fixed(bytes) => verify(&ECDSA_P256_SHA256_FIXED, key, message, bytes),
            EcdsaSignature::Der(bytes) => verify(&ECDSA_P256_SHA256_ASN1, key, message, bytes),
        }
    }

    fn p384_sha384(
        &self,
        key: &[u8],
        message: &[u8],
        signature: EcdsaSignature<'_>,
    ) -> Result<(), BadSignature> {
        match signature {
            EcdsaSignature::Fixed(bytes) => verify(&ECDSA_P384_SHA384_FIXED, key, message, bytes),
            EcdsaSignature::Der(bytes) => verify(&ECDSA_P384_SHA384_ASN1, key, message, bytes),
        }
    }

    fn rsa_pss_sha384(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        // The algorithm takes keys of up to 8192 bits; a signature is as long as its modulus.
        if signature.len() > super::MAX_RSA_LEN {
            return Err(BadSignature);
        }
        verify(&RSA_PSS_2048_8192_SHA384, key, message, signature)
    }

    fn ed25519(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        verify(&ED25519, key, message, signature)
    }
}

fn verify(
    algorithm: &'static dyn VerificationAlgorithm,
    key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), BadSignature> {
    UnparsedPublicKey::new(algorithm, key)
        .verify(message, signature)
        .map_err(|_| BadSignature)
}
