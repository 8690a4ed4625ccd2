//! Who signed a saved answer: the response's signature under the key that the evidence's claims name.

use jeju_attestation::bundle::Bundle;
use jeju_attestation::claims::ClaimsBuffer;
use jeju_attestation::hash::sha256;
use jeju_attestation::launch::LaunchDocument;
use jeju_attestation::rejection::Rejection;
use jeju_attestation::response::{
    EndReason, ResponseFields, Session, StreamVerifier, VerifiedHead, verify_head,
};

use super::{AuditError, Exchange};

/// A response whose signature is by the key of its evidence. Whether the evidence is genuine is another question.
pub(super) struct Signed {
    pub(super) bundle: Bundle,
    pub(super) claims: ClaimsBuffer,
    pub(super) launch: LaunchDocument,
    /// Whether the answer was streamed.
    pub(super) streamed: bool,
    /// The enclave's lower bound of the time, in seconds since 1970.
    pub(super) created: u64,
}

/// Verifies head and body.
///
/// # Errors
/// The [`Rejection`] that a client would have met at that time, and [`AuditError::Incomplete`] for a stream that the
/// node broke off.
pub(super) fn verify(exchange: &Exchange) -> Result<Signed, AuditError> {
    let headers = exchange.headers();
    let status = exchange.response.status;
    let (fields, _) = ResponseFields::parse(status, &headers)?;
    let evidence = exchange.evidence.as_bytes();
    if Bundle::digest(evidence) != fields.evidence.digest {
        return Err(Rejection::BundleDigest.into());
    }
    let bundle = Bundle::parse(evidence).map_err(Rejection::from)?;
    let claims = ClaimsBuffer::parse(&bundle.claims).map_err(Rejection::from)?;
    if sha256(&bundle.launch) != claims.claims().launch {
        return Err(Rejection::LaunchDigest.into());
    }
    let launch = LaunchDocument::parse(&bundle.launch).map_err(Rejection::from)?;
    let session = Session {
        key: claims.claims().resp,
        tee: bundle.tee,
        epoch: claims.claims().epoch,
        channel: None,
    };
    let body = exchange.response.body.as_bytes();
    let streamed = match verify_head(&exchange.request_fields(), status, &headers, &session)? {
        VerifiedHead::Body(digest) if sha256(body) == digest => false,
        VerifiedHead::Body(_) => return Err(Rejection::BodyDigest.into()),
        VerifiedHead::Stream { start } => {
            let mut verifier = StreamVerifier::new(session.key, start);
            verifier.push(body)?;
            match verifier.finish()? {
                EndReason::Stop | EndReason::Length => true,
                reason @ (EndReason::Error | EndReason::Abort) => return Err(AuditError::Incomplete(reason)),
            }
        }
    };
    match status {
        200 => Ok(Signed {
            bundle,
            claims,
            launch,
            streamed,
            created: fields.created,
        }),
        other => Err(AuditError::NotAnAnswer(other)),
    }
}
