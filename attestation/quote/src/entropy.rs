//! The boot's first random bytes, before any key exists (DESIGN §3.9).
//!
//! On TDX and SEV-SNP the only source that the host neither supplies nor sees is RDSEED; on Nitro it is the Nitro
//! Secure Module. virtio-rng, boot-loader seeds and interrupt timing come from the host and aren't credited. A missing
//! source is an error, on which PID 1 powers off.

use std::fmt;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use jeju_attestation::tee::Tee;
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use crate::device::QuoteError;
use crate::nsm::Nsm;

/// Length of a seed in bytes; it holds at least 256 bits of entropy.
pub const SEED_LEN: usize = 64;

/// Bits credited to the kernel: what its generator needs to count as seeded, and what the seed surely holds.
const CREDITED_BITS: libc::c_int = 256;
/// RDSEED runs dry under load and recovers within microseconds (Intel's DRNG guide asks for bounded retries).
const MAX_DRAWS_PER_WORD: usize = 100_000;
/// `_IOW('R', 0x03, int[2])` and `_IO('R', 0x07)` of `linux/random.h`.
const RNDADDENTROPY: u32 = 0x4008_5203;
const RNDRESEEDCRNG: u32 = 0x5207;

/// Where a seed came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntropySource {
    /// The CPU's RDSEED instruction.
    Rdseed,
    /// GetRandom of the Nitro Secure Module.
    Nsm,
    /// The CPU's RDRAND instruction; simulated silicon on a CPU without RDSEED only.
    Rdrand,
    /// getrandom(2); simulated silicon on a CPU with neither instruction only.
    Getrandom,
}

/// Random bytes for the boot, wiped when dropped.
pub struct Seed {
    /// The bytes.
    pub bytes: Zeroizing<[u8; SEED_LEN]>,
    /// Where they came from.
    pub source: EntropySource,
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seed")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// Why there is no seed, or why the kernel didn't take it.
#[derive(Debug, Error)]
pub enum EntropyError {
    /// The CPU has no RDSEED, or CPUID, which the host may answer, hides it.
    #[error("the CPU offers no RDSEED")]
    NoRdseed,
    /// The instruction exists but gives nothing within a generous number of tries.
    #[error("{0:?} gave no value in {MAX_DRAWS_PER_WORD} tries")]
    Exhausted(EntropySource),
    /// The instruction gives the same value again, or all zeros or ones: broken silicon or microcode.
    #[error("{0:?} is stuck")]
    Stuck(EntropySource),
    /// The Nitro Secure Module failed.
    #[error(transparent)]
    Nsm(#[from] QuoteError),
    /// Simulated silicon in a build without the feature `sim`.
    #[error("this build has no simulated silicon")]
    NotSimulated,
    /// getrandom(2) failed.
    #[error("getrandom: {0}")]
    Getrandom(#[source] io::Error),
    /// Not root (CAP_SYS_ADMIN), so the kernel takes no credit from this process.
    #[error("crediting entropy needs CAP_SYS_ADMIN")]
    NotPermitted,
    /// The kernel's random device failed otherwise.
    #[error("{operation} on /dev/random: {source}")]
    Kernel {
        /// What was tried.
        operation: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Draws a seed from the platform's own source; blocks for microseconds to milliseconds.
///
/// # Errors
/// [`EntropyError`]; there is no fallback outside [`Tee::Simulated`].
pub fn seed(tee: Tee) -> Result<Seed, EntropyError> {
    match tee {
        Tee::Tdx | Tee::SevSnp => rdseed(),
        Tee::Nitro => {
            let mut bytes = Zeroizing::new([0; SEED_LEN]);
            Nsm::open(Path::new("/dev/nsm"))?.random(bytes.as_mut_slice())?;
            Ok(Seed {
                bytes,
                source: EntropySource::Nsm,
            })
        }
        Tee::Simulated => simulated(),
    }
}

/// Gives the seed to the kernel's generator, credited with 256 bits, and has it reseed at once, so that getrandom(2)
/// neither blocks nor depends on what the host supplied.
///
/// # Errors
/// [`EntropyError::NotPermitted`] or [`EntropyError::Kernel`].
pub fn credit_kernel(seed: &Seed) -> Result<(), EntropyError> {
    /// `struct rand_pool_info` of `linux/random.h`.
    #[repr(C)]
    struct PoolInfo {
        entropy_count: libc::c_int,
        buf_size: libc::c_int,
        buf: [u8; SEED_LEN],
    }

    let refused = |operation| match io::Error::last_os_error() {
        error if error.kind() == io::ErrorKind::PermissionDenied => EntropyError::NotPermitted,
        source => EntropyError::Kernel { operation, source },
    };
    let random = OpenOptions::new()
        .write(true)
        .open("/dev/random")
        .map_err(|source| EntropyError::Kernel {
            operation: "open",
            source,
        })?;
    let mut pool = PoolInfo {
        entropy_count: CREDITED_BITS,
        buf_size: SEED_LEN as libc::c_int,
        buf: *seed.bytes,
    };
    // SAFETY: the descriptor is open, and the kernel reads buf_size bytes after the two integers of this struct.
    let added = unsafe { libc::ioctl(random.as_raw_fd(), RNDADDENTROPY as _, &raw const pool) };
    let added = if added == 0 {
        Ok(())
    } else {
        Err(refused("RNDADDENTROPY"))
    };
    pool.buf.zeroize();
    added?;
    // SAFETY: the descriptor is open, and this request has no argument.
    match unsafe { libc::ioctl(random.as_raw_fd(), RNDRESEEDCRNG as _) } {
        0 => Ok(()),
        _ => Err(refused("RNDRESEEDCRNG")),
    }
}

#[cfg(feature = "sim")]
fn simulated() -> Result<Seed, EntropyError> {
    match rdseed() {
        Err(EntropyError::NoRdseed | EntropyError::Exhausted(_)) => {}
        outcome => return outcome,
    }
    if let Some(seed) = rdrand() {
        return seed;
    }
    let mut bytes = Zeroizing::new([0; SEED_LEN]);
    // SAFETY: the buffer has SEED_LEN bytes. Requests of up to 256 bytes are never cut short by a signal.
    let length = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), SEED_LEN, 0) };
    if length != SEED_LEN as isize {
        return Err(EntropyError::Getrandom(io::Error::last_os_error()));
    }
    Ok(Seed {
        bytes,
        source: EntropySource::Getrandom,
    })
}

#[cfg(not(feature = "sim"))]
fn simulated() -> Result<Seed, EntropyError> {
    Err(EntropyError::NotSimulated)
}

#[cfg(target_arch = "x86_64")]
fn rdseed() -> Result<Seed, EntropyError> {
    // The 64-bit form: on Zen 5 the shorter ones give zeros and call it success (AMD-SB-7055).
    #[target_feature(enable = "rdseed")]
    fn draw() -> Option<u64> {
        let mut word = 0;
        (std::arch::x86_64::_rdseed64_step(&mut word) == 1).then_some(word)
    }

    if !std::is_x86_feature_detected!("rdseed") {
        return Err(EntropyError::NoRdseed);
    }
    // SAFETY: CPUID says that the CPU has RDSEED.
    gather(EntropySource::Rdseed, || unsafe { draw() })
}

#[cfg(not(target_arch = "x86_64"))]
fn rdseed() -> Result<Seed, EntropyError> {
    Err(EntropyError::NoRdseed)
}

#[cfg(all(feature = "sim", target_arch = "x86_64"))]
fn rdrand() -> Option<Result<Seed, EntropyError>> {
    #[target_feature(enable = "rdrand")]
    fn draw() -> Option<u64> {
        let mut word = 0;
        (std::arch::x86_64::_rdrand64_step(&mut word) == 1).then_some(word)
    }

    // SAFETY: CPUID says that the CPU has RDRAND.
    std::is_x86_feature_detected!("rdrand").then(|| gather(EntropySource::Rdrand, || unsafe { draw() }))
}

#[cfg(all(feature = "sim", not(target_arch = "x86_64")))]
fn rdrand() -> Option<Result<Seed, EntropyError>> {
    None
}

/// Fills a seed with drawn words. Known failures of the instructions keep saying 'success' with one value (all ones
/// after resume on some AMD parts, zeros on others), so a repeated word or one of those two is refused: a healthy
/// source does that once in 2^60 boots.
fn gather(source: EntropySource, mut draw: impl FnMut() -> Option<u64>) -> Result<Seed, EntropyError> {
    let mut bytes = Zeroizing::new([0; SEED_LEN]);
    let mut previous = Zeroizing::new(0);
    for place in bytes.as_chunks_mut::<8>().0 {
        let mut tries = 0..MAX_DRAWS_PER_WORD;
        let word = Zeroizing::new(loop {
            if let Some(word) = draw() {
                break word;
            }
            if tries.next().is_none() {
                return Err(EntropyError::Exhausted(source));
            }
            std::hint::spin_loop();
        });
        if *word == 0 || *word == u64::MAX || *word == *previous {
            return Err(EntropyError::Stuck(source));
        }
        *place = word.to_ne_bytes();
        previous = word;
    }
    Ok(Seed { bytes, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: EntropySource = EntropySource::Rdseed;

    #[test]
    fn words_fill_the_seed_in_spite_of_dry_spells() {
        let mut draws = 0u64;
        let seed = gather(SOURCE, || {
            draws += 1;
            draws.is_multiple_of(1000).then_some(draws)
        })
        .unwrap();
        let words: Vec<u64> = seed
            .bytes
            .as_chunks::<8>()
            .0
            .iter()
            .map(|word| u64::from_ne_bytes(*word))
            .collect();
        assert_eq!(words, [1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000]);
    }

    #[test]
    fn a_dry_source_is_given_up() {
        let mut draws = 0usize;
        let error = gather(SOURCE, || {
            draws += 1;
            None
        })
        .unwrap_err();
        assert!(matches!(error, EntropyError::Exhausted(SOURCE)));
        assert_eq!(draws, MAX_DRAWS_PER_WORD + 1);
    }

    #[test]
    fn a_stuck_source_is_refused() {
        for words in [[1, 2, 2], [1, 2, 0], [1, 2, u64::MAX]] {
            let mut words = words.into_iter();
            assert!(matches!(
                gather(SOURCE, || words.next()),
                Err(EntropyError::Stuck(SOURCE))
            ));
        }
    }

    #[test]
    fn two_seeds_of_this_machine_differ_and_stay_out_of_logs() {
        let (first, second) = (seed(Tee::Simulated).unwrap(), seed(Tee::Simulated).unwrap());
        assert_ne!(*first.bytes, *second.bytes);
        assert_eq!(first.source, second.source);
        assert_eq!(
            format!("{first:?}"),
            format!("Seed {{ source: {:?}, .. }}", first.source)
        );
    }

    #[test]
    fn a_platform_has_no_fallback() {
        match seed(Tee::SevSnp) {
            Ok(seed) => assert_eq!(seed.source, EntropySource::Rdseed),
            Err(error) => assert!(
                matches!(error, EntropyError::NoRdseed | EntropyError::Exhausted(_)),
                "{error}"
            ),
        }
        if !Path::new("/dev/nsm").exists() {
            assert!(matches!(
                seed(Tee::Nitro),
                Err(EntropyError::Nsm(QuoteError::Device { .. }))
            ));
        }
    }

    #[test]
    fn the_kernel_takes_the_seed_or_says_why_not() {
        let seed = seed(Tee::Simulated).unwrap();
        match credit_kernel(&seed) {
            Ok(()) | Err(EntropyError::NotPermitted) => {}
            Err(error) => panic!("{error}"),
        }
    }
}
