//! A saved exchange: a request and the signed answer to it, byte for byte, with the evidence that the answer names.
//!
//! One JSON object. Bodies and the evidence bundle are strings that hold exactly the bytes of the wire, which are UTF-8.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use jeju_attestation::bundle::Bundle;
use jeju_attestation::rejection::Rejection;
use jeju_attestation::response::{self, Headers, RequestFields, ResponseFields, header};
use serde::{Deserialize, Serialize};

use super::AuditError;
use crate::chat::Recorded;
use crate::node_url::NodeUrl;
use crate::session::{Session, VerifiedBody, unix_now};

/// What a file says that it is.
pub const FORMAT: &str = "tag:jeju,2026:exchange/1";
/// Longest file that is read, in bytes: bodies of the longest kind, escaped, and a bundle.
pub const MAX_LEN: usize = 128 * 1024 * 1024;

/// The signed headers, without the quote and claims, which the bundle has whole.
const HEADERS: [&str; 8] = [
    "content-type",
    header::CONTENT_DIGEST,
    header::REQUEST_DIGEST,
    header::NONCE,
    header::CHANNEL,
    header::EVIDENCE,
    header::SIGNATURE_INPUT,
    header::SIGNATURE,
];

/// A request, the answer to it, and what vouches for the answer's signature. Holds what the user wrote: neither Debug
/// nor Display.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// [`FORMAT`].
    pub format: String,
    /// Who was asked, as `https://host:port`. For people: nothing vouches for it.
    pub node: String,
    /// When, in seconds since 1970, by the clock of whoever saved it. For people.
    pub saved: u64,
    /// The request.
    pub request: SavedRequest,
    /// The response.
    pub response: SavedResponse,
    /// The evidence bundle that the response names.
    pub evidence: String,
}

/// A request as it was sent.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedRequest {
    /// Method, upper case.
    pub method: String,
    /// Path.
    pub path: String,
    /// Query with its leading `?`, which stands alone where there is none.
    pub query: String,
    /// Body.
    pub body: String,
}

/// A response as it came.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedResponse {
    /// Status code.
    pub status: u16,
    /// Signed headers by lower-case name.
    pub headers: BTreeMap<String, String>,
    /// Body: of a stream all of it, with its signed end and `[DONE]`.
    pub body: String,
}

impl Exchange {
    /// Of what was recorded on a session, which is asked for the evidence. The node keeps it for an epoch or two.
    ///
    /// # Errors
    /// [`AuditError`] where the node has it no more, or where a body is no text.
    pub async fn complete(
        session: &mut Session,
        node: &NodeUrl,
        recorded: Recorded,
    ) -> Result<Self, AuditError> {
        let headers = saved_headers(&recorded.headers);
        let (fields, _) = ResponseFields::parse(recorded.status.as_u16(), &Saved(&headers))?;
        let bundle = bundle(session, &fields.evidence).await?;
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).map_err(|_| AuditError::NotText);
        Ok(Self {
            format: FORMAT.to_owned(),
            node: node.to_string(),
            saved: unix_now(),
            request: SavedRequest {
                method: Method::POST.to_string(),
                path: recorded.path.to_owned(),
                query: "?".to_owned(),
                body: text(recorded.request.into())?,
            },
            response: SavedResponse {
                status: recorded.status.as_u16(),
                headers,
                body: text(recorded.body)?,
            },
            evidence: text(bundle.into())?,
        })
    }

    /// Reads a file's bytes.
    ///
    /// # Errors
    /// [`AuditError::Malformed`] for anything else than an exchange of [`FORMAT`].
    pub fn parse(bytes: &[u8]) -> Result<Self, AuditError> {
        if bytes.len() > MAX_LEN {
            return Err(AuditError::TooLong);
        }
        let exchange: Self = serde_json::from_slice(bytes).map_err(|_| AuditError::Malformed)?;
        match exchange.format == FORMAT {
            true => Ok(exchange),
            false => Err(AuditError::Malformed),
        }
    }

    /// The file's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("texts and numbers are JSON");
        bytes.push(b'\n');
        bytes
    }

    /// Writes a new file that only its owner can read.
    ///
    /// # Errors
    /// [`AuditError::Unwritable`], also where the file is there already: an answer that was saved is never lost.
    pub fn save(&self, path: &Path) -> Result<(), AuditError> {
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)?;
            file.write_all(&self.encode())?;
            file.sync_all()
        };
        write().map_err(|source| AuditError::Unwritable {
            path: path.to_owned(),
            source,
        })
    }

    /// The request as its signature covers it. What nonce was sent is what the response says, or it wouldn't have been
    /// taken.
    pub fn request_fields(&self) -> RequestFields {
        RequestFields {
            method: self.request.method.clone(),
            path: self.request.path.clone(),
            query: self.request.query.clone(),
            body_sha256: jeju_attestation::hash::sha256(self.request.body.as_bytes()),
            nonce: None,
        }
    }

    /// The response's headers.
    pub fn headers(&self) -> impl Headers {
        Saved(&self.response.headers)
    }
}

/// Whether [`Exchange::save`] would find the place free: to be asked before anything is asked of a node.
///
/// # Errors
/// [`AuditError::Unwritable`] where something is there.
pub fn can_save(path: &Path) -> Result<(), AuditError> {
    match path.symlink_metadata() {
        Ok(_) => Err(AuditError::Unwritable {
            path: path.to_owned(),
            source: io::ErrorKind::AlreadyExists.into(),
        }),
        Err(_) => Ok(()),
    }
}

struct Saved<'a>(&'a BTreeMap<String, String>);

impl Headers for Saved<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

fn saved_headers(headers: &HeaderMap) -> BTreeMap<String, String> {
    HEADERS
        .into_iter()
        .filter_map(|name| {
            let value = headers.get(name)?.to_str().ok()?;
            Some((name.to_owned(), value.to_owned()))
        })
        .collect()
}

async fn bundle(session: &mut Session, reference: &response::EvidenceReference) -> Result<Bytes, AuditError> {
    let answer = session
        .request(Method::GET, &reference.path(), HeaderMap::new(), Bytes::new())
        .await?;
    match (answer.status, answer.body) {
        (StatusCode::OK, VerifiedBody::Whole(bytes)) if Bundle::digest(&bytes) == reference.digest => {
            Ok(bytes)
        }
        (StatusCode::OK, _) => Err(Rejection::BundleDigest.into()),
        (status, _) => Err(AuditError::NoEvidence(status)),
    }
}
