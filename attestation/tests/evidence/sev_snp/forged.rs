//! Reports that aren't genuine, under right certificates.

use jeju_synthetic::amd::{Product, Vek, oid};
use jeju_synthetic::der;
use jeju_synthetic::key::Key;

use super::synthetic::{Case, negative, negative_of};
use crate::cases::Negative;

/// Changes the report after it was signed.
fn later(change: impl Fn(&mut Vec<u8>) + 'static) -> impl FnOnce(&mut Case) {
    move |case| case.after = Box::new(move |made, _| change(&mut made.report))
}

fn patch(at: usize) -> impl FnOnce(&mut Case) {
    move |case| case.chip.report.patches.push((at, 1))
}

/// Wrong reports, right chains.
pub fn reports() -> Vec<Negative> {
    let v2 = |name, expected, change: fn(&mut Case)| {
        negative_of(Product::Milan, Vek::Vcek, 2, name, expected, change)
    };
    let v5 = |name, expected, change: fn(&mut Case)| {
        negative_of(Product::Genoa, Vek::Vcek, 5, name, expected, change)
    };
    let turin = |name, expected, change: fn(&mut Case)| {
        negative_of(Product::Turin, Vek::Vcek, 5, name, expected, change)
    };
    let vlek = |name, expected, change: fn(&mut Case)| {
        negative_of(Product::Milan, Vek::Vlek, 3, name, expected, |case| {
            case.rules.vlek = true;
            case.rules.masked_chip_id = true;
            change(case);
        })
    };
    let mut cases = vec![
        negative("no report", "snp_length", later(Vec::clear)),
        negative(
            "report without its last byte",
            "snp_length",
            later(|report| report.truncate(1183)),
        ),
        negative("report and a byte", "snp_length", later(|report| report.push(0))),
        negative(
            "gzip of a report",
            "snp_length",
            later(|report| report.splice(..0, [0x1F, 0x8B]).for_each(drop)),
        ),
        negative("version 0", "snp_version", |case| case.chip.report.version = 0),
        negative("version 1", "snp_version", |case| case.chip.report.version = 1),
        negative("version 4", "snp_version", |case| case.chip.report.version = 4),
        negative("version 6", "snp_version", |case| case.chip.report.version = 6),
        negative("version 3 in big-endian", "snp_version", |case| {
            case.chip.report.version = 3 << 24
        }),
        negative("reserved word behind KEY_INFO", "snp_reserved", patch(0x04C)),
        negative("reserved bits of KEY_INFO", "snp_reserved", |case| {
            case.chip.report.key_info |= 1 << 5
        }),
        negative("reserved bytes behind CPUID", "snp_reserved", patch(0x18B)),
        negative("reserved bytes before CHIP_ID", "snp_reserved", patch(0x19F)),
        negative(
            "reserved byte of the current version",
            "snp_reserved",
            patch(0x1EB),
        ),
        negative(
            "reserved byte of the committed version",
            "snp_reserved",
            patch(0x1EF),
        ),
        negative("mitigation vector in version 3", "snp_reserved", |case| {
            case.chip.report.launch_mit_vector = 1
        }),
        negative("last signed byte", "snp_reserved", patch(0x29F)),
        negative(
            "byte behind the signature",
            "snp_reserved",
            later(|report| report[0x330] = 1),
        ),
        negative("last byte", "snp_reserved", later(|report| report[0x49F] = 1)),
        v2("CPUID in version 2", "snp_reserved", |case| {
            case.chip.report.cpuid = [0x19, 1, 1]
        }),
        v2("mitigation vector in version 2", "snp_reserved", |case| {
            case.chip.report.current_mit_vector = 1
        }),
        v5("byte behind the mitigation vectors", "snp_reserved", |case| {
            case.chip.report.patches.push((0x208, 1))
        }),
        negative("SIGNATURE_ALGO 0", "snp_signature_algorithm", |case| {
            case.chip.report.signature_algo = 0
        }),
        negative("SIGNATURE_ALGO 2", "snp_signature_algorithm", |case| {
            case.chip.report.signature_algo = 2
        }),
        negative(
            "r of 49 bytes",
            "snp_signature_form",
            later(|report| report[0x2A0 + 48] = 1),
        ),
        negative(
            "s of 72 bytes",
            "snp_signature_form",
            later(|report| report[0x2E8 + 71] = 1),
        ),
        negative("report that says it is unsigned", "snp_unsigned", |case| {
            case.chip.report.key_info = 7 << 2
        }),
        negative("SIGNING_KEY 2", "snp_signing_key", |case| {
            case.chip.report.key_info = 2 << 2
        }),
        negative("SIGNING_KEY 6", "snp_signing_key", |case| {
            case.chip.report.key_info = 6 << 2
        }),
        negative("VCEK although it is masked", "snp_chip_key_masked", |case| {
            case.chip.report.key_info = 1 << 1
        }),
        negative(
            "author key announced, digest absent",
            "snp_author_key_contradiction",
            |case| {
                case.chip.report.key_info |= 1;
                case.chip.report.id_key_digest = [1; 48];
            },
        ),
        negative(
            "author key's digest, not announced",
            "snp_author_key_contradiction",
            |case| {
                case.chip.report.id_key_digest = [1; 48];
                case.chip.report.author_key_digest = [2; 48];
            },
        ),
        negative(
            "author key without an ID key",
            "snp_author_key_contradiction",
            |case| {
                case.chip.report.key_info |= 1;
                case.chip.report.author_key_digest = [2; 48];
            },
        ),
        negative("report that the host asked for", "snp_host_requested", |case| {
            case.chip.report.vmpl = u32::MAX
        }),
        negative("VMPL 4", "snp_vmpl_invalid", |case| case.chip.report.vmpl = 4),
        negative("VMPL 0 in the low byte only", "snp_vmpl_invalid", |case| {
            case.chip.report.vmpl = 0x100
        }),
        negative("family 17h", "snp_cpu_unknown", |case| {
            case.chip.report.cpuid[0] = 0x17
        }),
        negative("family 19h, model 20h", "snp_cpu_unknown", |case| {
            case.chip.report.cpuid[1] = 0x20
        }),
        negative("family 19h, model 9Fh", "snp_cpu_unknown", |case| {
            case.chip.report.cpuid[1] = 0x9F
        }),
        negative("reserved byte of CURRENT_TCB", "snp_tcb_reserved", |case| {
            case.chip.report.current_tcb[2] = 1
        }),
        negative("reserved byte of COMMITTED_TCB", "snp_tcb_reserved", |case| {
            case.chip.report.committed_tcb[5] = 1
        }),
        negative("reserved byte of LAUNCH_TCB", "snp_tcb_reserved", |case| {
            case.chip.report.launch_tcb[3] = 1
        }),
        negative(
            "reserved byte of REPORTED_TCB, certified",
            "snp_tcb_reserved",
            |case| {
                case.chip.report.reported_tcb[2] = 1;
                case.chip.set_extension(oid::SPL4, der::number(1));
            },
        ),
        turin(
            "Milan's layout of CURRENT_TCB on Turin",
            "snp_tcb_reserved",
            |case| {
                case.chip.report.current_tcb = [4, 1, 0, 0, 0, 0, 23, 0xD5];
            },
        ),
        // Report and key don't belong together.
        negative("CPUID of Genoa, key of Milan", "snp_product_mismatch", |case| {
            case.chip.report.cpuid = Product::Genoa.cpuid();
        }),
        v5("CPUID of Turin, key of Genoa", "snp_product_mismatch", |case| {
            case.chip.report.cpuid = Product::Turin.cpuid();
        }),
        negative("another chip", "snp_chip_id_mismatch", |case| {
            case.chip.report.chip_id[63] ^= 1
        }),
        turin("another Turin", "snp_chip_id_mismatch", |case| {
            case.chip.report.chip_id[0] ^= 1
        }),
        turin("Turin's CHIP_ID with a tail", "snp_chip_id_mismatch", |case| {
            case.chip.report.chip_id[8] = 1
        }),
        v2("another chip, version 2", "snp_chip_id_mismatch", |case| {
            case.chip.report.chip_id[0] ^= 1
        }),
        // The patch level is the certificate's, not what the report says (WAPI-8).
        negative("newer SNP firmware than certified", "snp_tcb_mismatch", |case| {
            raise(case, 6)
        }),
        negative("newer microcode than certified", "snp_tcb_mismatch", |case| {
            raise(case, 7)
        }),
        negative("newer boot loader than certified", "snp_tcb_mismatch", |case| {
            raise(case, 0)
        }),
        negative("newer TEE than certified", "snp_tcb_mismatch", |case| {
            raise(case, 1)
        }),
        turin("newer FMC than certified", "snp_tcb_mismatch", |case| {
            raise(case, 0)
        }),
        turin(
            "newer SNP firmware than certified, Turin",
            "snp_tcb_mismatch",
            |case| raise(case, 3),
        ),
        vlek(
            "newer microcode than certified, VLEK",
            "snp_tcb_mismatch",
            |case| raise(case, 7),
        ),
        negative("older TCB than certified", "snp_tcb_mismatch", |case| {
            case.chip.report.reported_tcb[7] -= 1
        }),
        v2(
            "newer SNP firmware than certified, version 2",
            "snp_tcb_mismatch",
            |case| raise(case, 6),
        ),
        // Signature.
        negative(
            "REPORT_DATA changed",
            "snp_signature",
            later(|report| report[0x050] ^= 1),
        ),
        negative(
            "MEASUREMENT changed",
            "snp_signature",
            later(|report| report[0x090] ^= 1),
        ),
        negative(
            "HOST_DATA changed",
            "snp_signature",
            later(|report| report[0x0C0] ^= 1),
        ),
        negative("DEBUG taken out", "snp_signature", |case| {
            case.chip.report.policy |= 1 << 19;
            case.after = Box::new(|made, _| made.report[0x00A] ^= 1 << 3);
        }),
        negative("VMPL changed", "snp_signature", later(|report| report[0x030] = 1)),
        negative(
            "signature of zeros",
            "snp_signature",
            later(|report| report[0x2A0..0x330].fill(0)),
        ),
        negative(
            "signature in big-endian",
            "snp_signature",
            later(|report| {
                report[0x2A0..0x2D0].reverse();
                report[0x2E8..0x318].reverse();
            }),
        ),
        negative(
            "r and s exchanged",
            "snp_signature",
            later(|report| {
                let (r, s) = (report[0x2A0..0x2D0].to_vec(), report[0x2E8..0x318].to_vec());
                report[0x2A0..0x2D0].copy_from_slice(&s);
                report[0x2E8..0x318].copy_from_slice(&r);
            }),
        ),
        negative(
            "signed by another key of the same chip's name",
            "snp_signature",
            |case| {
                case.chip.vek_key = Key::p384();
            },
        ),
        vlek("signed by another VLEK", "snp_signature", |case| {
            case.chip.vek_key = Key::p384()
        }),
        v2("signed by another key, masked chip", "snp_signature", |case| {
            case.rules.masked_chip_id = true;
            case.chip.report.chip_id = [0; 64];
            case.chip.vek_key = Key::p384();
        }),
    ];
    cases.extend(bindings());
    cases
}

/// Raises a level of all TCB versions of the report, not of the certificate.
fn raise(case: &mut Case, at: usize) {
    let report = &mut case.chip.report;
    for tcb in [
        &mut report.reported_tcb,
        &mut report.current_tcb,
        &mut report.committed_tcb,
    ] {
        tcb[at] += 1;
    }
}

fn bindings() -> [Negative; 3] {
    let case = Case::new(Product::Milan, Vek::Vcek, 3);
    let claims = case.claims().unwrap();
    let report = &case.chip.report;
    assert_eq!(claims.check_report_data(&report.report_data), Ok(()));
    assert_eq!(claims.check_host_data(&report.host_data), Ok(()));
    let mut tail = report.report_data;
    tail[63] ^= 1;
    let data = |name, expected: &[u8; 64]| Negative {
        name,
        expected: "snp_report_data",
        found: claims.check_report_data(expected).err().map(|error| error.code()),
    };
    [
        data("report for another nonce", &[0; 64]),
        data("report data that differs in its last byte", &tail),
        Negative {
            name: "launched with another document",
            expected: "snp_host_data",
            found: claims.check_host_data(&[0; 32]).err().map(|error| error.code()),
        },
    ]
}
