//! AES-GCM (NIST SP 800-38D).

use aws_lc_rs::aead::{
    AES_128_GCM, AES_192_GCM, AES_256_GCM, Aad, Algorithm, LessSafeKey, MAX_TAG_LEN, NONCE_LEN, Nonce,
    UnboundKey,
};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use ghash::GHash;
use ghash::universal_hash::UniversalHash;
use zeroize::Zeroize;

use super::aes::{BLOCK, block, ctr};
use super::refusal::Refusal;

const FAILED: Refusal = Refusal::Operation("the data, its tag or what goes with it isn't what was encrypted");

/// Encrypts; the tag of `tag` bytes comes last.
pub(super) fn seal(key: &[u8], iv: &[u8], aad: &[u8], tag: usize, data: &[u8]) -> Result<Vec<u8>, Refusal> {
    if let Some((key, nonce)) = usual(key, iv, tag)? {
        let mut out = Vec::with_capacity(data.len() + MAX_TAG_LEN);
        out.extend_from_slice(data);
        key.seal_in_place_append_tag(nonce, Aad::from(aad), &mut out)
            .map_err(|_| Refusal::Operation("the data is too long for AES-GCM"))?;
        return Ok(out);
    }
    let parts = Parts::new(key, iv)?;
    let mut out = parts.crypt(data)?;
    let full = parts.tag(aad, &out)?;
    out.extend_from_slice(full.get(..tag).ok_or(FAILED)?);
    Ok(out)
}

/// Decrypts what [`seal`] made.
pub(super) fn open(key: &[u8], iv: &[u8], aad: &[u8], tag: usize, data: &[u8]) -> Result<Vec<u8>, Refusal> {
    let split = data
        .len()
        .checked_sub(tag)
        .ok_or(Refusal::Operation("the data is shorter than its tag"))?;
    if let Some((key, nonce)) = usual(key, iv, tag)? {
        let mut out = data.to_vec();
        key.open_in_place(nonce, Aad::from(aad), &mut out)
            .map_err(|_| FAILED)?;
        out.truncate(split);
        return Ok(out);
    }
    let (sealed, given) = data.split_at(split);
    let parts = Parts::new(key, iv)?;
    let full = parts.tag(aad, sealed)?;
    verify_slices_are_equal(full.get(..tag).ok_or(FAILED)?, given).map_err(|_| FAILED)?;
    parts.crypt(sealed)
}

/// The library's own GCM, which takes initial values of 12 bytes and tags of 16: what nearly everybody has.
fn usual(key: &[u8], iv: &[u8], tag: usize) -> Result<Option<(LessSafeKey, Nonce)>, Refusal> {
    let Ok(nonce) = <[u8; NONCE_LEN]>::try_from(iv) else {
        return Ok(None);
    };
    if tag != MAX_TAG_LEN {
        return Ok(None);
    }
    let algorithm: &'static Algorithm = match key.len() {
        16 => &AES_128_GCM,
        24 => &AES_192_GCM,
        32 => &AES_256_GCM,
        _ => return Err(FAILED),
    };
    let key = UnboundKey::new(algorithm, key).map_err(|_| FAILED)?;
    Ok(Some((LessSafeKey::new(key), Nonce::assume_unique_for_key(nonce))))
}

/// GCM out of its parts, for other initial values and tags.
struct Parts<'a> {
    key: &'a [u8],
    hash: [u8; BLOCK],
    /// J0 of section 7.1: the counter before the first block.
    start: [u8; BLOCK],
}

impl<'a> Parts<'a> {
    fn new(key: &'a [u8], iv: &[u8]) -> Result<Self, Refusal> {
        if iv.is_empty() {
            return Err(Refusal::Operation(
                "the initial value has to have at least one byte",
            ));
        }
        let hash = block(key, [0; BLOCK])?;
        let mut start = [0; BLOCK];
        if iv.len() == NONCE_LEN {
            start[..NONCE_LEN].copy_from_slice(iv);
            start[BLOCK - 1] = 1;
        } else {
            start = digest(&hash, &[], iv);
        }
        Ok(Self { key, hash, start })
    }

    /// GCTR from the counter after J0; the last 32 bits count.
    fn crypt(&self, data: &[u8]) -> Result<Vec<u8>, Refusal> {
        let mut counter = self.start;
        let count = u32::from_be_bytes([counter[12], counter[13], counter[14], counter[15]]).wrapping_add(1);
        counter[12..].copy_from_slice(&count.to_be_bytes());
        ctr(self.key, counter, 32, data)
    }

    fn tag(&self, aad: &[u8], sealed: &[u8]) -> Result<[u8; BLOCK], Refusal> {
        let mask = block(self.key, self.start)?;
        let mut tag = digest(&self.hash, aad, sealed);
        for (byte, mask) in tag.iter_mut().zip(mask) {
            *byte ^= mask;
        }
        Ok(tag)
    }
}

impl Drop for Parts<'_> {
    fn drop(&mut self) {
        self.hash.zeroize();
    }
}

/// GHASH of both, each padded with zeros to whole blocks, and their lengths in bits.
fn digest(key: &[u8; BLOCK], first: &[u8], second: &[u8]) -> [u8; BLOCK] {
    let mut hash = GHash::new(&(*key).into());
    hash.update_padded(first);
    hash.update_padded(second);
    let lengths = (first.len() as u128 * 8) << 64 | (second.len() as u128 * 8);
    hash.update(&[lengths.to_be_bytes().into()]);
    hash.finalize().into()
}
