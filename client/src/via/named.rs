//! A certificate's name where the ClientHello says another.

use std::sync::Arc;

use jeju_attested_tls::AttestedVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

/// Asks certificates for one name, whatever name the gateway was told.
#[derive(Debug)]
struct Named {
    verifier: Arc<AttestedVerifier>,
    name: ServerName<'static>,
}

/// TLS as `tls` has it, for a certificate with this name.
pub(super) fn expecting(
    tls: &ClientConfig,
    verifier: Arc<AttestedVerifier>,
    name: ServerName<'static>,
) -> Arc<ClientConfig> {
    let mut tls = tls.clone();
    tls.dangerous()
        .set_certificate_verifier(Arc::new(Named { verifier, name }));
    Arc::new(tls)
}

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _told: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verifier
            .verify_server_cert(end_entity, intermediates, &self.name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
