//! Bytes → document: the COSE envelope (§3.1) and the map that it carries (§2.2, §3.2.2), and no check on either's
//! truth.

use core::fmt;
use std::collections::BTreeMap;

use ciborium::Value;
use coset::iana::Algorithm;
use coset::{
    CborSerializable, CoseError, CoseSign1, Header, RegisteredLabelWithPrivate, TaggedCborSerializable,
};

use super::NitroError;
use crate::cbor::Encoder;

/// Longest document that is read, in bytes: the longest payload that AWS allows. The module itself answers with at most
/// 12 KiB.
pub const MAX_LEN: usize = 16 * 1024;
/// Length of a PCR, in bytes: SHA-384, the only digest that AWS uses.
pub const PCR_LEN: usize = 48;

/// r ‖ s of P-384.
const SIGNATURE_LEN: usize = 96;
const MAX_PCRS: usize = 32;
const MAX_CERTIFICATE: usize = 1024;
const MAX_PUBLIC_KEY: usize = 1024;
const MAX_USER_DATA: usize = 512;
const MAX_NONCE: usize = 512;
const MAX_MODULE_ID: usize = 64;
/// AWS issues four; there is no chain to be looked for, so a few more are all that can make sense.
const MAX_BUNDLE: usize = 7;
/// COSE_Sign1 as a tag in its shortest form.
const TAG: u8 = 0xD2;

/// A document as it came: nothing is checked but its form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedDocument {
    /// Protected header, as received.
    protected: Vec<u8>,
    /// Payload, as received.
    payload: Vec<u8>,
    signature: [u8; SIGNATURE_LEN],
    document: Document,
}

impl SignedDocument {
    /// What the payload says.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// r ‖ s, big-endian.
    pub fn signature(&self) -> &[u8; SIGNATURE_LEN] {
        &self.signature
    }

    /// The bytes that are signed: Sig_structure (RFC 9052 §4.4) around header and payload as they were received.
    pub fn signed_bytes(&self) -> Vec<u8> {
        let mut encoder = Encoder::new();
        encoder
            .array(4)
            .text("Signature1")
            .bytes(&self.protected)
            .bytes(&[])
            .bytes(&self.payload);
        encoder.finish()
    }
}

/// Attestation document, with AWS's field names (§2.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The enclave, and the instance that it runs on.
    pub module_id: ModuleId,
    /// When the hypervisor made the document, in milliseconds since 1970.
    pub timestamp: u64,
    /// Platform configuration registers that can no longer change, by index (0 to 31).
    pub pcrs: BTreeMap<u8, [u8; PCR_LEN]>,
    /// Certificate under which the document is signed, DER.
    pub certificate: Vec<u8>,
    /// Authorities above it, the root first, DER.
    pub cabundle: Vec<Vec<u8>>,
    /// Key that the enclave chose; at most 1024 bytes.
    pub public_key: Option<Vec<u8>>,
    /// Data that the enclave chose; at most 512 bytes.
    pub user_data: Option<Vec<u8>>,
    /// Nonce that the enclave was given; at most 512 bytes.
    pub nonce: Option<Vec<u8>>,
}

/// `i-<instance>-enc<enclave>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleId {
    text: String,
    /// Length of the instance's part.
    instance: usize,
}

impl ModuleId {
    /// Reads the one form that AWS uses.
    pub fn parse(text: &str) -> Option<Self> {
        let is_id = |id: &str| !id.is_empty() && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let (instance, enclave) = text.split_once("-enc")?;
        let fits = text.len() <= MAX_MODULE_ID && is_id(instance.strip_prefix("i-")?) && is_id(enclave);
        fits.then(|| Self {
            text: text.to_owned(),
            instance: instance.len(),
        })
    }

    /// All of it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// EC2 instance, such as `i-0827e799ec9232d44`: the identity of the platform.
    pub fn instance(&self) -> &str {
        &self.text[..self.instance]
    }

    /// Enclave on that instance, such as `enc019b5640fdf630d6`: another one at each start.
    pub fn enclave(&self) -> &str {
        &self.text[self.instance + 1..]
    }
}

impl fmt::Display for ModuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Reads a document, tagged (18) or not.
pub fn parse(bytes: &[u8]) -> Result<SignedDocument, NitroError> {
    // Before anything is decoded: a decoder's memory is a multiple of its input.
    if bytes.len() > MAX_LEN {
        return Err(NitroError::TooLong(bytes.len()));
    }
    let message = match bytes.first() {
        Some(&TAG) => CoseSign1::from_tagged_slice(bytes),
        _ => CoseSign1::from_slice(bytes),
    }
    .map_err(|error| match error {
        CoseError::ExtraneousData => NitroError::Trailing,
        error => NitroError::NotCose(error.to_string()),
    })?;
    check_headers(&message)?;
    let payload = message.payload.ok_or(NitroError::Detached)?;
    let signature: [u8; SIGNATURE_LEN] = message
        .signature
        .try_into()
        .map_err(|signature: Vec<u8>| NitroError::SignatureLength(signature.len()))?;
    let protected = message.protected.original_data.unwrap_or_default();
    check_encoding(bytes, &protected, &payload, &signature)?;
    let document = read_document(&payload)?;
    Ok(SignedDocument {
        protected,
        payload,
        signature,
        document,
    })
}

/// `{1: -35}` and `{}` (§3.1), and nothing that a verifier would have to know.
fn check_headers(message: &CoseSign1) -> Result<(), NitroError> {
    let protected = &message.protected.header;
    match &protected.alg {
        Some(RegisteredLabelWithPrivate::Assigned(Algorithm::ES384)) => {}
        Some(other) => return Err(NitroError::Algorithm(format!("{other:?}"))),
        None => return Err(NitroError::Algorithm("none".to_owned())),
    }
    if !protected.crit.is_empty() {
        return Err(NitroError::CriticalHeader);
    }
    let algorithm_only = Header {
        alg: protected.alg.clone(),
        ..Header::default()
    };
    if *protected != algorithm_only {
        return Err(NitroError::ProtectedHeader);
    }
    // Not signed: whoever hands the document on could have put it there.
    if !message.unprotected.is_empty() {
        return Err(NitroError::UnprotectedHeader);
    }
    Ok(())
}

/// The envelope isn't signed. Were other encodings of it accepted, one document would have many digests.
fn check_encoding(
    bytes: &[u8],
    protected: &[u8],
    payload: &[u8],
    signature: &[u8],
) -> Result<(), NitroError> {
    let mut encoder = Encoder::new();
    encoder
        .array(4)
        .bytes(protected)
        .map(0)
        .bytes(payload)
        .bytes(signature);
    match bytes.strip_prefix(&[TAG]).unwrap_or(bytes) == encoder.finish() {
        true => Ok(()),
        false => Err(NitroError::EnvelopeEncoding),
    }
}

/// The fields, each at most once.
#[derive(Default)]
struct Fields {
    module_id: Option<Value>,
    timestamp: Option<Value>,
    digest: Option<Value>,
    pcrs: Option<Value>,
    certificate: Option<Value>,
    cabundle: Option<Value>,
    public_key: Option<Value>,
    user_data: Option<Value>,
    nonce: Option<Value>,
}

impl Fields {
    fn slot(&mut self, name: &str) -> Option<(&'static str, &mut Option<Value>)> {
        Some(match name {
            "module_id" => ("module_id", &mut self.module_id),
            "timestamp" => ("timestamp", &mut self.timestamp),
            "digest" => ("digest", &mut self.digest),
            "pcrs" => ("pcrs", &mut self.pcrs),
            "certificate" => ("certificate", &mut self.certificate),
            "cabundle" => ("cabundle", &mut self.cabundle),
            "public_key" => ("public_key", &mut self.public_key),
            "user_data" => ("user_data", &mut self.user_data),
            "nonce" => ("nonce", &mut self.nonce),
            _ => return None,
        })
    }
}

fn read_document(payload: &[u8]) -> Result<Document, NitroError> {
    let mut rest = payload;
    let Ok(Value::Map(entries)) = ciborium::from_reader::<Value, _>(&mut rest) else {
        return Err(NitroError::Payload);
    };
    if !rest.is_empty() {
        return Err(NitroError::PayloadTrailing(rest.len()));
    }
    let mut fields = Fields::default();
    for (key, value) in entries {
        let Value::Text(key) = key else {
            return Err(NitroError::UnknownField(shown(&key)));
        };
        let (name, slot) = fields
            .slot(&key)
            .ok_or_else(|| NitroError::UnknownField(format!("{:?}", short(&key))))?;
        if slot.replace(value).is_some() {
            return Err(NitroError::DuplicateField(name));
        }
    }
    let digest = text("digest", fields.digest)?;
    if digest != "SHA384" {
        return Err(NitroError::Digest(short(&digest)));
    }
    Ok(Document {
        module_id: module_id(fields.module_id)?,
        timestamp: timestamp(fields.timestamp)?,
        pcrs: pcrs(fields.pcrs)?,
        certificate: certificate("certificate", required("certificate", fields.certificate)?)?,
        cabundle: cabundle(fields.cabundle)?,
        public_key: optional("public_key", fields.public_key, 1, MAX_PUBLIC_KEY)?,
        user_data: optional("user_data", fields.user_data, 0, MAX_USER_DATA)?,
        nonce: optional("nonce", fields.nonce, 0, MAX_NONCE)?,
    })
}

fn required(field: &'static str, value: Option<Value>) -> Result<Value, NitroError> {
    value.ok_or(NitroError::MissingField(field))
}

fn text(field: &'static str, value: Option<Value>) -> Result<String, NitroError> {
    match required(field, value)? {
        Value::Text(text) => Ok(text),
        _ => Err(NitroError::FieldType {
            field,
            expected: "a text",
        }),
    }
}

fn module_id(value: Option<Value>) -> Result<ModuleId, NitroError> {
    let text = text("module_id", value)?;
    ModuleId::parse(&text).ok_or_else(|| NitroError::ModuleId(short(&text)))
}

fn timestamp(value: Option<Value>) -> Result<u64, NitroError> {
    let number = match required("timestamp", value)? {
        Value::Integer(number) => u64::try_from(number).ok(),
        _ => None,
    };
    match number {
        Some(0) => Err(NitroError::TimestampZero),
        Some(number) => Ok(number),
        None => Err(NitroError::FieldType {
            field: "timestamp",
            expected: "an unsigned integer of 64 bits",
        }),
    }
}

fn pcrs(value: Option<Value>) -> Result<BTreeMap<u8, [u8; PCR_LEN]>, NitroError> {
    let wrong = |expected| NitroError::FieldType {
        field: "pcrs",
        expected,
    };
    let Value::Map(entries) = required("pcrs", value)? else {
        return Err(wrong("a map"));
    };
    if entries.is_empty() || entries.len() > MAX_PCRS {
        return Err(NitroError::PcrCount(entries.len()));
    }
    let mut pcrs = BTreeMap::new();
    for (key, value) in entries {
        let index = match &key {
            Value::Integer(index) => u8::try_from(*index).ok(),
            _ => None,
        }
        .filter(|index| usize::from(*index) < MAX_PCRS)
        .ok_or_else(|| NitroError::PcrIndex(shown(&key)))?;
        let Value::Bytes(bytes) = value else {
            return Err(wrong("a map of byte strings"));
        };
        let pcr = bytes.try_into().map_err(|bytes: Vec<u8>| NitroError::PcrLength {
            index,
            len: bytes.len(),
        })?;
        if pcrs.insert(index, pcr).is_some() {
            return Err(NitroError::PcrDuplicate(index));
        }
    }
    Ok(pcrs)
}

fn cabundle(value: Option<Value>) -> Result<Vec<Vec<u8>>, NitroError> {
    let Value::Array(entries) = required("cabundle", value)? else {
        return Err(NitroError::FieldType {
            field: "cabundle",
            expected: "an array",
        });
    };
    if entries.is_empty() || entries.len() > MAX_BUNDLE {
        return Err(NitroError::BundleCount(entries.len()));
    }
    entries
        .into_iter()
        .map(|entry| certificate("cabundle", entry))
        .collect()
}

fn certificate(field: &'static str, value: Value) -> Result<Vec<u8>, NitroError> {
    bytes(field, value, 1, MAX_CERTIFICATE)
}

/// AWS's text says that no field is null; the module writes null for what the enclave didn't set.
fn optional(
    field: &'static str,
    value: Option<Value>,
    least: usize,
    most: usize,
) -> Result<Option<Vec<u8>>, NitroError> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(value) => bytes(field, value, least, most).map(Some),
    }
}

fn bytes(field: &'static str, value: Value, least: usize, most: usize) -> Result<Vec<u8>, NitroError> {
    let Value::Bytes(bytes) = value else {
        return Err(NitroError::FieldType {
            field,
            expected: "a byte string",
        });
    };
    match bytes.len() {
        len if len < least || len > most => Err(NitroError::FieldLength {
            field,
            len,
            least,
            most,
        }),
        _ => Ok(bytes),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Integer(number) => i128::from(*number).to_string(),
        Value::Text(text) => format!("{:?}", short(text)),
        _ => "that is no number or text".to_owned(),
    }
}

/// The sender's text, as far as it is shown.
fn short(text: &str) -> String {
    text.chars().take(64).collect()
}
