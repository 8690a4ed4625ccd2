//! Security keys: nobody is let in whom nobody was there to touch.

use std::path::PathBuf;
use std::sync::Arc;

use russh::keys::agent::AgentIdentity;
use russh::keys::signature::{self, Signer as _};
use russh::keys::ssh_key::certificate::Builder;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::ssh_key::public::{KeyData, SkEd25519};
use russh::keys::ssh_key::{HashAlg, LineEnding, Signature, SigningKey};
use russh::keys::{Algorithm, Certificate, PrivateKey, PrivateKeyWithHashAlg, PublicKey, load_secret_key};
use russh::{SendError, Signer};
use sha2::{Digest, Sha256};

use crate::fixture::{Node, now};
use crate::raw::connect;

/// A security key: signs with Ed25519 what FIDO has it sign.
#[derive(Clone)]
struct SecurityKey {
    /// Whether somebody touches it.
    touched: bool,
    pair: Ed25519Keypair,
}

impl SecurityKey {
    fn new(seed: u8) -> Self {
        Self {
            touched: true,
            pair: Ed25519Keypair::from_seed(&[seed; 32]),
        }
    }

    fn public(&self) -> PublicKey {
        KeyData::from(self).into()
    }

    /// Its public key, in a file of this name with `.pub` at its end.
    fn file(&self, node: &Node) -> PathBuf {
        let file = node.path("security-key");
        std::fs::write(file.with_extension("pub"), self.public().to_openssh().unwrap()).unwrap();
        file
    }

    /// OpenSSH's PROTOCOL.u2f: flags (the user was there), counter.
    fn trailer(&self) -> [u8; 5] {
        [u8::from(self.touched), 0, 0, 0, 7]
    }

    fn signature(&self, message: &[u8]) -> Vec<u8> {
        let (application, message) = (Sha256::digest(b"ssh:"), Sha256::digest(message));
        let signed = [&application[..], &self.trailer(), &message].concat();
        self.pair.sign(&signed).as_bytes().to_vec()
    }
}

impl From<&SecurityKey> for KeyData {
    fn from(key: &SecurityKey) -> Self {
        Self::SkEd25519(SkEd25519::new(key.pair.public, "ssh:"))
    }
}

impl signature::Signer<Signature> for SecurityKey {
    fn try_sign(&self, message: &[u8]) -> signature::Result<Signature> {
        let data = [&self.signature(message)[..], &self.trailer()].concat();
        Ok(Signature::new(Algorithm::SkEd25519, data)?)
    }
}

impl Signer for SecurityKey {
    type Error = SendError;

    async fn auth_sign(
        &mut self,
        _: &AgentIdentity,
        _: Option<HashAlg>,
        mut to_sign: Vec<u8>,
    ) -> Result<Vec<u8>, SendError> {
        let signature = self.signature(&to_sign);
        let mut blob = Vec::new();
        for part in [&b"sk-ssh-ed25519@openssh.com"[..], &signature] {
            blob.extend((part.len() as u32).to_be_bytes());
            blob.extend(part);
        }
        blob.extend(self.trailer());
        to_sign.extend((blob.len() as u32).to_be_bytes());
        to_sign.extend(blob);
        Ok(to_sign)
    }
}

#[test]
fn security_keys_log_in_where_somebody_touches_them() {
    let node = Node::start();
    let mut signer = SecurityKey::new(7);
    node.rent(1, &signer.file(&node));
    node.runtime.block_on(async {
        let (mut handle, _) = connect(&node).await;
        for touched in [false, true] {
            signer.touched = touched;
            let key = signer.public();
            let result = handle
                .authenticate_publickey_with("root", key, None, &mut signer)
                .await;
            assert_eq!(result.unwrap().success(), touched);
        }
        // The same Ed25519 key without the hardware's form is another key.
        let (mut handle, _) = connect(&node).await;
        let plain = PrivateKey::from(signer.pair.clone());
        assert!(plain.to_openssh(LineEnding::LF).is_ok());
        let plain = PrivateKeyWithHashAlg::new(Arc::new(plain), None);
        assert!(
            !handle
                .authenticate_publickey("root", plain)
                .await
                .unwrap()
                .success()
        );
    });
}

fn certificate(authority: &impl SigningKey, key: impl Into<KeyData>) -> Certificate {
    let (from, to) = (now() - 60, now() + 3600);
    let mut builder = Builder::new([0; 16], key, from, to).unwrap();
    builder.valid_principal(hex::encode([1; 32])).unwrap();
    builder.sign(authority).unwrap()
}

#[test]
fn a_certificate_of_a_security_key_logs_in_where_somebody_touches_that() {
    let (node, renter) = Node::rented();
    let authority = load_secret_key(&renter, None).unwrap();
    let mut signer = SecurityKey::new(7);
    let certificate = certificate(&authority, &signer);
    node.runtime.block_on(async {
        let (mut handle, _) = connect(&node).await;
        for touched in [false, true] {
            signer.touched = touched;
            let result = handle
                .authenticate_certificate_with("root", certificate.clone(), None, &mut signer)
                .await;
            assert_eq!(result.unwrap().success(), touched);
        }
    });
}

#[test]
fn a_certificate_by_a_security_key_counts_where_somebody_touched_that() {
    let node = Node::start();
    let mut authority = SecurityKey::new(7);
    node.rent(1, &authority.file(&node));
    let guest = Arc::new(load_secret_key(node.key("ed25519"), None).unwrap());
    node.runtime.block_on(async {
        let (mut handle, _) = connect(&node).await;
        for touched in [false, true] {
            authority.touched = touched;
            let certificate = certificate(&authority, guest.public_key().key_data().clone());
            let result = handle
                .authenticate_openssh_cert("root", guest.clone(), certificate)
                .await;
            assert_eq!(result.unwrap().success(), touched);
        }
    });
}
