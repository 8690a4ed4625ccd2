//! Firmware described in code, and firmware that lies.

use super::*;
use crate::firmware::SEV_SNP;

/// A firmware of one page, of which only table and metadata are filled in.
#[derive(Clone, Copy)]
pub(crate) struct Fixture {
    /// Address, size, type.
    pub(crate) sections: &'static [(u32, u32, u32)],
    /// Address and size of the table of hashes.
    pub(crate) hash_table: (u32, u32),
    pub(crate) reset_vector: u32,
}

/// What edk2's AmdSev build of May 2024 has (virtee/sev-snp-measure, commit 8f2b337,
/// `tests/fixtures/ovmf_AmdSev_suffix.bin`, read with a hex dump).
pub(crate) const AMD_SEV: Fixture = Fixture {
    sections: &[
        (0x80_0000, 0x9000, 1),
        (0x80_A000, 0x3000, 1),
        (0x80_D000, 0x1000, 2),
        (0x80_E000, 0x1000, 3),
        (0x80_F000, 0x1000, 4),
        (0x81_0000, 0x1000, 0x10),
        (0x81_1000, 0xF000, 1),
    ],
    hash_table: (0x81_0C00, 0x400),
    reset_vector: 0x80_B004,
};

const METADATA_AT: usize = 2048;

impl Fixture {
    pub(crate) fn build(&self) -> Vec<u8> {
        let mut firmware = vec![0; PAGE];
        let mut metadata = b"ASEV".to_vec();
        let count = self.sections.len() as u32;
        for number in [16 + 12 * count, 1, count] {
            metadata.extend_from_slice(&number.to_le_bytes());
        }
        for (gpa, size, kind) in self.sections {
            for number in [gpa, size, kind] {
                metadata.extend_from_slice(&number.to_le_bytes());
            }
        }
        firmware[METADATA_AT..METADATA_AT + metadata.len()].copy_from_slice(&metadata);
        let hash_table = [self.hash_table.0.to_le_bytes(), self.hash_table.1.to_le_bytes()].concat();
        let table = table(&[
            (&((PAGE - METADATA_AT) as u32).to_le_bytes(), METADATA.guid),
            (&hash_table, HASH_TABLE.guid),
            (&self.reset_vector.to_le_bytes(), RESET_BLOCK.guid),
        ]);
        let end = PAGE - AFTER_TABLE;
        firmware[end - table.len()..end].copy_from_slice(&table);
        firmware
    }
}

/// The entries, and the footer whose length is that of all.
fn table(entries: &[(&[u8], [u8; 16])]) -> Vec<u8> {
    let mut table = Vec::new();
    for (data, guid) in entries {
        table.extend_from_slice(data);
        table.extend_from_slice(&((data.len() + HEAD) as u16).to_le_bytes());
        table.extend_from_slice(guid);
    }
    let length = (table.len() + HEAD) as u16;
    table.extend_from_slice(&length.to_le_bytes());
    table.extend_from_slice(&FOOTER);
    table
}

fn refused(change: impl Fn(&mut Fixture)) -> OvmfError {
    let mut fixture = AMD_SEV;
    change(&mut fixture);
    Layout::parse(&fixture.build()).unwrap_err()
}

/// Of Debian's edk2 2026.08: the same as of May 2024 but for the last section.
#[test]
fn our_firmware() {
    let layout = Layout::parse(SEV_SNP).unwrap();
    let fixture = Layout::parse(&AMD_SEV.build()).unwrap();
    assert_eq!(layout.reset_vector, 0x80_B004);
    assert_eq!(layout.hash_table, Some(0xC00));
    assert_eq!(layout.sections.len(), 7);
    for section in fixture.sections.iter().take(6) {
        assert!(layout.sections.contains(section), "{section:x?}");
    }
    // edk2's IntelTdx build names pages at address 0: nobody meant it for SEV-SNP.
    assert_eq!(
        Layout::parse(&crate::firmware::tdx()),
        Err(OvmfError::SectionRange { gpa: 0, size: 0 })
    );
}

#[test]
fn sections_that_no_launch_can_have() {
    assert_eq!(
        refused(|fixture| fixture.sections = &[(0x80_0000, 0x1000, 2), (0x80_1000, 0x1000, 5)]),
        OvmfError::SectionType(5)
    );
    for (gpa, size) in [
        (0x80_0800, 0x1000),
        (0x80_0000, 0),
        (0x80_0000, 0x800),
        (0xFFFF_F000, 0x1000),
    ] {
        let mut fixture = AMD_SEV;
        let sections = [(gpa, size, 1)];
        fixture.sections = Box::leak(Box::new(sections));
        assert_eq!(
            Layout::parse(&fixture.build()),
            Err(OvmfError::SectionRange { gpa, size })
        );
    }
    assert_eq!(
        refused(|fixture| fixture.sections = &[(0, 0x4000_0000, 1)]),
        OvmfError::SectionPages
    );
    assert_eq!(
        refused(|fixture| fixture.sections = &[(0x80_0000, 0x2000, 1), (0x80_1000, 0x1000, 2)]),
        OvmfError::Overlap(0x80_1000)
    );
    for sections in [
        &[(0x80_0000, 0x1000, 3)][..],
        &[
            (0x80_0000, 0x1000, 3),
            (0x80_1000, 0x1000, 2),
            (0x80_2000, 0x1000, 2),
        ],
        &[
            (0x80_0000, 0x1000, 3),
            (0x80_1000, 0x1000, 2),
            (0x80_2000, 0x2000, 0x10),
        ],
    ] {
        let error = refused(|fixture| fixture.sections = sections);
        assert!(matches!(error, OvmfError::SectionCount { .. }), "{error}");
    }
}

#[test]
fn tables_that_lie() {
    for (base, size) in [(0x81_0C00, 0x20), (0x80_FC00, 0x400), (0x81_0F80, 0x400), (0, 0)] {
        assert_eq!(
            refused(|fixture| fixture.hash_table = (base, size)),
            OvmfError::HashTable { base, size }
        );
    }
    assert_eq!(
        refused(|fixture| fixture.reset_vector = 0),
        OvmfError::ResetVector
    );

    let with = |entries: &[(&[u8], [u8; 16])]| {
        let mut firmware = AMD_SEV.build();
        let table = table(entries);
        let end = PAGE - AFTER_TABLE;
        firmware[end - 200..end].fill(0);
        firmware[end - table.len()..end].copy_from_slice(&table);
        Layout::parse(&firmware)
    };
    let reset: (&[u8], [u8; 16]) = (&[4, 0xB0, 0x80, 0], RESET_BLOCK.guid);
    let metadata: (&[u8], [u8; 16]) = (&[0, 8, 0, 0], METADATA.guid);
    let other: (&[u8], [u8; 16]) = (b"anything", [7; 16]);
    assert_eq!(with(&[other]), Err(OvmfError::Missing(RESET_BLOCK.name)));
    assert_eq!(with(&[reset]), Err(OvmfError::Missing(METADATA.name)));
    assert_eq!(
        with(&[metadata, reset, other]),
        Err(OvmfError::Missing(HASH_TABLE.name))
    );
    assert_eq!(with(&[reset, reset]), Err(OvmfError::Duplicate(RESET_BLOCK.name)));
    assert!(matches!(
        with(&[(&[0; 5], RESET_BLOCK.guid)]),
        Err(OvmfError::EntryLength {
            length: 5,
            expected: 4,
            ..
        })
    ));
    for offset in [15_u32, 0, PAGE as u32 + 1, u32::MAX] {
        let metadata: (&[u8], [u8; 16]) = (&offset.to_le_bytes(), METADATA.guid);
        assert_eq!(with(&[metadata, reset]), Err(OvmfError::MetadataOffset(offset)));
    }
}

#[test]
fn metadata_that_lies() {
    let change = |at: usize, value: u32| {
        let mut firmware = AMD_SEV.build();
        firmware[METADATA_AT + at..METADATA_AT + at + 4].copy_from_slice(&value.to_le_bytes());
        Layout::parse(&firmware)
    };
    assert_eq!(change(0, 0), Err(OvmfError::MetadataSignature([0; 4])));
    assert_eq!(change(8, 2), Err(OvmfError::MetadataVersion(2)));
    for count in [0, 8, u32::MAX] {
        assert_eq!(
            change(12, count),
            Err(OvmfError::MetadataLength { length: 100, count })
        );
    }
    assert_eq!(
        change(4, 12),
        Err(OvmfError::MetadataLength { length: 12, count: 7 })
    );
}

/// Whatever a byte is changed to and wherever the file is cut, there is an answer.
#[test]
fn hostile_files() {
    for length in [0, 1, PAGE - 1, PAGE + 1, MAX_FIRMWARE + PAGE] {
        assert_eq!(Layout::parse(&vec![0; length]), Err(OvmfError::Length(length)));
    }
    assert_eq!(Layout::parse(&[0; PAGE]), Err(OvmfError::NoTable));
    assert!(Layout::parse(&SEV_SNP[..SEV_SNP.len() - PAGE]).is_err());
    assert!(Layout::parse(&[0xFF; PAGE]).is_err());

    let firmware = AMD_SEV.build();
    let parts = (METADATA_AT..METADATA_AT + 100).chain(PAGE - 200..PAGE);
    for at in parts {
        for value in [0, 1, 0x11, 0x12, 0x7F, 0x80, 0xFF] {
            let mut changed = firmware.clone();
            changed[at] = value;
            if let Ok(layout) = Layout::parse(&changed) {
                assert!(layout.hash_table.is_none_or(|offset| offset < PAGE));
            }
        }
    }
    // The table's start moves with its length: every length that a table can claim.
    for length in 0..=u16::MAX {
        let mut changed = firmware.clone();
        let at = PAGE - AFTER_TABLE - HEAD;
        changed[at..at + 2].copy_from_slice(&length.to_le_bytes());
        let _ = Layout::parse(&changed);
    }
}
