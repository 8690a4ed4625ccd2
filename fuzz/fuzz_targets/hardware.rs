//! Evidence and endorsements of real hardware: every parser, and verdicts with and without a policy. The first byte
//! chooses. No input may panic, hang, or take more than 16 MiB of memory.
#![no_main]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use jeju_attestation::endorsements::Endorsements;
use jeju_attestation::event_log::{EventLog, Kind, replay};
use jeju_attestation::input::decode;
use jeju_attestation::nvidia::Manifest;
use jeju_attestation::offline::{EvidenceKind, Request, Submission, answer, inspect, verify};
use jeju_attestation::policy::Policy;
use libfuzzer_sys::fuzz_target;

/// Counts what is allocated at a time; libFuzzer's own is in it.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on unchanged; only sizes are added up.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(now, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const MOST_MEMORY: usize = 16 * 1024 * 1024;

fuzz_target!(|input: &[u8]| {
    let Some((choice, bytes)) = input.split_first() else {
        return;
    };
    let before = NOW.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    match choice % 10 {
        0 => submission(bytes, None),
        1 => submission(bytes, Some(EvidenceKind::Tdx)),
        2 => submission(bytes, Some(EvidenceKind::Sgx)),
        3 => submission(bytes, Some(EvidenceKind::Snp)),
        4 => submission(bytes, Some(EvidenceKind::Nitro)),
        5 => submission(bytes, Some(EvidenceKind::Nvidia)),
        6 => {
            let _ = Endorsements::default().add(bytes);
        }
        7 => {
            if let Ok(manifest) = Manifest::parse(bytes) {
                let _ = manifest.identity();
            }
        }
        8 => {
            let _ = EventLog::read(bytes).map(|log| replay(&log));
            let _ = EventLog::parse(Kind::Tpm, bytes);
            let _ = decode(bytes);
        }
        _ => {
            let _ = answer(bytes);
            if let Ok(text) = core::str::from_utf8(bytes) {
                let _ = Policy::parse(text, true);
            }
        }
    }
    let most = MOST.load(Ordering::Relaxed).saturating_sub(before);
    assert!(most <= MOST_MEMORY, "{most} bytes at a time");
});

fn submission(bytes: &[u8], kind: Option<EvidenceKind>) {
    let Ok(submission) = Submission::read(bytes, kind) else {
        return;
    };
    let _ = inspect(&submission);
    let request = Request {
        submission,
        endorsements: Endorsements::default(),
        nonce: None,
        report_data: None,
        event_log: None,
        at: 1_767_225_600,
        policy: None,
    };
    // Only a vendor could make it pass; seeds that are genuine need collateral, which isn't there.
    let _ = verify(&request);
}
