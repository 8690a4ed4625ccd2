//! An allocator that leaves nothing of what it takes back.
//!
//! A prompt passes through buffers of TLS, HTTP, JSON and the runtime, which know nothing of its worth. What they free would
//! lie in the memory of the process until something else is put there, for whoever gets to read it: by a bug, a core dump
//! or a takeover. So everything is wiped when it is freed, whoever freed it.
//!
//! Not in reach: what is in use, stacks and registers, and what C code allocates. That is aws-lc, which wipes as well.

use std::alloc::{GlobalAlloc, Layout, System};

/// From this size on, in bytes, whole pages go back to the kernel instead of being overwritten: a cache that was hardly used
/// must not be brought into memory only to be wiped.
const LARGE: usize = 1 << 20;

/// On every machine that this runs on, in bytes; where pages are larger, the kernel refuses and all is overwritten.
const PAGE: usize = 4096;

/// The system's allocator, wiping.
#[derive(Debug)]
pub struct Wiping;

/// Has large blocks be mappings of their own, always. Else the C library would keep some of them for later, and fill what it
/// gives out again with zeros, page by page. To be called while the process has one thread.
pub fn map_large_blocks() {
    // SAFETY: a plain call; no other thread allocates meanwhile. It refuses larger values than this only.
    unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE as libc::c_int) };
}

// SAFETY: all memory comes from the system's allocator and goes back to it under the layout that it was asked for with.
unsafe impl GlobalAlloc for Wiping {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller gives up a block of this layout, which nobody uses any more.
        unsafe {
            wipe(pointer, layout.size());
            System.dealloc(pointer, layout);
        }
    }

    /// By a new block, always: the system's own way may move the old one without wiping it.
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the new size isn't zero and, rounded up to the alignment, fits an `isize`.
        let new = unsafe { self.alloc(Layout::from_size_align_unchecked(new_size, layout.align())) };
        if !new.is_null() {
            // SAFETY: two blocks, each at least as long as what is copied; the old one is the caller's to give up.
            unsafe {
                std::ptr::copy_nonoverlapping(pointer, new, layout.size().min(new_size));
                self.dealloc(pointer, layout);
            }
        }
        new
    }
}

/// Overwrites a block that is about to be freed.
///
/// # Safety
/// `len` bytes from `pointer` on are writable, and nobody uses them.
unsafe fn wipe(pointer: *mut u8, len: usize) {
    let inner = pointer.align_offset(PAGE);
    if len >= LARGE {
        let pages = (len - inner) / PAGE * PAGE;
        // SAFETY: whole pages inside the block. They are private and have no file behind them, as all that the system's
        // allocator gives out, so that they read as zeros from now on.
        unsafe {
            if libc::madvise(pointer.add(inner).cast(), pages, libc::MADV_DONTNEED) == 0 {
                libc::explicit_bzero(pointer.cast(), inner);
                libc::explicit_bzero(pointer.add(inner + pages).cast(), len - inner - pages);
                return;
            }
        }
    }
    // SAFETY: the caller's promise.
    unsafe { libc::explicit_bzero(pointer.cast(), len) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a block through the wiping of it, without freeing it.
    fn is_wiped(len: usize, offset: usize) -> bool {
        let layout = Layout::from_size_align(len + offset, 16).unwrap();
        // SAFETY: the block is `len + offset` bytes long, is written before it is read, and freed once.
        unsafe {
            let block = System.alloc(layout);
            block.write_bytes(0xAA, len + offset);
            wipe(block.add(offset), len);
            let bytes = std::slice::from_raw_parts(block, len + offset);
            let clean = bytes[offset..].iter().all(|byte| *byte == 0);
            let untouched = bytes[..offset].iter().all(|byte| *byte == 0xAA);
            System.dealloc(block, layout);
            clean && untouched
        }
    }

    #[test]
    fn every_byte_of_a_block_is_wiped_and_none_beside_it() {
        for len in [1, 7, 64, 4095, LARGE - 1, LARGE, LARGE + 1, 3 * LARGE + 5000] {
            for offset in [0, 1, 4080, 4096] {
                assert!(is_wiped(len, offset), "{len} bytes at {offset}");
            }
        }
    }

    #[test]
    fn a_block_that_grows_or_shrinks_keeps_its_bytes() {
        let layout = Layout::from_size_align(100, 64).unwrap();
        // SAFETY: each block is used under the layout that it has at that time.
        unsafe {
            let block = Wiping.alloc_zeroed(layout);
            block.write_bytes(7, 100);
            let grown = Wiping.realloc(block, layout, 5000);
            assert_eq!(grown.align_offset(64), 0);
            assert!(
                std::slice::from_raw_parts(grown, 100)
                    .iter()
                    .all(|byte| *byte == 7)
            );
            let layout = Layout::from_size_align(5000, 64).unwrap();
            let shrunk = Wiping.realloc(grown, layout, 10);
            assert_eq!(std::slice::from_raw_parts(shrunk, 10), [7; 10]);
            Wiping.dealloc(shrunk, Layout::from_size_align(10, 64).unwrap());
        }
    }
}
