//! A provider's offer.

use crate::abi::{AbiError, Words};

/// Selector of `getProviderResources(address)`.
pub const GET_PROVIDER_RESOURCES_SELECTOR: [u8; 4] = [0x86, 0x99, 0x2a, 0xe0];
/// Selector of `calculateRentalCost(address,uint256)`.
pub const CALCULATE_RENTAL_COST_SELECTOR: [u8; 4] = [0x05, 0x34, 0xe8, 0xb3];

/// Longest rental that can be offered, in hours, extensions included.
pub const MAX_RENTAL_HOURS: u16 = 720;

/// Length of the answer of `getProviderResources`, in bytes.
pub(super) const OFFER_BYTES: usize = 16 * 32;

/// What a provider rents out, and at which price. What it says of its machine is its own word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// The machine.
    pub resources: RentalResources,
    /// Wei for each hour, without GPUs.
    pub price_per_hour: u128,
    /// Wei for each hour and GPU, on top.
    pub price_per_gpu_hour: u128,
    /// Hours of the shortest rental.
    pub minimum_hours: u16,
    /// Hours of the longest rental, extensions included.
    pub maximum_hours: u16,
    /// Most rentals that run at a time.
    pub max_concurrent: u32,
    /// Rentals that run now.
    pub active: u32,
    /// Whether tenants log in, which takes a key.
    pub ssh_enabled: bool,
    /// Whether tenants choose an image.
    pub docker_enabled: bool,
}

/// A machine, as the offer describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RentalResources {
    /// Kind of its GPUs.
    pub gpu_type: GpuType,
    /// Number of GPUs.
    pub gpu_count: u8,
    /// Memory of each GPU, in GB.
    pub gpu_vram_gb: u16,
    /// CPU cores.
    pub cpu_cores: u16,
    /// Memory, in GB.
    pub memory_gb: u32,
    /// Storage, in GB.
    pub storage_gb: u32,
    /// Bandwidth, in megabits per second.
    pub bandwidth_mbps: u32,
    /// Whether the machine can run confidential guests.
    pub tee_capable: bool,
}

/// Kinds of GPUs that an offer can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "products' names")]
#[repr(u8)]
pub enum GpuType {
    None = 0,
    NvidiaRtx4090 = 1,
    NvidiaA100_40 = 2,
    NvidiaA100_80 = 3,
    NvidiaH100 = 4,
    NvidiaH200 = 5,
    AmdMi300x = 6,
    AppleM1Max = 7,
    AppleM2Ultra = 8,
    AppleM3Max = 9,
}

impl GpuType {
    /// All kinds, in the contract's order.
    pub const ALL: [Self; 10] = [
        Self::None,
        Self::NvidiaRtx4090,
        Self::NvidiaA100_40,
        Self::NvidiaA100_80,
        Self::NvidiaH100,
        Self::NvidiaH200,
        Self::AmdMi300x,
        Self::AppleM1Max,
        Self::AppleM2Ultra,
        Self::AppleM3Max,
    ];

    /// The contract's number.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// A stable name for output and options.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::NvidiaRtx4090 => "rtx-4090",
            Self::NvidiaA100_40 => "a100-40gb",
            Self::NvidiaA100_80 => "a100-80gb",
            Self::NvidiaH100 => "h100",
            Self::NvidiaH200 => "h200",
            Self::AmdMi300x => "mi300x",
            Self::AppleM1Max => "m1-max",
            Self::AppleM2Ultra => "m2-ultra",
            Self::AppleM3Max => "m3-max",
        }
    }

    /// The kind of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl Offer {
    /// Decodes the answer of `getProviderResources`; `None` if the provider never made an offer.
    ///
    /// # Errors
    /// Where the contract can't have answered these bytes.
    pub fn from_answer(answer: &[u8]) -> Result<Option<Self>, AbiError> {
        let mut words = Words::new(answer);
        let gpu = words.u8()?;
        let resources = RentalResources {
            gpu_type: *GpuType::ALL.get(usize::from(gpu)).ok_or(AbiError::Range)?,
            gpu_count: words.u8()?,
            gpu_vram_gb: words.u16()?,
            cpu_cores: words.u16()?,
            memory_gb: words.u32()?,
            storage_gb: words.u32()?,
            bandwidth_mbps: words.u32()?,
            tee_capable: words.bool()?,
        };
        let offer = Self {
            resources,
            price_per_hour: words.u128()?,
            price_per_gpu_hour: words.u128()?,
            minimum_hours: words.u16()?,
            maximum_hours: words.u16()?,
            max_concurrent: words.u32()?,
            active: words.u32()?,
            ssh_enabled: words.bool()?,
            docker_enabled: words.bool()?,
        };
        words.end()?;
        // An offer's longest rental is at least an hour, so this is the mark of none. Linking an agent makes none yet.
        if offer.maximum_hours == 0 {
            let nothing = answer.iter().all(|byte| *byte == 0);
            return if nothing {
                Ok(None)
            } else {
                Err(AbiError::Inconsistent)
            };
        }
        if offer.minimum_hours == 0
            || offer.minimum_hours > offer.maximum_hours
            || offer.maximum_hours > MAX_RENTAL_HOURS
        {
            return Err(AbiError::Inconsistent);
        }
        Ok(Some(offer))
    }

    /// Price of an hour with all GPUs, in wei.
    pub fn hourly_rate(&self) -> u128 {
        // The contract holds both in 96 bits, and there are at most 255 GPUs; an answer of other numbers saturates.
        let gpus = self
            .price_per_gpu_hour
            .saturating_mul(u128::from(self.resources.gpu_count));
        self.price_per_hour.saturating_add(gpus)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sixteen words of an offer.
    fn answer(fields: [u64; 16]) -> Vec<u8> {
        fields
            .iter()
            .flat_map(|field| crate::abi::number_argument(*field))
            .collect()
    }

    const FIELDS: [u64; 16] = [4, 2, 80, 32, 256, 2000, 1000, 1, 10, 3, 1, 720, 4, 1, 1, 0];

    #[test]
    fn an_offer_is_read_field_by_field() {
        let offer = Offer::from_answer(&answer(FIELDS)).unwrap().unwrap();
        let resources = RentalResources {
            gpu_type: GpuType::NvidiaH100,
            gpu_count: 2,
            gpu_vram_gb: 80,
            cpu_cores: 32,
            memory_gb: 256,
            storage_gb: 2000,
            bandwidth_mbps: 1000,
            tee_capable: true,
        };
        let expected = Offer {
            resources,
            price_per_hour: 10,
            price_per_gpu_hour: 3,
            minimum_hours: 1,
            maximum_hours: 720,
            max_concurrent: 4,
            active: 1,
            ssh_enabled: true,
            docker_enabled: false,
        };
        assert_eq!(offer, expected);
        assert_eq!(offer.hourly_rate(), 16);
        assert_eq!(Offer::from_answer(&[0; OFFER_BYTES]), Ok(None));
        for (place, kind) in GpuType::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(kind.number()), place);
            assert_eq!(GpuType::from_name(kind.name()), Some(kind));
        }
    }

    #[test]
    fn answers_that_no_contract_gives_are_refused() {
        let good = answer(FIELDS);
        assert_eq!(
            Offer::from_answer(&good[..OFFER_BYTES - 1]),
            Err(AbiError::Length)
        );
        assert_eq!(
            Offer::from_answer(&[&good[..], &[0; 32]].concat()),
            Err(AbiError::Length)
        );
        for (place, value, reason) in [
            (0, 10, AbiError::Range),
            (1, 256, AbiError::Range),
            (2, 1 << 16, AbiError::Range),
            (4, 1 << 32, AbiError::Range),
            (7, 2, AbiError::Range),
            (10, 0, AbiError::Inconsistent),
            (10, 721, AbiError::Inconsistent),
            (11, 0, AbiError::Inconsistent),
            (11, 721, AbiError::Inconsistent),
            (15, 2, AbiError::Range),
        ] {
            let mut fields = FIELDS;
            fields[place] = value;
            assert_eq!(Offer::from_answer(&answer(fields)), Err(reason), "field {place}");
        }
    }
}
