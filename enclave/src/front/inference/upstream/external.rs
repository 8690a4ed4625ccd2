//! An upstream that anybody may run: TLS through the host's egress, with the certificates that browsers trust. Whoever
//! runs it reads the prompts, and the launch document says so.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use jeju_attestation::launch::split_authority;
use jeju_chain::Dial;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

use super::connect::{Connect, ConnectError, Connection, speak_http};

/// Connects through egress.
pub(super) struct External {
    authority: String,
    name: ServerName<'static>,
    egress: Arc<dyn Dial>,
    tls: TlsConnector,
}

impl External {
    /// `None` where the authority has no name that a certificate could have.
    pub(super) fn new(authority: String, egress: Arc<dyn Dial>, tls: Arc<ClientConfig>) -> Option<Self> {
        let (host, _) = split_authority(&authority)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Some(Self {
            name: ServerName::try_from(host).ok()?,
            authority,
            egress,
            tls: tls.into(),
        })
    }
}

impl Connect for External {
    fn connect(&self) -> BoxFuture<'_, Result<Connection, ConnectError>> {
        Box::pin(async move {
            let stream = self.egress.dial(&self.authority).await;
            let stream = stream.map_err(|_| ConnectError::Unreachable)?;
            let stream = self.tls.connect(self.name.clone(), stream).await;
            let stream = stream.map_err(|error| match error.get_ref() {
                Some(inner) if inner.is::<rustls::Error>() => {
                    ConnectError::NotVerified("certificate_not_trusted".to_owned())
                }
                _ => ConnectError::Unreachable,
            })?;
            let (sender, work) = speak_http(stream).await?;
            Ok(Connection {
                sender,
                work,
                session: None,
            })
        })
    }
}
