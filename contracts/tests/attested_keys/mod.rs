//! A real chain with all contracts, whose committee is in the test's hands: for tests of several packages that register an
//! enclave's key.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::path::Path;

use frost_secp256k1::keys::{KeyPackage, SecretShare, generate_with_dealer};
use frost_secp256k1::{Identifier, SigningPackage, aggregate, keys::IdentifierList, round1, round2};
use jeju_attestation::claims::ClaimsBuffer;
use jeju_attestation::measurement::MeasurementId;
use jeju_chain::{Block, CallData, ChainReader};
use jeju_contracts::attested_keys::{self, Registration};
use jeju_contracts::deployment::{self, Deployment};
use jeju_contracts::localnet::{self, Anvil, AnvilOptions};
use jeju_contracts::network::{LOCALNET_CHAIN_ID, Network};
use jeju_contracts::plan::{ENTRY_POINT, PlanArguments};
use jeju_contracts::registry::Proposal;
use jeju_contracts::sender::{AccountKey, Sender};
use jeju_contracts::{agent, rental, wiring};
use jeju_wallet_auth::signature::AccountKey as Wallet;
use rand_core::OsRng;
use tokio::net::{TcpStream, UnixListener};

/// Anvil's third and fourth accounts.
pub const USER: &str = "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a";
pub const PROVIDER: &str = "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6";
pub const ETHER: u128 = 1_000_000_000_000_000_000;
const SIMULATED: u8 = 255;

/// Two of three verify quotes.
struct Committee {
    members: Vec<(Identifier, KeyPackage)>,
    group: frost_secp256k1::keys::PublicKeyPackage,
}

impl Committee {
    fn new() -> Self {
        let (shares, group) = generate_with_dealer(3, 2, IdentifierList::Default, OsRng).unwrap();
        let members = shares
            .into_iter()
            .map(|(name, share): (_, SecretShare)| (name, share.try_into().unwrap()));
        Self {
            members: members.collect(),
            group,
        }
    }

    /// The key, compressed.
    fn key(&self) -> Vec<u8> {
        self.group.verifying_key().serialize().unwrap()
    }

    fn sign(&self, message: &[u8; 32]) -> Vec<u8> {
        let two = &self.members[..2];
        let rounds: Vec<_> = two
            .iter()
            .map(|(_, key)| round1::commit(key.signing_share(), &mut OsRng))
            .collect();
        let commitments = two
            .iter()
            .zip(&rounds)
            .map(|((name, _), (_, commitments))| (*name, *commitments));
        let package = SigningPackage::new(commitments.collect(), message);
        let shares = two
            .iter()
            .zip(&rounds)
            .map(|((name, key), (nonces, _))| (*name, round2::sign(&package, nonces, key).unwrap()));
        aggregate(&package, &shares.collect(), &self.group)
            .unwrap()
            .serialize()
            .unwrap()
    }
}

/// The chain, with a provider that has an agent, and the measurement of a simulated image.
pub struct Chain {
    pub anvil: Anvil,
    pub reader: ChainReader,
    pub agent: [u8; 32],
    deployment: Deployment,
    committee: Committee,
    image: [u8; 32],
}

impl Chain {
    /// With this image admitted.
    pub async fn new(image: [u8; 32]) -> Self {
        let options = AnvilOptions {
            port: 0,
            block_time: None,
        };
        let anvil = Anvil::spawn(&options).unwrap();
        let (owner, committee) = (localnet::owner_key(), Committee::new());
        let key = committee.key();
        let x = format!("0x{}", hex::encode(&key[1..]));
        let arguments = PlanArguments {
            registry: localnet::registry_arguments(),
            sink: [0xde; 20].into(),
            arbiter: localnet::revoker_key().address(),
            challenger_delay: 0,
            treasury: [0xfe; 20].into(),
            fee_bps: 0,
            entry_point: ENTRY_POINT,
            committee: Some((x.parse().unwrap(), key[0] & 1)),
        };
        let deployed = deployment::deploy_all(anvil.rpc(), Some(&owner), Network::Localnet, &arguments);
        let (deployment, _) = deployed.await.unwrap();
        wiring::wire(anvil.rpc(), Some(&owner), &deployment, owner.address())
            .await
            .unwrap();
        let mut chain = Self {
            reader: anvil.reader(),
            anvil,
            agent: [0; 32],
            deployment,
            committee,
            image,
        };
        chain.admit().await;
        chain.offer().await;
        chain
    }

    pub fn at(&self, name: &str) -> [u8; 20] {
        let address = match name {
            "measurementRegistry" => self.deployment.measurement_registry.address,
            name => self.deployment.contracts[name].address,
        };
        address.into_array()
    }

    pub fn sender<'a>(&'a self, key: &'a AccountKey) -> Sender<'a> {
        Sender::new(self.anvil.rpc(), key, LOCALNET_CHAIN_ID)
    }

    pub async fn block(&self) -> Block {
        self.reader.newest_block().await.unwrap()
    }

    /// The image is admitted.
    async fn admit(&self) {
        let proposal = Proposal {
            id: MeasurementId::simulated(&self.image).0,
            release_digest: [1; 32],
            version: 1,
            platform: SIMULATED,
            custody: 1,
            flags: 0,
        };
        let registry = self.at("measurementRegistry");
        self.anvil.admit(registry, &proposal).await.unwrap();
    }

    /// The provider's agent and registration.
    async fn offer(&mut self) {
        let key: AccountKey = PROVIDER.parse().unwrap();
        let sender = self.sender(&key);
        let identities = self.at("identityRegistry").into();
        let (agent, _) = agent::register(&sender, identities, "", &[]).await.unwrap();
        let registry = self.at("computeRegistry").into();
        let url = "https://localhost";
        rental::register_provider(&sender, registry, "p", url, Some(agent), ETHER)
            .await
            .unwrap();
        self.anvil.finalize().await.unwrap();
        self.agent = agent.0;
    }

    /// Registers the key of these claims, as its provider would: with the committee's word for the quote and the agent
    /// owner's for the key.
    pub async fn register(&self, claims: &ClaimsBuffer, key: [u8; 20]) {
        let (keys, verifier) = (self.at("attestedKeyRegistry"), self.at("frostVerifier"));
        let block = self.block().await;
        let expiry = block.timestamp + 6 * 3600;
        let launch = claims.claims().launch;
        let measurement = MeasurementId::simulated(&self.image).0;
        let digest_of = "digestOf((uint8,bytes32,bytes32,uint256,bytes32,bytes32,address,uint8,uint64))";
        let asked = CallData::new(digest_of)
            .number(SIMULATED.into())
            .word(measurement)
            .word([0; 32])
            .word(self.agent)
            .word(claims.digest())
            .word(launch)
            .address(&key)
            .number(0)
            .number(expiry);
        let quote = self.committee.sign(&self.digest(&block, &verifier, asked).await);
        let asked = CallData::new("consentDigest(uint256,address,bytes32,uint64)")
            .word(self.agent)
            .address(&key)
            .word(claims.digest())
            .number(expiry);
        let owner = Wallet::from_hex(PROVIDER.as_bytes()).unwrap();
        let consent = owner.sign(&self.digest(&block, &keys, asked).await);
        let registration = Registration {
            platform: SIMULATED,
            measurement,
            hardware: [0; 32],
            agent: self.agent,
            claims_digest: claims.digest(),
            launch_digest: launch,
            key,
            tcb_status: 0,
            expiry,
            claims: claims.bytes(),
            proof: &quote,
            consent: &consent.0,
        };
        let provider: AccountKey = PROVIDER.parse().unwrap();
        attested_keys::register(&self.sender(&provider), keys.into(), &registration)
            .await
            .unwrap();
    }

    /// Revokes a key, as its provider may.
    pub async fn revoke(&self, key: [u8; 20]) {
        let provider: AccountKey = PROVIDER.parse().unwrap();
        let call = CallData::new("revoke(address)").address(&key).encode();
        let keys = self.at("attestedKeyRegistry").into();
        self.sender(&provider).send(keys, call.into()).await.unwrap();
    }

    async fn digest(&self, block: &Block, contract: &[u8; 20], call: CallData) -> [u8; 32] {
        let answer = self
            .reader
            .call_at(block, contract, &call.encode(), 32)
            .await
            .unwrap();
        answer.unwrap().try_into().unwrap()
    }

    /// Leads to the chain from a socket.
    pub fn listen(&self, socket: &Path) {
        let (listener, port) = (UnixListener::bind(socket).unwrap(), self.anvil.port());
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                tokio::spawn(async move {
                    if let Ok(mut far) = TcpStream::connect(("127.0.0.1", port)).await {
                        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                    }
                });
            }
        });
    }
}
