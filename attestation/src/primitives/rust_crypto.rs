//! [`SignaturePrimitives`] through RustCrypto, for `wasm32`.

use p256::ecdsa::signature::Verifier;

use super::{BadSignature, EcdsaSignature, SignaturePrimitives};

pub(super) struct RustCrypto;

impl SignaturePrimitives for RustCrypto {
    fn p256_sha256(
        &self,
        key: &[u8],
        message: &[u8],
        signature: EcdsaSignature<'_>,
    ) -> Result<(), BadSignature> {
        let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(key).map_err(|_| BadSignature)?;
        let signature = match signature {
            EcdsaSignature::Fixed(bytes) => p256::ecdsa::Signature::from_slice(bytes),
            EcdsaSignature::Der(bytes) => p256::ecdsa::Signature::from_der(bytes),
        }
        .map_err(|_| BadSignature)?;
        key.verify(message, &signature).map_err(|_| BadSignature)
    }

    fn p384_sha384(
        &self,
        key: &[u8],
        message: &[u8],
        signature: EcdsaSignature<'_>,
    ) -> Result<(), BadSignature> {
        let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(key).map_err(|_| BadSignature)?;
        let signature = match signature {
            EcdsaSignature::Fixed(bytes) => p384::ecdsa::Signature::from_slice(bytes),
            EcdsaSignature::Der(bytes) => p384::ecdsa::Signature::from_der(bytes),
        }
        .map_err(|_| BadSignature)?;
        key.verify(message, &signature).map_err(|_| BadSignature)
    }

    fn rsa_pss_sha384(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        use rsa::pkcs1::DecodeRsaPublicKey;
        use rsa::traits::PublicKeyParts;

        let key = rsa::PublicKey::from_pkcs1_der(key).map_err(|_| BadSignature)?;
        if !(2048 / 8..=super::MAX_RSA_LEN).contains(&key.size()) {
            return Err(BadSignature);
        }
        let key = rsa::pss::VerifyingKey::<sha2::Sha384>::new(key);
        let signature = rsa::pss::Signature::try_from(signature).map_err(|_| BadSignature)?;
        key.verify(message, &signature).map_err(|_| BadSignature)
    }

    fn ed25519(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let key: [u8; 32] = key.try_into().map_err(|_| BadSignature)?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(&key).map_err(|_| BadSignature)?;
        let signature = ed25519_dalek::Signature::from_slice(signature).map_err(|_| BadSignature)?;
        key.verify_strict(message, &signature).map_err(|_| BadSignature)
    }
}
