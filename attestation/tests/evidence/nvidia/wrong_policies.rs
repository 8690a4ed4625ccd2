//! Genuine devices that a policy doesn't accept, and measurements that no manifest has.

use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::nvidia::Rules;
use jeju_synthetic::nvidia::manifest::{self, resource};
use jeju_synthetic::nvidia::measured;
use jeju_synthetic::{DAY, NOW};

use super::negatives::{Cases, OTHER, unit};
use super::synthetic::{Chip, PDI, Unit};

pub fn policies(cases: &mut Cases<'_>) {
    cases.hopper("no device", "gpu_none", |node| node.units.clear());
    cases.hopper("more devices than a node has", "gpu_many", |node| {
        for _ in 0..32 {
            let unit = node.world.unit(Chip::Gh100, PDI);
            node.units.push(Unit {
                bytes: Some(Vec::new()),
                ..unit
            });
        }
    });
    cases.hopper("one report twice", "gpu_repeated", |node| {
        let evidence = node.evidence().remove(0);
        let again = node.world.unit(Chip::Gh100, PDI);
        node.units.push(Unit {
            bytes: Some(evidence.report),
            chain: Some(evidence.certificates),
            ..again
        });
        node.rules.gpus.max = 2;
    });
    cases.hopper(
        "one chip twice, with other firmware keys",
        "gpu_repeated",
        |node| {
            node.units.push(node.world.unit(Chip::Gh100, PDI));
            node.rules.gpus.max = 2;
        },
    );
    cases.hopper("second GPU with another nonce", "gpu_nonce_mismatch", |node| {
        let mut second = node.world.unit(Chip::Gh100, OTHER);
        second.report.nonce = [1; 32];
        node.units.push(second);
        node.rules.gpus.max = 2;
    });
    cases.hopper("fewer GPUs than wanted", "gpu_count", |node| {
        (node.rules.gpus.min, node.rules.gpus.max) = (8, 8);
    });
    cases.hopper("more GPUs than wanted", "gpu_count", |node| {
        node.units.push(node.world.unit(Chip::Gh100, OTHER));
    });
    cases.hopper("policy that says nothing", "gpu_count", |node| {
        node.rules = Rules::default()
    });
    cases.switch("switch that nobody wants", "gpu_switch_count", |node| {
        node.rules.switches = 0
    });
    cases.hopper("links wanted appraised", "gpu_topology_not_appraised", |node| {
        node.rules.topology = true;
    });
    cases.hopper(
        "protected PCIe without a policy",
        "gpu_topology_not_appraised",
        |node| {
            unit(node).report.set(21, &[0xAA]);
            unit(node).report.set(36, &[2, 0]);
            node.rules = Rules::strict();
        },
    );
    cases.hopper(
        "architecture not listed",
        "gpu_architecture_not_accepted",
        |node| {
            node.rules.architectures.remove(0);
        },
    );
    cases.hopper("device not listed", "gpu_device_not_accepted", |node| {
        node.rules.devices = vec![HexBytes([9; 8])];
    });
    cases.hopper("mode not listed", "gpu_mode_not_accepted", |node| {
        unit(node).report.set(36, &[1, 0]);
    });
    cases.hopper(
        "protected PCIe of an older driver",
        "gpu_mode_not_accepted",
        |node| {
            unit(node).report.remove(36);
            unit(node).report.set(21, &[0xAA]);
        },
    );
    cases.hopper("confidential computing off", "gpu_cc_off", |node| {
        unit(node).report.set(13, &[0; 4]);
    });
    cases.hopper("confidential computing off, no policy", "gpu_cc_off", |node| {
        unit(node).report.set(13, &[0; 4]);
        node.rules = Rules::strict();
    });
    cases.hopper("driver not listed", "gpu_driver_not_accepted", |node| {
        node.rules.driver_versions = vec!["580.95.0".to_owned()];
    });
    cases.hopper("VBIOS not listed", "gpu_vbios_not_accepted", |node| {
        node.rules.vbios_versions.clear();
    });
    cases.hopper("revocation unknown", "gpu_revocation_unknown", |node| {
        node.rules.revocation_unknown = false;
    });
}

pub fn measurements(cases: &mut Cases<'_>) {
    cases.hopper("no manifest of the driver", "gpu_rim_missing", |node| {
        node.manifests.remove("driver");
    });
    cases.hopper("no manifest of the VBIOS", "gpu_rim_missing", |node| {
        node.manifests.remove("vbios");
    });
    cases.hopper("no manifests, no policy", "gpu_rim_missing", |node| {
        node.manifests.clear();
        node.rules = Rules::strict();
    });
    cases.hopper("manifest of another chip", "gpu_rim_missing", |node| {
        node.edit("driver", |manifest| manifest.product = "GB100".to_owned());
    });
    cases.hopper("manifest of a switch", "gpu_rim_missing", |node| {
        node.edit("vbios", |manifest| manifest.edition = "SWITCH".to_owned());
    });
    cases.hopper("manifest of another driver", "gpu_rim_version", |node| {
        node.edit("driver", |manifest| manifest.version = "580.95.06".to_owned());
    });
    cases.hopper("manifest of another VBIOS", "gpu_rim_version", |node| {
        node.edit("vbios", |manifest| manifest.version = "96.00.74.00.1B".to_owned());
    });
    cases.hopper("two manifests for one driver", "gpu_rim_ambiguous", |node| {
        let second = manifest::Template::new(Chip::Gh100, "580.95.05", [7]);
        node.manifest("second", second);
    });
    cases.hopper("measurement of both manifests", "gpu_rim_conflict", |node| {
        node.edit("driver", |manifest| {
            manifest.resources[8] = resource(8, true, &[measured(Chip::Gh100, 8)]);
        });
    });
    cases.hopper("report without a measurement", "gpu_measurement_absent", |node| {
        unit(node).report.blocks.remove(21);
    });
    cases.hopper("measurement of the driver", "gpu_measurement_mismatch", |node| {
        unit(node).report.blocks[40].value[47] ^= 1;
    });
    cases.hopper("measurement of the VBIOS", "gpu_measurement_mismatch", |node| {
        unit(node).report.blocks[0].value[0] ^= 1;
    });
    cases.hopper(
        "value of another measurement",
        "gpu_measurement_mismatch",
        |node| {
            unit(node).report.blocks[22].value = measured(Chip::Gh100, 21).to_vec();
        },
    );
    cases.hopper(
        "decoder on, with other firmware",
        "gpu_measurement_mismatch",
        |node| {
            unit(node).report.set(11, &[0xAA]);
            unit(node).report.blocks[35].value = vec![0; 48];
        },
    );
    cases.switch("measurement of a switch", "gpu_measurement_mismatch", |node| {
        unit(node).report.blocks[30].value = vec![0; 48];
    });
    cases.hopper("manifest with a broken signature", "rim_digest", |node| {
        node.rewrite("driver", "Measurement_7\"", "Measurement_9\"");
    });
    cases.hopper("signer that has ended", "x509_expired", |node| {
        node.at = NOW as i64 + 180 * DAY + 1;
        for template in &mut node.units[0].device.templates {
            template.not_after += 3650 * DAY;
        }
    });
}
