//! Synthetic nodes of every platform: right in all points, until a case sets one wrong.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jeju_attestation::appraisal::{Anchor, Challenge, Inputs, Reference, appraise, gpu_nonce};
use jeju_attestation::bundle::Bundle;
use jeju_attestation::claims::{Claims, ClaimsBuffer, Mode, Receipts, Role};
use jeju_attestation::endorsements::Endorsements;
use jeju_attestation::evidence::{Genuine, NodeEvidence, Verifier};
use jeju_attestation::hardware::launch_rtmr;
use jeju_attestation::hash::sha256;
use jeju_attestation::keys::KeyList;
use jeju_attestation::measurement::MeasurementId;
use jeju_attestation::nitro::launch_pcr;
use jeju_attestation::policy::Policy;
use jeju_attestation::rejection::Rejection;
use jeju_attestation::simulated::{Report, SIGNATURE_TAG};
use jeju_attestation::tee::Tee;
use jeju_attestation::verdict::Verdict;
use jeju_synthetic::NOW;
use jeju_synthetic::amd::report::ReportTemplate;
use jeju_synthetic::amd::{self, Product, Vek, table};
use jeju_synthetic::certificate::pem;
use jeju_synthetic::event_log::{Log, SHA384};
use jeju_synthetic::intel::{self, Body, TdReport};
use jeju_synthetic::key::Key;
use jeju_synthetic::nitro::{self, Document};
use jeju_synthetic::nvidia::Chip;
use jeju_synthetic::nvidia::device::{Authority, Device};
use jeju_synthetic::nvidia::manifest::{self, Signer};
use jeju_synthetic::nvidia::report;
use serde_json::json;

use crate::nvidia::synthetic::{DRIVER, VBIOS};

/// Agent of the nodes.
pub const AGENT: [u8; 32] = [8; 32];
/// Registry that they read.
pub const REGISTRY: [u8; 20] = [9; 20];
/// What simulated silicon measures.
pub const IMAGE: [u8; 32] = [0x11; 32];
/// Nonce and channel of the challenge.
pub const CHALLENGE: Challenge = Challenge {
    nonce: [0x0A; 32],
    channel: Some([0x0C; 32]),
};

/// Their launch document.
pub const LAUNCH: &str = r#"
version = 1
[node]
agent = "0x0808080808080808080808080808080808080808080808080808080808080808"
names = ["localhost"]
[chain]
profile = "localnet"
id = 31337
registry = "0x0909090909090909090909090909090909090909"
rpc = ["http://127.0.0.1:8545"]
[services]
inference = true
[[models]]
id = "small"
sha256 = "0x0707070707070707070707070707070707070707070707070707070707070707"
[egress]
allow = ["127.0.0.1:8545"]
"#;

/// Those who stand for the vendors, and what they made once.
pub struct World {
    pub intel: intel::Keys,
    pub td: intel::Evidence,
    pub chip: amd::Chip,
    certificates: amd::Made,
    pub enclave: nitro::Keys,
    cabundle: Vec<Vec<u8>>,
    certificate: Vec<u8>,
    simulated: Key,
    signer: Signer,
    /// Two GPUs, each with its chain as PEM.
    gpus: Vec<([u8; 8], Device, String)>,
    pub log: Log,
    /// What a relying party has of the vendors, one file each.
    pub files: Vec<Vec<u8>>,
    roots: String,
}

impl World {
    pub fn new() -> Self {
        let intel = intel::Keys::generate();
        let mut td = intel::Evidence::tdx_15(&intel);
        let log = Log::boot(&[SHA384], [1, 2, 3]);
        let registers = domain(&mut td);
        for (register, index) in registers.rtmr.iter_mut().zip(1..4) {
            *register = log.register(SHA384, index, &[0; 48]).try_into().unwrap();
        }
        let chip = amd::Chip::new(Product::Genoa, Vek::Vcek, 5);
        let certificates = chip.make();
        let enclave = nitro::Keys::new();
        let chain = nitro::Chain::new(&enclave);
        let (cabundle, certificate) = (chain.cabundle(&enclave), chain.certificate(&enclave));
        let (authority, signer) = (Authority::new(), Signer::new());
        let gpus = [[0x20; 8], [0x21; 8]]
            .map(|pdi| {
                let device = authority.device(Chip::Gh100, pdi);
                let chain = authority.chain(&device);
                let chain: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
                (pdi, device, pem(&chain))
            })
            .into();
        let mut files: Vec<Vec<u8>> = td.collateral.files(&intel).into();
        for manifest in [
            manifest::Template::new(Chip::Gh100, "580.95.05", DRIVER),
            manifest::Template::new(Chip::Gh100, "96.00.74.00.1A", VBIOS),
        ] {
            files.push(manifest.sign(&signer).into_bytes());
        }
        let roots = [
            ("intel", &intel.root_certificate[..]),
            ("aws_nitro", &cabundle[0]),
            ("nvidia_device", &authority.root_certificate),
            ("nvidia_rim", &signer.root_certificate),
            ("amd.genoa", &certificates.ark),
        ]
        .map(|(name, der)| format!("{name} = '''\n{}'''\n", pem(&[der])))
        .concat();
        Self {
            intel,
            td,
            chip,
            certificates,
            enclave,
            cabundle,
            certificate,
            simulated: Key::p256(),
            signer,
            gpus,
            log,
            files,
            roots,
        }
    }

    /// Measurement ids of the platforms.
    pub fn measurements(&self) -> [MeasurementId; 4] {
        let Body::Td(td) = &self.td.body else {
            unreachable!("a trust domain's")
        };
        let [rtmr0, rtmr1, rtmr2, _] = &td.rtmr;
        let report = &self.chip.report;
        [
            MeasurementId::tdx(&td.mr_td, [rtmr0, rtmr1, rtmr2], &td.td_attributes, &td.xfam),
            MeasurementId::sev_snp(&report.measurement, &report.policy.to_le_bytes(), report.vmpl),
            MeasurementId::nitro([&[0xA0; 48], &[0xA1; 48], &[0xA2; 48]]),
            MeasurementId::simulated(&IMAGE),
        ]
    }

    /// A policy for all platforms, as a document.
    pub fn policy_text(&self) -> String {
        let measurements = self.measurements().map(|id| format!("\"{id}\"")).join(", ");
        format!(
            r#"
version = 1
kind = "development"
tees = ["tdx", "sev-snp", "nitro", "simulated"]
agents = ["0x{agent}"]
measurements = [{measurements}]

[registry]
chain_id = 31337
address = "0x{registry}"

[simulated]
roots = ["0x{simulated}"]

[launch]
services = ["inference"]
egress = ["127.0.0.1:8545"]
chain_profiles = ["localnet"]
models = ["0x{model}"]

[tdx.tcb]
least_evaluation_data_number = 20
dynamic_platform = true
cached_keys = true
smt_enabled = true

[sev-snp]
required = []
abi = [0, 31]
guest_svn = 7
no_id_block = true
smt = true
revocation_unknown = true

[sev-snp.products.genoa]
tcb = {{ bootloader = 4, tee = 1, snp = 23, microcode = 213 }}
firmware = {{ major = 1, minor = 55, build = 29 }}
launch_mitigations = 3
current_mitigations = 3

[nitro]
max_age_seconds = 60
max_future_seconds = 60
revocation_unknown = true

[gpu]
gpus = {{ min = 0, max = 8 }}
architectures = ["hopper"]
modes = ["spt"]
driver_versions = ["580.95.05"]
vbios_versions = ["96.00.74.00.1A"]
revocation_unknown = true

[test_roots]
{roots}"#,
            agent = hex::encode(AGENT),
            registry = hex::encode(REGISTRY),
            simulated = hex::encode(self.simulated.public()),
            model = "07".repeat(32),
            roots = self.roots,
        )
    }

    pub fn policy(&self) -> Policy {
        Policy::parse(&self.policy_text(), true).unwrap()
    }

    pub fn endorsements(&self) -> Endorsements {
        let mut endorsements = Endorsements::default();
        for file in &self.files {
            endorsements.add(file).unwrap();
        }
        endorsements
    }

    /// A node, on TDX with two GPUs and the log of its boot.
    pub fn node(&self, tee: Tee) -> Node<'_> {
        let mut evm = [7; 33];
        evm[0] = 2;
        let on_tdx = tee == Tee::Tdx;
        Node {
            world: self,
            tee,
            launch: LAUNCH.to_owned(),
            bound: None,
            keys: KeyList {
                hpke: [3; 32],
                mpc: None,
                ssh: None,
            }
            .encode(),
            claims: Claims {
                pubkey_hash: [1; 32],
                mode: Mode::FreshChannel,
                role: Role::Server,
                resp: [2; 32],
                evm,
                keys: [0; 32],
                boot: [4; 16],
                epoch: 5,
                receipts: Receipts::default(),
                launch: [0; 32],
                agent: AGENT,
                chain: (31337, REGISTRY),
                anchor: (10, [11; 32]),
                gpu: ([0; 32], 0),
                log: [0; 32],
                nonce: CHALLENGE.nonce,
                channel: CHALLENGE.channel.unwrap(),
            },
            gpus: match on_tdx {
                true => vec![Gpu::new(0), Gpu::new(1)],
                false => Vec::new(),
            },
            gpu_padding: 0,
            log: on_tdx.then(|| self.log.clone()),
            td: self.td.clone(),
            snp: self.chip.report.clone(),
            snp_table: (tee == Tee::SevSnp).then(|| self.snp_table(&[])),
            domain: |_| {},
            document: |_| {},
            simulated: |_| {},
            signed: |_| {},
            claimed: |_| {},
            handed: |_| {},
            policy: self.policy(),
            verifier_policy: None,
            endorsements: self.endorsements(),
            reference: None,
            anchor: Anchor::Known(NOW - 60),
            challenge: Some(CHALLENGE),
            now: NOW,
        }
    }
}

/// The report of a trust domain.
pub fn domain(evidence: &mut intel::Evidence) -> &mut TdReport {
    match &mut evidence.body {
        Body::Td(report) => report,
        _ => unreachable!("a trust domain's"),
    }
}

/// A GPU of a node.
#[derive(Clone, Copy)]
pub struct Gpu {
    /// Which of the two.
    pub device: usize,
    /// Changes its report before it is signed.
    pub report: fn(&mut report::Template),
}

impl Gpu {
    pub fn new(device: usize) -> Self {
        Self {
            device,
            report: |_| {},
        }
    }
}

/// All of a node, what it is appraised by, and what can be changed on the way.
#[derive(Clone)]
pub struct Node<'a> {
    pub world: &'a World,
    pub tee: Tee,
    /// The launch document.
    pub launch: String,
    /// The digest that silicon binds, if not the document's.
    pub bound: Option<[u8; 32]>,
    pub keys: Vec<u8>,
    /// Digests of what else the bundle holds are filled in.
    pub claims: Claims,
    pub gpus: Vec<Gpu>,
    /// White space behind the GPU evidence.
    pub gpu_padding: usize,
    pub log: Option<Log>,
    pub td: intel::Evidence,
    pub snp: ReportTemplate,
    /// What an SNP node hands over of its chip.
    pub snp_table: Option<Vec<u8>>,
    /// Changes the domain's report once everything is bound in it.
    pub domain: fn(&mut TdReport),
    /// The same for a Nitro document.
    pub document: fn(&mut Document),
    /// The same for the signed bytes of simulated silicon.
    pub simulated: fn(&mut [u8]),
    /// Changes REPORT_DATA.
    pub signed: fn(&mut [u8; 64]),
    /// Changes the claims once the digests are in them.
    pub claimed: fn(&mut Claims),
    /// Changes the bundle after all.
    pub handed: fn(&mut Bundle),
    pub policy: Policy,
    /// What the verifier was made with, if not the policy.
    pub verifier_policy: Option<Policy>,
    pub endorsements: Endorsements,
    /// `None`: the policy's own list.
    pub reference: Option<Reference>,
    pub anchor: Anchor,
    pub challenge: Option<Challenge>,
    pub now: u64,
}

impl Node<'_> {
    /// Puts another text into the launch document.
    pub fn rewrite(&mut self, from: &str, to: &str) {
        assert!(self.launch.contains(from), "{from:?}");
        self.launch = self.launch.replacen(from, to, 1);
    }

    /// The `gpu` member.
    fn gpu_evidence(&self) -> Vec<u8> {
        if self.gpus.is_empty() {
            return Vec::new();
        }
        let nonce = gpu_nonce(&self.claims);
        let entries: Vec<_> = self
            .gpus
            .iter()
            .map(|gpu| {
                let (pdi, device, chain) = &self.world.gpus[gpu.device];
                let mut report = report::Template::new(Chip::Gh100, *pdi, nonce);
                (gpu.report)(&mut report);
                json!({
                    "arch": "HOPPER",
                    "certificate": STANDARD.encode(chain),
                    "evidence": STANDARD.encode(report.sign(&device.firmware)),
                })
            })
            .collect();
        (json!(entries).to_string() + &" ".repeat(self.gpu_padding)).into_bytes()
    }

    /// What the node serves.
    pub fn bundle(&self) -> Bundle {
        let gpu = self.gpu_evidence();
        let log = self.log.as_ref().map(Log::bytes).unwrap_or_default();
        let launch = self.launch.clone().into_bytes();
        let digest = |bytes: &[u8]| match bytes.is_empty() {
            true => [0; 32],
            false => sha256(bytes),
        };
        let mut claims = Claims {
            keys: sha256(&self.keys),
            launch: sha256(&launch),
            gpu: (digest(&gpu), self.gpus.len() as u8),
            log: digest(&log),
            ..self.claims.clone()
        };
        (self.claimed)(&mut claims);
        let bound = self.bound.unwrap_or(claims.launch);
        let claims = ClaimsBuffer::encode(claims).unwrap();
        let mut report_data = claims.report_data();
        (self.signed)(&mut report_data);
        let mut bundle = Bundle {
            tee: self.tee,
            cpu: self.quote(report_data, bound),
            claims: claims.bytes().to_vec(),
            keys: self.keys.clone(),
            launch,
            endorsements: self.snp_table.clone().unwrap_or_default(),
            gpu,
            log,
        };
        (self.handed)(&mut bundle);
        bundle
    }

    fn quote(&self, report_data: [u8; 64], bound: [u8; 32]) -> Vec<u8> {
        let world = self.world;
        match self.tee {
            Tee::Tdx => {
                let mut td = self.td.clone();
                let report = domain(&mut td);
                report.report_data = report_data;
                report.mr_config_id = [0; 48];
                report.mr_config_id[..32].copy_from_slice(&bound);
                report.rtmr[3] = launch_rtmr(&bound);
                (self.domain)(report);
                td.quote(&world.intel, &world.intel)
            }
            Tee::SevSnp => {
                let mut report = self.snp.clone();
                (report.report_data, report.host_data) = (report_data, bound);
                report.sign(&world.chip.vek_key)
            }
            Tee::Nitro => {
                let mut document = Document::new(&world.cabundle, &world.certificate);
                *document.field("user_data") = report_data.to_vec().into();
                document.set_pcr(16, &launch_pcr(&bound));
                (self.document)(&mut document);
                document.sign(&world.enclave.enclave)
            }
            Tee::Simulated => {
                let root = sha256(world.simulated.public());
                let mut bytes = Report::unsigned(&IMAGE, &bound, &report_data, &[0x1D; 32], &root).to_vec();
                (self.simulated)(&mut bytes);
                let signature = world.simulated.sign_fixed(&[SIGNATURE_TAG, &bytes].concat());
                [bytes, signature].concat()
            }
        }
    }

    pub fn verifier(&self) -> Result<Verifier, Rejection> {
        let policy = self.verifier_policy.as_ref().unwrap_or(&self.policy);
        Ok(Verifier::of_policy(policy, self.endorsements.clone())?)
    }

    /// The verdict of a verifier that knows nothing yet.
    pub fn verdict(&self) -> Result<Verdict, Rejection> {
        self.verdict_of(&self.verifier()?)
    }

    pub fn verdict_of(&self, verifier: &Verifier) -> Result<Verdict, Rejection> {
        let bundle = Bundle::parse(&self.bundle().encode())?;
        let genuine = verifier.verify(&NodeEvidence::of(&bundle), self.now)?;
        self.appraise(&genuine, &bundle, verifier)
    }

    fn appraise(
        &self,
        genuine: &Genuine,
        bundle: &Bundle,
        verifier: &Verifier,
    ) -> Result<Verdict, Rejection> {
        let pinned = || Reference::pinned(&self.policy, &genuine.measurement);
        let inputs = Inputs {
            policy: &self.policy,
            reference: self.reference.unwrap_or_else(pinned),
            anchor: self.anchor,
            challenge: self.challenge,
            bundle,
            verifier: verifier.hardware(),
            now: self.now,
        };
        appraise(genuine, &inputs)
    }
}

impl World {
    /// The manifest of another version of the driver, with the same measurements.
    pub fn driver_manifest(&self, version: &str) -> Vec<u8> {
        let manifest = manifest::Template::new(Chip::Gh100, version, DRIVER);
        manifest.sign(&self.signer).into_bytes()
    }

    /// The certificates of the SNP chip, and what else is to stand in the table.
    pub fn snp_table(&self, more: &[(&str, &[u8])]) -> Vec<u8> {
        let own = [
            (table::guid::ASK, self.certificates.ask.as_slice()),
            (table::guid::VCEK, &self.certificates.vek),
        ];
        table::table(&[&own[..], more].concat())
    }
}
