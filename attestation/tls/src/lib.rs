//! Attested TLS on rustls: the certificate that a node serves, and the verifier that a client runs.
//!
//! TLS 1.3 only, no tickets, no 0-RTT: a resumed session would skip the certificate, and with it the evidence. A
//! certificate alone can be relayed, so a client that passed the handshake knows only that the evidence is genuine and
//! bound to the connection's key; [`exporter`] gives both ends what binds a fresh quote to this very connection.

mod client;
mod peer;
mod server;

use rustls::{ConnectionCommon, SideData};

pub use client::{AttestedVerifier, PeerEvidence, client_config, client_config_with_time, rejection};
pub use peer::{PEER_ALPN, peer_client_config, peer_key, peer_name, peer_server_config};
pub use server::{CertificateFields, NodeKey, RotatingCertificate, ServerError, server_config};

/// Exports 32 bytes of this connection's keying material for [`jeju_attestation::response::channel`] (empty context)
/// or [`jeju_attestation::response::challenge_channel`] (the nonce as context).
///
/// The enclave calls it on its own connection only; no API takes an exported value from outside.
pub fn exporter<S: SideData>(
    connection: &ConnectionCommon<S>,
    context: &[u8],
) -> Result<[u8; 32], rustls::Error> {
    let label = jeju_attestation::response::EXPORTER_LABEL;
    connection.export_keying_material([0; 32], label, Some(context))
}
