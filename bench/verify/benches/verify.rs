//! Verification of genuine evidence on one core: ours cold and warm, peers' verifiers on the same bytes, and the bare
//! signature operations as the limit. Evidence comes from `JEJU_VECTORS` (default: beside the checkout).
//!
//! `scripts/bench.sh` prints the ratios from Criterion's medians.

use std::borrow::Cow;
use std::hint::black_box;
use std::path::PathBuf;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, KeyPair, UnparsedPublicKey, VerificationAlgorithm,
};
use criterion::{Criterion, criterion_group, criterion_main};
use jeju_attestation::endorsements::Endorsements;
use jeju_attestation::hardware::{Expected, HardwareVerifier};
use jeju_attestation::roots::TrustAnchors;

/// Clocks at which the evidence is in force.
const TDX_NOW: u64 = 1_750_415_547;
const SNP_NOW: u64 = 1_700_000_000;

fn vector(name: &str) -> Vec<u8> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors");
    let folder = std::env::var_os("JEJU_VECTORS").map_or_else(|| default.into(), PathBuf::from);
    std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn endorsements(files: &[&[u8]]) -> Endorsements {
    let mut endorsements = Endorsements::default();
    for file in files {
        endorsements.add(file).expect("an endorsement");
    }
    endorsements
}

fn verifier(endorsements: Endorsements) -> HardwareVerifier {
    HardwareVerifier::new(Cow::Borrowed(TrustAnchors::vendors()), endorsements)
}

/// One verification of a signature over a message as long as a certificate's body.
fn bare(algorithm: &'static dyn VerificationAlgorithm, public: &[u8], signature: &[u8]) {
    UnparsedPublicKey::new(algorithm, public)
        .verify(&MESSAGE, signature)
        .expect("a right signature");
}

const MESSAGE: [u8; 1000] = [7; 1000];

fn elliptic(algorithm: &'static EcdsaSigningAlgorithm) -> (Vec<u8>, Vec<u8>) {
    let pair = EcdsaKeyPair::generate(algorithm).expect("a key");
    let signature = pair.sign(&SystemRandom::new(), &MESSAGE).expect("a signature");
    (pair.public_key().as_ref().to_vec(), signature.as_ref().to_vec())
}

fn limits(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("limit");
    let (key, signed) = elliptic(&ECDSA_P256_SHA256_ASN1_SIGNING);
    let p256 = || bare(&signature::ECDSA_P256_SHA256_ASN1, &key, &signed);
    group.bench_function("tdx: 9 P-256", |b| b.iter(|| (0..9).for_each(|_| p256())));
    group.bench_function("tdx warm: 2 P-256", |b| b.iter(|| (0..2).for_each(|_| p256())));
    let (key, signed) = elliptic(&ECDSA_P384_SHA384_ASN1_SIGNING);
    let p384 = || bare(&signature::ECDSA_P384_SHA384_ASN1, &key, &signed);
    group.bench_function("snp warm: 1 P-384", |b| b.iter(p384));
    group.bench_function("nitro: 5 P-384", |b| b.iter(|| (0..5).for_each(|_| p384())));
    let pair = RsaKeyPair::generate(KeySize::Rsa4096).expect("a key");
    let mut rsa_signature = vec![0; pair.public_modulus_len()];
    pair.sign(
        &signature::RSA_PSS_SHA384,
        &SystemRandom::new(),
        &MESSAGE,
        &mut rsa_signature,
    )
    .expect("a signature");
    let public = pair.public_key().as_ref().to_vec();
    let rsa = || bare(&signature::RSA_PSS_2048_8192_SHA384, &public, &rsa_signature);
    group.bench_function("snp: 3 RSA-4096 + 1 P-384", |b| {
        b.iter(|| {
            (0..3).for_each(|_| rsa());
            p384();
        })
    });
    group.finish();
}

fn tdx(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tdx");
    let quote = vector("tdx/phala-v4-uptodate/tdx_quote");
    let json = vector("tdx/phala-v4-uptodate/tdx_quote_collateral.json");
    let judged = |verifier: &HardwareVerifier| {
        let hardware = verifier.tdx(black_box(&quote), TDX_NOW).expect("genuine");
        hardware
            .appraise(None, &Expected::default(), TDX_NOW)
            .expect("up to date")
    };
    group.bench_function("cold", |b| {
        b.iter(|| judged(&verifier(endorsements(&[black_box(&json)]))))
    });
    let warm = verifier(endorsements(&[&json]));
    judged(&warm);
    group.bench_function("warm", |b| b.iter(|| judged(&warm)));

    group.bench_function("dcap-qvl (ring)", |b| {
        b.iter(|| {
            let collateral: dcap_qvl::QuoteCollateralV3 =
                serde_json::from_slice(black_box(&json)).expect("its form");
            dcap_qvl::verify::ring::verify(black_box(&quote), &collateral, TDX_NOW).expect("genuine")
        })
    });
    group.finish();
}

fn snp(criterion: &mut Criterion) {
    use sev::certs::snp::{Certificate, Chain, Verifiable, builtin::milan, ca};
    use sev::firmware::guest::AttestationReport;
    use sev::parser::ByteParser;

    let mut group = criterion.benchmark_group("snp");
    let report = hex::decode(vector("snp/virtee/report_milan.hex").trim_ascii()).expect("hex");
    let vcek = vector("snp/virtee/vcek_milan.der");
    let judged = |verifier: &HardwareVerifier| {
        let hardware = verifier
            .sev_snp(black_box(&report), Endorsements::default(), SNP_NOW)
            .expect("genuine");
        hardware
            .appraise(None, &Expected::default(), SNP_NOW)
            .expect("no debugging")
    };
    group.bench_function("cold", |b| {
        b.iter(|| judged(&verifier(endorsements(&[black_box(&vcek)]))))
    });
    let warm = verifier(endorsements(&[&vcek]));
    judged(&warm);
    group.bench_function("warm", |b| b.iter(|| judged(&warm)));

    group.bench_function("sev (nossl)", |b| {
        b.iter(|| {
            let chain = Chain {
                ca: ca::Chain {
                    ark: milan::ark().expect("built in"),
                    ask: milan::ask().expect("built in"),
                },
                vek: Certificate::from_der(black_box(&vcek)).expect("a certificate"),
            };
            let report = AttestationReport::from_bytes(black_box(&report)).expect("a report");
            (&chain, &report).verify().expect("genuine")
        })
    });
    group.finish();
}

fn nitro(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("nitro");
    let document = vector("nitro/evervault/valid-attestation-doc-bytes");
    let now = nitro_now(&document);
    let judged = |verifier: &HardwareVerifier| {
        let hardware = verifier.nitro(black_box(&document), now).expect("genuine");
        hardware
            .appraise(None, &Expected::default(), now)
            .expect("no debugging")
    };
    group.bench_function("cold", |b| b.iter(|| judged(&verifier(Endorsements::default()))));
    let warm = verifier(Endorsements::default());
    judged(&warm);
    group.bench_function("warm", |b| b.iter(|| judged(&warm)));
    group.finish();
}

/// The time at which the document says that it was made.
fn nitro_now(document: &[u8]) -> u64 {
    let signed = jeju_attestation::nitro::parse(document).expect("a document");
    signed.document().timestamp / 1000
}

criterion_group!(benches, limits, tdx, snp, nitro);
criterion_main!(benches);
