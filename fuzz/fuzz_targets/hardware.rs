//! Evidence and endorsements of real hardware: every parser, and verdicts with and without a policy. The first byte
//! chooses (attestation/synthetic/examples/fuzz_seeds.rs has names for the choices). No input may panic, hang, or take
//! more than 16 MiB of memory.
#![no_main]

use std::alloc::{GlobalAlloc, Layout, System};
use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering};

use jeju_attestation::endorsements::Endorsements;
use jeju_attestation::event_log::{EventLog, Kind, replay};
use jeju_attestation::hardware::HardwareVerifier;
use jeju_attestation::input::decode;
use jeju_attestation::intel::qe_identity::QeIdentity;
use jeju_attestation::intel::tcb_info::TcbInfo;
use jeju_attestation::nvidia::{Manifest, Rules};
use jeju_attestation::offline::{EvidenceKind, Request, Submission, answer, inspect, verify};
use jeju_attestation::policy::Policy;
use jeju_attestation::roots::TrustAnchors;
use jeju_attestation::sev_snp::certificate_table;
use jeju_attestation::x509::{Certificate, PathRules, RevocationList, pem_certificates, verify_path};
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

const PATH: PathRules = PathRules {
    longest: 3,
    judged: &[],
    end_entity: true,
};
/// 2026-01-01T00:00:00Z.
const NOW_SECONDS: u64 = 1_767_225_600;
const MOST_MEMORY: usize = 16 * 1024 * 1024;

fuzz_target!(|input: &[u8]| {
    let Some((choice, bytes)) = input.split_first() else {
        return;
    };
    let before = NOW.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    match choice % 12 {
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
        9 => {
            let _ = answer(bytes);
            if let Ok(text) = core::str::from_utf8(bytes) {
                let _ = Policy::parse(text, true);
            }
        }
        10 => {
            let _ = TcbInfo::parse(bytes);
            let _ = QeIdentity::parse(bytes);
            let _ = verifier().appraise_gpus(bytes, &[0; 32], &Rules::strict(), NOW_SECONDS);
        }
        _ => certificates(bytes),
    }
    let most = MOST.load(Ordering::Relaxed).saturating_sub(before);
    assert!(most <= MOST_MEMORY, "{most} bytes at a time");
});

fn verifier() -> HardwareVerifier {
    HardwareVerifier::new(Cow::Borrowed(TrustAnchors::vendors()), Endorsements::default())
}

fn certificates(bytes: &[u8]) {
    let root = &TrustAnchors::vendors().intel()[0];
    let _ = certificate_table::read(bytes);
    let _ = pem_certificates(bytes);
    let _ = RevocationList::verify_by_key(bytes, root.subject_der(), root.key());
    if let Ok(certificate) = Certificate::parse(bytes) {
        let _ = (
            certificate.subject(),
            certificate.issuer(),
            certificate.public_key(),
        );
        let _ = certificate.signature_algorithm();
        let _ = certificate.extension(&[0x55, 0x1D, 0x13]);
        let _ = verify_path(
            &[certificate],
            TrustAnchors::vendors().intel(),
            PATH,
            NOW_SECONDS as i64,
        );
    }
}

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
        at: NOW_SECONDS,
        policy: None,
    };
    // Only a vendor could make it pass; seeds that are genuine need collateral, which isn't there.
    let _ = verify(&request);
}
