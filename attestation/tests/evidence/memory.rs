//! Hostile inputs, and what they make the verifier take: at most 16 MiB of memory, never a panic, and never a hang.
//!
//! What is counted is the most that is allocated at a time while a call runs, less what was allocated when it began (the
//! input among others). A buffer that grows counts as two while it is copied. Memory that aws-lc takes in C isn't seen: it
//! is a few kilobytes for each signature.

mod bombs;
mod entrances;

use std::alloc::{GlobalAlloc, Layout, System};
use std::borrow::Cow;
use std::cell::Cell;
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jeju_attestation::endorsements::{EndorsementError, Endorsements, MAX_LEN};
use jeju_attestation::event_log::EventLog;
use jeju_attestation::hardware::HardwareVerifier;
use jeju_attestation::nitro;
use jeju_attestation::nvidia::Manifest;
use jeju_attestation::offline::{EvidenceKind, Submission};
use jeju_attestation::roots::{TestRoots, TrustAnchors};
use jeju_attestation::x509::Certificate;
use jeju_synthetic::NOW;
use jeju_synthetic::amd::{Chip, Product, Vek};
use jeju_synthetic::intel::{Evidence, Keys};

use bombs::Bomb;
use entrances::{ENTRANCES, LENGTHS};

/// Most bytes that a call may take at a time.
const MOST: isize = 16 * 1024 * 1024;
/// Longest time that a call may take before it counts as hanging: most take milliseconds.
const LONGEST: Duration = Duration::from_secs(30);

/// The system's allocator, with a count for each thread: tests run side by side, and the verifier starts no threads.
struct Counting;

thread_local! {
    /// Bytes that this thread has allocated and not freed; what another thread freed for it may stay in it.
    static LIVE: Cell<isize> = const { Cell::new(0) };
    /// The most that there were since the last measurement began.
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

impl Counting {
    fn add(bytes: isize) {
        // A thread that is ending has no cells any more, and is measured by nobody.
        let _ = LIVE.try_with(|live| {
            live.set(live.get() + bytes);
            PEAK.with(|peak| peak.set(peak.get().max(live.get())));
        });
    }
}

// SAFETY: both calls go on to the system's allocator unchanged, so its guarantees are kept. The cells are made by constants
// and need no destructor, so that counting never allocates.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::add(layout.size() as isize);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        Self::add(-(layout.size() as isize));
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// What a call took.
#[derive(Debug)]
struct Taken {
    bytes: isize,
    time: Duration,
}

impl Taken {
    fn is_allowed(&self) -> bool {
        self.bytes <= MOST && self.time <= LONGEST
    }
}

fn measure<T>(call: impl FnOnce() -> T) -> Taken {
    let before = LIVE.get();
    PEAK.set(before);
    let start = Instant::now();
    let result = call();
    let taken = Taken {
        bytes: PEAK.get() - before,
        time: start.elapsed(),
    };
    drop(result);
    taken
}

/// Which bombs, of which length, took more than they may at which entrance.
fn excesses(bombs: fn(usize) -> Vec<Bomb>) -> Vec<String> {
    let mut excesses = Vec::new();
    for len in LENGTHS {
        let bombs = bombs(len);
        assert!(bombs.iter().all(|bomb| bomb.bytes.len() <= len));
        // Where longer inputs are refused, those as long as possible matter; the longest of all show that they are.
        for entrance in ENTRANCES.iter().filter(|entrance| entrance.takes(len)) {
            for Bomb { name, bytes } in &bombs {
                let taken = measure(|| (entrance.call)(bytes));
                if !taken.is_allowed() {
                    excesses.push(format!("{}: {name} of {}: {taken:?}", entrance.name, bytes.len()));
                }
            }
        }
    }
    excesses
}

fn check(bombs: fn(usize) -> Vec<Bomb>) {
    let excesses = excesses(bombs);
    assert!(excesses.is_empty(), "{} excesses: {excesses:#?}", excesses.len());
}

#[test]
fn json_bombs() {
    check(bombs::json);
}

#[test]
fn encoded_bombs() {
    check(bombs::encodings);
}

#[test]
fn cbor_and_der_bombs() {
    check(|len| {
        [bombs::cbor(len), bombs::der(len)]
            .into_iter()
            .flatten()
            .collect()
    });
}

#[test]
fn xml_and_toml_bombs() {
    check(|len| {
        [bombs::xml(len), bombs::toml(len)]
            .into_iter()
            .flatten()
            .collect()
    });
}

#[test]
fn binary_bombs() {
    check(bombs::binary);
}

/// The count itself: a test that counts nothing would pass whatever is allocated.
#[test]
fn what_is_allocated_is_counted() {
    let bytes = vec![0u8; 100_000];
    let copied = measure(|| drop((bytes.clone(), bytes.clone())));
    assert!((200_000..201_000).contains(&copied.bytes), "{copied:?}");
    let grown = measure(|| {
        let mut grown = bytes.clone();
        grown.reserve_exact(100_000);
        grown
    });
    assert!((300_000..301_000).contains(&grown.bytes), "{grown:?}");
    let freed = measure(|| drop(bytes));
    assert!(freed.bytes < 1000, "{freed:?}");
    let deep = measure(|| serde_json::from_slice::<serde_json::Value>(&b"[[0],".repeat(200_000)).is_err());
    assert!(deep.is_allowed(), "{deep:?}");
    let wide = bombs::json(4 * 1024 * 1024);
    let wide = wide
        .iter()
        .find(|bomb| bomb.name == "JSON: objects of one")
        .expect("it is there");
    let wide = measure(|| serde_json::from_slice::<serde_json::Value>(&wide.bytes));
    assert!(!wide.is_allowed(), "{wide:?}");
}

/// Files of a megabyte each, until one is refused; then evidence is judged with those that were taken.
#[test]
fn many_long_endorsements() {
    const FILES: usize = 64;
    let keys = Keys::generate();
    let evidence = Evidence::tdx_15(&keys);
    let roots = TestRoots {
        intel: Some(keys.root_certificate.to_vec()),
        ..TestRoots::default()
    };
    let anchors = TrustAnchors::for_development(&roots).expect("a root");
    let quote = evidence.quote(&keys, &keys);
    let report = Chip::new(Product::Genoa, Vek::Vcek, 3).make().report;
    let bombs = [
        bombs::json(MAX_LEN),
        bombs::encodings(MAX_LEN),
        bombs::der(MAX_LEN),
        bombs::xml(MAX_LEN),
        bombs::binary(MAX_LEN),
    ];
    let mut filled = 0;
    for Bomb { name, bytes } in bombs.into_iter().flatten() {
        let mut bag = Endorsements::default();
        for file in evidence.collateral.files(&keys) {
            bag.add(&file).expect("collateral");
        }
        if bag.clone().add(&bytes).is_err() {
            continue;
        }
        filled += 1;
        let taken = measure(|| (0..FILES).take_while(|_| bag.add(&bytes).is_ok()).count());
        assert!(taken.bytes <= MOST, "{name}: {taken:?}");
        let verifier = HardwareVerifier::new(Cow::Owned(anchors.clone()), bag);
        let taken = measure(|| verifier.tdx(&quote, NOW).is_ok());
        assert!(taken.is_allowed(), "TDX, {name}: {taken:?}");
        let taken = measure(|| verifier.sev_snp(&report, Endorsements::default(), NOW).is_ok());
        assert!(taken.is_allowed(), "SNP, {name}: {taken:?}");
    }
    assert!(filled >= 20, "{filled} bags had hostile files in them");
}

/// A file that is compressed inside its encoding is told from evidence; nothing in the verifier could expand it.
#[test]
fn compressed_files_are_refused_in_each_encoding() {
    let magics: [&[u8]; 5] = [
        &[0x1F, 0x8B, 8, 0],
        &[0x28, 0xB5, 0x2F, 0xFD],
        &[0xFD, b'7', b'z', b'X', b'Z', 0],
        b"BZh9",
        b"PK\x03\x04",
    ];
    for magic in magics {
        let file = [magic, &[7; 100]].concat();
        let code = |file: &[u8]| {
            Submission::read(file, None)
                .map(|_| ())
                .map_err(|error| error.code())
        };
        for spelling in [
            file.clone(),
            hex::encode(&file).into_bytes(),
            STANDARD.encode(&file).into_bytes(),
        ] {
            assert_eq!(code(&spelling), Err("input_compressed"));
            for kind in EvidenceKind::ALL {
                assert!(Submission::read(&spelling, Some(kind)).is_err());
            }
        }
        let inside = |label: &str| {
            format!(
                "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
                STANDARD.encode(&file)
            )
        };
        assert_eq!(code(inside("QUOTE").as_bytes()), Err("input_compressed"));
        assert_eq!(code(inside("CERTIFICATE").as_bytes()), Err("input_compressed"));
        let mut bag = Endorsements::default();
        assert_eq!(bag.add(&file), Err(EndorsementError::Unknown));
        // As a certificate it is none, wherever it stands.
        bag.add(inside("CERTIFICATE").as_bytes()).expect("PEM");
        assert!(
            bag.certificates
                .iter()
                .all(|der| Certificate::parse(der).is_err())
        );
        assert!(Manifest::parse(&file).is_err());
        assert!(EventLog::read(&file).is_err());
        assert!(nitro::parse(&file).is_err());
    }
}

/// Nothing that the verifier is built from can decompress.
#[test]
fn no_decompressor_is_linked() {
    const KNOWN: [&str; 14] = [
        "flate2", "miniz", "libz", "zlib", "zstd", "ruzstd", "xz2", "lzma", "liblzma", "bzip2", "brotli",
        "lz4", "snap", "zip",
    ];
    let tree = |target: &[&str]| {
        let tree = Command::new(env!("CARGO"))
            .args(["tree", "--locked", "-p", "jeju-attestation", "-e", "normal"])
            .args(["--prefix", "none", "-f", "{p}"])
            .args(target)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("cargo runs");
        assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
        String::from_utf8(tree.stdout).expect("UTF-8")
    };
    let native_and_browser = tree(&[]) + &tree(&["--target", "wasm32-unknown-unknown"]);
    let packages: Vec<&str> = native_and_browser
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    for expected in ["serde_json", "aws-lc-rs", "p384"] {
        assert!(packages.contains(&expected), "{packages:?}");
    }
    let found: Vec<_> = packages
        .iter()
        .filter(|package| KNOWN.iter().any(|known| package.starts_with(known)))
        .collect();
    assert!(found.is_empty(), "{found:?}");
}
