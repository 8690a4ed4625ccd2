//! Which providers a gateway knows: a hint at whom to look at on chain, and no more than that.

use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, HOST};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use jeju_chain::public_web_tls;
use rustls::pki_types::ServerName;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::form_urlencoded::byte_serialize;

use super::DiscoverError;
use crate::relying_party::host_is_loopback;
use crate::trust::address;

const LIMIT: Duration = Duration::from_secs(15);
/// Longest answer, in bytes.
const MAX_ANSWER: usize = 4 << 20;
/// Providers of one answer; a gateway's longest page.
const PAGE: usize = 1000;
/// Pages that are asked for.
const MAX_PAGES: usize = 10;

/// A gateway's API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    host: String,
    port: u16,
    is_tls: bool,
}

#[derive(Deserialize)]
struct Listed {
    providers: Vec<Entry>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
    address: String,
}

impl Hint {
    /// The accounts of the providers that the gateway knows, of one model where it is named.
    ///
    /// # Errors
    /// [`DiscoverError::Hint`].
    pub async fn providers(&self, model: Option<&str>) -> Result<Vec<[u8; 20]>, DiscoverError> {
        let (mut all, mut after) = (Vec::new(), None::<String>);
        for _ in 0..MAX_PAGES {
            let mut path = format!("/v1/providers?active=true&limit={PAGE}");
            for (name, value) in [("model", model), ("after", after.as_deref())] {
                if let Some(value) = value {
                    path += &format!("&{name}={}", byte_serialize(value.as_bytes()).collect::<String>());
                }
            }
            let body = timeout(LIMIT, self.get(&path))
                .await
                .unwrap_or_else(|_| Err("no answer in time".to_owned()))
                .map_err(|reason| self.failed(reason))?;
            let page: Listed = serde_json::from_slice(&body)
                .map_err(|_| self.failed("not a list of providers".to_owned()))?;
            let accounts = page.providers.iter().map(|entry| address(&entry.address));
            let accounts: Result<Vec<_>, _> = accounts.collect();
            let accounts = accounts.map_err(|_| self.failed("a provider has no address".to_owned()))?;
            all.extend(accounts.into_iter().map(|account| account.0));
            after = page.next.filter(|next| next.len() <= 64);
            if after.is_none() {
                break;
            }
        }
        // Whatever a gateway says twice is looked at once.
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }

    async fn get(&self, path: &str) -> Result<Bytes, String> {
        let stream = TcpStream::connect((self.bare_host(), self.port))
            .await
            .map_err(|error| error.to_string())?;
        if !self.is_tls {
            return self.ask(stream, path).await;
        }
        let name = ServerName::try_from(self.bare_host().to_owned()).map_err(|error| error.to_string())?;
        let tls = TlsConnector::from(public_web_tls());
        let stream = tls
            .connect(name, stream)
            .await
            .map_err(|error| error.to_string())?;
        self.ask(stream, path).await
    }

    async fn ask(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        path: &str,
    ) -> Result<Bytes, String> {
        let (mut sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(|error| error.to_string())?;
        let task = tokio::spawn(connection);
        let request = Request::get(path)
            .header(HOST, format!("{}:{}", self.host, self.port))
            .header(ACCEPT, "application/json")
            .body(Empty::<Bytes>::new())
            .map_err(|error| error.to_string())?;
        let answered = async {
            let answer = sender
                .send_request(request)
                .await
                .map_err(|error| error.to_string())?;
            if answer.status() != StatusCode::OK {
                return Err(format!("status {}", answer.status().as_u16()));
            }
            let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
            Ok(body.map_err(|error| error.to_string())?.to_bytes())
        };
        let outcome = answered.await;
        task.abort();
        outcome
    }

    fn bare_host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    fn failed(&self, reason: String) -> DiscoverError {
        DiscoverError::Hint {
            gateway: format!("{}:{}", self.host, self.port),
            reason,
        }
    }
}

impl FromStr for Hint {
    type Err = DiscoverError;

    fn from_str(text: &str) -> Result<Self, DiscoverError> {
        parse(text).ok_or_else(|| DiscoverError::HintUrl(text.chars().take(200).collect()))
    }
}

fn parse(text: &str) -> Option<Hint> {
    let uri: Uri = text.parse().ok()?;
    let authority = uri.authority()?;
    let (host, is_tls) = (authority.host(), uri.scheme_str()? == "https");
    let is_allowed = is_tls || (uri.scheme_str()? == "http" && host_is_loopback(host));
    let is_bare = uri.path() == "/" && uri.query().is_none() && !authority.as_str().contains('@');
    let port = match authority.as_str().strip_prefix(host)? {
        "" if is_tls => 443,
        "" => 80,
        _ => authority.port_u16()?,
    };
    (is_allowed && is_bare && !host.is_empty()).then(|| Hint {
        host: host.to_owned(),
        port,
        is_tls,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_come_from_a_gateways_api() {
        for (text, host, port, is_tls) in [
            ("https://gateway.example", "gateway.example", 443, true),
            ("https://gateway.example:4009/", "gateway.example", 4009, true),
            ("http://127.0.0.1:4009", "127.0.0.1", 4009, false),
        ] {
            let hint: Hint = text.parse().unwrap();
            assert_eq!((&*hint.host, hint.port, hint.is_tls), (host, port, is_tls));
        }
        for text in [
            "",
            "gateway.example",
            "http://gateway.example",
            "https://gateway.example/v1",
            "https://a@gateway.example",
            "ftp://gateway.example",
        ] {
            assert_eq!(
                text.parse::<Hint>().unwrap_err().code(),
                "gateway_url_invalid",
                "{text}"
            );
        }
    }
}
