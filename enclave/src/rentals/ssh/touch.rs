//! Whether somebody was there when a key signed.

use russh::keys::Algorithm;
use russh::keys::ssh_key::Signature;

/// Whether a signature is of its key's own kind, and somebody was at the security key, where it is one: by itself, a
/// signature of it is no more than the machine's that it is plugged into. Its last five bytes are flags, of which bit 0 says so,
/// and a counter (OpenSSH's PROTOCOL.u2f).
///
/// `key` is the kind of the key that verified it. That of the signature is the signer's own word: under an invented name the
/// same bytes verify, and would ask for no touch.
pub(super) fn is_touched(key: &Algorithm, signature: &Signature) -> bool {
    match key {
        _ if signature.algorithm() != *key => false,
        Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256 => {
            matches!(signature.as_bytes(), [.., flags, _, _, _, _] if flags & 1 == 1)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use russh::keys::signature::Signer;
    use russh::keys::signature::Verifier;
    use russh::keys::ssh_key::private::Ed25519Keypair;
    use russh::keys::ssh_key::public::{KeyData, SkEd25519};
    use sha2::{Digest, Sha256};

    use super::*;

    fn sign(algorithm: &Algorithm, flags: u8) -> (KeyData, Signature) {
        let pair = Ed25519Keypair::from_seed(&[7; 32]);
        let trailer = [flags, 0, 0, 0, 7];
        let signed = [&Sha256::digest(b"ssh:")[..], &trailer, &Sha256::digest(b"login")].concat();
        let data = [pair.sign(&signed).as_bytes(), &trailer].concat();
        let key = KeyData::SkEd25519(SkEd25519::new(pair.public, "ssh:"));
        (key, Signature::new(algorithm.clone(), data).unwrap())
    }

    #[test]
    fn a_security_key_has_been_touched_whatever_its_signature_calls_itself() {
        let invented = Algorithm::new("x@example.org").unwrap();
        for (named, flags, touched) in [
            (&Algorithm::SkEd25519, 1, true),
            (&Algorithm::SkEd25519, 5, true),
            (&Algorithm::SkEd25519, 0, false),
            (&Algorithm::SkEd25519, 4, false),
            (&invented, 0, false),
            (&invented, 1, false),
        ] {
            let (key, signature) = sign(named, flags);
            assert!(key.verify(b"login", &signature).is_ok(), "the library takes each");
            assert_eq!(
                is_touched(&key.algorithm(), &signature),
                touched,
                "{named:?} {flags}"
            );
        }
    }

    #[test]
    fn other_keys_need_no_touch() {
        let pair = Ed25519Keypair::from_seed(&[7; 32]);
        assert!(is_touched(&Algorithm::Ed25519, &pair.sign(b"login")));
        assert!(!is_touched(&Algorithm::SkEd25519, &pair.sign(b"login")));
    }
}
