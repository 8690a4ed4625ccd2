//! Keys of a boot. All are made here, none is sealed or exported, and a quote vouches for every one.

use std::sync::Arc;

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;
use jeju_attestation::hash::sha256;
use jeju_attestation::keys::{KeyList, MpcKeys};
use jeju_attestation::launch::LaunchDocument;
use jeju_attested_tls::NodeKey;
use jeju_session::hpke::KeyPair;
use jeju_wallet_auth::signature::{AccountKey, Signature};
use zeroize::Zeroizing;

/// What a node is from boot to power-off.
pub(super) struct Identity {
    /// TLS key.
    pub(super) tls: NodeKey,
    /// Signs for contracts.
    evm: AccountKey,
    /// Random per boot.
    pub(super) boot: [u8; 16],
    /// Opens what is sealed to the node.
    pub(super) hpke: Arc<KeyPair>,
    /// Exact bytes of the key list.
    pub(super) keys: Vec<u8>,
    /// Exact bytes of the launch document.
    pub(super) launch: Vec<u8>,
    /// Agent id.
    pub(super) agent: [u8; 32],
    /// Chain id and registry.
    pub(super) chain: (u64, [u8; 20]),
}

impl Identity {
    /// Makes the keys. `launch` holds the exact bytes that `document` was read from; `mpc` and `ssh` have what
    /// signer and rentals role said of their own.
    pub(super) fn generate(
        document: &LaunchDocument,
        launch: Vec<u8>,
        mpc: Option<MpcKeys>,
        ssh: Option<[u8; 32]>,
    ) -> Result<Self, Unspecified> {
        let hpke = KeyPair::generate().map_err(|_| Unspecified)?;
        Ok(Self {
            tls: NodeKey::generate().map_err(|_| Unspecified)?,
            evm: secp256k1_key()?,
            boot: random()?,
            keys: KeyList {
                hpke: hpke.public(),
                mpc,
                ssh,
            }
            .encode(),
            hpke: Arc::new(hpke),
            launch,
            agent: document.node.agent.0,
            chain: (document.chain.id, document.chain.registry.0),
        })
    }

    /// SHA-256 of the launch document.
    pub(super) fn launch_digest(&self) -> [u8; 32] {
        sha256(&self.launch)
    }

    /// The compressed point.
    pub(super) fn evm_public(&self) -> [u8; 33] {
        self.evm.public()
    }

    /// What the boot's key signs of a digest: always the same (RFC 6979), in the one form that contracts take.
    pub(super) fn sign(&self, digest: &[u8; 32]) -> Signature {
        self.evm.sign(digest)
    }

    /// The Ethereum address of the boot's key.
    pub(super) fn evm_address(&self) -> [u8; 20] {
        self.evm.account().0
    }
}

/// Random bytes from the kernel's generator, which boot seeded from the silicon.
pub(super) fn random<const N: usize>() -> Result<[u8; N], Unspecified> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes)?;
    Ok(bytes)
}

fn secp256k1_key() -> Result<AccountKey, Unspecified> {
    // A random string is no key with probability 2^-128.
    for _ in 0..4 {
        let bytes = Zeroizing::new(random::<32>()?);
        if let Some(key) = AccountKey::from_bytes(&bytes) {
            return Ok(key);
        }
    }
    Err(Unspecified)
}
