//! The client's end: a certificate verifier that asks for evidence, not for a certification authority.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use jeju_attestation::certificate::AttestedCertificate;
use jeju_attestation::claims::{ClaimsBuffer, Role};
use jeju_attestation::evidence::{Genuine, NodeEvidence, Verifier};
use jeju_attestation::hash::sha256;
use jeju_attestation::rejection::Rejection;
use jeju_attestation::tee::Tee;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::time_provider::{DefaultTimeProvider, TimeProvider};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, SignatureScheme, version,
};

const CACHED: usize = 64;

/// A node's evidence as its certificate carried it: the claims name the certificate's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerEvidence {
    /// The certificate.
    pub certificate: AttestedCertificate,
    /// The claims in it.
    pub claims: ClaimsBuffer,
    /// The evidence in it, where it is whole. Certificates of real hardware carry the quote without its certificate
    /// material; whether such evidence is genuine shows only with the evidence bundle, and until then nothing but the
    /// challenge may be sent.
    pub genuine: Option<Genuine>,
}

/// Verifies that a certificate's evidence names the certificate's key, that the peer holds that key, and, where the
/// evidence is whole, that it is genuine.
///
/// Policy and reference values may need the network, which a handshake can't wait for: they are appraised after it,
/// from [`AttestedVerifier::peer`], before anything else is sent.
#[derive(Debug)]
pub struct AttestedVerifier {
    evidence: Arc<Verifier>,
    algorithms: WebPkiSupportedAlgorithms,
    /// Newest last, by SHA-256 of the certificate: one quote is verified once.
    verified: Mutex<VecDeque<([u8; 32], Arc<PeerEvidence>)>>,
}

impl AttestedVerifier {
    /// With a verifier of evidence.
    pub fn new(evidence: Arc<Verifier>) -> Self {
        Self {
            evidence,
            algorithms: aws_lc_rs::default_provider().signature_verification_algorithms,
            verified: Mutex::new(VecDeque::new()),
        }
    }

    /// The evidence of a certificate, verified now or remembered.
    pub fn peer(&self, certificate: &CertificateDer<'_>) -> Result<Arc<PeerEvidence>, Rejection> {
        let digest = sha256(certificate);
        if let Some(peer) = self.remembered(&digest) {
            return Ok(peer);
        }
        let parsed = AttestedCertificate::parse(certificate)?;
        let evidence = &parsed.evidence;
        let claims = ClaimsBuffer::parse(&evidence.claims)?;
        let genuine = match evidence.tee {
            Tee::Simulated => {
                let evidence = NodeEvidence {
                    tee: evidence.tee,
                    quote: &evidence.quote,
                    endorsements: &[],
                    claims: &evidence.claims,
                };
                // Simulated evidence has no dates.
                Some(self.evidence.verify(&evidence, 0)?)
            }
            Tee::Tdx | Tee::SevSnp | Tee::Nitro => None,
        };
        if claims.claims().role != Role::Server {
            return Err(Rejection::ClientRole);
        }
        if claims.claims().pubkey_hash != parsed.spki_sha256 {
            return Err(Rejection::CertificateKey);
        }
        let peer = Arc::new(PeerEvidence {
            certificate: parsed,
            claims,
            genuine,
        });
        self.remember(digest, peer.clone());
        Ok(peer)
    }

    fn remembered(&self, digest: &[u8; 32]) -> Option<Arc<PeerEvidence>> {
        let verified = self
            .verified
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        verified
            .iter()
            .find(|(known, _)| known == digest)
            .map(|(_, peer)| peer.clone())
    }

    fn remember(&self, digest: [u8; 32], peer: Arc<PeerEvidence>) {
        let mut verified = self
            .verified
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if verified.len() == CACHED {
            verified.pop_front();
        }
        verified.push_back((digest, peer));
    }
}

impl ServerCertVerifier for AttestedVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let peer = self.peer(end_entity).map_err(refuse)?;
        let certificate = &peer.certificate;
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        if !certificate.is_valid_at(now) {
            let (not_before, not_after) = (certificate.not_before, certificate.not_after);
            return Err(refuse(Rejection::CertificateDates {
                now,
                not_before,
                not_after,
            }));
        }
        let parsed = ParsedCertificate::try_from(end_entity)?;
        verify_server_name(&parsed, server_name)
            .map_err(|_| refuse(Rejection::CertificateName(server_name.to_str().into_owned())))?;
        Ok(ServerCertVerified::assertion())
    }

    /// Never reached: [`client_config`] offers TLS 1.3 alone.
    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not attested".to_owned()))
    }

    /// The proof that the peer holds the key which its quote vouches for.
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

/// TLS 1.3 only, no resumption, HTTP/1.1.
pub fn client_config(verifier: Arc<AttestedVerifier>) -> Result<ClientConfig, Error> {
    client_config_with_time(verifier, Arc::new(DefaultTimeProvider))
}

/// The same for who doesn't judge certificates' dates by this machine's clock.
///
/// # Errors
/// When rustls refuses the parameters.
pub fn client_config_with_time(
    verifier: Arc<AttestedVerifier>,
    time: Arc<dyn TimeProvider>,
) -> Result<ClientConfig, Error> {
    let mut config = ClientConfig::builder_with_details(Arc::new(aws_lc_rs::default_provider()), time)
        .with_protocol_versions(&[&version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The rejection inside a handshake error, if that is what it was.
pub fn rejection(error: &Error) -> Option<&Rejection> {
    match error {
        Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) => inner.downcast_ref(),
        _ => None,
    }
}

pub(crate) fn refuse(rejection: Rejection) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(rejection))))
}
