//! What of a launch follows from the processor.

/// Processors with TDX, as far as XFAM tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CpuGeneration {
    /// Xeon, 4th generation.
    SapphireRapids,
    /// Xeon, 5th generation.
    EmeraldRapids,
    /// Xeon 6 with P-cores.
    GraniteRapids,
    /// Xeon 6 with E-cores: no AVX-512, no AMX.
    SierraForest,
}

impl CpuGeneration {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::SapphireRapids,
        Self::EmeraldRapids,
        Self::GraniteRapids,
        Self::SierraForest,
    ];

    /// Name, as on a command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SapphireRapids => "sapphire-rapids",
            Self::EmeraldRapids => "emerald-rapids",
            Self::GraniteRapids => "granite-rapids",
            Self::SierraForest => "sierra-forest",
        }
    }

    /// XFAM where the host neither takes features away nor adds some: x87, SSE, AVX (bits 0 to 2), AVX-512 (5 to 7), PKRU
    /// (9), AMX (17, 18); without those that the processor lacks.
    ///
    /// It is a default, not a fact of the processor: quotes of the same generation have been seen without PKRU
    /// (0x600e7, a cloud), with CET (bits 11 and 12: 0x61ae7) and with user interrupts (14: 0x642e7). Whoever launches with
    /// other features states the value.
    pub const fn xfam(self) -> [u8; 8] {
        let features: u64 = match self {
            Self::SapphireRapids | Self::EmeraldRapids | Self::GraniteRapids => 0x6_02E7,
            Self::SierraForest => 0x207,
        };
        features.to_le_bytes()
    }
}
