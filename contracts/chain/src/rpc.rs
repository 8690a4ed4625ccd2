//! JSON-RPC 2.0 over HTTP/1.1 to one endpoint, one request per connection. The endpoint is hostile until k of n agree:
//! the answer's size and time are bounded, and its envelope is read strictly.

use std::fmt;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use tokio_rustls::TlsConnector;

use crate::dial::{Dial, Io};
use crate::endpoint::Endpoint;
use crate::hexadecimal::parse_data;

/// Largest answer that is read: 1 MiB.
pub const MAX_RESPONSE_BYTES: usize = 1 << 20;

/// Time for a whole call, from dialling to the last byte.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Status line and header fields together.
const MAX_HEAD_BYTES: usize = 16 << 10;

/// What is kept of an endpoint's error text.
const MAX_MESSAGE_CHARS: usize = 200;

/// What is kept of a revert's data.
const MAX_REVERT_BYTES: usize = 4 << 10;

/// Calls one endpoint.
pub struct RpcClient {
    endpoint: Endpoint,
    dial: Arc<dyn Dial>,
    tls: Arc<ClientConfig>,
    timeout: Duration,
    next_id: AtomicU64,
}

impl RpcClient {
    /// A client that connects through `dial` for each call and gives each call `timeout`. `tls` counts for `https` only.
    pub fn new(endpoint: Endpoint, dial: Arc<dyn Dial>, tls: Arc<ClientConfig>, timeout: Duration) -> Self {
        Self {
            endpoint,
            dial,
            tls,
            timeout,
            next_id: AtomicU64::new(1),
        }
    }

    /// The endpoint that is called.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Calls `method` and parses `result` as `T`; a `null` result needs a `T` that takes it.
    pub async fn call<T: DeserializeOwned>(&self, method: &str, params: Value) -> Result<T, RpcError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let exchange = self.exchange(Bytes::from(request.to_string()));
        let body = tokio::time::timeout(self.timeout, exchange)
            .await
            .map_err(|_| RpcError::Timeout { limit: self.timeout })??;
        parse(&body, id)
    }

    async fn exchange(&self, body: Bytes) -> Result<Bytes, RpcError> {
        let stream = self
            .dial
            .dial(&self.endpoint.authority)
            .await
            .map_err(RpcError::Dial)?;
        let stream: Box<dyn Io> = match &self.endpoint.server_name {
            None => stream,
            Some(name) => {
                let connector = TlsConnector::from(Arc::clone(&self.tls));
                Box::new(
                    connector
                        .connect(name.clone(), stream)
                        .await
                        .map_err(RpcError::Tls)?,
                )
            }
        };
        let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
            .max_buf_size(MAX_HEAD_BYTES)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(RpcError::Http)?;

        let request = Request::builder()
            .method(Method::POST)
            .uri(&self.endpoint.path)
            .header(header::HOST, &self.endpoint.authority)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json")
            .header(header::CONNECTION, "close")
            .body(Full::new(body))
            .map_err(|_| RpcError::Request)?;
        let answer = async move {
            let response = sender.send_request(request).await.map_err(RpcError::Http)?;
            if response.status() != StatusCode::OK {
                return Err(RpcError::Status(response.status()));
            }
            match Limited::new(response.into_body(), MAX_RESPONSE_BYTES)
                .collect()
                .await
            {
                Ok(body) => Ok(body.to_bytes()),
                Err(error) if error.is::<LengthLimitError>() => Err(RpcError::TooLarge),
                Err(error) => Err(match error.downcast::<hyper::Error>() {
                    Ok(error) => RpcError::Http(*error),
                    Err(_) => RpcError::NotJsonRpc,
                }),
            }
        };

        // Driven here rather than in a task of its own, so that dropping the call drops the connection.
        let (mut answer, mut connection) = (pin!(answer), pin!(connection));
        tokio::select! {
            result = &mut answer => result,
            // The end of the connection reaches `answer` as data or as an error.
            _ = &mut connection => answer.await,
        }
    }
}

impl fmt::Debug for RpcClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RpcClient").field(&self.endpoint).finish()
    }
}

/// TLS 1.2 and 1.3 with the roots that browsers trust (`webpki-roots`).
pub fn public_web_tls() -> Arc<ClientConfig> {
    let roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has suites for both versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// Why one endpoint gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// No connection.
    #[error("connecting failed: {0}")]
    Dial(#[source] io::Error),
    /// The TLS handshake failed, for instance over the certificate.
    #[error("TLS failed: {0}")]
    Tls(#[source] io::Error),
    /// The endpoint's URL makes no request.
    #[error("the endpoint's URL does not make an HTTP request")]
    Request,
    /// The endpoint doesn't speak HTTP/1.1, or stopped in the middle.
    #[error("HTTP failed: {0}")]
    Http(#[source] hyper::Error),
    /// HTTP status other than 200.
    #[error("HTTP status {0}")]
    Status(StatusCode),
    /// The time was up.
    #[error("no complete answer within {limit:?}")]
    Timeout {
        /// The limit.
        limit: Duration,
    },
    /// More than [`MAX_RESPONSE_BYTES`].
    #[error("answer exceeds {MAX_RESPONSE_BYTES} bytes")]
    TooLarge,
    /// The body is no JSON-RPC 2.0 response: wrong JSON, wrong version, both or neither of result and error.
    #[error("answer is not a JSON-RPC 2.0 response")]
    NotJsonRpc,
    /// The response belongs to another request.
    #[error("answer has another id than the request")]
    WrongId,
    /// The node refused the call.
    #[error("node error {code}: {message}")]
    Node {
        /// JSON-RPC error code.
        code: i64,
        /// The node's words, cut to 200 printable characters. Untrusted text.
        message: String,
        /// What a reverting contract returned, at most 4 KiB.
        data: Option<Vec<u8>>,
    },
    /// The result isn't of the form that the method has.
    #[error("malformed result: {0}")]
    Malformed(&'static str),
    /// There is no contract at the address.
    #[error("no contract at this address")]
    NoContract,
}

impl RpcError {
    /// A stable code for output and metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Dial(_) => "rpc-dial",
            Self::Tls(_) => "rpc-tls",
            Self::Request => "rpc-request",
            Self::Http(_) => "rpc-http",
            Self::Status(_) => "rpc-status",
            Self::Timeout { .. } => "rpc-timeout",
            Self::TooLarge => "rpc-too-large",
            Self::NotJsonRpc => "rpc-not-json-rpc",
            Self::WrongId => "rpc-wrong-id",
            Self::Node { .. } => "rpc-node-error",
            Self::Malformed(_) => "rpc-malformed",
            Self::NoContract => "rpc-no-contract",
        }
    }
}

#[derive(Deserialize)]
struct Envelope<T> {
    jsonrpc: String,
    id: Option<u64>,
    // `null` is a result of some methods, so "absent" and "null" must stay apart.
    #[serde(
        default = "absent",
        deserialize_with = "present",
        bound = "T: DeserializeOwned"
    )]
    result: Option<T>,
    error: Option<NodeError>,
}

#[derive(Deserialize)]
struct NodeError {
    code: i64,
    message: String,
    data: Option<RevertData>,
}

/// `data` of an error: hex where a contract reverted, anything else elsewhere.
#[derive(Deserialize)]
#[serde(untagged)]
enum RevertData {
    Text(String),
    Other(IgnoredAny),
}

impl RevertData {
    fn bytes(&self) -> Option<Vec<u8>> {
        match self {
            Self::Text(text) if text.len() <= 2 + 2 * MAX_REVERT_BYTES => parse_data(text).ok(),
            Self::Text(_) | Self::Other(IgnoredAny) => None,
        }
    }
}

fn absent<T>() -> Option<T> {
    None
}

fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

fn parse<T: DeserializeOwned>(body: &[u8], id: u64) -> Result<T, RpcError> {
    // The envelope first, so that a wrong id isn't reported as a wrong result. `IgnoredAny` allocates nothing.
    let envelope: Envelope<IgnoredAny> = serde_json::from_slice(body).map_err(|_| RpcError::NotJsonRpc)?;
    if envelope.jsonrpc != "2.0" {
        return Err(RpcError::NotJsonRpc);
    }
    if envelope.id != Some(id) {
        return Err(RpcError::WrongId);
    }
    match (envelope.result, envelope.error) {
        (None, Some(error)) => {
            let message = printable(&error.message);
            return Err(RpcError::Node {
                code: error.code,
                message,
                data: error.data.and_then(|data| data.bytes()),
            });
        }
        (Some(_), None) => {}
        _ => return Err(RpcError::NotJsonRpc),
    }
    let envelope: Envelope<T> =
        serde_json::from_slice(body).map_err(|_| RpcError::Malformed("result has another type"))?;
    envelope.result.ok_or(RpcError::NotJsonRpc)
}

fn printable(text: &str) -> String {
    text.chars()
        .take(MAX_MESSAGE_CHARS)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code<T: DeserializeOwned + fmt::Debug>(body: &str) -> &'static str {
        parse::<T>(body.as_bytes(), 7).unwrap_err().code()
    }

    #[test]
    fn reads_results_and_null() {
        assert_eq!(
            parse::<String>(br#"{"jsonrpc":"2.0","id":7,"result":"0x1"}"#, 7).unwrap(),
            "0x1"
        );
        let null = br#"{"id":7,"jsonrpc":"2.0","result":null}"#;
        assert_eq!(parse::<Option<String>>(null, 7).unwrap(), None);
        // Some nodes write both members, one of them null.
        assert_eq!(
            parse::<u8>(br#"{"jsonrpc":"2.0","id":7,"result":1,"error":null}"#, 7).unwrap(),
            1
        );
    }

    #[test]
    fn refuses_broken_envelopes() {
        for (body, expected) in [
            ("", "rpc-not-json-rpc"),
            ("[]", "rpc-not-json-rpc"),
            (
                "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":\"0x1\"} x",
                "rpc-not-json-rpc",
            ),
            (r#"{"id":7,"result":"0x1"}"#, "rpc-not-json-rpc"),
            (r#"{"jsonrpc":"1.0","id":7,"result":"0x1"}"#, "rpc-not-json-rpc"),
            (r#"{"jsonrpc":"2.0","id":7}"#, "rpc-not-json-rpc"),
            (
                r#"{"jsonrpc":"2.0","id":7,"result":"0x1","result":"0x2"}"#,
                "rpc-not-json-rpc",
            ),
            (
                r#"{"jsonrpc":"2.0","id":7,"result":"0x1","error":{"code":1,"message":""}}"#,
                "rpc-not-json-rpc",
            ),
            (r#"{"jsonrpc":"2.0","id":"7","result":"0x1"}"#, "rpc-not-json-rpc"),
            (r#"{"jsonrpc":"2.0","id":8,"result":"0x1"}"#, "rpc-wrong-id"),
            (
                r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":""}}"#,
                "rpc-wrong-id",
            ),
            (r#"{"jsonrpc":"2.0","result":"0x1"}"#, "rpc-wrong-id"),
            (r#"{"jsonrpc":"2.0","id":7,"result":{"a":1}}"#, "rpc-malformed"),
            (r#"{"jsonrpc":"2.0","id":7,"result":null}"#, "rpc-malformed"),
            (
                r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32000,"message":"no"}}"#,
                "rpc-node-error",
            ),
        ] {
            assert_eq!(code::<String>(body), expected, "{body}");
        }
        let nested = format!(r#"{{"jsonrpc":"2.0","id":7,"result":{}"#, "[".repeat(100_000));
        assert_eq!(code::<String>(&nested), "rpc-not-json-rpc");
    }

    #[test]
    fn node_messages_are_cut_and_printable() {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":7,"error":{{"code":3,"message":"\u001b[2J{}"}}}}"#,
            "x".repeat(1000)
        );
        let RpcError::Node { message, .. } = parse::<String>(body.as_bytes(), 7).unwrap_err() else {
            panic!("another error")
        };
        assert_eq!(message.chars().count(), 200);
        assert!(!message.contains('\u{1b}'));
    }

    #[test]
    fn revert_data_is_kept_where_it_is_hex() {
        let long = format!("\"0x{}\"", "00".repeat(MAX_REVERT_BYTES + 1));
        for (data, expected) in [
            ("\"0x0102\"", Some(vec![1, 2])),
            ("\"x\"", None),
            ("{\"a\":[1]}", None),
            ("null", None),
            (&long, None),
        ] {
            let body =
                format!(r#"{{"jsonrpc":"2.0","id":7,"error":{{"code":3,"message":"","data":{data}}}}}"#);
            let Err(RpcError::Node { data, .. }) = parse::<String>(body.as_bytes(), 7) else {
                panic!("another outcome for {body}")
            };
            assert_eq!(data, expected);
        }
    }
}
