//! What returned functions leave behind on the stack.

use std::hint::black_box;

/// How far below its caller [`wipe_stack`] reaches, in bytes: several times what any path here was seen to use.
const DEPTH: usize = 64 * 1024;

/// Overwrites what functions that have returned left on this thread's stack: hashes keep the end of what they were given
/// there, and compilers whatever they like. Takes about a microsecond. To be called where a thread goes idle, no deeper
/// than the work was called that it wipes after.
#[inline(never)]
pub fn wipe_stack() {
    black_box(&mut [0_u8; DEPTH]);
}
