//! Bytes → a quote's fields. Nothing is verified here.

use super::SgxError;
use crate::hash::sha256;
use crate::intel::IntelTee;
use crate::intel::enclave_report::{self, EnclaveReport};
use crate::intel::quote::{Header, Reader, SignatureData};

/// An SGX quote of version 3 as it was received (Intel SGX ECDSA QuoteLibReference, A.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote<'a> {
    bytes: &'a [u8],
    signed: &'a [u8],
    /// Header; `svns` are those of quoting enclave and PCE.
    pub header: Header,
    /// Body: the enclave's report.
    pub report: EnclaveReport,
    /// Signature data.
    pub signature: SignatureData<'a>,
}

impl<'a> Quote<'a> {
    /// Reads a quote. What is behind the signature data must be zero and is no part of it.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, SgxError> {
        let mut reader = Reader::quote(bytes)?;
        let header = Header::read(&mut reader)?;
        header.check(&[3], "3", IntelTee::Sgx.tee_type())?;
        let report = EnclaveReport::parse(reader.array::<{ enclave_report::LEN }>("enclave report")?);
        if !report.reserved_is_zero {
            return Err(SgxError::ReportReserved);
        }
        let signed = &bytes[..reader.at()];
        let signature = SignatureData::read(&mut reader, header.version)?;
        let declared = &bytes[..reader.at()];
        reader.finish()?;
        Ok(Self {
            bytes: declared,
            signed,
            header,
            report,
            signature,
        })
    }

    /// The quote, without what stands behind it.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Length of the quote as it declares it itself, in bytes.
    pub fn declared_len(&self) -> usize {
        self.bytes.len()
    }

    /// SHA-256 of the quote, over its declared length.
    pub fn digest(&self) -> [u8; 32] {
        sha256(self.bytes)
    }

    /// What the attestation key signed: header and body.
    pub fn signed_bytes(&self) -> &'a [u8] {
        self.signed
    }

    /// PEM of the PCK chain, as in the quote.
    pub fn pck_chain(&self) -> &'a [u8] {
        self.signature.pck_chain
    }
}
