//! Predictions against what others published, what hardware signed, and what an emulated boot logged.

use std::path::PathBuf;

use jeju_attestation::event_log::{self, EventLog, Kind};
use serde_json::Value;

use super::metadata::MAX_FIRMWARE;
use super::*;
use crate::firmware;

const KERNEL: &[u8] = include_bytes!("../../../kernel/bzImage");
const REGISTERS: [Register; 4] = [Register::Rtmr0, Register::Rtmr1, Register::Rtmr2, Register::Rtmr3];

/// A genuine file; `None` where the folder is absent, which is a failure in continuous integration.
fn vector(name: &str) -> Option<Vec<u8>> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/vectors");
    let folder = std::env::var_os("JEJU_VECTORS").map_or_else(|| default.into(), PathBuf::from);
    if folder.is_dir() {
        let path = folder.join(name);
        return Some(std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())));
    }
    let ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
    assert!(!ci, "no genuine evidence in {}", folder.display());
    println!("not compared with {name}: no {}", folder.display());
    None
}

/// Registers of a quote of version 4.
fn rtmrs(quote: &[u8]) -> [Digest; 4] {
    std::array::from_fn(|index| quote[376 + 48 * index..][..48].try_into().unwrap())
}

fn events(log: &EventLog) -> Vec<Event> {
    let extended = log.events().iter().filter(|event| event.is_extended());
    extended
        .map(|event| Event {
            register: REGISTERS[event.register as usize],
            name: event_log::event_type_name(event.event_type).to_owned(),
            digest: sha384(event),
        })
        .collect()
}

/// A dstack quote's log, and its quote.
fn dstack(name: &str) -> Option<(EventLog, Vec<u8>)> {
    let report: Value = serde_json::from_slice(&vector(name)?).unwrap();
    let form = event_log::read(&report).unwrap();
    let log = EventLog::parse(form.kind, &form.evidence).unwrap();
    Some((log, hex::decode(report["quote"].as_str().unwrap()).unwrap()))
}

const DSTACK: [(&str, u64); 2] = [
    ("tdx/dstack/quote-report.json", 64 << 30),
    ("tdx/dstack/tdx-lite-getquote.json", 2 << 30),
];

/// Logs that hardware's quotes stand behind, with the function that predicts.
#[test]
fn genuine_logs_replay_to_their_quotes() {
    let google = || {
        let log = EventLog::parse(Kind::Ccel, &vector("tdx/google-cos113-ccel/ccel_data.dat")?).unwrap();
        Some((log, vector("tdx/google-cos113-ccel/cos-113-tdx-quote.dat")?))
    };
    let logs = [google(), dstack(DSTACK[0].0), dstack(DSTACK[1].0)];
    for (log, quote) in logs.into_iter().flatten() {
        let events = events(&log);
        assert!(events.len() > 20);
        for (register, expected) in REGISTERS.into_iter().zip(rtmrs(&quote)) {
            assert_eq!(replay(register, &events), expected, "{register:?}");
        }
    }
}

/// Order and content of RTMR1 and RTMR2 on hardware: the same events, with that guest's kernel, options and initrd.
#[test]
fn genuine_boots_made_the_events_that_are_predicted() {
    for (name, memory) in DSTACK {
        let Some((log, quote)) = dstack(name) else { return };
        let genuine = events(&log);
        let of = |register| genuine.iter().filter(move |event| event.register == register);
        let mut predicted = kernel_events(KERNEL).unwrap();
        predicted[0].digest = of(Register::Rtmr1).next().unwrap().digest;
        assert_eq!(replay(Register::Rtmr1, &predicted), rtmrs(&quote)[1], "{name}");
        assert_eq!(of(Register::Rtmr2).count(), 2, "{name}");
        // That guest's firmware has its sections where ours has them.
        let metadata = Metadata::parse(&firmware::tdx()).unwrap();
        let hob = td_hob_event(&metadata, memory).unwrap();
        assert_eq!(of(Register::Rtmr0).next().unwrap().digest, hob.digest, "{name}");
    }
}

/// Computed with another program, from the same bytes.
#[test]
fn mrtd_of_debians_firmware() {
    let firmware = firmware::tdx();
    assert_eq!(
        hex::encode(mrtd(&firmware, PageAddOrder::Interleaved).unwrap()),
        "a7a1f751abc454f9cbab198ca8d2edb2821935df525c74182b5e776cb0929e8c59aefecce725b0d08a5e9d3d3183bd08"
    );
    assert_eq!(
        hex::encode(mrtd(&firmware, PageAddOrder::TwoPass).unwrap()),
        "b90b236113eb4c0d4df4ef590568c14e6028a3a31d7e8ac63dee9845df5008d3ebf82d4f5974e933798f65d7a279b9a9"
    );
    let amd = mrtd(firmware::SEV_SNP, PageAddOrder::Interleaved).unwrap();
    assert!(hex::encode(amd).starts_with("5f77220a7135b2be"));
    let amd = mrtd(firmware::SEV_SNP, PageAddOrder::TwoPass).unwrap();
    assert!(hex::encode(amd).starts_with("85ed058ce01afaac"));
}

/// What an emulated boot logged, with a TPM in the place of the RTMRs (`image/tests/vectors/README.md`).
struct Observed {
    about: Value,
    log: EventLog,
    initrd: &'static [u8],
}

fn observed() -> Observed {
    let about: Value =
        serde_json::from_slice(include_bytes!("../../../tests/vectors/tdx-boot.json")).unwrap();
    Observed {
        about,
        log: EventLog::parse(Kind::Tpm, include_bytes!("../../../tests/vectors/tdx-boot.log")).unwrap(),
        initrd: include_bytes!("../../../tests/vectors/tdx-boot.cpio"),
    }
}

impl Observed {
    /// SHA-384 digests of the events of some registers of the TPM, without the separators that a domain doesn't have.
    fn digests(&self, registers: &[u32]) -> Vec<Digest> {
        let separator = Event::of(Register::Rtmr0, "", &[0; 4]).digest;
        let events = self.log.events().iter().filter(|event| event.is_extended());
        events
            .filter(|event| registers.contains(&event.register))
            .map(sha384)
            .filter(|digest| *digest != separator)
            .collect()
    }
}

fn sha384(event: &event_log::Event) -> Digest {
    let digest = event
        .digests
        .iter()
        .find(|digest| digest.value.len() == 48)
        .unwrap();
    digest.value.clone().try_into().unwrap()
}

#[test]
fn the_observed_log_replays_to_the_registers_that_the_guest_read() {
    let observed = observed();
    let registers = observed.about["pcr_sha384"].as_object().unwrap();
    assert_eq!(registers.len(), 24);
    for index in 0..17u32 {
        let events = observed.log.events().iter().filter(|event| event.is_extended());
        let value = events
            .filter(|event| event.register == index)
            .fold([0; 48], |value, event| extend(&value, &sha384(event)));
        assert_eq!(hex::encode(value), registers[&index.to_string()], "PCR{index}");
    }
}

/// Kernel, command line and initrd as QEMU 11.1 and edk2 2026.08 measured them: PCR4 and PCR5 are RTMR1 in a domain, PCR9
/// is RTMR2. Separators are for [`genuine_boots_made_the_events_that_are_predicted`]: a TPM has one in each register.
#[test]
fn the_observed_boot_made_the_events_that_are_predicted() {
    let observed = observed();
    let kernel = hex::encode(jeju_attestation::hash::sha256(KERNEL));
    assert_eq!(
        observed.about["kernel_sha256"], kernel,
        "another kernel was booted: run image/shapes/capture.sh boot again"
    );
    let digests = |events: &[Event]| events.iter().map(|event| event.digest).collect::<Vec<_>>();
    let mut predicted = kernel_events(KERNEL).unwrap();
    predicted.retain(|event| event.name != "separator");
    assert_eq!(observed.digests(&[4, 5]), digests(&predicted));
    let cmdline = observed.about["cmdline"].as_str().unwrap();
    let predicted = [load_options_event(cmdline, true), initrd_event(observed.initrd)];
    assert_eq!(
        observed.digests(&[8, 9, 10, 11, 12, 13, 14, 15]),
        digests(&predicted)
    );
}

#[test]
fn shapes_are_of_our_firmware_and_in_the_order_of_genuine_logs() {
    let firmware = firmware::tdx();
    let processor = CpuGeneration::EmeraldRapids.processor_id();
    let mut registers = Vec::new();
    for shape in Shape::all() {
        assert_eq!(shape.name, format!("q35-{}c-{}m", shape.vcpus, shape.memory_mib));
        assert_eq!(Shape::named(&shape.name), Some(shape));
        assert_eq!(shape.proven, Proven::Emulation);
        assert!(shape.qemu.starts_with("11.1."), "{}", shape.qemu);
        let events = shape.events(&firmware, processor).unwrap();
        let names: Vec<_> = events.iter().map(|event| event.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "TD HOB",
                "CFV",
                "fw_cfg BootMenu",
                "fw_cfg bootorder",
                "variable SecureBoot",
                "variable PK",
                "variable KEK",
                "variable db",
                "variable dbx",
                "separator",
                "ACPI DATA etc/table-loader",
                "ACPI DATA etc/acpi/rsdp",
                "ACPI DATA etc/acpi/tables",
                "SMBIOS",
                "variable BootOrder",
                "variable Boot0000",
            ]
        );
        registers.push(rtmr0(&events));
        let other = shape.events(&firmware, CpuGeneration::SapphireRapids.processor_id());
        assert_ne!(rtmr0(&other.unwrap()), rtmr0(&events));
        // Debian's file, keys and all, is another firmware to this register.
        let with_keys = include_bytes!("../../../firmware/OVMF.inteltdx.ms.fd");
        assert!(matches!(
            shape.events(with_keys, processor),
            Err(ShapeError::Firmware { .. })
        ));
    }
    registers.sort_unstable();
    registers.dedup();
    assert_eq!(registers.len(), Shape::all().len());
    // Keys and databases of an empty store, and the separator, are those that hardware measured.
    let Some((log, _)) = dstack(DSTACK[0].0) else {
        return;
    };
    let genuine = events(&log);
    let ours = Shape::all()[0].events(&firmware, processor).unwrap();
    let digest = |event: &Event| event.digest;
    assert!(
        ours[5..10]
            .iter()
            .map(digest)
            .eq(genuine[3..8].iter().map(digest))
    );
    // And so is the order of one boot option.
    assert!(genuine.iter().any(|event| event.digest == ours[14].digest));
}

fn measured(firmware: &[u8], kernel: &[u8], initrd: &[u8], cmdline: &str) -> TdxMeasurement {
    let mut events = kernel_events(kernel).unwrap();
    events.push(load_options_event(cmdline, true));
    events.push(initrd_event(initrd));
    TdxMeasurement {
        mrtd: mrtd(firmware, PageAddOrder::Interleaved).unwrap(),
        rtmr: [
            [0; 48],
            replay(Register::Rtmr1, &events),
            replay(Register::Rtmr2, &events),
        ],
        td_attributes: TD_ATTRIBUTES,
        xfam: CpuGeneration::SapphireRapids.xfam(),
    }
}

#[test]
fn one_changed_byte_is_another_identity() {
    let (firmware, initrd, cmdline) = (firmware::tdx(), b"archives".to_vec(), "console=ttyS0");
    let known = measured(&firmware, KERNEL, &initrd, cmdline);
    let flip = |bytes: &[u8], at: usize| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 1;
        bytes
    };
    let metadata = Metadata::parse(&firmware).unwrap();
    let volume = metadata.section(SectionType::Bfv).unwrap().data.clone();
    // In the code's volume, outside of what the parser reads.
    for at in [volume.start, volume.start + volume.len() / 2] {
        let other = measured(&flip(&firmware, at), KERNEL, &initrd, cmdline);
        assert_ne!(known.mrtd, other.mrtd);
        assert_ne!(known.id(), other.id());
    }
    for at in [0x200, 0x1000, KERNEL.len() / 2, KERNEL.len() - 1] {
        let other = measured(&firmware, &flip(KERNEL, at), &initrd, cmdline);
        assert_ne!(known.rtmr[1], other.rtmr[1], "{at:#x}");
        assert_ne!(known.id(), other.id());
    }
    let others = [
        measured(&firmware, KERNEL, &flip(&initrd, 3), cmdline),
        measured(&firmware, KERNEL, &initrd, "console=ttyS1"),
        TdxMeasurement {
            td_attributes: (1u64 << 28 | 1).to_le_bytes(),
            ..known
        },
        TdxMeasurement {
            xfam: CpuGeneration::SierraForest.xfam(),
            ..known
        },
    ];
    for other in others {
        assert_ne!(known.id(), other.id());
    }
    // The launch document has a register of its own, which a policy compares beside the id.
    use jeju_attestation::hardware::launch_rtmr;
    assert_ne!(launch_rtmr(&[1; 32]), launch_rtmr(&[2; 32]));
    let event = Event::of(
        Register::Rtmr3,
        "launch document",
        &[b"jeju-launch-v1\0", &[1; 32][..]].concat(),
    );
    assert_eq!(replay(Register::Rtmr3, &[event]), launch_rtmr(&[1; 32]));
}

/// What Authenticode leaves out can't be used: it must be zero in a kernel that is predicted, and in one that is launched
/// it lies where neither firmware nor kernel reads.
#[test]
fn what_authenticode_leaves_out_is_zero_and_not_read() {
    let (checksum, certificates) = (0x98..0x9C, 0xE8..0xF0);
    for at in checksum.clone().chain(certificates.clone()) {
        let mut kernel = KERNEL.to_vec();
        kernel[at] = 1;
        assert!(
            matches!(authenticode(&kernel), Err(KernelError::NotMeasured { .. })),
            "{at:#x}"
        );
    }
    // The stub copies the setup header, from 0x1F1 on, out of the first sectors, and nothing before it (Linux,
    // `efi_pe_entry`).
    assert!(checksum.end < 0x1F1 && certificates.end < 0x1F1);
    // Every other byte of the headers is covered: the digest changes, or the file is refused.
    let known = authenticode(KERNEL).unwrap();
    let excluded = |at: &usize| checksum.contains(at) || certificates.contains(at);
    for at in (0..0x200).filter(|at| !excluded(at)) {
        // The whole kernel for each would take long, and only its first pages matter.
        let mut kernel = KERNEL[..0x1000].to_vec();
        kernel[at] ^= 0xFF;
        kernel.extend_from_slice(&KERNEL[0x1000..]);
        if at % 16 == 0 || at >= 0x140 && at % 5 == 0 {
            assert_ne!(authenticode(&kernel).ok(), Some(known), "{at:#x}");
        }
    }
}

/// Half a megabyte of mutated tables: nothing panics, and nothing that is accepted has another's digest by chance.
#[test]
fn hostile_firmware_and_kernels_are_refused() {
    let firmware = firmware::tdx();
    for len in [
        0,
        1,
        31,
        4095,
        4096,
        8192,
        firmware.len() - 4096,
        MAX_FIRMWARE + 4096,
    ] {
        let mut cut = firmware.clone();
        cut.resize(len, 0);
        assert!(Metadata::parse(&cut).is_err(), "{len}");
    }
    // The tables lie in the last pages; a file of those alone is refused for its sections, and in many other ways.
    let tail = firmware.len() - 4096;
    for at in tail..firmware.len() {
        let mut page = firmware[tail..].to_vec();
        for value in [0, 1, 0x7F, 0xFF] {
            page[at - tail] = value;
            assert!(Metadata::parse(&page).is_err());
        }
    }
    // Each byte of descriptor and table in the whole file: refused, or of another meaning.
    let known = Metadata::parse(&firmware).unwrap();
    let start = firmware.windows(4).position(|part| part == b"TDVF").unwrap();
    let len = 16 + 32 * known.sections().len();
    let mut changed = firmware.clone();
    for at in start..start + len {
        for bit in 0..8 {
            changed[at] ^= 1 << bit;
            assert_ne!(
                Metadata::parse(&changed).ok().as_ref(),
                Some(&known),
                "{at:#x} bit {bit}"
            );
            changed[at] ^= 1 << bit;
        }
    }
    for len in (0..0x400).chain([0x1000, 0x4000, KERNEL.len() - 1]) {
        assert!(authenticode(&KERNEL[..len]).is_err(), "{len}");
    }
    let mut kernel = KERNEL[..0x1000].to_vec();
    for at in 0..0x200 {
        for value in [0, 1, 0x7F, 0x80, 0xFF] {
            let old = std::mem::replace(&mut kernel[at], value);
            let _ = authenticode(&kernel);
            kernel[at] = old;
        }
    }
}
