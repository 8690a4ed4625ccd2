//! Public-key encryption to a node: HPKE (RFC 9180), base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM,
//! one message for each key agreement. The node's key is of the boot, and the claims' key list vouches for it.

use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256 as SUITE;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke, HpkePrivateKey, HpkePublicKey};
use thiserror::Error;

/// What is sent to the holder of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The sender's ephemeral public key.
    pub encapsulated: [u8; 32],
    /// 16 bytes longer than what is in it.
    pub ciphertext: Vec<u8>,
}

/// Something can't be sealed to a key, or isn't sealed to this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not sealed to this key, or not for this place")]
pub struct HpkeError;

/// Seals to the holder of a key. `info` names the purpose, `aad` what the message is bound to.
///
/// # Errors
/// [`HpkeError`] for a key that is none, and where there are no random numbers.
pub fn seal(key: &[u8; 32], info: &[u8], aad: &[u8], plaintext: &[u8]) -> Result<Sealed, HpkeError> {
    let key = HpkePublicKey(key.to_vec());
    let (EncapsulatedSecret(encapsulated), ciphertext) =
        SUITE.seal(info, aad, plaintext, &key).map_err(|_| HpkeError)?;
    let encapsulated = encapsulated.try_into().map_err(|_| HpkeError)?;
    Ok(Sealed {
        encapsulated,
        ciphertext,
    })
}

/// A key that others seal to. Its secret half is wiped when it is dropped.
pub struct KeyPair {
    secret: HpkePrivateKey,
    public: [u8; 32],
}

impl KeyPair {
    /// A new one.
    ///
    /// # Errors
    /// [`HpkeError`] where there are no random numbers.
    pub fn generate() -> Result<Self, HpkeError> {
        let (public, secret) = SUITE.generate_key_pair().map_err(|_| HpkeError)?;
        let public = public.0.try_into().map_err(|_| HpkeError)?;
        Ok(Self { secret, public })
    }

    /// The public half.
    pub fn public(&self) -> [u8; 32] {
        self.public
    }

    /// What [`seal`] was given.
    ///
    /// # Errors
    /// [`HpkeError`] for what wasn't sealed to this key with this `info` and `aad`.
    pub fn open(&self, sealed: &Sealed, info: &[u8], aad: &[u8]) -> Result<Vec<u8>, HpkeError> {
        let encapsulated = EncapsulatedSecret(sealed.encapsulated.to_vec());
        SUITE
            .open(&encapsulated, info, aad, &sealed.ciphertext, &self.secret)
            .map_err(|_| HpkeError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_opened_by_the_key_alone_and_in_its_place() {
        let key = KeyPair::generate().unwrap();
        let sealed = seal(&key.public(), b"info", b"aad", b"secret").unwrap();
        assert_eq!(sealed.ciphertext.len(), 6 + 16);
        assert_eq!(key.open(&sealed, b"info", b"aad").unwrap(), b"secret");
        assert_eq!(key.open(&sealed, b"other", b"aad"), Err(HpkeError));
        assert_eq!(key.open(&sealed, b"info", b"other"), Err(HpkeError));
        let other = KeyPair::generate().unwrap();
        assert_eq!(other.open(&sealed, b"info", b"aad"), Err(HpkeError));
        let changes: [fn(&mut Sealed); 3] = [
            |sealed| sealed.ciphertext[0] ^= 1,
            |sealed| sealed.encapsulated[0] ^= 1,
            |sealed| sealed.ciphertext.clear(),
        ];
        for change in changes {
            let mut changed = sealed.clone();
            change(&mut changed);
            assert_eq!(key.open(&changed, b"info", b"aad"), Err(HpkeError));
        }
        // A point of small order makes a shared secret that everybody knows.
        assert_eq!(seal(&[0; 32], b"", b"", b""), Err(HpkeError));
    }

    /// Sealed by `cryptography` 48.0.0 for Python: `Suite(X25519, HKDF_SHA256, AES_256_GCM).encrypt(b"a secret value", …)` to the
    /// key with the secret 00 01 … 1f.
    #[test]
    fn another_implementations_message_is_opened() {
        let bytes = |hex: &str| -> Vec<u8> {
            let pairs = hex.as_bytes().chunks(2);
            pairs
                .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
                .collect()
        };
        let key = KeyPair {
            secret: HpkePrivateKey::from((0..32).collect::<Vec<u8>>()),
            public: [0; 32],
        };
        let sealed = Sealed {
            encapsulated: bytes("b1c7345cc6844e51d6d793212e10bf78408449700fbfe2cedc3f087e2e60ac51")
                .try_into()
                .unwrap(),
            ciphertext: bytes("4f8973451d4685b6945278134ef5b427ade7dc9e956077ec01beb043d6a9"),
        };
        let opened = key.open(&sealed, b"jeju-worker-secret-v1", b"").unwrap();
        assert_eq!(opened, b"a secret value");
    }
}
