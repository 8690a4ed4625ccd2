//! Event logs of measured boots.
//!
//! Layouts: TCG PC Client Platform Firmware Profile, structures TCG_PCClientPCREvent, TCG_EfiSpecIDEvent, TCG_PCR_EVENT2,
//! UEFI_VARIABLE_DATA and TCG_EfiStartupLocalityEvent. All numbers are little-endian.

use sha2::{Digest, Sha256, Sha384};

/// TPM_ALG_SHA1.
pub const SHA1: u16 = 0x0004;
/// TPM_ALG_SHA256.
pub const SHA256: u16 = 0x000B;
/// TPM_ALG_SHA384.
pub const SHA384: u16 = 0x000C;

/// Digest of a bank; SHA-1, which nobody replays, is a filler.
///
/// # Panics
/// For other banks.
pub fn digest(bank: u16, data: &[u8]) -> Vec<u8> {
    match bank {
        SHA1 => vec![0x51; 20],
        SHA256 => Sha256::digest(data).to_vec(),
        SHA384 => Sha384::digest(data).to_vec(),
        _ => panic!("no such bank in synthetic logs"),
    }
}

/// An event.
#[derive(Debug, Clone)]
pub struct Event {
    /// Register as the log numbers it.
    pub register: u32,
    /// Type.
    pub event_type: u32,
    /// Bank and digest.
    pub digests: Vec<(u16, Vec<u8>)>,
    /// Data.
    pub data: Vec<u8>,
    /// Size that is written instead of the data's.
    pub size: Option<u32>,
}

impl Event {
    /// One whose digests are of `hashed`.
    pub fn of(banks: &[u16], register: u32, event_type: u32, hashed: &[u8], data: &[u8]) -> Self {
        Self {
            register,
            event_type,
            digests: banks.iter().map(|bank| (*bank, digest(*bank, hashed))).collect(),
            data: data.to_vec(),
            size: None,
        }
    }

    /// EV_NO_ACTION.
    pub fn no_action(banks: &[u16], register: u32, data: &[u8]) -> Self {
        let mut event = Self::of(banks, register, 3, &[], data);
        for (_, digest) in &mut event.digests {
            digest.fill(0);
        }
        event
    }

    /// The event's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = [self.register, self.event_type, self.digests.len() as u32]
            .map(u32::to_le_bytes)
            .concat();
        for (bank, digest) in &self.digests {
            bytes.extend(bank.to_le_bytes());
            bytes.extend(digest);
        }
        bytes.extend(self.size.unwrap_or(self.data.len() as u32).to_le_bytes());
        bytes.extend(&self.data);
        bytes
    }
}

/// A log.
#[derive(Debug, Clone)]
pub struct Log {
    /// Type of the first event.
    pub first_type: u32,
    /// Signature of the first event's data.
    pub signature: [u8; 16],
    /// Minor and major version.
    pub version: [u8; 2],
    /// Banks that the first event names, with the length of their digests.
    pub banks: Vec<(u16, u16)>,
    /// Count that is written instead of the banks'.
    pub bank_count: Option<u32>,
    /// Vendor's data.
    pub vendor: Vec<u8>,
    /// Size of them that is written.
    pub vendor_size: u8,
    /// The other events.
    pub events: Vec<Event>,
    /// What stands behind the last one.
    pub padding: Vec<u8>,
}

impl Log {
    /// An empty one.
    pub fn new(banks: &[u16]) -> Self {
        let len = |bank| match bank {
            SHA1 => 20,
            SHA256 => 32,
            _ => 48,
        };
        Self {
            first_type: 3,
            signature: *b"Spec ID Event03\0",
            version: [0, 2],
            banks: banks.iter().map(|bank| (*bank, len(*bank))).collect(),
            bank_count: None,
            vendor: Vec::new(),
            vendor_size: 0,
            events: Vec::new(),
            padding: Vec::new(),
        }
    }

    /// A boot as firmware logs it. `registers` are those of the configuration, of the boot and of the loader: PCR 0, 4 and
    /// 8, or 1 to 3 in a CCEL log.
    pub fn boot(banks: &[u16], registers: [u32; 3]) -> Self {
        let [configuration, boot, loader] = registers;
        let event = |register, kind, data: &[u8]| Event::of(banks, register, kind, data, data);
        let secure_boot = variable("SecureBoot", &[1]);
        let order = variable("BootOrder", &[0, 0, 1, 0]);
        let command = b"linux /vmlinuz quiet";
        let mut log = Self::new(banks);
        log.events = vec![
            Event::of(banks, configuration, 0x8000_000B, b"table", b"\x09TdxTable\0"),
            event(configuration, 0x8000_0001, &secure_boot),
            Event::of(banks, configuration, 0x8000_0002, &[0, 0, 1, 0], &order),
            event(configuration, 4, &[0; 4]),
            event(boot, 0x8000_0007, b"Calling EFI Application from Boot Option"),
            Event::of(banks, loader, 13, command, b"grub_cmd: linux /vmlinuz quiet\0"),
            Event::of(banks, loader, 13, b"the kernel's bytes", b"/vmlinuz\0"),
            event(boot, 0x8000_0007, b"Exit Boot Services Returned with Success"),
        ];
        log
    }

    /// The log's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut data = self.signature.to_vec();
        data.extend([0; 4]);
        data.extend(self.version);
        data.extend([0, 2]);
        data.extend(self.bank_count.unwrap_or(self.banks.len() as u32).to_le_bytes());
        for (bank, len) in &self.banks {
            data.extend(bank.to_le_bytes());
            data.extend(len.to_le_bytes());
        }
        data.push(self.vendor_size);
        data.extend(&self.vendor);
        let mut bytes = [0, self.first_type].map(u32::to_le_bytes).concat();
        bytes.extend([0; 20]);
        bytes.extend((data.len() as u32).to_le_bytes());
        bytes.extend(data);
        for event in &self.events {
            bytes.extend(event.bytes());
        }
        bytes.extend(&self.padding);
        bytes
    }

    /// What a register holds after the boot.
    pub fn register(&self, bank: u16, index: u32, start: &[u8]) -> Vec<u8> {
        let mut value = start.to_vec();
        let events = self.events.iter().filter(|event| event.register == index);
        for event in events.filter(|event| event.event_type != 3) {
            for (_, digest_) in event.digests.iter().filter(|(of, _)| *of == bank) {
                value = digest(bank, &[value, digest_.clone()].concat());
            }
        }
        value
    }
}

/// UEFI_VARIABLE_DATA.
pub fn variable(name: &str, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x61; 16];
    bytes.extend((name.len() as u64).to_le_bytes());
    bytes.extend((value.len() as u64).to_le_bytes());
    bytes.extend(name.encode_utf16().flat_map(u16::to_le_bytes));
    bytes.extend(value);
    bytes
}
