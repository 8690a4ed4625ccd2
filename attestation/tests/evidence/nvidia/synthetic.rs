//! A synthetic node: right in all points, until a case sets one wrong.

use std::collections::{BTreeMap, BTreeSet};

use jeju_attestation::nvidia::claims::Mode;
use jeju_attestation::nvidia::{Architecture, Evidence, GpuError, Rules, verify_all};
use jeju_attestation::roots::{TestRoots, TrustAnchors};
use jeju_attestation::verdict::Component;
use jeju_synthetic::NOW;
pub use jeju_synthetic::nvidia::Chip;
use jeju_synthetic::nvidia::device::{Authority, Device};
use jeju_synthetic::nvidia::manifest::{self, Signer};
use jeju_synthetic::nvidia::report;

/// Nonce that all is asked with.
pub const NONCE: [u8; 32] = [0x4E; 32];
/// Identity of the first GPU.
pub const PDI: [u8; 8] = [0x20, 1, 2, 3, 4, 5, 6, 7];
/// Measurements of the driver: those of NVIDIA's manifests.
pub const DRIVER: [u8; 21] = [
    7, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
];
/// Measurements of the VBIOS: those of NVIDIA's manifests.
pub const VBIOS: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12];

/// Keys of those who stand for NVIDIA.
pub struct World {
    /// Devices.
    pub authority: Authority,
    /// Manifests.
    pub signer: Signer,
    /// Roots of both.
    pub roots: TrustAnchors,
}

impl World {
    pub fn new() -> Self {
        let (authority, signer) = (Authority::new(), Signer::new());
        let roots = TrustAnchors::for_development(&TestRoots {
            nvidia_device: Some(authority.root_certificate.clone()),
            nvidia_rim: Some(signer.root_certificate.clone()),
            ..TestRoots::default()
        })
        .unwrap();
        Self {
            authority,
            signer,
            roots,
        }
    }

    /// A chip with its report.
    pub fn unit(&self, chip: Chip, pdi: [u8; 8]) -> Unit {
        Unit {
            device: self.authority.device(chip, pdi),
            report: report::Template::new(chip, pdi, NONCE),
            chain: None,
            bytes: None,
        }
    }

    /// One GPU with its manifests, and rules that accept it.
    pub fn hopper(&self) -> Node<'_> {
        let mut node = self.node(self.unit(Chip::Gh100, PDI));
        node.manifest(
            "driver",
            manifest::Template::new(Chip::Gh100, "580.95.05", DRIVER),
        );
        node.manifest(
            "vbios",
            manifest::Template::new(Chip::Gh100, "96.00.74.00.1A", VBIOS),
        );
        node.rules.gpus.min = 1;
        node
    }

    /// One Blackwell GPU.
    pub fn blackwell(&self) -> Node<'_> {
        let mut node = self.node(self.unit(Chip::Gb100, PDI));
        node.manifest("driver", manifest::Template::new(Chip::Gb100, "575.32", DRIVER));
        node.manifest(
            "vbios",
            manifest::Template::new(Chip::Gb100, "97.00.88.00.0F", VBIOS),
        );
        node
    }

    /// One switch.
    pub fn switch(&self) -> Node<'_> {
        let mut node = self.node(self.unit(Chip::Ls10, PDI));
        node.manifest(
            "bios",
            manifest::Template::new(Chip::Ls10, "96.10.55.00.01", 0..31),
        );
        (node.rules.gpus.max, node.rules.switches) = (0, 1);
        node
    }

    fn node(&self, unit: Unit) -> Node<'_> {
        let mut rules = Rules::default();
        rules.gpus.max = 1;
        rules.architectures = vec![Architecture::Hopper, Architecture::Blackwell, Architecture::Ls10];
        rules.modes = vec![Mode::Spt, Mode::Unstated];
        rules.driver_versions = vec!["580.95.05".to_owned(), "575.32".to_owned()];
        rules.vbios_versions = ["96.00.74.00.1A", "97.00.88.00.0F", "96.10.55.00.01"]
            .map(str::to_owned)
            .to_vec();
        rules.revocation_unknown = true;
        Node {
            world: self,
            units: vec![unit],
            manifests: BTreeMap::new(),
            texts: BTreeMap::new(),
            lists: Vec::new(),
            rules,
            nonce: NONCE,
            at: NOW as i64,
        }
    }
}

/// A chip with its report.
pub struct Unit {
    pub device: Device,
    pub report: report::Template,
    /// In the place of the device's chain.
    pub chain: Option<Vec<Vec<u8>>>,
    /// In the place of the report.
    pub bytes: Option<Vec<u8>>,
}

/// All that is handed over, and what it is appraised by.
pub struct Node<'a> {
    pub world: &'a World,
    pub units: Vec<Unit>,
    pub manifests: BTreeMap<&'static str, manifest::Template>,
    /// Signed documents, and in the place of them what they were changed into.
    pub texts: BTreeMap<&'static str, String>,
    pub lists: Vec<Vec<u8>>,
    pub rules: Rules,
    pub nonce: [u8; 32],
    pub at: i64,
}

impl Node<'_> {
    pub fn manifest(&mut self, name: &'static str, template: manifest::Template) {
        self.manifests.insert(name, template);
    }

    /// Changes a manifest before it is signed.
    pub fn edit(&mut self, name: &'static str, edit: impl FnOnce(&mut manifest::Template)) {
        edit(self.manifests.get_mut(name).unwrap());
    }

    /// Changes a manifest that was signed.
    pub fn rewrite(&mut self, name: &'static str, from: &str, to: &str) {
        let text = self.text(name);
        assert!(text.contains(from), "{from:?} is not in the document");
        let text = text.replace(from, to);
        self.texts.insert(name, text);
    }

    /// A manifest as it is handed over.
    pub fn text(&self, name: &'static str) -> String {
        let written = || self.manifests[name].sign(&self.world.signer);
        self.texts.get(name).cloned().unwrap_or_else(written)
    }

    pub fn evidence(&self) -> Vec<Evidence> {
        let evidence = |unit: &Unit| Evidence {
            report: unit
                .bytes
                .clone()
                .unwrap_or_else(|| unit.report.sign(&unit.device.firmware)),
            certificates: unit
                .chain
                .clone()
                .unwrap_or_else(|| self.world.authority.chain(&unit.device)),
        };
        self.units.iter().map(evidence).collect()
    }

    pub fn documents(&self) -> Vec<Vec<u8>> {
        let names: BTreeSet<&'static str> = self.manifests.keys().chain(self.texts.keys()).copied().collect();
        names
            .into_iter()
            .map(|name| self.text(name).into_bytes())
            .collect()
    }

    pub fn verdict(&self) -> Result<Vec<Component>, GpuError> {
        let (lists, roots) = (&self.lists, &self.world.roots);
        verify_all(&self.evidence(), &self.nonce, lists, roots, self.at)?.appraise(
            &self.documents(),
            lists,
            roots,
            &self.rules,
            self.at,
        )
    }

    /// Code of the reason for which the node is refused.
    pub fn code(&self) -> Option<&'static str> {
        self.verdict().err().map(|error| error.code())
    }
}
