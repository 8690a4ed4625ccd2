//! Signatures as others see them.

use jeju_mpc::network::Scheme;

/// Whether an independent implementation takes the signature: libsecp256k1 for BIP-340, and RFC 9591's equation
/// recomputed with libsecp256k1's points for the other.
pub fn verifies(scheme: Scheme, public: &[u8; 33], message: &[u8], signature: &[u8]) -> bool {
    match scheme {
        Scheme::Taproot => {
            let key = secp256k1::XOnlyPublicKey::from_byte_array(public[1..].try_into().unwrap()).unwrap();
            let signature = secp256k1::schnorr::Signature::from_byte_array(signature.try_into().unwrap());
            secp256k1::Secp256k1::verification_only()
                .verify_schnorr(&signature, message, &key)
                .is_ok()
        }
        Scheme::Secp256k1 => rfc9591::verifies(public, message, signature),
    }
}

mod rfc9591 {
    use secp256k1::{PublicKey, Scalar, SecretKey};
    use sha2::{Digest, Sha256};

    const TAG: &[u8] = b"FROST-secp256k1-SHA256-v1chal";

    /// z·G = R + c·P with c = H2(R ‖ P ‖ message), hash_to_field of RFC 9380 with expand_message_xmd.
    pub fn verifies(public: &[u8; 33], message: &[u8], signature: &[u8]) -> bool {
        let (r, z) = signature.split_at(33);
        let challenge = {
            let mut input = r.to_vec();
            input.extend_from_slice(public);
            input.extend_from_slice(message);
            reduce(&expand(&input))
        };
        let secp = &secp256k1::Secp256k1::new();
        let r = PublicKey::from_slice(r).unwrap();
        let p = PublicKey::from_slice(public).unwrap();
        let z = SecretKey::from_byte_array(z.try_into().unwrap()).unwrap();
        let right = p
            .mul_tweak(secp, &Scalar::from_be_bytes(challenge).unwrap())
            .unwrap()
            .combine(&r)
            .unwrap();
        PublicKey::from_secret_key(secp, &z) == right
    }

    /// 48 bytes.
    fn expand(message: &[u8]) -> [u8; 48] {
        let dst = [TAG, &[TAG.len() as u8]].concat();
        let b0 = Sha256::new()
            .chain_update([0; 64])
            .chain_update(message)
            .chain_update([0, 48, 0])
            .chain_update(&dst)
            .finalize();
        let mut out = Vec::new();
        let mut last = [0u8; 32];
        for index in 1..=2u8 {
            let mixed: Vec<u8> = b0.iter().zip(&last).map(|(a, b)| a ^ b).collect();
            last = Sha256::new()
                .chain_update(mixed)
                .chain_update([index])
                .chain_update(&dst)
                .finalize()
                .into();
            out.extend_from_slice(&last);
        }
        out[..48].try_into().unwrap()
    }

    /// The number modulo the group's order, bit by bit.
    fn reduce(bytes: &[u8; 48]) -> [u8; 32] {
        const ORDER: [u8; 32] = [
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe,
            0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41,
        ];
        let mut rest = [0u8; 33];
        for bit in bytes
            .iter()
            .flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1))
        {
            let mut carry = bit;
            for byte in rest.iter_mut().rev() {
                let doubled = u16::from(*byte) << 1 | u16::from(carry);
                *byte = doubled as u8;
                carry = (doubled >> 8) as u8;
            }
            let order: Vec<u8> = [0].iter().chain(&ORDER).copied().collect();
            if rest.as_slice() >= order.as_slice() {
                let mut borrow = 0i16;
                for (byte, order) in rest.iter_mut().zip(&order).rev() {
                    let less = i16::from(*byte) - i16::from(*order) - borrow;
                    borrow = i16::from(less < 0);
                    *byte = less.rem_euclid(256) as u8;
                }
            }
        }
        rest[1..].try_into().unwrap()
    }
}
