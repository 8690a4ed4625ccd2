//! AWS's chain and Nitro attestation documents.
//!
//! Layouts: *Nitro Enclaves Attestation Process* §2.2 and §3.1 (aws-nitro-enclaves-nsm-api), RFC 9052 §4.2 and §4.4.

use ciborium::Value;

use crate::NOW;
use crate::certificate::{Extension, Template, usage};
use crate::der;
use crate::key::Key;

/// Names of the synthetic chain.
pub mod names {
    /// Root.
    pub const ROOT: &str = "aws.nitro-enclaves";
    /// Authority of a region.
    pub const REGION: &str = "5c8d2e6f01a4b793.xx-test-1.aws.nitro-enclaves";
    /// Authority of a zone.
    pub const ZONE: &str = "9f3b7a5d10c2e648.zonal.xx-test-1.aws.nitro-enclaves";
    /// Authority of an instance.
    pub const INSTANCE: &str = "i-0123456789abcdef0.xx-test-1.aws.nitro-enclaves";
    /// Certificate of an enclave.
    pub const ENCLAVE: &str = "i-0123456789abcdef0-enc0fedcba987654321.xx-test-1.aws";
    /// Module id of that enclave.
    pub const MODULE: &str = "i-0123456789abcdef0-enc0fedcba987654321";
}

/// Keys of the chain, the root's first.
pub struct Keys {
    /// Root.
    pub root: Key,
    /// Region.
    pub region: Key,
    /// Zone.
    pub zone: Key,
    /// Instance.
    pub instance: Key,
    /// Enclave: signs documents.
    pub enclave: Key,
}

impl Keys {
    /// New ones.
    pub fn new() -> Self {
        Self {
            root: Key::p384(),
            region: Key::p384(),
            zone: Key::p384(),
            instance: Key::p384(),
            enclave: Key::p384(),
        }
    }
}

impl Default for Keys {
    fn default() -> Self {
        Self::new()
    }
}

/// What the certificates say.
#[derive(Debug, Clone)]
pub struct Chain {
    /// Root.
    pub root: Template,
    /// Region.
    pub region: Template,
    /// Zone.
    pub zone: Template,
    /// Instance.
    pub instance: Template,
    /// Enclave.
    pub enclave: Template,
}

impl Chain {
    /// As AWS issues them: path lengths 2, 1, 0; distribution points for region and zone; a day for the instance, three
    /// hours for the enclave.
    pub fn new(keys: &Keys) -> Self {
        use names::*;
        let now = NOW as i64;
        let point = |url: &str| {
            let name = der::explicit(0, &der::implicit(6, url.as_bytes()));
            let point = der::sequence(&[&der::explicit(0, &name)]);
            Extension::new("2.5.29.31", der::sequence(&[&point]))
        };
        Self {
            root: Template {
                usage: usage::SIGNATURES | usage::CERTIFICATES | usage::REVOCATION_LISTS,
                ..Template::authority(ROOT, ROOT, &keys.root)
            },
            region: Template {
                authority: Some(Some(2)),
                serial: vec![0x21],
                extensions: vec![point("http://crl.test/root.crl")],
                ..Template::authority(REGION, ROOT, &keys.region)
            },
            zone: Template {
                authority: Some(Some(1)),
                serial: vec![0x22],
                extensions: vec![point("http://crl.test/region.crl")],
                ..Template::authority(ZONE, REGION, &keys.zone)
            },
            instance: Template {
                authority: Some(Some(0)),
                serial: vec![0x23],
                usage: usage::CERTIFICATES,
                not_before: now - 12 * 3600,
                not_after: now + 12 * 3600,
                ..Template::authority(INSTANCE, ZONE, &keys.instance)
            },
            enclave: Template {
                serial: vec![0x24],
                usage: usage::SIGNATURES | 0x40,
                not_before: now - 3600,
                not_after: now + 2 * 3600,
                ..Template::end_entity(ENCLAVE, INSTANCE, &keys.enclave)
            },
        }
    }

    /// Root, region, zone, instance.
    pub fn cabundle(&self, keys: &Keys) -> Vec<Vec<u8>> {
        vec![
            self.root.sign(&keys.root),
            self.region.sign(&keys.root),
            self.zone.sign(&keys.region),
            self.instance.sign(&keys.zone),
        ]
    }

    /// The enclave's.
    pub fn certificate(&self, keys: &Keys) -> Vec<u8> {
        self.enclave.sign(&keys.instance)
    }
}

/// A document: what is signed, and how it is wrapped.
#[derive(Debug, Clone)]
pub struct Document {
    /// Entries of the payload's map, in their order.
    pub fields: Vec<(Value, Value)>,
    /// Whether the map is of indefinite length.
    pub indefinite: bool,
    /// Bytes after the payload's map.
    pub after_map: Vec<u8>,
    /// Entries of the protected header.
    pub protected: Vec<(Value, Value)>,
    /// Entries of the unprotected header.
    pub unprotected: Vec<(Value, Value)>,
    /// CBOR tag around the envelope.
    pub tag: Option<u64>,
}

impl Document {
    /// A right one, made at [`NOW`]: PCR0 to PCR4 and PCR16 set, `user_data` of 64 bytes.
    pub fn new(cabundle: &[Vec<u8>], certificate: &[u8]) -> Self {
        let pcrs = (0u8..16).map(|index| {
            let value = match index {
                0..=4 => [0xA0 + index; 48],
                _ => [0; 48],
            };
            (Value::from(index), Value::Bytes(value.to_vec()))
        });
        let bundle = cabundle.iter().map(|der| Value::Bytes(der.clone())).collect();
        Self {
            fields: vec![
                ("module_id".into(), names::MODULE.into()),
                ("digest".into(), "SHA384".into()),
                ("timestamp".into(), Value::from(NOW * 1000)),
                ("pcrs".into(), Value::Map(pcrs.collect())),
                ("certificate".into(), Value::Bytes(certificate.to_vec())),
                ("cabundle".into(), Value::Array(bundle)),
                ("public_key".into(), Value::Null),
                ("user_data".into(), Value::Bytes(vec![0xDA; 64])),
                ("nonce".into(), Value::Null),
            ],
            indefinite: true,
            after_map: Vec::new(),
            protected: vec![(Value::from(1), Value::from(-35))],
            unprotected: Vec::new(),
            tag: None,
        }
    }

    /// A field's value.
    ///
    /// # Panics
    /// If there is no such field.
    pub fn field(&mut self, name: &str) -> &mut Value {
        let field = self
            .fields
            .iter_mut()
            .find(|(key, _)| key.as_text() == Some(name));
        &mut field.expect("a field of the document").1
    }

    /// Takes a field away.
    pub fn remove(&mut self, name: &str) {
        self.fields.retain(|(key, _)| key.as_text() != Some(name));
    }

    /// The registers.
    ///
    /// # Panics
    /// If `pcrs` is no longer a map.
    pub fn pcrs(&mut self) -> &mut Vec<(Value, Value)> {
        self.field("pcrs").as_map_mut().expect("pcrs is a map")
    }

    /// Sets a register.
    pub fn set_pcr(&mut self, index: u8, value: &[u8]) {
        let pcrs = self.pcrs();
        pcrs.retain(|(key, _)| *key != Value::from(index));
        pcrs.push((Value::from(index), Value::Bytes(value.to_vec())));
    }

    /// The payload.
    pub fn payload(&self) -> Vec<u8> {
        let mut bytes = match self.indefinite {
            true => vec![0xBF],
            false => head(5, self.fields.len()),
        };
        for (key, value) in &self.fields {
            bytes.extend(encode(key));
            bytes.extend(encode(value));
        }
        if self.indefinite {
            bytes.push(0xFF);
        }
        bytes.extend(&self.after_map);
        bytes
    }

    /// The protected header.
    pub fn header(&self) -> Vec<u8> {
        encode(&Value::Map(self.protected.clone()))
    }

    /// r ‖ s over the document (RFC 9052 §4.4).
    pub fn signature(&self, key: &Key) -> Vec<u8> {
        let mut signed = head(4, 4);
        signed.extend(encode(&"Signature1".into()));
        signed.extend(encode(&Value::Bytes(self.header())));
        signed.extend(encode(&Value::Bytes(Vec::new())));
        signed.extend(encode(&Value::Bytes(self.payload())));
        key.sign_fixed(&signed)
    }

    /// The document, signed.
    pub fn sign(&self, key: &Key) -> Vec<u8> {
        self.envelope(Value::Bytes(self.payload()), Value::Bytes(self.signature(key)))
    }

    /// The envelope around any payload and signature.
    pub fn envelope(&self, payload: Value, signature: Value) -> Vec<u8> {
        let message = Value::Array(vec![
            Value::Bytes(self.header()),
            Value::Map(self.unprotected.clone()),
            payload,
            signature,
        ]);
        match self.tag {
            Some(tag) => encode(&Value::Tag(tag, Box::new(message))),
            None => encode(&message),
        }
    }
}

/// CBOR of a value.
///
/// # Panics
/// Never: memory can be written.
pub fn encode(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).expect("memory can be written");
    bytes
}

/// Head of an item of few entries.
fn head(major: u8, count: usize) -> Vec<u8> {
    assert!(count < 24, "more than synthetic documents have");
    vec![major << 5 | count as u8]
}
