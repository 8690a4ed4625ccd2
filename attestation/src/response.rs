//! Signed responses (RFC 9421 with Ed25519, one fixed profile): every response of every status says which request it
//! answers, on which connection, with which body, and is signed by the epoch key that the claims name.
//!
//! Both ends share one [`ResponseFields`]: the enclave renders it, the verifier reads it back and renders it again.
//! The signature base is never built from a message's own idea of what is covered.

mod stream;
mod worker;

pub use stream::{EndReason, MAX_EVENT_LEN, STREAM_END_PREFIX, StreamEnd, StreamVerifier};
pub use worker::{MAX_WORKER_ID, WorkerVersion, is_worker_id};

use crate::hash::{sha256, tagged_sha256};
use crate::primitives::primitives;
use crate::rejection::Rejection;
use crate::structured_field::{binary, digest, parameter, parse_binary, parse_digest, unquote};
use crate::tee::Tee;

/// TLS exporter label (RFC 5705 private use) of both channel bindings.
pub const EXPORTER_LABEL: &[u8] = b"EXPERIMENTAL-jeju-attestation-v1";
/// Length of a nonce, in bytes.
pub const NONCE_LEN: usize = 32;

/// Header names, lower case.
pub mod header {
    /// SHA-256 of the body as sent (RFC 9530).
    pub const CONTENT_DIGEST: &str = "content-digest";
    /// SHA-256 of the request body that the enclave received.
    pub const REQUEST_DIGEST: &str = "jeju-request-digest";
    /// The client's nonce, or one that the enclave made.
    pub const NONCE: &str = "jeju-nonce";
    /// Binding to the connection.
    pub const CHANNEL: &str = "jeju-channel";
    /// Address of the evidence bundle.
    pub const EVIDENCE: &str = "jeju-evidence";
    /// Which code made the answer, where a worker made it.
    pub const WORKER: &str = "jeju-worker";
    /// The quote, with certificate material cut out.
    pub const QUOTE: &str = "jeju-quote";
    /// The claims-buffer.
    pub const CLAIMS: &str = "jeju-claims";
    /// What is covered.
    pub const SIGNATURE_INPUT: &str = "signature-input";
    /// The signature.
    pub const SIGNATURE: &str = "signature";
    /// All of them: dropped from what a worker, a container or an upstream answers.
    pub const ALL: [&str; 10] = [
        CONTENT_DIGEST,
        REQUEST_DIGEST,
        NONCE,
        CHANNEL,
        EVIDENCE,
        WORKER,
        QUOTE,
        CLAIMS,
        SIGNATURE_INPUT,
        SIGNATURE,
    ];
}

/// `Jeju-Channel`: from the exporter with an empty context.
pub fn channel(exported: &[u8; 32]) -> [u8; 32] {
    tagged_sha256("jeju-channel-v1", &[exported])
}

/// `channel` of claims in mode 2: from the exporter with the verifier's nonce as context.
pub fn challenge_channel(exported: &[u8; 32]) -> [u8; 32] {
    tagged_sha256("jeju-ekm-v1", &[exported])
}

/// The request as the enclave received it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestFields {
    /// Method, upper case.
    pub method: String,
    /// Path, as on the wire.
    pub path: String,
    /// Query with its leading `?`; `?` alone where there is none (RFC 9421 §2.2.7).
    pub query: String,
    /// SHA-256 of the body.
    pub body_sha256: [u8; 32],
    /// `Jeju-Nonce` of the request, if it had one.
    pub nonce: Option<[u8; NONCE_LEN]>,
}

/// Which evidence vouches for the signing key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EvidenceReference {
    /// SHA-256 of the bundle.
    pub digest: [u8; 32],
    /// Epoch of the claims.
    pub epoch: u32,
    /// Platform.
    pub tee: Tee,
}

impl EvidenceReference {
    /// Where the bundle is served.
    pub fn path(&self) -> String {
        format!("/.well-known/jeju/evidence/{}", hex::encode(self.digest))
    }

    fn render(&self) -> String {
        format!(
            "{};epoch={};tee=\"{}\";href=\"{}\"",
            digest(&self.digest),
            self.epoch,
            self.tee,
            self.path()
        )
    }

    fn parse(text: &str) -> Option<Self> {
        let (head, rest) = text.split_at(text.find(';')?);
        let (epoch, rest) = parameter(rest, "epoch")?;
        let (tee, rest) = parameter(rest, "tee")?;
        let (href, rest) = parameter(rest, "href")?;
        let reference = Self {
            digest: parse_digest(head)?,
            epoch: epoch.parse().ok()?,
            tee: Tee::from_name(unquote(tee)?)?,
        };
        (rest.is_empty() && reference.render() == text && unquote(href)? == reference.path())
            .then_some(reference)
    }
}

/// What a response's signature covers, beside the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseFields {
    /// Status code.
    pub status: u16,
    /// `Content-Type`, as sent.
    pub content_type: String,
    /// SHA-256 of the body; `None` for a stream, whose end is signed separately.
    pub body_sha256: Option<[u8; 32]>,
    /// SHA-256 of the request body.
    pub request_sha256: [u8; 32],
    /// Nonce.
    pub nonce: [u8; NONCE_LEN],
    /// [`channel`] of the connection.
    pub channel: [u8; 32],
    /// Evidence.
    pub evidence: EvidenceReference,
    /// Which code made the answer, where a worker made it; `None` for what the node itself answers.
    pub worker: Option<WorkerVersion>,
    /// The enclave's lower bound of the time, in seconds since 1970. Informative: its clock is the host's.
    pub created: u64,
    /// Ed25519 public key of the epoch.
    pub key: [u8; 32],
}

impl ResponseFields {
    /// What is signed.
    pub fn signature_base(&self, request: &RequestFields) -> Vec<u8> {
        let mut base = format!(
            "\"@status\": {}\n\"content-type\": {}\n",
            self.status, self.content_type
        );
        if let Some(body) = &self.body_sha256 {
            base += &format!("\"content-digest\": {}\n", digest(body));
        }
        base += &format!("\"jeju-request-digest\": {}\n", digest(&self.request_sha256));
        base += &format!("\"jeju-nonce\": {}\n", binary(&self.nonce));
        base += &format!("\"jeju-channel\": {}\n", binary(&self.channel));
        base += &format!("\"jeju-evidence\": {}\n", self.evidence.render());
        if let Some(worker) = &self.worker {
            base += &format!("\"jeju-worker\": {}\n", worker.render());
        }
        base += &format!(
            "\"@method\";req: {}\n\"@path\";req: {}\n",
            request.method, request.path
        );
        base += &format!("\"@query\";req: {}\n", request.query);
        base += &format!("\"@signature-params\": {}", self.signature_params());
        base.into_bytes()
    }

    /// The headers that carry these fields, without the quote and claims.
    pub fn headers(&self, signature: &[u8; 64]) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            (header::REQUEST_DIGEST, digest(&self.request_sha256)),
            (header::NONCE, binary(&self.nonce)),
            (header::CHANNEL, binary(&self.channel)),
            (header::EVIDENCE, self.evidence.render()),
            (
                header::SIGNATURE_INPUT,
                format!("jeju={}", self.signature_params()),
            ),
            (header::SIGNATURE, format!("jeju={}", binary(signature))),
        ];
        if let Some(body) = &self.body_sha256 {
            headers.push((header::CONTENT_DIGEST, digest(body)));
        }
        if let Some(worker) = &self.worker {
            headers.push((header::WORKER, worker.render()));
        }
        headers
    }

    fn signature_params(&self) -> String {
        let (content_digest, tag) = match (&self.body_sha256, &self.worker) {
            (Some(_), None) => ("\"content-digest\" ", "jeju-resp-v1"),
            (None, None) => ("", "jeju-stream-start-v1"),
            (Some(_), Some(_)) => ("\"content-digest\" ", "jeju-worker-v1"),
            (None, Some(_)) => ("", "jeju-worker-stream-start-v1"),
        };
        let worker = self.worker.as_ref().map_or("", |_| "\"jeju-worker\" ");
        format!(
            "(\"@status\" \"content-type\" {content_digest}\"jeju-request-digest\" \"jeju-nonce\" \"jeju-channel\" \
             \"jeju-evidence\" {worker}\"@method\";req \"@path\";req \"@query\";req);created={};keyid=\"{}\";alg=\"ed25519\";\
             tag=\"{tag}\"",
            self.created,
            hex::encode(self.key)
        )
    }

    /// Reads the fields back from a response's headers.
    pub fn parse(status: u16, headers: &impl Headers) -> Result<(Self, [u8; 64]), Rejection> {
        let text = |name| headers.get(name).ok_or(Rejection::HeaderMissing(name));
        let malformed = Rejection::HeaderMalformed;
        let params = text(header::SIGNATURE_INPUT)?;
        let (created, key) = parse_params(params).ok_or(malformed(header::SIGNATURE_INPUT))?;
        let body_sha256 = match headers.get(header::CONTENT_DIGEST) {
            Some(value) => Some(parse_digest(value).ok_or(malformed(header::CONTENT_DIGEST))?),
            None => None,
        };
        let fixed = |name| {
            let bytes = parse_binary(text(name)?).ok_or(malformed(name))?;
            <[u8; 32]>::try_from(bytes).map_err(|_| malformed(name))
        };
        let fields = Self {
            status,
            content_type: text("content-type")?.to_owned(),
            body_sha256,
            request_sha256: parse_digest(text(header::REQUEST_DIGEST)?)
                .ok_or(malformed(header::REQUEST_DIGEST))?,
            nonce: fixed(header::NONCE)?,
            channel: fixed(header::CHANNEL)?,
            evidence: EvidenceReference::parse(text(header::EVIDENCE)?).ok_or(malformed(header::EVIDENCE))?,
            worker: match headers.get(header::WORKER) {
                Some(value) => Some(WorkerVersion::parse(value).ok_or(malformed(header::WORKER))?),
                None => None,
            },
            created,
            key,
        };
        // One fixed profile: covered components and parameters are ours to say, not the message's.
        if params.strip_prefix("jeju=") != Some(&fields.signature_params()) {
            return Err(malformed(header::SIGNATURE_INPUT));
        }
        let signature = text(header::SIGNATURE)?
            .strip_prefix("jeju=")
            .and_then(parse_binary)
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(malformed(header::SIGNATURE))?;
        Ok((fields, signature))
    }
}

/// Response headers, looked up by lower-case name; `None` where a name is absent or stands there twice.
pub trait Headers {
    /// The value of the one header of this name.
    fn get(&self, name: &str) -> Option<&str>;
}

/// What a verifier knows of the session when a response arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Ed25519 key that the claims of this response's evidence name.
    pub key: [u8; 32],
    /// Platform and epoch of those claims.
    pub tee: Tee,
    /// Epoch of those claims.
    pub epoch: u32,
    /// [`channel`] of this verifier's own end of the connection; `None` behind a proxy that ends TLS, where only the
    /// signature is checked and the prompt was visible to that proxy.
    pub channel: Option<[u8; 32]>,
}

/// A response head that verified, whoever in the node made the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedAnswer {
    /// What its body must be.
    pub head: VerifiedHead,
    /// Which code made it, where a worker did.
    pub worker: Option<WorkerVersion>,
}

impl VerifiedAnswer {
    /// What verifies the rest of this answer, where `start` is that of its [`VerifiedHead::Stream`].
    pub fn stream(&self, key: [u8; 32], start: [u8; 32]) -> StreamVerifier {
        match self.worker {
            Some(_) => StreamVerifier::of_worker(key, start),
            None => StreamVerifier::new(key, start),
        }
    }
}

/// A response head that verified; the body is still to be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerifiedHead {
    /// The body must have this digest.
    Body([u8; 32]),
    /// The body is a stream whose end must be signed and name this start.
    Stream {
        /// SHA-256 of the start signature.
        start: [u8; 32],
    },
}

/// As [`verify_answer`], for what only the node itself answers: an answer that a worker made is refused.
pub fn verify_head(
    request: &RequestFields,
    status: u16,
    headers: &impl Headers,
    session: &Session,
) -> Result<VerifiedHead, Rejection> {
    let answer = verify_answer(request, status, headers, session)?;
    match answer.worker {
        Some(worker) => Err(Rejection::WorkerAnswer(worker.id)),
        None => Ok(answer.head),
    }
}

/// Verifies a response's head against the request that was sent and the attested session.
pub fn verify_answer(
    request: &RequestFields,
    status: u16,
    headers: &impl Headers,
    session: &Session,
) -> Result<VerifiedAnswer, Rejection> {
    let (fields, signature) = ResponseFields::parse(status, headers)?;
    if fields.key != session.key {
        return Err(Rejection::OtherKey);
    }
    if fields.evidence.tee != session.tee || fields.evidence.epoch != session.epoch {
        return Err(Rejection::HeaderMalformed(header::EVIDENCE));
    }
    primitives()
        .ed25519(&session.key, &fields.signature_base(request), &signature)
        .map_err(|_| Rejection::Signature)?;
    if fields.request_sha256 != request.body_sha256 {
        return Err(Rejection::OtherRequest("body"));
    }
    if request.nonce.is_some_and(|nonce| nonce != fields.nonce) {
        return Err(Rejection::OtherRequest("nonce"));
    }
    if session.channel.is_some_and(|channel| channel != fields.channel) {
        return Err(Rejection::OtherChannel);
    }
    let head = match fields.body_sha256 {
        Some(body) => VerifiedHead::Body(body),
        None => VerifiedHead::Stream {
            start: sha256(&signature),
        },
    };
    Ok(VerifiedAnswer {
        head,
        worker: fields.worker,
    })
}

/// `Jeju-Quote`: the stripped quote and the length of the full one.
pub fn render_quote(stripped: &[u8], full_len: usize) -> String {
    format!("{};full={full_len}", binary(stripped))
}

/// Inverse of [`render_quote`].
pub fn parse_quote(text: &str) -> Option<(Vec<u8>, usize)> {
    let (quote, rest) = text.split_at(text.find(';')?);
    let (full, rest) = parameter(rest, "full")?;
    rest.is_empty()
        .then_some((parse_binary(quote)?, full.parse().ok()?))
}

fn parse_params(text: &str) -> Option<(u64, [u8; 32])> {
    let rest = text.strip_prefix("jeju=(")?;
    let rest = &rest[rest.find(')')? + 1..];
    let (created, rest) = parameter(rest, "created")?;
    let (key, _) = parameter(rest, "keyid")?;
    let mut bytes = [0; 32];
    hex::decode_to_slice(unquote(key)?, &mut bytes).ok()?;
    Some((created.parse().ok()?, bytes))
}

#[cfg(test)]
mod tests;
