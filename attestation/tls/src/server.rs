//! The node's end: a self-signed leaf per epoch, one key per boot.

use std::sync::{Arc, RwLock};

use jeju_attestation::certificate::{CertificateEvidence, EXTENSION_OID};
use jeju_attestation::hash::sha256;
use rcgen::{
    CertificateParams, CustomExtension, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256,
    PublicKeyData,
};
use rustls::client::ResolvesClientCert;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SignatureScheme, version};
use thiserror::Error;
use time::OffsetDateTime;

/// Why a certificate couldn't be made.
#[derive(Debug, Error)]
pub enum ServerError {
    /// Key generation or signing failed, or a name isn't one.
    #[error("certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// rustls refuses the key or the parameters.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// A time that a certificate can't hold.
    #[error("{0} seconds since 1970 is no time that a certificate can hold")]
    Time(i64),
}

/// The TLS key of a boot: ECDSA P-256, made here, never exported.
pub struct NodeKey {
    pair: KeyPair,
    signing: Arc<dyn rustls::sign::SigningKey>,
}

impl NodeKey {
    /// A new key from the operating system's random numbers.
    pub fn generate() -> Result<Self, ServerError> {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pair.serialize_der()));
        let signing = aws_lc_rs::sign::any_ecdsa_type(&der)?;
        Ok(Self { pair, signing })
    }

    /// SHA-256 of the SubjectPublicKeyInfo DER: `pubkey-hash` of the claims.
    pub fn spki_sha256(&self) -> [u8; 32] {
        sha256(&self.pair.subject_public_key_info())
    }
}

/// What stands in a certificate beside the key.
pub struct CertificateFields<'a> {
    /// Common name.
    pub common_name: String,
    /// Subject alternative names: DNS names and IP addresses.
    pub names: &'a [String],
    /// Seconds since 1970.
    pub not_before: i64,
    /// Seconds since 1970.
    pub not_after: i64,
    /// The quote and claims.
    pub evidence: &'a CertificateEvidence,
}

/// The certificate that new handshakes get; replaced at each epoch, and older connections go on.
pub struct RotatingCertificate(RwLock<Arc<CertifiedKey>>);

impl RotatingCertificate {
    /// Starts with a first certificate.
    pub fn new(key: &NodeKey, fields: &CertificateFields<'_>) -> Result<Self, ServerError> {
        Ok(Self(RwLock::new(certify(key, fields)?)))
    }

    /// Replaces the certificate.
    pub fn rotate(&self, key: &NodeKey, fields: &CertificateFields<'_>) -> Result<(), ServerError> {
        *self.0.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = certify(key, fields)?;
        Ok(())
    }

    fn current(&self) -> Arc<CertifiedKey> {
        self.0
            .read()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .clone()
    }
}

impl core::fmt::Debug for RotatingCertificate {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("RotatingCertificate")
    }
}

impl ResolvesServerCert for RotatingCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

/// A node that dials a peer shows the certificate that it serves.
impl ResolvesClientCert for RotatingCertificate {
    fn resolve(
        &self,
        _root_hint_subjects: &[&[u8]],
        _schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// TLS 1.3, no tickets, no stored sessions, no early data, HTTP/1.1.
pub fn server_config(certificate: Arc<RotatingCertificate>) -> Result<ServerConfig, ServerError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn certify(key: &NodeKey, fields: &CertificateFields<'_>) -> Result<Arc<CertifiedKey>, ServerError> {
    let mut params = CertificateParams::new(fields.names.to_vec())?;
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, &fields.common_name);
    params.not_before = date(fields.not_before)?;
    params.not_after = date(fields.not_after)?;
    let extension = CustomExtension::from_oid_content(&EXTENSION_OID, fields.evidence.encode());
    params.custom_extensions = vec![extension];
    let der: CertificateDer<'static> = params.self_signed(&key.pair)?.into();
    Ok(Arc::new(CertifiedKey::new(vec![der], key.signing.clone())))
}

fn date(seconds: i64) -> Result<OffsetDateTime, ServerError> {
    OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| ServerError::Time(seconds))
}
