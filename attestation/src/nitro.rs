//! AWS Nitro Enclaves attestation documents.
//!
//! A document is a COSE_Sign1 message (RFC 9052) that the Nitro hypervisor signs; its format and what must hold for it
//! stand in AWS's *Nitro Enclaves Attestation Process* (aws-nitro-enclaves-nsm-api, `docs/attestation_process.md`),
//! whose sections are cited here. Four steps: [`parse()`] (bytes → [`SignedDocument`]) → [`verify`] (chain to AWS's
//! pinned root, revocation, signature → [`Verified`]) → [`Claims`] → [`appraise()`].
//!
//! A cold verification checks five P-384 signatures: four certificates and the document; the root is compared byte for
//! byte. [`VerifiedLeaf`] and [`VerifiedBundle`] keep what doesn't change from one document to the next.

mod appraise;
mod chain;
mod claims;
mod form;
mod parse;

pub use appraise::{PcrIndex, Rules, appraise};
pub use chain::{Verified, VerifiedBundle, VerifiedLeaf, verify};
pub use claims::{Claims, Launch, extend, fields, launch_pcr};
pub use form::{Form, read};
pub use parse::{Document, MAX_LEN, ModuleId, PCR_LEN, SignedDocument, parse};

use crate::hex_bytes::HexBytes;
use crate::reasons::reasons;
use crate::x509::X509Error;

reasons! {
    /// Why a Nitro attestation document is refused.
    pub enum NitroError {
        own {
            #[error("Nitro document of {0} bytes is longer than {MAX_LEN}")]
            TooLong(usize) => Evidence "nitro_too_long",
            #[error("Nitro document is not a COSE_Sign1 message: {0}")]
            NotCose(String) => Evidence "nitro_not_cose",
            #[error("there are bytes after the Nitro document")]
            Trailing => Evidence "nitro_trailing_bytes",
            #[error("Nitro document's envelope is not encoded in the one way that the hypervisor does")]
            EnvelopeEncoding => Evidence "nitro_envelope_encoding",
            #[error("Nitro document names signature algorithm {0}, not ES384 (-35)")]
            Algorithm(String) => Evidence "nitro_algorithm",
            #[error("Nitro document has critical headers")]
            CriticalHeader => Evidence "nitro_critical_header",
            #[error("Nitro document has protected headers beside the algorithm")]
            ProtectedHeader => Evidence "nitro_protected_header",
            #[error("Nitro document has unprotected headers")]
            UnprotectedHeader => Evidence "nitro_unprotected_header",
            #[error("Nitro document has no payload")]
            Detached => Evidence "nitro_detached",
            #[error("Nitro document's signature has {0} bytes, not 96")]
            SignatureLength(usize) => Evidence "nitro_signature_length",
            #[error("Nitro document's payload is not a CBOR map")]
            Payload => Evidence "nitro_payload",
            #[error("there are {0} bytes after the map in the Nitro document's payload")]
            PayloadTrailing(usize) => Evidence "nitro_payload_trailing_bytes",
            #[error("Nitro document has the unknown field {0}")]
            UnknownField(String) => Evidence "nitro_unknown_field",
            #[error("Nitro document has the field {0} twice")]
            DuplicateField(&'static str) => Evidence "nitro_duplicate_field",
            #[error("Nitro document has no field {0}")]
            MissingField(&'static str) => Evidence "nitro_missing_field",
            #[error("Nitro document's field {field} is not {expected}")]
            FieldType { field: &'static str, expected: &'static str } => Evidence "nitro_field_type",
            #[error("Nitro document's field {field} has {len} bytes, allowed are {least} to {most}")]
            FieldLength { field: &'static str, len: usize, least: usize, most: usize } => Evidence "nitro_field_length",
            #[error("Nitro document's module_id {0:?} is not of the form i-<hex>-enc<hex>")]
            ModuleId(String) => Evidence "nitro_module_id",
            #[error("Nitro document's timestamp is zero")]
            TimestampZero => Evidence "nitro_timestamp_zero",
            #[error("Nitro document's digest is {0:?}, not \"SHA384\"")]
            Digest(String) => Evidence "nitro_digest",
            #[error("Nitro document has {0} PCRs, allowed are 1 to 32")]
            PcrCount(usize) => Evidence "nitro_pcr_count",
            #[error("Nitro document has a PCR with the index {0}, allowed are 0 to 31")]
            PcrIndex(String) => Evidence "nitro_pcr_index",
            #[error("Nitro document has PCR{0} twice")]
            PcrDuplicate(u8) => Evidence "nitro_pcr_duplicate",
            #[error("Nitro document's PCR{index} has {len} bytes, not {PCR_LEN}")]
            PcrLength { index: u8, len: usize } => Evidence "nitro_pcr_length",
            #[error("Nitro document has no PCR{0}")]
            PcrMissing(u8) => Evidence "nitro_pcr_missing",
            #[error("Nitro document's cabundle has {0} certificates")]
            BundleCount(usize) => Evidence "nitro_cabundle_count",
            #[error("Nitro document's cabundle starts with {0:?}, which is not the pinned root")]
            Root(String) => Evidence "nitro_root_not_pinned",
            #[error("Nitro certificate of {0:?} is not of P-384 with SHA-384")]
            CertificateAlgorithm(String) => Evidence "nitro_certificate_algorithm",
            #[error("Nitro document of module {module} is signed under the certificate of {subject:?}")]
            ModuleCertificate { module: String, subject: String } => Evidence "nitro_module_certificate",
            #[error("Nitro document of module {module} is signed under the authority of {subject:?}")]
            InstanceCertificate { module: String, subject: String } => Evidence "nitro_instance_certificate",
            #[error("Nitro document has another cabundle than the one that was verified")]
            OtherBundle => Evidence "nitro_other_cabundle",
            #[error("Nitro document has another certificate than the one that was verified")]
            OtherCertificate => Evidence "nitro_other_certificate",
            #[error("Nitro document's signature does not verify")]
            Signature => Evidence "nitro_signature",

            #[error("Nitro enclave runs in debug mode: PCR{0} is zero")]
            Debug(u8) => Policy "nitro_debug",
            #[error("Nitro document is {age} s old, allowed are {max} s")]
            DocumentAge { age: u64, max: u64 } => Stale "nitro_document_age",
            #[error("Nitro document was made {ahead} s in the future, allowed are {max} s")]
            DocumentFuture { ahead: u64, max: u64 } => Stale "nitro_document_future",
            #[error("policy has no reference value for {0}")]
            NoReference(&'static str) => Policy "nitro_no_reference_value",
            #[error("Nitro measurement {found} is not accepted")]
            Measurement { found: HexBytes<32> } => Policy "nitro_measurement_not_accepted",
            #[error("Nitro document's PCR{index} is {found}, which is not accepted (expected {expected})")]
            Pcr { index: u8, found: String, expected: String } => Policy "nitro_pcr_not_accepted",
            #[error("Nitro instance {0:?} is not accepted")]
            Instance(String) => Policy "nitro_instance_not_accepted",
            #[error("Nitro document's nonce is {found}, expected {expected}")]
            Nonce { found: String, expected: String } => Evidence "nitro_nonce",
            #[error("Nitro document's user_data is {found}, expected {expected}")]
            UserData { found: String, expected: String } => Evidence "nitro_user_data",
            #[error("Nitro document's public_key is {found}, expected {expected}")]
            PublicKey { found: String, expected: String } => Evidence "nitro_public_key",
            #[error("whether AWS revoked the certificates is not known, and policy does not allow that")]
            RevocationUnknown => Policy "nitro_revocation_unknown",
        }
        of {
            #[error("Nitro chain: {0}")]
            Chain(X509Error),
            #[error("Nitro revocation list: {0}")]
            RevocationList(X509Error),
        }
    }
}
