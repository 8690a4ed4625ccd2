//! The report's bit fields: POLICY, PLATFORM_INFO and KEY_INFO (56860, tables "Guest Policy" and
//! "ATTESTATION_REPORT Structure").

/// POLICY: what the guest's owner allows the host to do. Bound to the guest at launch, for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuestPolicy(pub u64);

/// Bits of [`GuestPolicy`] without a meaning, which must be zero: 63:26.
const POLICY_RESERVED: u64 = !((1 << 26) - 1);

impl GuestPolicy {
    /// Bits 7:0: lowest minor version of the ABI that the guest runs on.
    pub const fn abi_minor(self) -> u8 {
        self.0 as u8
    }

    /// Bits 15:8: lowest major version of the ABI that the guest runs on.
    pub const fn abi_major(self) -> u8 {
        (self.0 >> 8) as u8
    }

    /// Bit 16, SMT: the host may use simultaneous multithreading.
    pub const fn smt(self) -> bool {
        self.bit(16)
    }

    /// Bit 17: reserved, must be one.
    pub const fn bit_17(self) -> bool {
        self.bit(17)
    }

    /// Bit 18, MIGRATE_MA: the guest may have a migration agent, which can take its memory elsewhere.
    pub const fn migrate_ma(self) -> bool {
        self.bit(18)
    }

    /// Bit 19, DEBUG: the host may read and write the guest's memory.
    pub const fn debug(self) -> bool {
        self.bit(19)
    }

    /// Bit 20, SINGLE_SOCKET: the guest runs on one socket only.
    pub const fn single_socket(self) -> bool {
        self.bit(20)
    }

    /// Bit 21, CXL_ALLOW: there may be CXL devices or memory.
    pub const fn cxl_allow(self) -> bool {
        self.bit(21)
    }

    /// Bit 22, MEM_AES_256_XTS: memory must be encrypted with AES-256-XTS.
    pub const fn mem_aes_256_xts(self) -> bool {
        self.bit(22)
    }

    /// Bit 23, RAPL_DIS: the power meter must be off.
    pub const fn rapl_dis(self) -> bool {
        self.bit(23)
    }

    /// Bit 24, CIPHERTEXT_HIDING_DRAM: the host must not see the ciphertext.
    pub const fn ciphertext_hiding(self) -> bool {
        self.bit(24)
    }

    /// Bit 25, PAGE_SWAP_DISABLE: the host may not move or swap pages.
    pub const fn page_swap_disable(self) -> bool {
        self.bit(25)
    }

    /// Bits 63:26, which must be zero.
    pub const fn reserved(self) -> u64 {
        self.0 & POLICY_RESERVED
    }

    const fn bit(self, at: u32) -> bool {
        self.0 >> at & 1 == 1
    }
}

/// PLATFORM_INFO: how the platform runs now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlatformInfo(pub u64);

impl PlatformInfo {
    /// Bit 0, SMT_EN: simultaneous multithreading is on.
    pub const fn smt_en(self) -> bool {
        self.bit(0)
    }

    /// Bit 1, TSME_EN: all memory is encrypted, the host's too.
    pub const fn tsme_en(self) -> bool {
        self.bit(1)
    }

    /// Bit 2, ECC_EN: memory corrects errors.
    pub const fn ecc_en(self) -> bool {
        self.bit(2)
    }

    /// Bit 3, RAPL_DIS: the power meter is off.
    pub const fn rapl_dis(self) -> bool {
        self.bit(3)
    }

    /// Bit 4, CIPHERTEXT_HIDING_DRAM_EN: the host doesn't see ciphertext.
    pub const fn ciphertext_hiding_dram_en(self) -> bool {
        self.bit(4)
    }

    /// Bit 5, ALIAS_CHECK_COMPLETE: since the last reset, the memory modules were checked for addresses that alias.
    pub const fn alias_check_complete(self) -> bool {
        self.bit(5)
    }

    /// Bit 6, IOMMU_WRITE_SAFE: not in every published layout; genuine Turin reports carry it.
    pub const fn iommu_write_safe(self) -> bool {
        self.bit(6)
    }

    /// Bit 7, TIO_EN: trusted I/O is on.
    pub const fn tio_en(self) -> bool {
        self.bit(7)
    }

    /// Bits 63:8, whose meaning isn't known.
    pub const fn unknown(self) -> u64 {
        self.0 & !0xFF
    }

    const fn bit(self, at: u32) -> bool {
        self.0 >> at & 1 == 1
    }
}

/// Which key signed the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SigningKey {
    /// 0: the chip's own.
    Vcek,
    /// 1: one that AMD loads into the chips of a cloud provider.
    Vlek,
    /// 7: none.
    None,
    /// Without a meaning.
    Reserved(u8),
}

/// The 32 bits at 048h: KEY_INFO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyInfo(pub u32);

impl KeyInfo {
    /// Bit 0, AUTHOR_KEY_EN: the digest of an author key is in AUTHOR_KEY_DIGEST.
    pub const fn author_key_en(self) -> bool {
        self.0 & 1 == 1
    }

    /// Bit 1, MASK_CHIP_KEY: the VCEK isn't used on this platform.
    pub const fn mask_chip_key(self) -> bool {
        self.0 >> 1 & 1 == 1
    }

    /// Bits 4:2, SIGNING_KEY.
    pub const fn signing_key(self) -> SigningKey {
        match (self.0 >> 2 & 7) as u8 {
            0 => SigningKey::Vcek,
            1 => SigningKey::Vlek,
            7 => SigningKey::None,
            other => SigningKey::Reserved(other),
        }
    }

    /// Bits 31:5, which must be zero.
    pub const fn reserved(self) -> u32 {
        self.0 >> 5
    }
}
