//! Everything that reads bytes of others.

use jeju_attestation::bundle::Bundle;
use jeju_attestation::certificate::{AttestedCertificate, CertificateEvidence};
use jeju_attestation::claims::ClaimsBuffer;
use jeju_attestation::endorsements::Endorsements;
use jeju_attestation::event_log::{self, EventLog, Kind, replay};
use jeju_attestation::evidence::{NodeEvidence, Verifier};
use jeju_attestation::intel::qe_identity::QeIdentity;
use jeju_attestation::intel::tcb_info::TcbInfo;
use jeju_attestation::keys::KeyList;
use jeju_attestation::launch::LaunchDocument;
use jeju_attestation::nvidia::{self, Manifest};
use jeju_attestation::offline::{EvidenceKind, Request, Submission, answer, inspect, verify};
use jeju_attestation::policy::Policy;
use jeju_attestation::roots::{Root, TrustAnchors};
use jeju_attestation::sev_snp::{self, certificate_table};
use jeju_attestation::simulated::Report;
use jeju_attestation::stripped::{restore_unpadded, strip};
use jeju_attestation::tee::Tee;
use jeju_attestation::x509::{Certificate, RevocationList, pem_certificates};
use jeju_attestation::{nitro, sgx, tdx};
use jeju_synthetic::NOW;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
const LONGEST: usize = 4 * MIB;
/// Longest TDX quote, SGX quote and Nitro document.
const QUOTE: usize = 16 * KIB;

/// Something that reads bytes of others.
pub struct Entrance {
    pub name: &'static str,
    /// Longest input that it reads, in bytes.
    limit: usize,
    /// What it does with them. Whether it takes them doesn't matter here.
    pub call: fn(&[u8]),
}

impl Entrance {
    /// Whether it is tried with inputs of this length: its limit, and the longest of all. Evidence whose kind is named is
    /// decoded like any other.
    pub fn takes(&self, len: usize) -> bool {
        len == self.limit || (len == LONGEST && !self.name.starts_with("evidence named"))
    }
}

const fn entrance(name: &'static str, limit: usize, call: fn(&[u8])) -> Entrance {
    Entrance { name, limit, call }
}

/// All limits.
pub const LENGTHS: [usize; 10] = [
    KIB,
    8 * KIB,
    QUOTE,
    32 * KIB,
    64 * KIB,
    128 * KIB,
    256 * KIB,
    512 * KIB,
    MIB,
    LONGEST,
];

pub const ENTRANCES: &[Entrance] = &[
    entrance("evidence", LONGEST, |bytes| submission(bytes, None)),
    entrance("evidence named TDX", QUOTE, |bytes| {
        submission(bytes, Some(EvidenceKind::Tdx))
    }),
    entrance("evidence named SGX", QUOTE, |bytes| {
        submission(bytes, Some(EvidenceKind::Sgx))
    }),
    entrance("evidence named SNP", 128 * KIB, |bytes| {
        submission(bytes, Some(EvidenceKind::Snp))
    }),
    entrance("evidence named Nitro", QUOTE, |bytes| {
        submission(bytes, Some(EvidenceKind::Nitro))
    }),
    entrance("evidence named NVIDIA", 8 * KIB, |bytes| {
        submission(bytes, Some(EvidenceKind::Nvidia))
    }),
    entrance("request", LONGEST, |bytes| drop(answer(bytes))),
    entrance("endorsement", MIB, |bytes| {
        drop(Endorsements::default().add(bytes))
    }),
    entrance("event log", MIB, |bytes| log(EventLog::read(bytes).ok())),
    entrance("TPM's event log", MIB, |bytes| {
        log(EventLog::parse(Kind::Tpm, bytes).ok())
    }),
    entrance("manifest", MIB, |bytes| drop(Manifest::parse(bytes))),
    entrance("bundle", MIB, bundle),
    entrance("GPUs of a bundle", MIB, |bytes| {
        let verifier = Verifier::vendors(Endorsements::default());
        let rules = nvidia::Rules::strict();
        drop(verifier.hardware().appraise_gpus(bytes, &[0; 32], &rules, NOW));
    }),
    entrance("launch document", 256 * KIB, |bytes| {
        drop(LaunchDocument::parse(bytes))
    }),
    entrance("policy", 128 * KIB, |bytes| {
        if let Ok(text) = core::str::from_utf8(bytes) {
            drop(Policy::parse(text, true));
        }
    }),
    entrance("attested certificate", 32 * KIB, |bytes| {
        drop(AttestedCertificate::parse(bytes))
    }),
    entrance("evidence in a certificate", LONGEST, |bytes| {
        drop(CertificateEvidence::parse(bytes))
    }),
    entrance("claims", KIB, |bytes| drop(ClaimsBuffer::parse(bytes))),
    entrance("key list", LONGEST, |bytes| drop(KeyList::parse(bytes))),
    entrance("simulated report", KIB, |bytes| drop(Report::parse(bytes))),
    entrance("certificate", 16 * KIB, |bytes| {
        if let Ok(certificate) = Certificate::parse(bytes) {
            drop((
                certificate.subject(),
                certificate.public_key(),
                certificate.signature_algorithm(),
            ));
        }
    }),
    entrance("PEM", LONGEST, |bytes| drop(pem_certificates(bytes))),
    entrance("revocation list", 512 * KIB, |bytes| {
        let root = intel_root();
        drop(RevocationList::verify_by_key(
            bytes,
            root.subject_der(),
            root.key(),
        ));
    }),
    entrance("TCB info", 128 * KIB, |bytes| drop(TcbInfo::parse(bytes))),
    entrance("QE identity", 32 * KIB, |bytes| drop(QeIdentity::parse(bytes))),
    entrance("SNP certificate table", 128 * KIB, |bytes| {
        drop(certificate_table::read(bytes))
    }),
    entrance("SNP report", KIB, |bytes| drop(sev_snp::Report::parse(bytes))),
    entrance("TDX quote", QUOTE, |bytes| {
        drop(tdx::Quote::parse(bytes).map(|quote| tdx::fields(&quote)))
    }),
    entrance("SGX quote", QUOTE, |bytes| {
        drop(sgx::Quote::parse(bytes).map(|quote| sgx::fields(&quote)))
    }),
    entrance("Nitro document", QUOTE, |bytes| {
        drop(nitro::parse(bytes).map(|document| nitro::fields(&document)))
    }),
    entrance("SPDM report", 8 * KIB, |bytes| {
        drop(nvidia::Report::parse(bytes).map(|report| nvidia::inspect::fields(&report)))
    }),
    entrance("stripped quote", 64 * KIB, |bytes| {
        for tee in Tee::ALL {
            drop(strip(tee, bytes));
            drop(restore_unpadded(tee, bytes, bytes));
        }
    }),
];

pub fn intel_root() -> &'static Root {
    &TrustAnchors::vendors().intel()[0]
}

fn log(log: Option<EventLog>) {
    if let Some(log) = log {
        drop((replay(&log), event_log::fields(&log)));
    }
}

fn bundle(bytes: &[u8]) {
    let Ok(bundle) = Bundle::parse(bytes) else {
        return;
    };
    let _ = Verifier::vendors(Endorsements::default()).verify(&NodeEvidence::of(&bundle), NOW);
}

fn submission(bytes: &[u8], kind: Option<EvidenceKind>) {
    let Ok(submission) = Submission::read(bytes, kind) else {
        return;
    };
    drop(inspect(&submission));
    let _ = verify(&Request {
        submission,
        endorsements: Endorsements::default(),
        nonce: None,
        report_data: None,
        event_log: None,
        at: NOW,
        policy: None,
    });
}
