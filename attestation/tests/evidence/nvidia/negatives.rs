//! Synthetic nodes: accepted when right, and refused for each single thing that is wrong.

use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::nvidia::claims::Mode;
use jeju_attestation::nvidia::{Device, GpuError, Gpus, Report, RimError, Rules, verify_all};
use jeju_attestation::verdict::Revocation;
use jeju_synthetic::crl::CrlTemplate;
use jeju_synthetic::nvidia::device::ROOT;
use jeju_synthetic::{DAY, NOW};

use super::synthetic::{Chip, DRIVER, NONCE, Node, PDI, Unit, World};
use super::{wrong_devices, wrong_manifests, wrong_policies, wrong_reports};
use crate::cases::{Negative, check};

/// A second GPU's identity.
pub const OTHER: [u8; 8] = [0x21, 9, 8, 7, 6, 5, 4, 3];

#[test]
fn what_is_right_is_accepted() {
    let world = World::new();
    let hopper = world.hopper().verdict().unwrap();
    assert_eq!((hopper.len(), hopper[0].kind), (1, "nvidia-gpu"));
    assert_eq!(
        hopper[0].tcb.as_ref().unwrap().status,
        "driver 580.95.05, VBIOS 96.00.74.00.1A"
    );
    assert_eq!(hopper[0].revocation, Revocation::Unknown);
    let value = |claim: &str| {
        let check = hopper[0].checks.iter().find(|check| check.claim == claim);
        check.map(|check| check.value.as_str())
    };
    assert_eq!(value("PDI"), Some("2001020304050607"));
    assert_eq!(value("FEATURE_FLAG"), Some("spt"));
    assert_eq!(value("measres"), Some("success"));
    assert_eq!(value("dbgstat"), Some("disabled"));
    assert_eq!(
        value("driver manifest"),
        Some("NV_GPU_DRIVER_GH100_580.95.05: measurements 7, 21–34, 36–40")
    );
    assert_eq!(value("measurements not made"), Some("measurements 35"));
    assert_eq!(
        value("measurements without a reference value"),
        Some("measurements 13–20, 41–63")
    );
    assert_eq!(world.blackwell().code(), None);
    assert_eq!(world.switch().verdict().unwrap()[0].kind, "nvidia-switch");
    let mut strict = world.hopper();
    strict.rules = Rules::strict();
    assert_eq!(strict.code(), None);
    let mut pinned = world.hopper();
    pinned.rules.devices = vec![HexBytes(PDI)];
    assert_eq!(pinned.code(), None);
    // Two GPUs of one kind share their manifests.
    let mut two = world.hopper();
    two.units.push(world.unit(Chip::Gh100, OTHER));
    two.rules.gpus.max = 2;
    assert_eq!(two.verdict().unwrap().len(), 2);
    // Lists that don't name the device are shown, and make nothing good.
    let mut listed = world.hopper();
    listed.lists = vec![list(&world, ROOT, &[]), list(&world, "Somebody else", &[])];
    let listed = listed.verdict().unwrap();
    assert_eq!(listed[0].revocation, Revocation::Unknown);
    let shown = listed[0]
        .checks
        .iter()
        .find(|check| check.claim == "revocation")
        .unwrap();
    assert!(shown.value.contains("NVIDIA GH100 Identity"), "{}", shown.value);
    // Protected PCIe, where the rules list it.
    let mut protected = world.hopper();
    protected.units[0].report.set(21, &[0xAA]);
    protected.units[0].report.set(36, &[2, 0]);
    protected.rules.modes.push(Mode::Ppcie);
    assert_eq!(protected.code(), None);
    // A signer that has ended, where the rules allow it.
    let mut ended = world.hopper();
    ended.at = NOW as i64 + 181 * DAY;
    ended.units[0].device.templates[0].not_after += 30 * DAY;
    ended.rules.expired_manifest_signers = true;
    assert_eq!(ended.code(), None);
}

/// What was verified before is kept: device and manifests. Only the report's signature is checked then.
#[test]
fn what_was_verified_can_be_kept() {
    let world = World::new();
    let mut node = world.hopper();
    // Certificates are signed anew each time that they are asked for.
    let evidence = node.evidence();
    node.units[0].chain = Some(evidence[0].certificates.clone());
    for name in ["driver", "vbios"] {
        let text = node.text(name);
        node.texts.insert(name, text);
    }
    let device = Device::verify(&evidence[0].certificates, &[], &world.roots, NOW as i64).unwrap();
    let report = Report::parse(&evidence[0].report).unwrap();
    let claims = device.report(&report, &NONCE, NOW as i64).unwrap();
    assert_eq!((claims.identity(), claims.hwmodel()), (PDI, "GH100 A01 GSP BROM"));
    let later = device.report(&report, &NONCE, NOW as i64 + 400 * DAY);
    assert_eq!(later.unwrap_err().code(), "gpu_chain_dates");
    let gpus = Gpus::of(vec![claims.clone()]).unwrap();
    let (roots, rules) = (&world.roots, &node.rules);
    let golden = gpus
        .golden(&node.documents(), &[], roots, rules, NOW as i64)
        .unwrap();
    assert_eq!(golden.len(), 2);
    assert_eq!(gpus.appraise_with(&golden, rules, NOW as i64), node.verdict());
    let ended = gpus.appraise_with(&golden, rules, NOW as i64 + 181 * DAY);
    assert_eq!(ended.unwrap_err().code(), "gpu_chain_dates");
    // Devices that were verified for two sessions don't stand for one.
    let mut other = world.unit(Chip::Gh100, OTHER);
    other.report.nonce = [1; 32];
    let signed = other.report.sign(&other.device.firmware);
    let chain = world.authority.chain(&other.device);
    let other = Device::verify(&chain, &[], roots, NOW as i64).unwrap();
    let other = other
        .report(&Report::parse(&signed).unwrap(), &[1; 32], NOW as i64)
        .unwrap();
    let mixed = Gpus::of(vec![claims.clone(), other]);
    assert_eq!(mixed.unwrap_err().code(), "gpu_nonce_mismatch");
    assert_eq!(
        Gpus::of(vec![claims.clone(), claims]).unwrap_err().code(),
        "gpu_repeated"
    );
}

/// A list by the synthetic root, or by whoever has this name.
pub fn list(world: &World, issuer: &str, revoked: &[Vec<u8>]) -> Vec<u8> {
    CrlTemplate {
        revoked: revoked.to_vec(),
        ..CrlTemplate::new(issuer)
    }
    .sign(&world.authority.root)
}

type Edit = Box<dyn Fn(&mut Node<'_>)>;

/// Cases of one table, on one world.
pub struct Cases<'a> {
    pub world: &'a World,
    negatives: Vec<Negative>,
}

impl Cases<'_> {
    /// A Hopper node with one thing wrong.
    pub fn hopper(
        &mut self,
        name: &'static str,
        expected: &'static str,
        edit: impl Fn(&mut Node<'_>) + 'static,
    ) {
        let world = self.world;
        self.node(name, expected, world.hopper(), Box::new(edit));
    }

    pub fn switch(
        &mut self,
        name: &'static str,
        expected: &'static str,
        edit: impl Fn(&mut Node<'_>) + 'static,
    ) {
        let world = self.world;
        self.node(name, expected, world.switch(), Box::new(edit));
    }

    pub fn blackwell(
        &mut self,
        name: &'static str,
        expected: &'static str,
        edit: impl Fn(&mut Node<'_>) + 'static,
    ) {
        let world = self.world;
        self.node(name, expected, world.blackwell(), Box::new(edit));
    }

    fn node(&mut self, name: &'static str, expected: &'static str, mut node: Node<'_>, edit: Edit) {
        edit(&mut node);
        self.negatives.push(Negative {
            name,
            expected,
            found: node.code(),
        });
    }

    pub fn found(&mut self, name: &'static str, expected: &'static str, found: Option<&'static str>) {
        self.negatives.push(Negative {
            name,
            expected,
            found,
        });
    }
}

pub fn unit<'a>(node: &'a mut Node<'_>) -> &'a mut Unit {
    &mut node.units[0]
}

#[test]
fn what_is_wrong_is_refused_for_its_reason() {
    let world = World::new();
    let mut cases = Cases {
        world: &world,
        negatives: Vec::new(),
    };
    wrong_reports::reports(&mut cases);
    wrong_reports::opaque_data(&mut cases);
    wrong_devices::chains(&mut cases);
    wrong_devices::bindings(&mut cases);
    wrong_policies::policies(&mut cases);
    wrong_policies::measurements(&mut cases);
    let codes: Vec<&str> = GpuError::CODES.to_vec();
    check(&cases.negatives, &codes, 120);
}

/// A decoder that is off has no firmware to measure.
#[test]
fn a_decoder_that_is_off_is_not_compared() {
    let world = World::new();
    let mut node = world.hopper();
    node.units[0].report.blocks[35].value = vec![0; 48];
    assert!(DRIVER.contains(&35));
    assert_eq!(node.code(), None);
}

/// A GPU's answer must not be mixed with another's chain.
#[test]
fn chain_and_report_of_two_devices_do_not_mix() {
    let world = World::new();
    let (first, mut second) = (world.hopper(), world.hopper());
    second.units[0].chain = Some(first.evidence().remove(0).certificates);
    assert_eq!(second.code(), Some("gpu_signature"));
    let nothing = verify_all(&[], &NONCE, &[], &world.roots, NOW as i64);
    assert_eq!(nothing.unwrap_err().code(), "gpu_none");
}

#[test]
fn manifests_that_are_wrong_are_refused_for_their_reason() {
    let world = World::new();
    let mut cases = Cases {
        world: &world,
        negatives: Vec::new(),
    };
    wrong_manifests::documents(&mut cases);
    wrong_manifests::signatures(&mut cases);
    wrong_manifests::contents(&mut cases);
    wrong_manifests::signers(&mut cases);
    check(&cases.negatives, RimError::CODES, 50);
}
