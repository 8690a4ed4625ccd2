//! The peer's verifier of Nitro documents. It reads the machine's clock, so `run.sh` runs this with a clock at which the
//! document is in force; Criterion's own clock is left alone.

use std::hint::black_box;
use std::path::PathBuf;

use criterion::{Criterion, criterion_group, criterion_main};

fn peer(criterion: &mut Criterion) {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors");
    let folder = std::env::var_os("JEJU_VECTORS").map_or_else(|| default.into(), PathBuf::from);
    let document =
        std::fs::read(folder.join("nitro/evervault/valid-attestation-doc-bytes")).expect("a document");
    criterion.bench_function("nitro/attestation-doc-validation", |b| {
        b.iter(|| {
            attestation_doc_validation::validate_and_parse_attestation_doc(black_box(&document))
                .expect("genuine")
        })
    });
}

criterion_group!(benches, peer);
criterion_main!(benches);
