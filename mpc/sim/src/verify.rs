//! Checks signatures with libsecp256k1, which has no code in common with what makes them.

use jeju_mpc::network::Scheme;
use secp256k1::{Error, PublicKey, Scalar, Secp256k1, SecretKey, VerifyOnly, XOnlyPublicKey, schnorr};
use sha2::{Digest, Sha256};

/// Whether `signature` is one of `message` under the SEC1-compressed `public_key`.
pub fn is_valid(scheme: Scheme, public_key: &[u8; 33], message: &[u8], signature: &[u8]) -> bool {
    match scheme {
        Scheme::Taproot => bip340(public_key, message, signature),
        Scheme::Secp256k1 => rfc9591(public_key, message, signature),
    }
    .unwrap_or(false)
}

/// BIP-340, by the library's own verification.
fn bip340(public_key: &[u8; 33], message: &[u8], signature: &[u8]) -> Result<bool, Error> {
    let signature: [u8; 64] = signature.try_into().map_err(|_| Error::InvalidSignature)?;
    let key =
        XOnlyPublicKey::from_byte_array(public_key[1..].try_into().map_err(|_| Error::InvalidPublicKey)?)?;
    let secp: Secp256k1<VerifyOnly> = Secp256k1::verification_only();
    Ok(secp
        .verify_schnorr(&schnorr::Signature::from_byte_array(signature), message, &key)
        .is_ok())
}

/// FROST(secp256k1, SHA-256): z·G = R + c·Y (RFC 9591, section 6.5 and appendix B), by the library's arithmetic.
fn rfc9591(public_key: &[u8; 33], message: &[u8], signature: &[u8]) -> Result<bool, Error> {
    let signature: &[u8; 65] = signature.try_into().map_err(|_| Error::InvalidSignature)?;
    let secp = Secp256k1::new();
    let (nonce, response) = signature.split_at(33);
    let response = SecretKey::from_byte_array(response.try_into().map_err(|_| Error::InvalidSignature)?)?;
    let left = PublicKey::from_secret_key(&secp, &response);
    let challenge = hash_to_scalar(b"FROST-secp256k1-SHA256-v1chal", &[nonce, public_key, message])?;
    let key = PublicKey::from_byte_array_compressed(*public_key)?.mul_tweak(&secp, &challenge.into())?;
    Ok(PublicKey::from_slice(nonce)?.combine(&key)? == left)
}

/// `hash_to_field` of RFC 9380, section 5.2, with `expand_message_xmd` over SHA-256, for one element of 48 bytes.
fn hash_to_scalar(tag: &[u8], parts: &[&[u8]]) -> Result<SecretKey, Error> {
    let tag = [tag, &[tag.len() as u8]].concat();
    let first = [&[0; 64], parts.concat().as_slice(), &[0, 48, 0], &tag].concat();
    let first: [u8; 32] = Sha256::digest(first).into();
    let one: [u8; 32] = Sha256::digest([&first, &[1][..], &tag].concat()).into();
    let mixed: Vec<u8> = first.iter().zip(one).map(|(a, b)| a ^ b).collect();
    let two: [u8; 32] = Sha256::digest([&mixed, &[2][..], &tag].concat()).into();
    // high·2^256 + low modulo the order, where high has 16 bytes and low 32.
    let wide = [one, two].concat();
    let mut high = [0; 32];
    high[16..].copy_from_slice(&wide[..16]);
    let low = wide[16..48].try_into().map_err(|_| Error::InvalidTweak)?;
    let low = Scalar::from_be_bytes(low).map_err(|_| Error::InvalidTweak)?;
    let shift = Scalar::from_be_bytes(TWO_TO_256).map_err(|_| Error::InvalidTweak)?;
    SecretKey::from_byte_array(high)?
        .mul_tweak(&shift)?
        .add_tweak(&low)
}

/// 2^256 less the order of the group.
const TWO_TO_256: [u8; 32] = [
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x45, 0x51, 0x23, 0x19, 0x50, 0xb7, 0x5f, 0xc4, 0x40,
    0x2d, 0xa1, 0x73, 0x2f, 0xc9, 0xbe, 0xbf,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<const N: usize>(text: &str) -> [u8; N] {
        let mut out = [0; N];
        hex::decode_to_slice(text, &mut out).unwrap();
        out
    }

    /// The group's key, message and signature of RFC 9591, appendix E.5.
    #[test]
    fn vector_of_rfc_9591() {
        let key = bytes("02f37c34b66ced1fb51c34a90bdae006901f10625cc06c4f64663b0eae87d87b4f");
        let mut signature: [u8; 65] = bytes(concat!(
            "024c1ad4e031872661fa6ebd05dfc7fb30db08b38d79f0edbc82051ae931381bc6",
            "a46881e25c7989d3816eae32074f1ab0d49ee908a59713ed5284c6bade7cfb02"
        ));
        assert!(is_valid(Scheme::Secp256k1, &key, b"test", &signature));
        assert!(!is_valid(Scheme::Secp256k1, &key, b"tess", &signature));
        signature[64] ^= 1;
        assert!(!is_valid(Scheme::Secp256k1, &key, b"test", &signature));
        assert!(!is_valid(Scheme::Secp256k1, &key, b"test", &signature[..64]));
    }

    /// Vector 1 of BIP-340.
    #[test]
    fn vector_of_bip_340() {
        let key = bytes("02dff1d77f2a671c5f36183726db2341be58feae1da2deced843240f7b502ba659");
        let message: [u8; 32] = bytes("243f6a8885a308d313198a2e03707344a4093822299f31d0082efa98ec4e6c89");
        let mut signature: [u8; 64] = bytes(concat!(
            "6896bd60eeae296db48a229ff71dfe071bde413e6d43f917dc8dcf8c78de3341",
            "8906d11ac976abccb20b091292bff4ea897efcb639ea871cfa95f6de339e4b0a"
        ));
        assert!(is_valid(Scheme::Taproot, &key, &message, &signature));
        signature[0] ^= 1;
        assert!(!is_valid(Scheme::Taproot, &key, &message, &signature));
    }
}
