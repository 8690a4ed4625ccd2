//! A gateway's API: nothing that it says is believed without a look at the chain, or at evidence.

use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use jeju_chain::public_web_tls;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::error::Error;
use crate::relying_party::host_is_loopback;

const LIMIT: Duration = Duration::from_secs(15);
/// Longest answer, in bytes.
const MAX_ANSWER: usize = 4 << 20;

/// Where a gateway's API is: `http(s)://host[:port]`, plain HTTP on this machine only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayApi {
    host: String,
    port: u16,
    is_tls: bool,
}

impl GatewayApi {
    /// `host:port`.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Asks, on a connection of its own.
    ///
    /// # Errors
    /// Why there is no answer, or none of at most 4 MiB within 15 s.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), String> {
        let request = self.request(method, path, headers, body)?;
        let asking = async {
            let stream = TcpStream::connect((self.bare_host(), self.port))
                .await
                .map_err(text)?;
            if !self.is_tls {
                return answer(stream, request).await;
            }
            let name = ServerName::try_from(self.bare_host().to_owned()).map_err(text)?;
            let tls = TlsConnector::from(public_web_tls());
            answer(tls.connect(name, stream).await.map_err(text)?, request).await
        };
        timeout(LIMIT, asking)
            .await
            .unwrap_or_else(|_| Err("no answer in time".to_owned()))
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, String> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().map_err(text)?;
        *request.headers_mut() = headers;
        let json = HeaderValue::from_static("application/json");
        let own = request.headers_mut();
        own.insert(HOST, self.authority().parse().map_err(text)?);
        own.insert(ACCEPT, json.clone());
        own.insert(CONTENT_TYPE, json);
        Ok(request)
    }

    fn bare_host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }
}

async fn answer(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), String> {
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(text)?;
    let task = tokio::spawn(connection);
    let answered = async {
        let (head, body) = sender.send_request(request).await.map_err(text)?.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(text)?;
        Ok((head.status, body.to_bytes()))
    };
    let outcome = answered.await;
    task.abort();
    outcome
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

impl FromStr for GatewayApi {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text).ok_or_else(|| Error::GatewayApi(text.chars().take(200).collect()))
    }
}

fn parse(text: &str) -> Option<GatewayApi> {
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
    (is_allowed && is_bare && !host.is_empty()).then(|| GatewayApi {
        host: host.to_owned(),
        port,
        is_tls,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apis_are_urls_and_plain_ones_are_on_this_machine() {
        for (text, host, port, is_tls) in [
            ("https://gateway.example", "gateway.example", 443, true),
            ("https://gateway.example:4009/", "gateway.example", 4009, true),
            ("http://127.0.0.1:4009", "127.0.0.1", 4009, false),
        ] {
            let api: GatewayApi = text.parse().unwrap();
            assert_eq!((&*api.host, api.port, api.is_tls), (host, port, is_tls));
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
                text.parse::<GatewayApi>().unwrap_err().code(),
                "gateway_url_invalid",
                "{text}"
            );
        }
    }
}
