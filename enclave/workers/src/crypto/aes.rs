//! AES in the modes of Web Crypto but GCM: CBC with PKCS #7 padding, CTR, and key wrap.

use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, Algorithm, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext,
    PaddedBlockDecryptingKey, PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::iv::FixedLength;
use zeroize::Zeroizing;

use super::refusal::Refusal;

/// Bytes of a block.
pub(super) const BLOCK: usize = 16;
/// The first half of what RFC 3394 wraps: the initial value of its section 2.2.3.1.
const WRAP_IV: [u8; 8] = [0xa6; 8];

const FAILED: Refusal = Refusal::Operation("the cipher operation failed");

fn unbound(key: &[u8]) -> Result<UnboundCipherKey, Unspecified> {
    let algorithm: &'static Algorithm = match key.len() {
        16 => &AES_128,
        24 => &AES_192,
        32 => &AES_256,
        _ => return Err(Unspecified),
    };
    UnboundCipherKey::new(algorithm, key)
}

fn initial(iv: &[u8]) -> Result<FixedLength<BLOCK>, Refusal> {
    FixedLength::try_from(iv).map_err(|_| Refusal::Operation("the initial value has to have 16 bytes"))
}

/// AES-CBC, padded.
pub(super) fn cbc_encrypt(key: &[u8], iv: &[u8], data: &[u8]) -> Result<Vec<u8>, Refusal> {
    let context = EncryptionContext::Iv128(initial(iv)?);
    let mut out = Vec::with_capacity(data.len() + BLOCK);
    out.extend_from_slice(data);
    unbound(key)
        .and_then(PaddedBlockEncryptingKey::cbc_pkcs7)
        .and_then(|key| key.less_safe_encrypt(&mut out, context))
        .map_err(|_| FAILED)?;
    Ok(out)
}

/// The way back from [`cbc_encrypt`].
pub(super) fn cbc_decrypt(key: &[u8], iv: &[u8], data: &[u8]) -> Result<Vec<u8>, Refusal> {
    let context = DecryptionContext::Iv128(initial(iv)?);
    if data.is_empty() || !data.len().is_multiple_of(BLOCK) {
        return Err(Refusal::Operation(
            "the ciphertext isn't a whole number of blocks",
        ));
    }
    let mut out = data.to_vec();
    let key = unbound(key)
        .and_then(PaddedBlockDecryptingKey::cbc_pkcs7)
        .map_err(|_| FAILED)?;
    let length = key.decrypt(&mut out, context).map_err(|_| FAILED)?.len();
    out.truncate(length);
    Ok(out)
}

/// AES-CTR, both ways. The last `bits` bits of `counter` count blocks and wrap around within themselves.
pub(super) fn ctr(key: &[u8], counter: [u8; BLOCK], bits: u32, data: &[u8]) -> Result<Vec<u8>, Refusal> {
    if !(1..=128).contains(&bits) {
        return Err(Refusal::Operation("the counter has to have 1 to 128 bits"));
    }
    let mask = u128::MAX >> (128 - bits);
    let start = u128::from_be_bytes(counter);
    let mut out = data.to_vec();
    // The cipher counts in all 128 bits: what comes after the counter's last value starts again at zero.
    let last = data.len().div_ceil(BLOCK).saturating_sub(1) as u128;
    let until_wrap = mask - (start & mask);
    if last > mask {
        return Err(Refusal::Operation(
            "the data has more blocks than the counter has values",
        ));
    }
    let split = if last > until_wrap {
        (until_wrap as usize + 1) * BLOCK
    } else {
        out.len()
    };
    let (before, after) = out.split_at_mut(split);
    keystream(key, start, before)?;
    keystream(key, start & !mask, after)?;
    Ok(out)
}

fn keystream(key: &[u8], counter: u128, data: &mut [u8]) -> Result<(), Refusal> {
    if data.is_empty() {
        return Ok(());
    }
    let context = EncryptionContext::Iv128(FixedLength::from(counter.to_be_bytes()));
    unbound(key)
        .and_then(EncryptingKey::ctr)
        .and_then(|key| key.less_safe_encrypt(data, context))
        .map(drop)
        .map_err(|_| FAILED)
}

/// One block under the bare cipher.
pub(super) fn block(key: &[u8], mut input: [u8; BLOCK]) -> Result<[u8; BLOCK], Refusal> {
    let key = unbound(key).and_then(EncryptingKey::ecb).map_err(|_| FAILED)?;
    key.less_safe_encrypt(&mut input, EncryptionContext::None)
        .map_err(|_| FAILED)?;
    Ok(input)
}

/// AES-KW: RFC 3394, section 2.2.1.
pub(super) fn wrap(key: &[u8], data: &[u8]) -> Result<Vec<u8>, Refusal> {
    if data.len() < 16 || !data.len().is_multiple_of(8) {
        return Err(Refusal::Operation("AES-KW wraps 16 bytes or more, in steps of 8"));
    }
    let key = unbound(key).and_then(EncryptingKey::ecb).map_err(|_| FAILED)?;
    let n = data.len() / 8;
    let mut out = Vec::with_capacity(data.len() + 8);
    out.extend_from_slice(&WRAP_IV);
    out.extend_from_slice(data);
    let mut pair = [0; BLOCK];
    for step in 0..6 * n {
        let at = 8 * (step % n + 1);
        pair[..8].copy_from_slice(&out[..8]);
        pair[8..].copy_from_slice(&out[at..at + 8]);
        key.less_safe_encrypt(&mut pair, EncryptionContext::None)
            .map_err(|_| FAILED)?;
        count(&mut pair, step);
        out[..8].copy_from_slice(&pair[..8]);
        out[at..at + 8].copy_from_slice(&pair[8..]);
    }
    Ok(out)
}

/// The way back from [`wrap`]: section 2.2.2.
pub(super) fn unwrap(key: &[u8], data: &[u8]) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    if data.len() < 24 || !data.len().is_multiple_of(8) {
        return Err(Refusal::Operation(
            "what AES-KW wrapped has 24 bytes or more, in steps of 8",
        ));
    }
    let key = unbound(key).and_then(DecryptingKey::ecb).map_err(|_| FAILED)?;
    let n = data.len() / 8 - 1;
    let mut out = Zeroizing::new(data.to_vec());
    let mut pair = Zeroizing::new([0; BLOCK]);
    for step in (0..6 * n).rev() {
        let at = 8 * (step % n + 1);
        pair[..8].copy_from_slice(&out[..8]);
        pair[8..].copy_from_slice(&out[at..at + 8]);
        count(&mut pair, step);
        key.decrypt(&mut pair[..], DecryptionContext::None)
            .map_err(|_| FAILED)?;
        out[..8].copy_from_slice(&pair[..8]);
        out[at..at + 8].copy_from_slice(&pair[8..]);
    }
    verify_slices_are_equal(&out[..8], &WRAP_IV).map_err(|_| FAILED)?;
    out.drain(..8);
    Ok(out)
}

/// Mixes the number of the step, from 1, into the first half.
fn count(pair: &mut [u8; BLOCK], step: usize) {
    for (byte, counter) in pair[..8].iter_mut().zip((step as u64 + 1).to_be_bytes()) {
        *byte ^= counter;
    }
}
