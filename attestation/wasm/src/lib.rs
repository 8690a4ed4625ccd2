//! The verifier for WebAssembly: the same code as in `jeju`, behind three functions (`docs/wire-formats.md` §11).
//!
//! The embedder asks for room ([`jeju_input`]), writes a request there, calls [`jeju_verify`], and reads as many bytes
//! as that returned from [`jeju_output`]. The module imports nothing: it has no clock, no network and no random
//! numbers. `verifier.mjs` wraps it for JavaScript.

use std::sync::{Mutex, MutexGuard};

use jeju_attestation::offline;

static INPUT: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static OUTPUT: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Makes room for a request of `len` bytes and returns where it goes; null if it is longer than any request may be.
// SAFETY: no other symbol of this name exists in the module.
#[unsafe(no_mangle)]
pub extern "C" fn jeju_input(len: usize) -> *mut u8 {
    if len > offline::MAX_REQUEST_LEN {
        return std::ptr::null_mut();
    }
    let mut input = lock(&INPUT);
    input.clear();
    input.resize(len, 0);
    input.as_mut_ptr()
}

/// Answers the request and returns the length of the answer.
// SAFETY: no other symbol of this name exists in the module.
#[unsafe(no_mangle)]
pub extern "C" fn jeju_verify() -> usize {
    let request = std::mem::take(&mut *lock(&INPUT));
    let answer = offline::answer(&request);
    let mut output = lock(&OUTPUT);
    *output = answer.into_bytes();
    output.len()
}

/// Where the answer lies, until the next call of any of these functions.
// SAFETY: no other symbol of this name exists in the module.
#[unsafe(no_mangle)]
pub extern "C" fn jeju_output() -> *const u8 {
    lock(&OUTPUT).as_ptr()
}

fn lock(buffer: &'static Mutex<Vec<u8>>) -> MutexGuard<'static, Vec<u8>> {
    buffer.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
