//! NVIDIA GPU evidence: SPDM measurement reports, device certificates, reference integrity manifests.
//!
//! A report is a GET_MEASUREMENTS request and the signed MEASUREMENTS response to it (DMTF DSP0274 1.1). It is verified
//! in four steps, one module each: [`parse`] (bytes) → [`chain`] (device certificates up to NVIDIA Device Identity CA,
//! then the signature) → [`claims`] (NVIDIA's opaque fields, typed) → [`mod@appraise`] (rules, and the measurements against
//! the manifests that NVIDIA signs for the driver and the VBIOS, which [`manifest`] reads and verifies). [`gpus`] does
//! all devices of a node at once: GPUs only count together, with one nonce, and none twice.
//!
//! What no report can say: that the GPU is in the machine that asks. Its nonce binds it to a session, not to a place.

pub mod appraise;
mod canonical;
pub mod chain;
pub mod claims;
mod dice;
pub mod form;
pub mod gpus;
pub mod inspect;
pub mod manifest;
pub mod measurements;
pub mod opaque;
pub mod parse;
mod revocation;
mod xml;
mod xml_signature;

pub use appraise::{Rules, appraise};
pub use chain::{Architecture, Device};
pub use claims::Claims;
pub use gpus::{Evidence, Gpus, verify_all};
pub use manifest::{Golden, Manifest};
pub use parse::Report;

use crate::hex_bytes::HexBytes;
use crate::reasons::reasons;
use crate::x509::X509Error;

reasons! {
    /// Why a report, a device chain or a device is refused.
    pub enum GpuError {
        own {
            #[error("report of {0} bytes is longer than {max}", max = parse::MAX_LEN)]
            TooLong(usize) => Evidence "gpu_too_long",
            #[error("report ends inside its {0}")]
            Truncated(&'static str) => Evidence "gpu_truncated",
            #[error("{0} bytes follow the report's signature, which can't be padding")]
            Trailing(usize) => Evidence "gpu_trailing_bytes",
            #[error("report's request has {field} {found:#04x}, not {expected:#04x}")]
            Request { field: &'static str, found: u8, expected: u8 } => Evidence "gpu_spdm_request",
            #[error("report's response has {field} {found:#04x}, not {expected:#04x}")]
            Response { field: &'static str, found: u8, expected: u8 } => Evidence "gpu_spdm_response",
            #[error("report has no measurements")]
            NoMeasurements => Evidence "gpu_measurements_none",
            #[error("measurement record is {found} bytes long, its blocks {expected}")]
            RecordLength { found: usize, expected: usize } => Evidence "gpu_measurements_length",
            #[error("measurement {index} has {field} {found}, not {expected}")]
            Block { index: u8, field: &'static str, found: u16, expected: u16 } => Evidence "gpu_measurement_block",
            #[error("measurement {found} stands after measurement {previous}")]
            BlockOrder { previous: u8, found: u8 } => Evidence "gpu_measurement_order",
            #[error("opaque data begins with NVDAOD: a layout that this version doesn't read")]
            OpaqueLayout => Evidence "gpu_opaque_layout",
            #[error("opaque data ends inside the field at offset {0}")]
            OpaqueTruncated(usize) => Evidence "gpu_opaque_truncated",
            #[error("opaque data has field {0} twice")]
            OpaqueTwice(u16) => Evidence "gpu_opaque_twice",
            #[error("opaque data has more than {max} fields", max = opaque::MAX_FIELDS)]
            OpaqueMany => Evidence "gpu_opaque_many",
            #[error("opaque data has no {0}")]
            OpaqueMissing(&'static str) => Evidence "gpu_opaque_missing",
            #[error("{field} is {found} bytes long, not {expected}")]
            OpaqueLength { field: &'static str, found: usize, expected: usize } => Evidence "gpu_opaque_length",
            #[error("{0} is not printable text that ends in zeros")]
            OpaqueText(&'static str) => Evidence "gpu_opaque_text",
            #[error("{field} has the value {found}, which NVIDIA doesn't define")]
            OpaqueValue { field: &'static str, found: String } => Evidence "gpu_opaque_value",
            #[error("opaque data has version {0}, which this version doesn't read")]
            OpaqueVersion(u64) => Evidence "gpu_opaque_version",

            #[error("{found} certificates are not a device chain, which has {expected}", expected = chain::CHAIN_LEN)]
            ChainLength { found: usize } => Evidence "gpu_chain_length",
            #[error("certificate names {leaf:?}, {identity:?} and {issuer:?} are not of one known NVIDIA device")]
            DeviceNames { leaf: String, identity: String, issuer: String } => Evidence "gpu_device_names",
            #[error("certificate of {0:?} doesn't name its device as NVIDIA's do")]
            DeviceName(String) => Evidence "gpu_device_name",
            #[error("serial number {0} of the device's certificate doesn't hold a device identity")]
            DeviceSerial(String) => Evidence "gpu_device_serial",
            #[error("certificate of {0:?} has no firmware identity, or one that isn't as TCG DICE defines it")]
            FirmwareExtension(String) => Evidence "gpu_firmware_extension",
            #[error("certificate of the firmware names a device key that is not its issuer's")]
            DeviceKey => Evidence "gpu_device_key",
            #[error("certificate of the firmware has the flag {0}")]
            FirmwareFlag(&'static str) => Policy "gpu_firmware_flag",
            #[error("report's FWID is {found}, the certificate is for firmware {expected}")]
            Firmware { found: HexBytes<48>, expected: HexBytes<48> } => Evidence "gpu_fwid_mismatch",
            #[error("report is of chip {found}, the certificates are of {expected}")]
            ArchitectureMismatch { found: String, expected: &'static str } => Evidence "gpu_architecture_mismatch",
            #[error("report is of switch {found}, the certificates are of {expected}")]
            Identity { found: HexBytes<8>, expected: HexBytes<8> } => Evidence "gpu_identity_mismatch",
            #[error("signature on the report does not verify")]
            Signature => Evidence "gpu_signature",
            #[error("report was made for nonce {found}, not {expected}")]
            Nonce { found: HexBytes<32>, expected: HexBytes<32> } => Evidence "gpu_nonce_mismatch",
            #[error("device chain is valid from {not_before} to {not_after}, not at {now} (seconds since 1970)")]
            ChainDates { now: i64, not_before: i64, not_after: i64 } => Stale "gpu_chain_dates",
            #[error("FEATURE_FLAG says {flag}, PROTECTED_PCIE_STATUS {status:#04x}")]
            ModeContradiction { flag: &'static str, status: u8 } => Evidence "gpu_mode_contradiction",

            #[error("there is no device")]
            NoDevices => Evidence "gpu_none",
            #[error("{0} devices are more than {max}", max = gpus::MAX_DEVICES)]
            ManyDevices(usize) => Evidence "gpu_many",
            #[error("device {0} is there twice")]
            Repeated(HexBytes<8>) => Evidence "gpu_repeated",
            #[error("there are {found} GPUs, policy wants {min} to {max}")]
            Count { found: usize, min: u32, max: u32 } => Policy "gpu_count",
            #[error("there are {found} switches, policy wants {wanted}")]
            SwitchCount { found: usize, wanted: u32 } => Policy "gpu_switch_count",
            #[error("links between GPUs and switches would have to be appraised, which this version doesn't")]
            Topology => Policy "gpu_topology_not_appraised",
            #[error("policy does not accept {0}")]
            ArchitectureNotAccepted(&'static str) => Policy "gpu_architecture_not_accepted",
            #[error("policy does not accept device {0}")]
            DeviceNotAccepted(HexBytes<8>) => Policy "gpu_device_not_accepted",
            #[error("policy does not accept mode {0}")]
            ModeNotAccepted(&'static str) => Policy "gpu_mode_not_accepted",
            #[error("GPU has no compute protected region (CPRINFO is zero): confidential computing is off")]
            NotConfidential => Policy "gpu_cc_off",
            #[error("policy does not accept driver {0:?}")]
            DriverNotAccepted(String) => Policy "gpu_driver_not_accepted",
            #[error("policy does not accept VBIOS {0:?}")]
            VbiosNotAccepted(String) => Policy "gpu_vbios_not_accepted",
            #[error("there is no manifest {0}")]
            ManifestMissing(String) => Evidence "gpu_rim_missing",
            #[error("manifest is for version {found:?}, {wanted} was needed")]
            ManifestVersion { wanted: String, found: String } => Evidence "gpu_rim_version",
            #[error("two manifests that differ are for {0}")]
            ManifestAmbiguous(String) => Evidence "gpu_rim_ambiguous",
            #[error("driver's and VBIOS's manifests both have measurement {0}")]
            ManifestConflict(u8) => Evidence "gpu_rim_conflict",
            #[error("report doesn't have measurement {index} of the {of} manifest ({name})")]
            MeasurementAbsent { index: u8, of: &'static str, name: String } => Evidence "gpu_measurement_absent",
            #[error("measurement {index} ({name}) is {found}, the {of} manifest has {expected}; {differing} differ in all")]
            Measurement {
                /// As the manifest counts: from 0.
                index: u8,
                /// Which manifest.
                of: &'static str,
                name: String,
                found: Box<HexBytes<48>>,
                /// The first of the alternatives.
                expected: Box<HexBytes<48>>,
                differing: usize,
            } => Evidence "gpu_measurement_mismatch",
            #[error("whether the device was revoked is unknown (only NVIDIA's OCSP responder tells), and policy does not allow that")]
            RevocationUnknown => Policy "gpu_revocation_unknown",
        }
        of {
            #[error("device chain: {0}")]
            Chain(X509Error),
            #[error("manifest: {0}")]
            Manifest(RimError),
        }
    }
}

reasons! {
    /// Why a reference integrity manifest is refused.
    pub enum RimError {
        own {
            #[error("manifest of {0} bytes is longer than {max}", max = xml::MAX_LEN)]
            TooLong(usize) => Evidence "rim_too_long",
            #[error("not well-formed XML: {0}")]
            Xml(String) => Evidence "rim_xml",
            #[error("XML has {0}, which no manifest needs")]
            XmlForbidden(&'static str) => Evidence "rim_xml_forbidden",
            #[error("XML has too many {0}")]
            XmlMany(&'static str) => Evidence "rim_xml_many",
            #[error("not a manifest as NVIDIA writes them: {0}")]
            Form(String) => Evidence "rim_form",
            #[error("there are {0} signatures, not one under the root")]
            SignatureCount(usize) => Evidence "rim_signature_count",
            #[error("signature is not built as NVIDIA's are: {0}")]
            SignatureForm(String) => Evidence "rim_signature_form",
            #[error("signature uses {found:?}, not {expected:?}")]
            Algorithm { found: String, expected: &'static str } => Evidence "rim_algorithm",
            #[error("signature is on {0:?}, not on the whole document")]
            Reference(String) => Evidence "rim_reference",
            #[error("resource is not a measurement as NVIDIA writes them: {0}")]
            Resource(String) => Evidence "rim_resource",
            #[error("measurement {0} is there twice")]
            IndexTwice(u8) => Evidence "rim_index_twice",
            #[error("no measurement is active: nothing would be compared")]
            Vacuous => Evidence "rim_without_measurements",
            #[error("manifest is not the one that was signed: its digest differs")]
            Digest => Evidence "rim_digest",
            #[error("signature on the manifest does not verify")]
            Signature => Evidence "rim_signature",
            #[error("manifest's signer is valid from {not_before} to {not_after}, not at {now} (seconds since 1970)")]
            SignerDates { now: i64, not_before: i64, not_after: i64 } => Stale "rim_signer_dates",
        }
        of {
            #[error("signer's chain: {0}")]
            Chain(X509Error),
        }
    }
}

impl From<RimError> for GpuError {
    fn from(error: RimError) -> Self {
        GpuError::Manifest(error)
    }
}
