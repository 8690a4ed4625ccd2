//! A machine whose ACPI tables are all the test's. QEMU's own DSDT can't be exchanged, but all its tables can be left out,
//! and others given to the firmware by the same way: files, and a script that says what to do with them (the commands and
//! their layout are those of QEMU's `hw/acpi/bios-linker-loader.c`).

use crate::machine::Shape;
use crate::{listen, quiet};

const TABLES: &str = "etc/acpi/tables";
const RSDP: &str = "etc/acpi/rsdp";
const SCRIPT: &str = "etc/table-loader";

/// Our kernel on a machine with this table as its DSDT.
pub fn shape(aml: &[u8]) -> Shape {
    let tables = Tables::with_dsdt(aml);
    let files = [
        (TABLES, tables.bytes),
        (RSDP, tables.rsdp),
        (SCRIPT, tables.script),
    ];
    let mut shape = Shape {
        machine: "q35,acpi=off",
        arguments: listen(),
        ..quiet()
    };
    for (name, bytes) in files {
        let file = name.replace('/', "-");
        shape.arguments.push("-fw_cfg".into());
        shape.arguments.push(format!("name={name},file={file}").into());
        shape.files.push((file, bytes));
    }
    shape
}

/// The tables behind one another, the pointer to their list, and the script that makes offsets addresses.
#[derive(Default)]
struct Tables {
    bytes: Vec<u8>,
    rsdp: Vec<u8>,
    script: Vec<u8>,
}

impl Tables {
    /// As few tables as Linux needs on a PC (ACPI 6.5, §5.2).
    fn with_dsdt(aml: &[u8]) -> Self {
        let mut tables = Self::default();
        tables.allocate(TABLES, 64, 1);
        tables.allocate(RSDP, 16, 2);

        let mut facs = [0; 64];
        facs[..8].copy_from_slice(b"FACS\x40\0\0\0");
        tables.bytes.extend(facs);

        let dsdt = tables.add(b"DSDT", aml[8], &aml[36..], &[]);
        let madt = tables.add(b"APIC", 1, &madt(), &[]);
        // The FADT points to the FACS, at 0, and to the DSDT.
        let fadt = tables.add(b"FACP", 3, &fadt(), &[(36, 0), (40, dsdt)]);
        let rsdt = tables.add(b"RSDT", 1, &[0; 8], &[(36, fadt), (40, madt)]);

        tables.rsdp = b"RSD PTR \0HOST  \0\0\0\0\0".to_vec();
        tables.rsdp[16..20].copy_from_slice(&rsdt.to_le_bytes());
        tables.point(RSDP, 16);
        tables.checksum(RSDP, 8, 0, 20);
        tables
    }

    /// Adds a table with the offsets of others in it, and gives its own offset.
    fn add(&mut self, signature: &[u8; 4], revision: u8, body: &[u8], pointers: &[(u32, u32)]) -> u32 {
        let at = self.bytes.len() as u32;
        let length = 36 + body.len() as u32;
        self.bytes.extend(signature);
        self.bytes.extend(length.to_le_bytes());
        self.bytes.extend([revision, 0]);
        self.bytes.extend(b"HOST  HOSTILE \x01\0\0\0HOST\x01\0\0\0");
        self.bytes.extend(body);
        for (place, target) in pointers {
            let place = at + place;
            self.bytes[place as usize..][..4].copy_from_slice(&target.to_le_bytes());
            self.point(TABLES, place);
        }
        self.checksum(TABLES, at + 9, at, length);
        at
    }

    /// Puts a file into memory; zone 1 is anywhere, 2 where an RSDP is looked for.
    fn allocate(&mut self, file: &str, alignment: u32, zone: u8) {
        self.command(1, &[&name(file)[..], &alignment.to_le_bytes(), &[zone]].concat());
    }

    /// Adds the address of the tables to the four bytes at `place`.
    fn point(&mut self, file: &str, place: u32) {
        self.command(
            2,
            &[&name(file)[..], &name(TABLES), &place.to_le_bytes(), &[4]].concat(),
        );
    }

    fn checksum(&mut self, file: &str, place: u32, start: u32, length: u32) {
        let numbers = [place, start, length].map(u32::to_le_bytes).concat();
        self.command(3, &[&name(file)[..], &numbers].concat());
    }

    fn command(&mut self, number: u32, operands: &[u8]) {
        let end = self.script.len() + 128;
        self.script.extend(number.to_le_bytes());
        self.script.extend(operands);
        self.script.resize(end, 0);
    }
}

/// A file name in a command.
fn name(file: &str) -> [u8; 56] {
    let mut name = [0; 56];
    name[..file.len()].copy_from_slice(file.as_bytes());
    name
}

/// The body of a FADT (§5.2.9) for the ICH9 that QEMU emulates, whose power management the firmware puts at 0x600.
fn fadt() -> Vec<u8> {
    let mut fadt = vec![0; 244];
    fadt[46..48].copy_from_slice(&9_u16.to_le_bytes());
    for (at, port) in [(56, 0x600_u32), (64, 0x604), (76, 0x608), (80, 0x620)] {
        fadt[at..at + 4].copy_from_slice(&port.to_le_bytes());
    }
    // Lengths of these blocks.
    fadt[88] = 4;
    fadt[89] = 2;
    fadt[91] = 4;
    fadt[92] = 16;
    // WBINVD works.
    fadt[112] = 1;
    fadt.split_off(36)
}

/// The body of a MADT (§5.2.12): one CPU, one I/O APIC, and the timer on its pin 2.
fn madt() -> Vec<u8> {
    let mut madt = [0xFEE0_0000_u32, 1].map(u32::to_le_bytes).concat();
    madt.extend([0, 8, 0, 0, 1, 0, 0, 0]);
    madt.extend([1, 12, 0, 0]);
    madt.extend([0xFEC0_0000_u32, 0].map(u32::to_le_bytes).concat());
    madt.extend([2, 10, 0, 0, 2, 0, 0, 0, 0, 0]);
    madt
}
