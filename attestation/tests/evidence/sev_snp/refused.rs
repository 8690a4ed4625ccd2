//! Genuine evidence that policy refuses, and claims that contradict each other.

use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::roots::AmdProduct;
use jeju_attestation::sev_snp::{Requirement, Rules};
use jeju_synthetic::amd::{Product, Vek, oid};
use jeju_synthetic::der;

use super::synthetic::{Case, negative, negative_of};
use crate::cases::Negative;

/// Changes the floor of Milan.
fn floor(case: &mut Case) -> &mut jeju_attestation::sev_snp::Floor {
    case.rules.products.get_mut(&AmdProduct::Milan).unwrap()
}

/// A guest with an ID block, and rules that accept its key.
fn with_id_block(case: &mut Case) {
    case.chip.report.id_key_digest = [0x1D; 48];
    case.rules.id_keys = vec![HexBytes([0x1D; 48])];
    case.rules.no_id_block = false;
}

pub fn cases() -> Vec<Negative> {
    let mut with_block = Case::new(Product::Milan, Vek::Vcek, 3);
    with_id_block(&mut with_block);
    with_block.chip.report.key_info = 1;
    with_block.chip.report.author_key_digest = [0xA0; 48];
    with_block.chip.report.family_id = [0xFA; 16];
    with_block.rules.family_ids = vec![HexBytes([0xFA; 16])];
    assert!(with_block.verdict().is_ok());
    with_block.rules.id_keys.clear();
    with_block.rules.author_keys = vec![HexBytes([0xA0; 48])];
    assert!(with_block.verdict().is_ok());
    let mut cases = contradictions();
    cases.extend(guest_policy());
    cases.extend(platform());
    cases.extend(floors());
    cases.extend(guest());
    cases.extend(without_policy());
    cases
}

fn contradictions() -> Vec<Negative> {
    vec![
        negative("POLICY without bit 17", "snp_policy_bit_17", |case| {
            case.chip.report.policy &= !(1 << 17)
        }),
        negative("POLICY with bit 26", "snp_policy_reserved", |case| {
            case.chip.report.policy |= 1 << 26
        }),
        negative("POLICY with bit 63", "snp_policy_reserved", |case| {
            case.chip.report.policy |= 1 << 63
        }),
        negative("reported above current", "snp_reported_above_current", |case| {
            case.chip.report.current_tcb[6] -= 1
        }),
        negative(
            "one component above current, another below",
            "snp_reported_above_current",
            |case| {
                case.chip.report.current_tcb[6] += 9;
                case.chip.report.current_tcb[0] -= 1;
            },
        ),
        negative("committed above current", "snp_committed_above_current", |case| {
            case.chip.report.committed_tcb[7] += 1
        }),
        negative(
            "committed version above current",
            "snp_committed_version_above_current",
            |case| {
                case.chip.report.committed_version = [0, 56, 1];
            },
        ),
        negative(
            "guest that wants newer firmware",
            "snp_abi_above_firmware",
            |case| {
                case.chip.report.policy = case.chip.report.policy & !0xFFFF | 0x0138;
            },
        ),
        negative("SMT forbidden, and on", "snp_smt_contradiction", |case| {
            case.chip.report.policy &= !(1 << 16)
        }),
        negative("RAPL forbidden, and on", "snp_rapl_contradiction", |case| {
            case.chip.report.policy |= 1 << 23
        }),
        negative(
            "ciphertext hiding wanted, and off",
            "snp_ciphertext_hiding_contradiction",
            |case| {
                case.chip.report.policy |= 1 << 24;
            },
        ),
    ]
}

fn guest_policy() -> Vec<Negative> {
    let require = |requirement| move |case: &mut Case| case.rules.required.push(requirement);
    vec![
        negative("debug", "snp_debug", |case| case.chip.report.policy |= 1 << 19),
        negative("migration", "snp_migrate_ma", |case| {
            case.chip.report.policy |= 1 << 18
        }),
        negative("migration agent", "snp_migration_agent", |case| {
            case.chip.report.report_id_ma[31] = 0xFE
        }),
        negative("VMPL 1", "snp_vmpl", |case| case.chip.report.vmpl = 1),
        negative("VMPL 0, another wanted", "snp_vmpl", |case| {
            case.rules.vmpl = vec![1, 2]
        }),
        negative("no VMPL accepted", "snp_vmpl", |case| case.rules.vmpl.clear()),
        negative("SMT", "snp_smt", |case| case.rules.smt = false),
        negative("CXL", "snp_cxl", |case| case.chip.report.policy |= 1 << 21),
        negative(
            "several sockets",
            "snp_multiple_sockets",
            require(Requirement::SingleSocket),
        ),
        negative(
            "AES-128",
            "snp_aes_256_xts_not_required",
            require(Requirement::Aes256Xts),
        ),
        negative("RAPL", "snp_rapl", require(Requirement::RaplDisabled)),
        negative(
            "ciphertext not hidden",
            "snp_ciphertext_hiding_not_required",
            require(Requirement::CiphertextHiding),
        ),
        negative(
            "pages can be swapped",
            "snp_page_swap",
            require(Requirement::PageSwapDisabled),
        ),
        negative("memory without error correction", "snp_ecc_off", |case| {
            case.chip.report.platform_info = 0x21
        }),
        negative(
            "host's memory not encrypted",
            "snp_tsme_off",
            require(Requirement::Tsme),
        ),
        negative("ABI lower than wanted", "snp_abi_below_minimum", |case| {
            case.rules.abi = (0, 32)
        }),
        negative("major ABI lower than wanted", "snp_abi_below_minimum", |case| {
            case.rules.abi = (1, 0)
        }),
    ]
}

fn platform() -> Vec<Negative> {
    let vlek = |name, expected, change: fn(&mut Case)| {
        negative_of(Product::Genoa, Vek::Vlek, 3, name, expected, change)
    };
    vec![
        negative(
            "launched above the current TCB",
            "snp_launch_above_current",
            |case| case.chip.report.launch_tcb[6] += 1,
        ),
        negative("provisional TCB", "snp_provisional_firmware", |case| {
            case.chip.report.current_tcb[6] += 1
        }),
        negative("provisional build", "snp_provisional_firmware", |case| {
            case.chip.report.current_version[0] += 1
        }),
        negative(
            "memory not checked for aliases",
            "snp_alias_check_incomplete",
            |case| {
                case.chip.report.platform_info &= !(1 << 5);
            },
        ),
        negative(
            "unknown bit of PLATFORM_INFO",
            "snp_platform_info_unknown",
            |case| {
                case.chip.report.platform_info |= 1 << 8;
            },
        ),
        vlek("VLEK", "snp_vlek", |case| case.rules.masked_chip_id = true),
        vlek("masked chip with a VLEK", "snp_chip_id_masked", |case| {
            case.rules.vlek = true
        }),
        negative("masked chip with a VCEK", "snp_chip_id_masked", |case| {
            case.chip.report.chip_id = [0; 64]
        }),
        negative("no revocation list", "snp_revocation_unknown", |case| {
            case.after = Box::new(|_, all| all.revocation_lists.clear());
        }),
    ]
}

fn floors() -> Vec<Negative> {
    let turin = |name, expected, change: fn(&mut Case)| {
        negative_of(Product::Turin, Vek::Vcek, 5, name, expected, change)
    };
    vec![
        negative("product without a rule", "snp_product_not_accepted", |case| {
            case.rules.products.remove(&AmdProduct::Milan);
        }),
        negative("no products at all", "snp_product_not_accepted", |case| {
            case.rules.products.clear()
        }),
        negative("boot loader below the floor", "snp_tcb_below_floor", |case| {
            floor(case).tcb.bootloader = 5
        }),
        negative("TEE below the floor", "snp_tcb_below_floor", |case| {
            floor(case).tcb.tee = 2
        }),
        negative("SNP firmware below the floor", "snp_tcb_below_floor", |case| {
            floor(case).tcb.snp = 24
        }),
        negative("microcode below the floor", "snp_tcb_below_floor", |case| {
            floor(case).tcb.microcode = 0xD6
        }),
        turin("FMC below the floor", "snp_tcb_below_floor", |case| {
            case.rules.products.get_mut(&AmdProduct::Turin).unwrap().tcb.fmc = Some(2);
        }),
        // Certified for the old version, which the newer one that runs can report.
        negative("reports below what runs", "snp_tcb_below_floor", |case| {
            case.chip.report.reported_tcb[6] = 22;
            case.chip.set_extension(oid::SNP, der::number(22));
        }),
        negative(
            "can be rolled back below the floor",
            "snp_committed_tcb_below_floor",
            |case| {
                case.rules.provisional_firmware = true;
                case.chip.report.committed_tcb[6] = 22;
            },
        ),
        negative("launched below the floor", "snp_launch_tcb_below_floor", |case| {
            case.chip.report.launch_tcb[7] -= 1
        }),
        negative(
            "launched below a floor of its own",
            "snp_launch_tcb_below_floor",
            |case| {
                let mut launch = floor(case).tcb;
                launch.snp += 1;
                floor(case).launch_tcb = Some(launch);
            },
        ),
        negative("firmware too old", "snp_firmware_below_minimum", |case| {
            floor(case).firmware.build = 30
        }),
        negative("minor version too old", "snp_firmware_below_minimum", |case| {
            floor(case).firmware.minor = 56;
            floor(case).firmware.build = 0;
        }),
        negative(
            "mitigations wanted of version 3",
            "snp_mitigations_absent",
            |case| floor(case).launch_mitigations = 1,
        ),
        turin("mitigation absent at launch", "snp_launch_mitigations", |case| {
            let floor = case.rules.products.get_mut(&AmdProduct::Turin).unwrap();
            floor.launch_mitigations = 0b101;
        }),
        turin("mitigation absent now", "snp_current_mitigations", |case| {
            let floor = case.rules.products.get_mut(&AmdProduct::Turin).unwrap();
            floor.current_mitigations = 0b110;
        }),
    ]
}

fn guest() -> Vec<Negative> {
    vec![
        negative("unknown measurement", "snp_measurement", |case| {
            case.chip.report.measurement[0] ^= 1
        }),
        negative("no reference values", "snp_measurement", |case| {
            case.rules.measurements.clear()
        }),
        negative("measurement id of another POLICY", "snp_measurement", |case| {
            case.rules.measurement_ids = vec![HexBytes(case.claims().unwrap().measurement_id().0)];
            case.rules.measurements.clear();
            case.chip.report.policy |= 1 << 20;
        }),
        negative("measurement id of another VMPL", "snp_measurement", |case| {
            case.rules.measurement_ids = vec![HexBytes(case.claims().unwrap().measurement_id().0)];
            case.rules.measurements.clear();
            case.rules.vmpl = vec![0, 1];
            case.chip.report.vmpl = 1;
        }),
        negative("no ID block", "snp_id_block_missing", |case| {
            case.rules.no_id_block = false
        }),
        negative("unknown ID key", "snp_id_key", |case| {
            with_id_block(case);
            case.chip.report.id_key_digest[0] ^= 1;
        }),
        negative("ID block where none is known", "snp_id_key", |case| {
            case.chip.report.id_key_digest = [1; 48]
        }),
        negative("author listed, but not the author", "snp_id_key", |case| {
            with_id_block(case);
            case.rules.id_keys.clear();
            case.rules.author_keys = vec![HexBytes([0; 48])];
        }),
        negative("unknown author", "snp_author_key", |case| {
            with_id_block(case);
            case.rules.id_keys.clear();
            case.rules.author_keys = vec![HexBytes([0xA0; 48])];
            case.chip.report.key_info = 1;
            case.chip.report.author_key_digest = [0xA1; 48];
        }),
        negative("unknown family", "snp_family_id", |case| {
            case.chip.report.family_id = [1; 16]
        }),
        negative("unknown image", "snp_image_id", |case| {
            case.chip.report.image_id = [1; 16]
        }),
        negative("guest too old", "snp_guest_svn", |case| {
            case.chip.report.guest_svn = 6
        }),
    ]
}

/// What is refused even where no policy was given.
fn without_policy() -> Vec<Negative> {
    let strict = |name, expected, change: fn(&mut Case)| {
        negative(name, expected, |case| {
            case.rules = Rules::strict();
            change(case);
        })
    };
    vec![
        strict("debug, no policy", "snp_debug", |case| {
            case.chip.report.policy |= 1 << 19
        }),
        strict("migration, no policy", "snp_migrate_ma", |case| {
            case.chip.report.policy |= 1 << 18
        }),
        strict("VMPL 3, no policy", "snp_vmpl", |case| case.chip.report.vmpl = 3),
        strict("authority revoked, no policy", "x509_revoked", |case| {
            case.chip.crl.revoked = vec![vec![0x01, 0x00, 0x01]];
        }),
        strict(
            "launched above the current TCB, no policy",
            "snp_launch_above_current",
            |case| {
                case.chip.report.launch_tcb[6] += 1;
            },
        ),
    ]
}
