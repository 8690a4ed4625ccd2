//! PEM (RFC 7468) of certificates and revocation lists.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::X509Error;

/// Most certificates of one chain that are read.
pub const MAX_CERTIFICATES: usize = 16;

/// The DER of each certificate in a PEM text, in order. What stands between the blocks is ignored.
pub fn pem_certificates(text: &[u8]) -> Result<Vec<Vec<u8>>, X509Error> {
    let certificates = pem_blocks(text, "CERTIFICATE")?;
    match certificates.len() {
        0 => Err(X509Error::NotPem),
        _ => Ok(certificates),
    }
}

/// The content of each block with this label, in order; at most [`MAX_CERTIFICATES`]. A NUL byte ends the text: DCAP's
/// chains carry one.
pub fn pem_blocks(text: &[u8], label: &str) -> Result<Vec<Vec<u8>>, X509Error> {
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    let mut rest = core::str::from_utf8(&text[..end]).map_err(|_| X509Error::NotPem)?;
    let (begin, finish) = (
        format!("-----BEGIN {label}-----"),
        format!("-----END {label}-----"),
    );
    let mut blocks = Vec::new();
    while let Some(at) = rest.find(&begin) {
        let body = &rest[at + begin.len()..];
        let len = body.find(&finish).ok_or(X509Error::NotPem)?;
        if blocks.len() == MAX_CERTIFICATES {
            return Err(X509Error::TooMany(MAX_CERTIFICATES + 1));
        }
        let mut digits = Vec::with_capacity(len);
        for line in body[..len].split_ascii_whitespace() {
            digits.extend_from_slice(line.as_bytes());
        }
        blocks.push(STANDARD.decode(digits).map_err(|_| X509Error::NotPem)?);
        rest = &body[len + finish.len()..];
    }
    Ok(blocks)
}
