//! Device chains with one thing wrong, and reports that don't fit theirs.

use jeju_attestation::nvidia::{Device, Report};
use jeju_synthetic::certificate::{Extension, Template, name, usage};
use jeju_synthetic::crl::CrlTemplate;
use jeju_synthetic::key::Key;
use jeju_synthetic::nvidia::device::{ALTERNATIVE_NAME, COMPOSITE_DEVICE_ID, ROOT, TCB_INFO};
use jeju_synthetic::nvidia::device::{alternative_name, composite_device_id, tcb_info};
use jeju_synthetic::nvidia::firmware;
use jeju_synthetic::{DAY, NOW};

use super::negatives::{Cases, OTHER, list, unit};
use super::synthetic::{Chip, NONCE, Node, PDI, World};

/// The certificate at a place of the chain: firmware, device, line, product.
fn certificate<'a>(node: &'a mut Node<'_>, at: usize) -> &'a mut Template {
    &mut unit(node).device.templates[at]
}

fn extension(node: &mut Node<'_>, oid: &'static str, value: Vec<u8>) {
    let extensions = &mut certificate(node, 0).extensions;
    extensions.retain(|extension| extension.oid != oid);
    extensions.push(Extension::new(oid, value));
}

pub fn chains(cases: &mut Cases<'_>) {
    cases.hopper("chain without its root", "gpu_chain_length", |node| {
        let mut chain = node.evidence().remove(0).certificates;
        chain.pop();
        unit(node).chain = Some(chain);
    });
    cases.hopper("chain without its line", "gpu_chain_length", |node| {
        let mut chain = node.evidence().remove(0).certificates;
        chain.remove(2);
        unit(node).chain = Some(chain);
    });
    cases.hopper("the root twice", "gpu_chain_length", |node| {
        let mut chain = node.evidence().remove(0).certificates;
        chain.push(chain[4].clone());
        unit(node).chain = Some(chain);
    });
    cases.hopper("two authorities changed places", "x509_issuer", |node| {
        let mut chain = node.evidence().remove(0).certificates;
        chain.swap(2, 3);
        unit(node).chain = Some(chain);
    });
    cases.hopper("root of another", "x509_untrusted_root", |node| {
        let (other, mut chain) = (World::new(), node.evidence().remove(0).certificates);
        chain[4] = other.authority.root_certificate;
        unit(node).chain = Some(chain);
    });
    cases.hopper("whole chain of another", "x509_untrusted_root", |node| {
        let chain = World::new().authority.chain(&unit(node).device);
        unit(node).chain = Some(chain);
    });
    cases.hopper(
        "certificate signed by a key of no authority",
        "x509_signature",
        |node| {
            let mut chain = node.evidence().remove(0).certificates;
            chain[0] = unit(node).device.templates[0].sign(&Key::p384());
            unit(node).chain = Some(chain);
        },
    );
    cases.hopper("byte of a certificate changed", "x509_signature", |node| {
        let mut chain = node.evidence().remove(0).certificates;
        // Inside the public key of the production line.
        let at = chain[2].len() / 2;
        chain[2][at] ^= 1;
        unit(node).chain = Some(chain);
    });
    cases.hopper("not a certificate", "x509_not_der", |node| {
        let mut chain = node.evidence().remove(0).certificates;
        chain[1].push(0);
        unit(node).chain = Some(chain);
    });
    cases.hopper("firmware whose certificate has ended", "x509_expired", |node| {
        certificate(node, 0).not_after = NOW as i64 - 1;
    });
    cases.hopper("device that isn't valid yet", "x509_not_yet_valid", |node| {
        certificate(node, 1).not_before = NOW as i64 + 1;
    });
    cases.hopper("firmware that is an authority", "x509_leaf_is_ca", |node| {
        certificate(node, 0).authority = Some(None);
    });
    cases.hopper("device that is no authority", "x509_not_ca", |node| {
        certificate(node, 1).authority = None;
    });
    cases.hopper(
        "line that may have nothing below it",
        "x509_path_length",
        |node| {
            certificate(node, 2).authority = Some(Some(0));
        },
    );
    cases.hopper("line that may not certify", "x509_key_usage", |node| {
        certificate(node, 2).usage = usage::REVOCATION_LISTS;
    });
    cases.hopper(
        "critical extension that isn't known",
        "x509_critical_extension",
        |node| {
            let mut unknown = Extension::new("1.2.3.4", vec![5, 0]);
            unknown.critical = true;
            certificate(node, 0).extensions.push(unknown);
        },
    );
    cases.hopper("firmware extension twice", "x509_duplicate_extension", |node| {
        let value = composite_device_id(&unit(node).device.key.spki(), &[1; 48]);
        certificate(node, 0)
            .extensions
            .push(Extension::new(COMPOSITE_DEVICE_ID, value));
    });
    cases.hopper("product revoked by the root", "x509_revoked", |node| {
        let serial = certificate(node, 3).serial.clone();
        node.lists.push(list(node.world, ROOT, &[serial]));
    });
    cases.hopper("device revoked by its line", "x509_revoked", |node| {
        let serial = certificate(node, 1).serial.clone();
        let mut template = CrlTemplate::new("NVIDIA GH100 Provisioner ICA 1");
        template.revoked.push(serial);
        node.lists.push(template.sign(&node.world.authority.line));
    });
    cases.hopper("list by another key", "crl_signature", |node| {
        node.lists.push(CrlTemplate::new(ROOT).sign(&Key::p384()));
    });
    cases.hopper("list that has ended", "crl_expired", |node| {
        let mut template = CrlTemplate::new(ROOT);
        template.next_update = Some(NOW as i64 - 1);
        node.lists.push(template.sign(&node.world.authority.root));
    });
}

pub fn bindings(cases: &mut Cases<'_>) {
    cases.hopper("firmware named as of another chip", "gpu_device_names", |node| {
        certificate(node, 0).subject = name("GB100 A01 GSP FMC LF");
    });
    cases.hopper("chip that isn't known", "gpu_device_names", |node| {
        let value = alternative_name("NVIDIA:GA100:48B02D2001020304");
        extension(node, ALTERNATIVE_NAME, value);
    });
    // A line of Hopper that certifies a Blackwell.
    cases.blackwell("line of another chip", "gpu_device_names", |node| {
        let line = name("NVIDIA GH100 Provisioner ICA 1");
        certificate(node, 1).issuer = line.clone();
        certificate(node, 2).subject = line;
    });
    cases.hopper("no name of the device", "gpu_device_name", |node| {
        certificate(node, 0)
            .extensions
            .retain(|extension| extension.oid != ALTERNATIVE_NAME);
    });
    cases.hopper("name of another maker", "gpu_device_name", |node| {
        let value = alternative_name("AMD:GH100:48B02D2001020304");
        extension(node, ALTERNATIVE_NAME, value);
    });
    cases.hopper("short serial number", "gpu_device_serial", |node| {
        certificate(node, 1).serial = PDI.to_vec();
    });
    cases.hopper("no firmware identity", "gpu_firmware_extension", |node| {
        certificate(node, 0)
            .extensions
            .retain(|extension| extension.oid != COMPOSITE_DEVICE_ID);
    });
    cases.hopper(
        "firmware identity that is cut short",
        "gpu_firmware_extension",
        |node| {
            let mut value = composite_device_id(&unit(node).device.key.spki(), &firmware(Chip::Gh100));
            value.pop();
            extension(node, COMPOSITE_DEVICE_ID, value);
        },
    );
    cases.blackwell(
        "Hopper's firmware identity on Blackwell",
        "gpu_firmware_extension",
        |node| {
            let value = composite_device_id(&unit(node).device.key.spki(), &firmware(Chip::Gb100));
            certificate(node, 0)
                .extensions
                .retain(|extension| extension.oid != TCB_INFO);
            extension(node, COMPOSITE_DEVICE_ID, value);
        },
    );
    cases.hopper("key of another device", "gpu_device_key", |node| {
        let value = composite_device_id(&Key::p384().spki(), &firmware(Chip::Gh100));
        extension(node, COMPOSITE_DEVICE_ID, value);
    });
    for (name, bits) in [
        ("firmware that isn't secure", 0x40),
        ("firmware in recovery", 0x20),
        ("firmware in debugging", 0x10),
    ] {
        cases.blackwell(name, "gpu_firmware_flag", move |node| {
            let value = tcb_info(&firmware(Chip::Gb100), Some(&[bits]));
            extension(node, TCB_INFO, value);
        });
    }
    cases.hopper("report of other firmware", "gpu_fwid_mismatch", |node| {
        unit(node).report.set(20, &[7; 48]);
    });
    cases.blackwell("certificate of other firmware", "gpu_fwid_mismatch", |node| {
        extension(node, TCB_INFO, tcb_info(&[7; 48], None));
    });
    cases.hopper(
        "Blackwell's report by Hopper's key",
        "gpu_architecture_mismatch",
        |node| {
            unit(node).report.set(4, &[0xA0, 1, 0, 0, 0, 0, 0, 0]);
        },
    );
    cases.switch(
        "switch with another's identity",
        "gpu_identity_mismatch",
        |node| {
            unit(node).report.set(22, &OTHER);
        },
    );
    let node = cases.world.hopper();
    let evidence = node.evidence().remove(0);
    let device = Device::verify(&evidence.certificates, &[], &cases.world.roots, NOW as i64).unwrap();
    let report = Report::parse(&evidence.report).unwrap();
    let later = device.report(&report, &NONCE, NOW as i64 + 181 * DAY);
    cases.found(
        "kept device whose chain has ended",
        "gpu_chain_dates",
        later.err().map(|error| error.code()),
    );
}
