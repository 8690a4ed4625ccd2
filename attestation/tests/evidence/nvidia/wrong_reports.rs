//! Reports with one thing wrong.

use jeju_synthetic::key::Key;

use super::negatives::{Cases, unit};
use super::synthetic::NONCE;

pub fn reports(cases: &mut Cases<'_>) {
    cases.hopper("longer than a report can be", "gpu_too_long", |node| {
        unit(node).report.trailing = vec![0; 8192];
    });
    cases.hopper("empty", "gpu_truncated", |node| {
        unit(node).bytes = Some(Vec::new())
    });
    cases.hopper("request alone", "gpu_truncated", |node| {
        let signed = node.evidence().remove(0).report;
        unit(node).bytes = Some(signed[..37].to_vec());
    });
    cases.hopper("signature cut short", "gpu_truncated", |node| {
        let mut signed = node.evidence().remove(0).report;
        signed.pop();
        unit(node).bytes = Some(signed);
    });
    cases.hopper("record longer than the report", "gpu_truncated", |node| {
        unit(node).report.record_length = Some(0xFF_FFFF);
    });
    cases.hopper("two zeros behind", "gpu_trailing_bytes", |node| {
        unit(node).report.trailing = vec![0, 0];
    });
    cases.hopper("a byte behind that isn't zero", "gpu_trailing_bytes", |node| {
        unit(node).report.trailing = vec![1];
    });
    for (name, at) in [
        ("version of the request", 0),
        ("code of the request", 1),
        ("request without a signature", 2),
        ("request for one measurement", 3),
    ] {
        cases.hopper(name, "gpu_spdm_request", move |node| {
            unit(node).report.request[at] ^= 1
        });
    }
    cases.hopper("slot of the request", "gpu_spdm_request", |node| {
        unit(node).report.slot = 1
    });
    for (name, at) in [
        ("version of the response", 0),
        ("code of the response", 1),
        ("first parameter of the response", 2),
        ("slot of the response", 3),
    ] {
        cases.hopper(name, "gpu_spdm_response", move |node| {
            unit(node).report.response[at] ^= 1
        });
    }
    cases.hopper("no measurements", "gpu_measurements_none", |node| {
        unit(node).report.blocks.clear();
    });
    cases.hopper(
        "fewer measurements than are counted",
        "gpu_measurements_length",
        |node| {
            unit(node).report.number_of_blocks = Some(65);
        },
    );
    cases.hopper(
        "more measurements than are counted",
        "gpu_measurements_length",
        |node| {
            unit(node).report.number_of_blocks = Some(63);
        },
    );
    cases.hopper(
        "measurement of another specification",
        "gpu_measurement_block",
        |node| {
            unit(node).report.blocks[3].specification = 2;
        },
    );
    cases.hopper("size of a block", "gpu_measurement_block", |node| {
        unit(node).report.blocks[3].size = 50;
    });
    cases.hopper("raw measurement", "gpu_measurement_block", |node| {
        unit(node).report.blocks[3].kind = 0x81;
    });
    cases.hopper("size of a value", "gpu_measurement_block", |node| {
        unit(node).report.blocks[3].value_size = 47;
    });
    cases.hopper("a measurement twice", "gpu_measurement_order", |node| {
        unit(node).report.blocks[4].index = 4;
    });
    cases.hopper("measurement 0", "gpu_measurement_order", |node| {
        unit(node).report.blocks[0].index = 0;
    });
    cases.hopper("signature of another key", "gpu_signature", |node| {
        let signed = unit(node).report.sign(&Key::p384());
        unit(node).bytes = Some(signed);
    });
    cases.hopper("measurement changed after signing", "gpu_signature", |node| {
        let mut signed = node.evidence().remove(0).report;
        signed[60] ^= 1;
        unit(node).bytes = Some(signed);
    });
    cases.hopper("nonce changed after signing", "gpu_signature", |node| {
        unit(node).report.nonce = [1; 32];
        let mut signed = node.evidence().remove(0).report;
        signed[4..36].copy_from_slice(&NONCE);
        unit(node).bytes = Some(signed);
    });
    cases.hopper("device's nonce changed after signing", "gpu_signature", |node| {
        let mut signed = node.evidence().remove(0).report;
        signed[45 + 64 * 55] ^= 1;
        unit(node).bytes = Some(signed);
    });
    cases.hopper("signature of zeros", "gpu_signature", |node| {
        let mut signed = node.evidence().remove(0).report;
        let end = signed.len();
        signed[end - 96..].fill(0);
        unit(node).bytes = Some(signed);
    });
    cases.hopper("report for another nonce", "gpu_nonce_mismatch", |node| {
        unit(node).report.nonce = [1; 32];
    });
    cases.hopper("asked with another nonce", "gpu_nonce_mismatch", |node| {
        node.nonce = [1; 32]
    });
}

pub fn opaque_data(cases: &mut Cases<'_>) {
    cases.hopper("a layout to come", "gpu_opaque_layout", |node| {
        unit(node).report.opaque_head = b"NVDAOD\x01\0".to_vec();
    });
    cases.hopper("field without its length", "gpu_opaque_truncated", |node| {
        unit(node).report.opaque_tail = vec![40, 0, 1];
    });
    cases.hopper("field longer than the data", "gpu_opaque_truncated", |node| {
        unit(node).report.opaque_tail = vec![40, 0, 2, 0, 1];
    });
    cases.hopper("driver version twice", "gpu_opaque_twice", |node| {
        unit(node).report.opaque.push((3, b"999.0\0".to_vec()));
    });
    cases.hopper("more fields than there are", "gpu_opaque_many", |node| {
        let more = (100..200).map(|kind| (kind, Vec::new()));
        unit(node).report.opaque.extend(more);
    });
    for (name, kind) in [
        ("no driver version", 3),
        ("no chip", 4),
        ("no VBIOS version", 6),
        ("no state of the decoder", 11),
        ("no counts", 12),
        ("no protected region", 13),
        ("no project", 17),
    ] {
        cases.hopper(name, "gpu_opaque_missing", move |node| {
            unit(node).report.remove(kind)
        });
    }
    cases.switch("switch without an identity", "gpu_opaque_missing", |node| {
        unit(node).report.remove(22);
    });
    for (name, kind, len) in [
        ("length of FWID", 20, 47),
        ("length of the VBIOS version", 6, 7),
        ("length of the counts", 12, 255),
        ("length of switches' identities", 22, 9),
        ("length of the mode", 36, 1),
        ("length of the chip", 4, 128),
    ] {
        cases.hopper(name, "gpu_opaque_length", move |node| {
            unit(node).report.set(kind, &vec![0; len]);
        });
    }
    cases.switch("length of GPUs' identities", "gpu_opaque_length", |node| {
        unit(node).report.set(26, &[0; 64]);
    });
    cases.hopper("line break in the driver version", "gpu_opaque_text", |node| {
        unit(node).report.set(3, b"580.95.05\n\0");
    });
    cases.hopper("zero inside the driver version", "gpu_opaque_text", |node| {
        unit(node).report.set(3, b"580.95.05\0x");
    });
    cases.hopper("decoder neither on nor off", "gpu_opaque_value", |node| {
        unit(node).report.set(11, &[0x54]);
    });
    cases.hopper("mode that isn't defined", "gpu_opaque_value", |node| {
        unit(node).report.set(36, &[3, 0]);
    });
    cases.hopper(
        "reserved bytes of the VBIOS version",
        "gpu_opaque_value",
        |node| {
            unit(node).report.set(6, &[0x00, 0x74, 0x00, 0x96, 0x1A, 0, 0, 1]);
        },
    );
    cases.hopper("version to come", "gpu_opaque_version", |node| {
        unit(node).report.set(34, &[2, 0]);
    });
    cases.hopper(
        "protected PCIe in a mode without",
        "gpu_mode_contradiction",
        |node| {
            unit(node).report.set(21, &[0xAA]);
        },
    );
    cases.hopper(
        "mode of protected PCIe without it",
        "gpu_mode_contradiction",
        |node| {
            unit(node).report.set(36, &[2, 0]);
        },
    );
}
