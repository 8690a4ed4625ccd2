//! Two nodes with each other: both present their certificate, and each proves that it holds the key in it.
//!
//! Neither end appraises evidence here, and an address is no identity: no name is compared, and no date either, since a
//! node's clock is its host's. What counts is the exchange that follows on the connection, whose quotes name its keys and
//! the connection itself (`docs/wire-formats.md`, "Peer protocol").

use std::sync::Arc;

use jeju_attestation::certificate::AttestedCertificate;
use jeju_attestation::claims::{ClaimsBuffer, Role};
use jeju_attestation::rejection::Rejection;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    ClientConfig, CommonState, DigitallySignedStruct, DistinguishedName, Error, ServerConfig,
    SignatureScheme, version,
};

use crate::client::refuse;
use crate::server::RotatingCertificate;

/// Application protocol of signers among each other.
pub const PEER_ALPN: &[u8] = b"jeju-mpc/1";

/// The accepting end: TLS 1.3, a client certificate of the attested form, no tickets, no stored sessions, no early data.
///
/// # Errors
/// When rustls refuses the parameters.
pub fn peer_server_config(certificate: Arc<RotatingCertificate>) -> Result<ServerConfig, Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&version::TLS13])?
        .with_client_cert_verifier(Arc::new(PeerVerifier::new()))
        .with_cert_resolver(certificate);
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.alpn_protocols = vec![PEER_ALPN.to_vec()];
    Ok(config)
}

/// The dialling end: TLS 1.3, the node's own certificate, no resumption, no server name.
///
/// # Errors
/// When rustls refuses the parameters.
pub fn peer_client_config(certificate: Arc<RotatingCertificate>) -> Result<ClientConfig, Error> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PeerVerifier::new()))
        .with_client_cert_resolver(certificate);
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    config.enable_early_data = false;
    config.alpn_protocols = vec![PEER_ALPN.to_vec()];
    Ok(config)
}

/// Stands where rustls asks for a server's name; it is neither sent nor compared.
pub fn peer_name() -> ServerName<'static> {
    ServerName::try_from("peer.jeju.invalid").expect("a DNS name")
}

/// SHA-256 of the SubjectPublicKeyInfo of the other end's certificate, whose key that end proved to hold. The quotes of
/// the exchange must name it as `pubkey-hash`.
///
/// # Errors
/// [`Rejection::CertificateKey`] before the handshake is over, or when the protocol isn't [`PEER_ALPN`].
pub fn peer_key(connection: &CommonState) -> Result<[u8; 32], Rejection> {
    if connection.is_handshaking() || connection.alpn_protocol() != Some(PEER_ALPN) {
        return Err(Rejection::CertificateKey);
    }
    match connection.peer_certificates() {
        Some([leaf]) => Ok(AttestedCertificate::parse(leaf)?.spki_sha256),
        _ => Err(Rejection::CertificateKey),
    }
}

/// Takes one self-signed certificate whose claims name its own key.
#[derive(Debug)]
struct PeerVerifier {
    algorithms: WebPkiSupportedAlgorithms,
}

impl PeerVerifier {
    fn new() -> Self {
        Self {
            algorithms: aws_lc_rs::default_provider().signature_verification_algorithms,
        }
    }

    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
    ) -> Result<(), Rejection> {
        // A self-signed certificate has no issuers to show.
        if !intermediates.is_empty() {
            return Err(Rejection::CertificateKey);
        }
        let certificate = AttestedCertificate::parse(leaf)?;
        let claims = ClaimsBuffer::parse(&certificate.evidence.claims)?;
        // The certificate is the one that the node serves, whichever end it is on.
        if claims.claims().role != Role::Server {
            return Err(Rejection::ClientRole);
        }
        match claims.claims().pubkey_hash == certificate.spki_sha256 {
            true => Ok(()),
            false => Err(Rejection::CertificateKey),
        }
    }

    fn tls12() -> Error {
        Error::General("TLS 1.2 is not attested".to_owned())
    }
}

impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verify(end_entity, intermediates).map_err(refuse)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Self::tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

impl ClientCertVerifier for PeerVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify(end_entity, intermediates).map_err(refuse)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Self::tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}
