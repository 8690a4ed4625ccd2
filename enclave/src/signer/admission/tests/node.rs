//! Nodes on simulated silicon that are right in all points, until a case sets one wrong.

use std::sync::{Arc, OnceLock};

use jeju_attestation::bundle::Bundle;
use jeju_attestation::claims::{Claims, ClaimsBuffer, Mode, Receipts, Role};
use jeju_attestation::hash::sha256;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::keys::{KeyList, MpcKeys};
use jeju_attestation::launch::LaunchDocument;
use jeju_attestation::measurement::MeasurementId;
use jeju_attestation::tee::Tee;
use jeju_mpc::time::Interval;
use jeju_simulated::Silicon;

use crate::ipc::signer::{MeasurementStatus, PeerEvidence, PeerRole};

/// What simulated silicon measures.
pub(crate) const IMAGE: [u8; 32] = [0x11; 32];
pub(crate) const CHANNEL: [u8; 32] = [0x0C; 32];
pub(crate) const TIME: Interval = Interval {
    lower: 1_800_000_000,
    upper: 1_800_000_900,
};
const MEMBERS: u8 = 3;

/// Three machines, and one that is nobody's.
pub(crate) fn silicon(member: u8) -> Arc<Silicon> {
    static MACHINES: OnceLock<Vec<Arc<Silicon>>> = OnceLock::new();
    let machines = MACHINES.get_or_init(|| {
        let machine = |_| {
            let directory = tempfile::tempdir().unwrap();
            Arc::new(Silicon::open_or_create(&directory.path().join("silicon")).unwrap())
        };
        (0..=MEMBERS).map(machine).collect()
    });
    machines[usize::from(member)].clone()
}

/// The launch document of a member, as text.
pub(crate) fn document_text(member: u8) -> String {
    let roots =
        (1..=MEMBERS).map(|member| format!("{:?}", HexBytes(silicon(member).root_public()).to_string()));
    let members = (1..=MEMBERS).map(|member| {
        format!(
            "[[mpc.members]]\nnode = \"node-{member}\"\nagent = \"{}\"\nplatform = \"{}\"\naddress = \"127.0.0.1:411{member}\"\n",
            HexBytes([member; 32]),
            HexBytes(silicon(member).platform_id()),
        )
    });
    let addresses = (1..=MEMBERS).map(|member| format!(", \"127.0.0.1:411{member}\""));
    format!(
        "version = 1\n[node]\nagent = \"{}\"\nnames = [\"localhost\"]\nepoch_seconds = 600\n\
         [chain]\nprofile = \"localnet\"\nid = 31337\nregistry = \"{}\"\nrpc = [\"http://127.0.0.1:8545\"]\n\
         [services]\nmpc = true\n\
         [mpc]\nnetwork = \"test\"\nthreshold = 2\ngovernance = \"{}\"\nmeasurements = [\"{}\"]\nsimulated_roots = [{}]\n{}\
         [egress]\nallow = [\"127.0.0.1:8545\"{}]\n",
        HexBytes([member; 32]),
        HexBytes([9; 20]),
        HexBytes([1; 20]),
        MeasurementId::simulated(&IMAGE),
        roots.collect::<Vec<_>>().join(", "),
        members.collect::<String>(),
        addresses.collect::<String>(),
    )
}

pub(crate) fn document(member: u8) -> LaunchDocument {
    LaunchDocument::parse(document_text(member).as_bytes()).unwrap()
}

/// The same on a public chain, where silicon isn't simulated.
pub(crate) fn public_document(member: u8) -> LaunchDocument {
    LaunchDocument::parse(public_text(member).as_bytes()).unwrap()
}

pub(crate) fn public_text(member: u8) -> String {
    let text = document_text(member).replace("localnet", "mainnet");
    let roots = text.find("simulated_roots").unwrap();
    let end = text[roots..].find('\n').unwrap() + roots;
    [&text[..roots], &text[end + 1..]].concat()
}

/// A member, or what says that it is one.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) silicon: Arc<Silicon>,
    pub(crate) image: [u8; 32],
    pub(crate) launch: String,
    pub(crate) agent: [u8; 32],
    pub(crate) boot: [u8; 16],
    pub(crate) pubkey_hash: [u8; 32],
    pub(crate) keys: KeyList,
    pub(crate) mode: Mode,
    pub(crate) role: Role,
}

impl Node {
    pub(crate) fn new(member: u8) -> Self {
        let mut identity = [member; 33];
        identity[0] = 2;
        Self {
            silicon: silicon(member),
            image: IMAGE,
            launch: document_text(member),
            agent: [member; 32],
            boot: [member; 16],
            pubkey_hash: [1; 32],
            keys: KeyList {
                hpke: [3; 32],
                mpc: Some(MpcKeys {
                    identity,
                    channel: [member; 32],
                }),
                ssh: None,
            },
            mode: Mode::Peer,
            role: Role::Server,
        }
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub(crate) fn rewrite(&mut self, from: &str, to: &str) {
        assert!(self.launch.contains(from), "{from:?}");
        self.launch = self.launch.replacen(from, to, 1);
    }

    pub(crate) fn bundle(&self, nonce: [u8; 32], channel: [u8; 32]) -> Vec<u8> {
        let mut evm = [7; 33];
        evm[0] = 2;
        let keys = self.keys.encode();
        let fresh = self.mode != Mode::Epoch;
        let claims = ClaimsBuffer::encode(Claims {
            pubkey_hash: self.pubkey_hash,
            mode: self.mode,
            role: self.role,
            resp: [2; 32],
            evm,
            keys: sha256(&keys),
            boot: self.boot,
            epoch: 0,
            receipts: Receipts::default(),
            launch: sha256(self.launch.as_bytes()),
            agent: self.agent,
            chain: (31337, [9; 20]),
            anchor: (10, [11; 32]),
            gpu: ([0; 32], 0),
            log: [0; 32],
            nonce: if fresh { nonce } else { [0; 32] },
            channel: if fresh { channel } else { [0; 32] },
        })
        .unwrap();
        let chip = self.silicon.chip(self.image, claims.claims().launch);
        Bundle {
            tee: Tee::Simulated,
            cpu: chip.report(claims.report_data()).to_vec(),
            claims: claims.bytes().to_vec(),
            keys,
            launch: self.launch.clone().into_bytes(),
            endorsements: Vec::new(),
            gpu: Vec::new(),
            log: Vec::new(),
        }
        .encode()
    }

    pub(crate) fn evidence(&self, nonce: [u8; 32]) -> PeerEvidence {
        PeerEvidence {
            role: PeerRole::Server,
            channel: CHANNEL,
            bundle: self.bundle(nonce, CHANNEL),
            measurement: MeasurementStatus::Active,
        }
    }
}
