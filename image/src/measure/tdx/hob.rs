//! TD HOB: the list of memory that the launcher hands to the firmware, and the firmware's first event.

use thiserror::Error;

use super::event::{Event, Register};
use super::metadata::{Metadata, SectionType};

/// Least and most memory that a domain may have here, in bytes.
pub const MEMORY: std::ops::RangeInclusive<u64> = 128 << 20..=16 << 40;

/// Why no list of memory can be made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HobError {
    /// An amount of memory that QEMU doesn't take, or that the firmware can't live in.
    #[error("{0} bytes of memory: expected whole MiB from {least} to {most}", least = MEMORY.start(), most = MEMORY.end())]
    Memory(u64),
    /// A section that isn't in memory where the launcher could put it.
    #[error("the firmware's section at {0:#x} lies in no memory of the domain")]
    Section(u64),
    /// The firmware names no place for the list.
    #[error("the firmware has no section for the list of memory")]
    NoSection,
}

/// The event of the list, which QEMU 10.1 and later build (`hw/i386/tdvf-hob.c`, `target/i386/kvm/tdx.c`) from the
/// memory of a q35 machine with `memory` bytes, and the firmware hashes without the entry that ends it.
///
/// # Errors
/// See [`HobError`].
pub fn td_hob_event(metadata: &Metadata, memory: u64) -> Result<Event, HobError> {
    let list = td_hob(metadata, memory)?;
    Ok(Event::of(Register::Rtmr0, "TD HOB", &list))
}

/// A range of memory: the launcher has added it, or the firmware is to accept it.
#[derive(Debug, Clone, Copy)]
struct Range {
    start: u64,
    end: u64,
    added: bool,
}

fn td_hob(metadata: &Metadata, memory: u64) -> Result<Vec<u8>, HobError> {
    let home = metadata.section(SectionType::TdHob).ok_or(HobError::NoSection)?;
    let mut ranges = q35_memory(memory)?;
    let added = |kind| matches!(kind, SectionType::TdHob | SectionType::TempMem);
    for section in metadata.sections().iter().filter(|section| added(section.kind)) {
        add(&mut ranges, section.address, section.address + section.len)?;
    }
    ranges.sort_by_key(|range| range.start);

    let end = home.address + HANDOFF + RESOURCE * ranges.len() as u64 + END;
    let mut list = Vec::new();
    // EFI_HOB_HANDOFF_INFO_TABLE (PI 1.8, volume 3, §5.3): version 9, no boot mode, four addresses that nobody reads, and
    // where the list ends.
    header(&mut list, 1, HANDOFF);
    list.extend(9u32.to_le_bytes());
    list.extend([0; 4 + 4 * 8]);
    list.extend(end.to_le_bytes());
    for range in ranges {
        // EFI_HOB_RESOURCE_DESCRIPTOR (§5.5): no owner; system or unaccepted memory; present, initialized, tested.
        header(&mut list, 3, RESOURCE);
        list.extend([0; 16]);
        list.extend(if range.added { 0u32 } else { 7 }.to_le_bytes());
        list.extend(7u32.to_le_bytes());
        list.extend(range.start.to_le_bytes());
        list.extend((range.end - range.start).to_le_bytes());
    }
    Ok(list)
}

const HANDOFF: u64 = 56;
const RESOURCE: u64 = 48;
const END: u64 = 8;

fn header(list: &mut Vec<u8>, kind: u16, len: u64) {
    list.extend(kind.to_le_bytes());
    list.extend((len as u16).to_le_bytes());
    list.extend([0; 4]);
}

/// q35 keeps 2.75 GiB below 4 GiB, and only 2 GiB where there is more than fits (`pc_q35_init`).
fn q35_memory(memory: u64) -> Result<Vec<Range>, HobError> {
    if !MEMORY.contains(&memory) || !memory.is_multiple_of(1 << 20) {
        return Err(HobError::Memory(memory));
    }
    let low = if memory >= 0xB000_0000 {
        0x8000_0000
    } else {
        memory
    };
    let range = |start, len| Range {
        start,
        end: start + len,
        added: false,
    };
    let mut ranges = vec![range(0, low)];
    if memory > low {
        ranges.push(range(1 << 32, memory - low));
    }
    Ok(ranges)
}

/// Marks one range as added, and cuts it out of what it lies in.
fn add(ranges: &mut Vec<Range>, start: u64, end: u64) -> Result<(), HobError> {
    let within = ranges
        .iter_mut()
        .find(|range| range.start <= start && end <= range.end && !range.added)
        .ok_or(HobError::Section(start))?;
    let whole = std::mem::replace(
        within,
        Range {
            start,
            end,
            added: true,
        },
    );
    for (start, end) in [(whole.start, start), (end, whole.end)] {
        if start < end {
            ranges.push(Range {
                start,
                end,
                added: false,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::firmware;

    /// What it holds is compared with hardware's logs in `tests.rs`.
    #[test]
    fn memory_that_no_machine_has_is_refused() {
        let metadata = Metadata::parse(&firmware::tdx()).unwrap();
        for memory in [
            0,
            1,
            127 << 20,
            (1 << 30) + 4096,
            (16 << 40) + (1 << 20),
            u64::MAX,
        ] {
            assert_eq!(td_hob_event(&metadata, memory), Err(HobError::Memory(memory)));
        }
        // Around the size from which on memory is split.
        let ranges = |memory| (td_hob(&metadata, memory).unwrap().len() as u64 - HANDOFF) / RESOURCE;
        assert_eq!(ranges(0xB000_0000 - (1 << 20)) + 1, ranges(0xB000_0000));
    }
}
