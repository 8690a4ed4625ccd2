//! Digests against the published expectations of virtee/sev-snp-measure, and what changes them.

use super::ovmf::tests::AMD_SEV;
use super::*;
use crate::firmware::SEV_SNP;

/// The firmware of virtee/sev-snp-measure's tests (commit 8f2b337, `tests/fixtures/ovmf_AmdSev_suffix.bin`, the last
/// 4 KiB of edk2's AmdSev build of May 2024): its layout, and the digest of its pages that `tests/test_guest.py` has.
fn fixture() -> SnpFirmware {
    let pages = concat!(
        "086e2e9149ebf45abdc3445fba5b2da8270bdbb04094d7a2",
        "c37faaa4b24af3aa16aff8c374c2a55c467a50da6d466b74"
    );
    SnpFirmware {
        layout: Layout::parse(&AMD_SEV.build()).unwrap(),
        pages: LaunchContext(hex::decode(pages).unwrap().try_into().unwrap()),
    }
}

/// `tests/test_guest.py` at that commit, the cases of QEMU; kernel and initramfs are `/dev/null` there.
#[test]
fn published_expectations() {
    let cases: [(Option<&str>, u32, u64, &str); 8] = [
        (
            Some(""),
            1,
            0x21,
            "329c8ce0972ae52343b64d34a434a86f245dfd74f5ed7aae15d22efc78fb9683632b9b50e4e1d7fa41179ef98a7ef198",
        ),
        (
            Some(""),
            1,
            0x1,
            "ddc5224521617a536ee7ce9dd6224d1b58a8d4fda1c741f3ac99fc4bfa04ba6e9fc98646d4a07a9079397fa3852819b5",
        ),
        (
            Some("console=ttyS0 loglevel=7"),
            1,
            0x21,
            "803f691094946e42068aaa3a8f9e26a5c89f36f7b73ecfb28c653360fe4b3aba7e534442e7e1e17895dfe778d0228977",
        ),
        (
            Some("console=ttyS0 loglevel=7"),
            1,
            0x1,
            "6d287813eb5222d770f75005c664e34c204f385ce832cc2ce7d0d6f354454362f390ef83a92046c042e706363b4b08fa",
        ),
        (
            None,
            1,
            0x21,
            "e1e1ca029dd7973ab9513295be68198472dcd4fc834bd9af9b63f6e8a1674dbf281a9278a4a2ebe0eed9f22adbcd0e2b",
        ),
        (
            None,
            1,
            0x1,
            "19358ba9a7615534a9a1e2f0dfc29384dcd4dcb7062ff9c6013b26869a5fc6ecabe033c48dd6f6db5d6d76e7c5df632d",
        ),
        (
            Some(""),
            4,
            0x21,
            "4953b1fb416fa874980e8442b3706d345926d5f38879134e00813c5d7abcbe78eafe7b422907be0b4698e2414a631942",
        ),
        (
            Some(""),
            4,
            0x1,
            "5061fffb019493a903613d56d54b94912a1a2f9e4502385f5c194616753720a92441310ba6c4933de877c36e23046ad5",
        ),
    ];
    for (cmdline, vcpus, guest_features, expected) in cases {
        let hashes = cmdline.map(|cmdline| KernelHashes::of(b"", b"", cmdline.as_bytes()));
        let launch = SnpLaunch::new(&fixture(), hashes.as_ref()).unwrap();
        let shape = SnpShape {
            vcpus,
            cpu: Cpu::EpycV4,
            guest_features,
        };
        assert_eq!(
            hex::encode(launch.digest(&shape).unwrap()),
            expected,
            "{cmdline:?} {vcpus} {guest_features:#x}"
        );
    }
}

/// A firmware that takes no hashes would start any kernel.
#[test]
fn a_kernel_needs_firmware_that_checks_it() {
    let mut fixture = AMD_SEV;
    fixture.sections = &[(0x80_D000, 0x1000, 2), (0x80_E000, 0x1000, 3)];
    let firmware = SnpFirmware::parse(&fixture.build()).unwrap();
    let hashes = KernelHashes::of(b"k", b"i", b"c");
    assert_eq!(
        SnpLaunch::new(&firmware, Some(&hashes)),
        Err(SnpError::NoKernelHashes)
    );
    assert!(SnpLaunch::new(&firmware, None).is_ok());
}

fn digest(firmware: &[u8], kernel: &[u8], initrd: &[u8], cmdline: &[u8], shape: &SnpShape) -> [u8; 48] {
    let firmware = SnpFirmware::parse(firmware).unwrap();
    let launch = SnpLaunch::new(&firmware, Some(&KernelHashes::of(kernel, initrd, cmdline))).unwrap();
    launch.digest(shape).unwrap()
}

/// Every input that a host could exchange.
#[test]
fn one_changed_byte_changes_the_identity() {
    let shape = SnpShape {
        vcpus: 2,
        cpu: Cpu::Genoa,
        guest_features: 0x1,
    };
    let (kernel, initrd, cmdline) = (b"kernel", b"ramdisk 1ramdisk 2", b"console=ttyS0");
    let base = digest(SEV_SNP, kernel, initrd, cmdline, &shape);

    let mut firmware = SEV_SNP.to_vec();
    firmware[0x10_0000] ^= 1;
    let mut digests = vec![
        base,
        digest(&firmware, kernel, initrd, cmdline, &shape),
        digest(SEV_SNP, b"kernem", initrd, cmdline, &shape),
        digest(SEV_SNP, kernel, b"ramdisk 0ramdisk 2", cmdline, &shape),
        digest(SEV_SNP, kernel, b"ramdisk 1ramdisk 3", cmdline, &shape),
        digest(SEV_SNP, kernel, initrd, b"console=ttyS1", &shape),
        // No byte can move from one file to the next.
        digest(SEV_SNP, b"kernelr", b"amdisk 1ramdisk 2", cmdline, &shape),
    ];
    for other in [
        SnpShape { vcpus: 4, ..shape },
        SnpShape {
            cpu: Cpu::Milan,
            ..shape
        },
        SnpShape {
            guest_features: 0x21,
            ..shape
        },
    ] {
        digests.push(digest(SEV_SNP, kernel, initrd, cmdline, &other));
    }
    let mut ids: Vec<MeasurementId> = digests
        .iter()
        .map(|digest| measurement_id(digest, DEFAULT_POLICY))
        .collect();
    ids.push(measurement_id(&base, GuestPolicy(DEFAULT_POLICY.0 | 1 << 19)));
    for (at, id) in ids.iter().enumerate() {
        assert!(!ids[..at].contains(id), "input {at}");
    }
}

#[test]
fn all_shapes_differ() {
    let firmware = SnpFirmware::parse(SEV_SNP).unwrap();
    let launch = SnpLaunch::new(&firmware, Some(&KernelHashes::of(b"k", b"i", b"c"))).unwrap();
    let digests: Vec<_> = shapes()
        .iter()
        .map(|shape| launch.digest(shape).unwrap())
        .collect();
    assert_eq!(digests.len(), 18);
    for (at, digest) in digests.iter().enumerate() {
        assert!(!digests[..at].contains(digest));
    }
}

#[test]
fn shapes_that_are_none() {
    let launch = SnpLaunch::new(&fixture(), None).unwrap();
    let shape = |vcpus, guest_features| SnpShape {
        vcpus,
        cpu: Cpu::Milan,
        guest_features,
    };
    for vcpus in [0, MAX_VCPUS + 1, u32::MAX] {
        assert_eq!(launch.digest(&shape(vcpus, 1)), Err(SnpError::Vcpus(vcpus)));
    }
    assert_eq!(launch.digest(&shape(1, 0x20)), Err(SnpError::GuestFeatures(0x20)));
}

/// CPUID signatures of genuine processors: Naples B2, Milan B1, Genoa A0, Turin A0 (QEMU's models name a stepping).
#[test]
fn processors() {
    let signatures = Cpu::ALL.map(Cpu::signature);
    assert_eq!(signatures, [0x0080_0F12, 0x00A0_0F11, 0x00A1_0F10, 0x00B0_0F00]);
    for cpu in Cpu::ALL {
        assert_eq!(cpu.to_string().parse(), Ok(cpu));
    }
    assert_eq!("host".parse::<Cpu>(), Err(SnpError::Cpu("host".to_owned())));
}

#[test]
fn the_policy_lets_nobody_in() {
    let policy = DEFAULT_POLICY;
    assert!(!policy.debug() && !policy.migrate_ma() && !policy.cxl_allow());
    assert!(policy.bit_17() && policy.smt());
    assert_eq!((policy.abi_major(), policy.abi_minor()), (1, 51));
    assert_eq!(policy.reserved(), 0);
}
