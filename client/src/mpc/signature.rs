//! Checks of signatures by arithmetic of our own, not by the library that the signers use.

use jeju_attestation::hash::sha256;
use jeju_mpc::network::Scheme;
use k256::elliptic_curve::PrimeField;
use k256::elliptic_curve::group::Group;
use k256::elliptic_curve::ops::Reduce;
use k256::elliptic_curve::sec1::{FromSec1Point, ToSec1Point};
use k256::{AffinePoint, FieldBytes, ProjectivePoint, Scalar, Sec1Point, WideBytes};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// Domain of the challenge's hash in FROST(secp256k1, SHA-256), RFC 9591 §6.5.
const CHALLENGE_TAG: &[u8] = b"FROST-secp256k1-SHA256-v1chal";
/// Block length of SHA-256, in bytes.
const BLOCK: usize = 64;

/// Why a signature doesn't count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// Not a point of the curve in 33 bytes.
    #[error("public key is not a compressed secp256k1 point")]
    PublicKey,
    /// Another length than the scheme's forms have.
    #[error("signature of {0} bytes: {1} expected")]
    Length(usize, &'static str),
    /// R isn't a point, or z no number below the group's order, or zero.
    #[error("signature is not a point and a scalar")]
    Form,
    /// It is by another key or of another message.
    #[error("signature is not by this key over this message")]
    Wrong,
}

/// Public key of a group of signers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupKey {
    bytes: [u8; 33],
    point: AffinePoint,
}

impl GroupKey {
    /// Reads a SEC1 compressed point.
    ///
    /// # Errors
    /// [`SignatureError::PublicKey`].
    pub fn parse(bytes: &[u8]) -> Result<Self, SignatureError> {
        let bytes: [u8; 33] = bytes.try_into().map_err(|_| SignatureError::PublicKey)?;
        let point = point(&bytes).ok_or(SignatureError::PublicKey)?;
        Ok(Self { bytes, point })
    }

    /// SEC1 compressed.
    pub fn bytes(&self) -> &[u8; 33] {
        &self.bytes
    }

    /// Checks a signature over exactly these bytes. RFC 9591's has 65 bytes (R compressed, z), or 96 as contracts take it
    /// (see [`contract_form`]); BIP-340's has 64.
    ///
    /// # Errors
    /// Any of [`SignatureError`] but [`SignatureError::PublicKey`].
    pub fn verify(&self, scheme: Scheme, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        match scheme {
            Scheme::Secp256k1 => self.verify_rfc9591(message, signature),
            Scheme::Taproot => self.verify_bip340(message, signature),
        }
    }

    /// z·G = R + c·P, c = H2(R ‖ P ‖ message).
    fn verify_rfc9591(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        let (r, z) = match signature.len() {
            65 => (point(&signature[..33]), scalar(&signature[33..])),
            96 => {
                let uncompressed = [&[4], &signature[..64]].concat();
                (point(&uncompressed), scalar(&signature[64..]))
            }
            length => return Err(SignatureError::Length(length, "65, or 96 for contracts,")),
        };
        let (Some(r), Some(z)) = (r, z) else {
            return Err(SignatureError::Form);
        };
        let challenge = challenge(&[compressed(&r).as_slice(), &self.bytes, message].concat());
        let expected = ProjectivePoint::from(r) + self.point * challenge;
        match ProjectivePoint::GENERATOR * z == expected {
            true => Ok(()),
            false => Err(SignatureError::Wrong),
        }
    }

    /// BIP-340, "Verification": R = s·G − e·P has an even y and x = r.
    fn verify_bip340(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        let (Ok(r), Some(s)) = (
            <[u8; 32]>::try_from(&signature[..signature.len().min(32)]),
            signature.get(32..64).filter(|_| signature.len() == 64),
        ) else {
            return Err(SignatureError::Length(signature.len(), "64"));
        };
        let s = scalar(s).ok_or(SignatureError::Form)?;
        let x = &self.bytes[1..];
        let tag = sha256(b"BIP0340/challenge");
        let e = sha256(&[&tag, &tag, r.as_slice(), x, message].concat());
        let e = <Scalar as Reduce<FieldBytes>>::reduce(&e.into());
        // The key is the point with an even y, whatever the prefix says.
        let key = point(&[&[2], x].concat()).ok_or(SignatureError::PublicKey)?;
        let found = ProjectivePoint::GENERATOR * s - key * e;
        match bool::from(found.is_identity()) {
            false if compressed(&found.to_affine()) == [&[2], r.as_slice()].concat()[..] => Ok(()),
            _ => Err(SignatureError::Wrong),
        }
    }
}

/// A signature of RFC 9591 as contracts check it cheapest: R.x ‖ R.y ‖ z, 96 bytes.
///
/// # Errors
/// [`SignatureError`] if it isn't one of 65 bytes.
pub fn contract_form(signature: &[u8]) -> Result<[u8; 96], SignatureError> {
    if signature.len() != 65 {
        return Err(SignatureError::Length(signature.len(), "65"));
    }
    let r = point(&signature[..33]).ok_or(SignatureError::Form)?;
    let mut form = [0; 96];
    form[..64].copy_from_slice(&r.to_sec1_point(false).as_bytes()[1..]);
    form[64..].copy_from_slice(&signature[33..]);
    Ok(form)
}

/// A point but the one at infinity.
fn point(bytes: &[u8]) -> Option<AffinePoint> {
    let encoded = Sec1Point::from_bytes(bytes)
        .ok()
        .filter(|point| !point.is_identity())?;
    AffinePoint::from_sec1_point(&encoded).into_option()
}

fn compressed(point: &AffinePoint) -> [u8; 33] {
    let mut bytes = [0; 33];
    bytes.copy_from_slice(point.to_sec1_point(true).as_bytes());
    bytes
}

/// A number from 1 to below the group's order.
fn scalar(bytes: &[u8]) -> Option<Scalar> {
    let bytes: [u8; 32] = bytes.try_into().ok()?;
    Scalar::from_repr(bytes.into())
        .into_option()
        .filter(|scalar| *scalar != Scalar::ZERO)
}

/// H2 of RFC 9591 §6.5: hash_to_field of RFC 9380 §5.2 with expand_message_xmd over SHA-256, one element of 48 bytes.
fn challenge(input: &[u8]) -> Scalar {
    let tag = [CHALLENGE_TAG, &[CHALLENGE_TAG.len() as u8]].concat();
    let first = Sha256::new()
        .chain_update([0; BLOCK])
        .chain_update(input)
        .chain_update([0, 48, 0])
        .chain_update(&tag)
        .finalize();
    let block = |previous: &[u8], number: u8| {
        Sha256::new()
            .chain_update(previous)
            .chain_update([number])
            .chain_update(&tag)
            .finalize()
    };
    let second = block(&first, 1);
    let mixed: Vec<u8> = first.iter().zip(&second).map(|(a, b)| a ^ b).collect();
    let third = block(&mixed, 2);
    let mut wide = WideBytes::default();
    wide[16..48].copy_from_slice(&second);
    wide[48..].copy_from_slice(&third[..16]);
    <Scalar as Reduce<WideBytes>>::reduce(&wide)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex<const N: usize>(text: &str) -> [u8; N] {
        let mut bytes = [0; N];
        hex::decode_to_slice(text, &mut bytes).unwrap();
        bytes
    }

    /// RFC 9591, appendix E.5.
    const KEY: &str = "02f37c34b66ced1fb51c34a90bdae006901f10625cc06c4f64663b0eae87d87b4f";
    const SIGNATURE: &str = "024c1ad4e031872661fa6ebd05dfc7fb30db08b38d79f0edbc82051ae931381bc6\
                             a46881e25c7989d3816eae32074f1ab0d49ee908a59713ed5284c6bade7cfb02";

    /// BIP-340's test vectors 0 to 3: key, message, signature.
    const BIP340: [(&str, &str, &str); 4] = [
        (
            "F9308A019258C31049344F85F89D5229B531C845836F99B08601F113BCE036F9",
            "0000000000000000000000000000000000000000000000000000000000000000",
            "E907831F80848D1069A5371B402410364BDF1C5F8307B0084C55F1CE2DCA821525F66A4A85EA8B71E482A74F382D2CE5EBEEE8FDB2172F477DF4900D310536C0",
        ),
        (
            "DFF1D77F2A671C5F36183726DB2341BE58FEAE1DA2DECED843240F7B502BA659",
            "243F6A8885A308D313198A2E03707344A4093822299F31D0082EFA98EC4E6C89",
            "6896BD60EEAE296DB48A229FF71DFE071BDE413E6D43F917DC8DCF8C78DE33418906D11AC976ABCCB20B091292BFF4EA897EFCB639EA871CFA95F6DE339E4B0A",
        ),
        (
            "DD308AFEC5777E13121FA72B9CC1B7CC0139715309B086C960E18FD969774EB8",
            "7E2D58D8B3BCDF1ABADEC7829054F90DDA9805AAB56C77333024B9D0A508B75C",
            "5831AAEED7B44BB74E5EAB94BA9D4294C49BCF2A60728D8B4C200F50DD313C1BAB745879A5AD954A72C45A91C3A51D3C7ADEA98D82F8481E0E1E03674A6F3FB7",
        ),
        (
            "25D1DFF95105F5253C4022F628A996AD3A0D95FBF21D468A1B33F8C160D8F517",
            "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF",
            "7EB0509757E246F19449885651611CB965ECC1A187DD51B64FDA1EDC9637D5EC97582B9CB13DB3933705B32BA982AF5AF25FD78881EBB32771FC5922EFC66EA3",
        ),
    ];

    fn key() -> GroupKey {
        GroupKey::parse(&hex::<33>(KEY)).unwrap()
    }

    #[test]
    fn rfc9591() {
        let signature: [u8; 65] = hex(SIGNATURE);
        assert_eq!(key().verify(Scheme::Secp256k1, b"test", &signature), Ok(()));
        let long = contract_form(&signature).unwrap();
        assert_eq!(key().verify(Scheme::Secp256k1, b"test", &long), Ok(()));
        assert_eq!((&long[..32], &long[64..]), (&signature[1..33], &signature[33..]));
    }

    #[test]
    fn bip340() {
        for (key, message, signature) in BIP340 {
            let (message, mut signature): ([u8; 32], [u8; 64]) = (hex(message), hex(signature));
            for prefix in ["02", "03"] {
                let key = GroupKey::parse(&hex::<33>(&format!("{prefix}{key}"))).unwrap();
                assert_eq!(key.verify(Scheme::Taproot, &message, &signature), Ok(()));
                signature[40] ^= 1;
                assert_eq!(
                    key.verify(Scheme::Taproot, &message, &signature),
                    Err(SignatureError::Wrong)
                );
                signature[40] ^= 1;
                assert_eq!(
                    key.verify(Scheme::Taproot, b"other", &signature),
                    Err(SignatureError::Wrong)
                );
            }
        }
    }

    #[test]
    fn the_signers_library_agrees() {
        let random = rand_core::OsRng;
        for round in 0..16_u8 {
            let message = vec![round; usize::from(round) * 7];
            let secret = frost_secp256k1::SigningKey::new(&mut { random });
            let public = frost_secp256k1::VerifyingKey::from(&secret).serialize().unwrap();
            let signature = secret.sign(random, &message).serialize().unwrap();
            let key = GroupKey::parse(&public).unwrap();
            assert_eq!(key.verify(Scheme::Secp256k1, &message, &signature), Ok(()));

            let secret = frost_secp256k1_tr::SigningKey::new(&mut { random });
            let public = frost_secp256k1_tr::VerifyingKey::from(&secret)
                .serialize()
                .unwrap();
            let signature = secret.sign(random, &message).serialize().unwrap();
            let key = GroupKey::parse(&public).unwrap();
            assert_eq!(key.verify(Scheme::Taproot, &message, &signature), Ok(()));
        }
    }

    #[test]
    fn each_bit_counts() {
        let mut signature: [u8; 65] = hex(SIGNATURE);
        for bit in 0..65 * 8 {
            signature[bit / 8] ^= 1 << (bit % 8);
            assert!(
                key().verify(Scheme::Secp256k1, b"test", &signature).is_err(),
                "{bit}"
            );
            signature[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn other_forms_are_refused() {
        let signature: [u8; 65] = hex(SIGNATURE);
        let frost = |signature: &[u8]| key().verify(Scheme::Secp256k1, b"test", signature).unwrap_err();
        assert!(matches!(frost(&signature[..64]), SignatureError::Length(64, _)));
        assert!(matches!(frost(&[]), SignatureError::Length(0, _)));
        let with = |from: usize, bytes: &[u8]| {
            let mut changed = signature;
            changed[from..from + bytes.len()].copy_from_slice(bytes);
            frost(&changed)
        };
        let order: [u8; 32] = hex("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141");
        assert_eq!(with(33, &order), SignatureError::Form);
        assert_eq!(with(33, &[0; 32]), SignatureError::Form);
        assert_eq!(with(0, &[4]), SignatureError::Form);
        assert_eq!(with(0, &[0; 33]), SignatureError::Form);
        let mut long = contract_form(&signature).unwrap();
        long[40] ^= 1;
        assert_eq!(frost(&long), SignatureError::Form);
        assert!(matches!(contract_form(&long), Err(SignatureError::Length(96, _))));

        let taproot = |signature: &[u8]| key().verify(Scheme::Taproot, b"test", signature).unwrap_err();
        for length in [0, 31, 32, 63, 65] {
            assert_eq!(
                taproot(&signature[..length]),
                SignatureError::Length(length, "64")
            );
        }
        assert_eq!(taproot(&[0xff; 64]), SignatureError::Form);
        for wrong in [&[][..], &[2; 32], &[0; 33], &[4; 33], &[2; 65]] {
            assert_eq!(GroupKey::parse(wrong), Err(SignatureError::PublicKey));
        }
    }
}
