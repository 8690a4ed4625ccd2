//! HKDF (RFC 5869) and PBKDF2 (RFC 8018).

use std::num::NonZeroU32;

use aws_lc_rs::{hkdf, pbkdf2};
use zeroize::Zeroizing;

use crate::process::held;

use super::hash::Hash;
use super::refusal::Refusal;

/// Most rounds of one PBKDF2: iterations times blocks of the hash's length. The engine can't stop native code, so
/// this bounds what one call takes: some two seconds on a slow core.
pub(super) const MAX_ROUNDS: u64 = 2_000_000;

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// `length` bytes by HKDF.
pub(super) fn hkdf(
    hash: Hash,
    secret: &[u8],
    salt: &[u8],
    info: &[u8],
    length: usize,
) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let too_long = Refusal::Operation("HKDF gives at most 255 times the hash's length");
    if length > 255 * hash.length() {
        return Err(too_long);
    }
    let mut out = Zeroizing::new(vec![0; length]);
    if length == 0 {
        return Ok(out);
    }
    let key = hkdf::Salt::new(hash.hkdf(), salt).extract(secret);
    key.expand(&[info], Length(length))
        .and_then(|okm| okm.fill(&mut out))
        .map_err(|_| too_long)?;
    Ok(out)
}

/// `length` bytes by PBKDF2.
pub(super) fn pbkdf2(
    hash: Hash,
    password: &[u8],
    salt: &[u8],
    iterations: u32,
    length: usize,
) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let iterations =
        NonZeroU32::new(iterations).ok_or(Refusal::Operation("PBKDF2 takes at least one iteration"))?;
    let blocks = length.div_ceil(hash.length()) as u64;
    if blocks.saturating_mul(iterations.get().into()) > MAX_ROUNDS {
        return Err(Refusal::NotSupported(
            "PBKDF2 is limited to 2000000 iterations times blocks of output",
        ));
    }
    let mut out = Zeroizing::new(vec![0; length]);
    if length > 0 {
        // It takes long, and doesn't ask whether to go on.
        held::release();
        pbkdf2::derive(hash.pbkdf2(), iterations, salt, password, &mut out);
    }
    Ok(out)
}
