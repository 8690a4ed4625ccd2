//! What workers fetch, directly from this machine: to everywhere, this machine too, since it is the user's own code.
//! How redirections are followed is as in the enclave.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION, CONTENT_TYPE, COOKIE, HOST, LOCATION,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use jeju_worker_broker::{Body, BoxFuture, CallContext, Outbound};
use jeju_worker_protocol::{Failure, FetchRequest, FetchResponse, Redirect, code};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use url::{Host, Url};

const CONNECT: Duration = Duration::from_secs(15);
const HEAD: Duration = Duration::from_secs(300);
/// Most redirections of one fetch.
const REDIRECTIONS: u32 = 20;
/// Longest body that is known before it is sent, in bytes: it has a `Content-Length`, and can be sent again.
const GATHERED: usize = 256 * 1024;
/// How long a body may take to be known.
const GATHERING: Duration = Duration::from_millis(100);
/// Pieces of a body that wait for the worker.
const PIECES: usize = 4;

type Sent = UnsyncBoxBody<Bytes, std::io::Error>;

/// A connection that can be spoken HTTP on.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Carries out fetches without asking anybody.
pub(super) struct Direct {
    tls: Arc<ClientConfig>,
}

impl Direct {
    pub(super) fn new() -> Self {
        Self {
            tls: jeju_chain::public_web_tls(),
        }
    }
}

impl Outbound for Direct {
    fn fetch(
        &self,
        _context: Arc<CallContext>,
        request: FetchRequest,
        body: Option<Body>,
    ) -> BoxFuture<'static, Result<(FetchResponse, Body), Failure>> {
        Box::pin(fetch(self.tls.clone(), request, body))
    }
}

/// A request that is sent, and perhaps sent again elsewhere.
struct Message {
    method: Method,
    url: Url,
    headers: HeaderMap,
    payload: Payload,
}

/// What a request carries.
enum Payload {
    None,
    /// All of it, which can be sent again.
    Whole(Bytes),
    /// What came already, and what is to come.
    Stream(Bytes, Body),
    /// It was a stream, and is gone.
    Gone,
}

impl Payload {
    /// Waits shortly for the whole body.
    async fn gather(body: Option<Body>) -> Result<Self, Failure> {
        let Some(mut body) = body else {
            return Ok(Payload::None);
        };
        let until = Instant::now() + GATHERING;
        let mut first = Vec::new();
        while first.len() <= GATHERED {
            match timeout_at(until, body.recv()).await {
                Ok(Some(piece)) => first.extend_from_slice(&piece?),
                Ok(None) => return Ok(Payload::Whole(first.into())),
                Err(_) => break,
            }
        }
        Ok(Payload::Stream(first.into(), body))
    }

    /// Takes it out, as far as it isn't there for another time.
    fn take(&mut self) -> Self {
        match self {
            Payload::None => Payload::None,
            Payload::Whole(bytes) => Payload::Whole(bytes.clone()),
            Payload::Stream(..) | Payload::Gone => std::mem::replace(self, Payload::Gone),
        }
    }

    /// As it is sent.
    fn sent(self) -> Sent {
        match self {
            Payload::None | Payload::Gone => Empty::new().map_err(|never| match never {}).boxed_unsync(),
            Payload::Whole(bytes) => Full::new(bytes).map_err(|never| match never {}).boxed_unsync(),
            Payload::Stream(first, rest) => {
                let next = |(first, mut rest): (Option<Bytes>, Body)| async move {
                    let piece = match first {
                        Some(first) => Ok(first),
                        None => rest.recv().await?.map(Bytes::from),
                    };
                    let piece = piece.map_err(|failure| std::io::Error::other(failure.message));
                    Some((piece.map(Frame::data), (None, rest)))
                };
                let first = Some(first).filter(|first| !first.is_empty());
                StreamBody::new(stream::unfold((first, rest), next)).boxed_unsync()
            }
        }
    }
}

async fn fetch(
    tls: Arc<ClientConfig>,
    request: FetchRequest,
    body: Option<Body>,
) -> Result<(FetchResponse, Body), Failure> {
    let mut message = Message {
        method: request.method.parse().map_err(|_| invalid("the method"))?,
        url: request.url.parse().map_err(|_| invalid("the URL"))?,
        headers: fields(&request.headers)?,
        payload: Payload::gather(body).await?,
    };
    for followed in 0.. {
        let response = message.send(tls.clone()).await?;
        if let Some(url) = message.elsewhere(request.redirect, followed, &response)? {
            message.url = url;
            continue;
        }
        let head = FetchResponse {
            status: response.status().as_u16(),
            status_text: String::new(),
            headers: response
                .headers()
                .iter()
                .map(|(name, value)| (name.to_string(), latin1(value.as_bytes())))
                .collect(),
            url: message.url.to_string(),
            redirected: followed > 0,
        };
        return Ok((head, pass(response.into_body())));
    }
    Err(failed("there are too many redirections"))
}

impl Message {
    async fn send(&mut self, tls: Arc<ClientConfig>) -> Result<Response<Incoming>, Failure> {
        let stream = timeout(CONNECT, connect(&self.url, tls)).await;
        let stream = stream.map_err(|_| failed("the connection takes too long"))??;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| failed(&error.to_string()))?;
        // Ends with the answer, or with whoever doesn't want it any more.
        tokio::spawn(connection);
        let request = self.request()?;
        let response = timeout(HEAD, sender.send_request(request)).await;
        response
            .map_err(|_| failed("the answer takes too long"))?
            .map_err(|error| failed(&error.to_string()))
    }

    fn request(&mut self) -> Result<Request<Sent>, Failure> {
        let path = &self.url[url::Position::BeforePath..url::Position::AfterQuery];
        let host = &self.url[url::Position::BeforeHost..url::Position::AfterPort];
        let body = self.payload.take();
        let mut request = Request::new(body.sent());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = path.parse().map_err(|_| invalid("the URL"))?;
        request.headers_mut().clone_from(&self.headers);
        let host = HeaderValue::try_from(host).map_err(|_| invalid("the URL"))?;
        request.headers_mut().insert(HOST, host);
        Ok(request)
    }

    /// Where a redirection leads, and what becomes of the message on the way.
    fn elsewhere(
        &mut self,
        mode: Redirect,
        followed: u32,
        response: &Response<Incoming>,
    ) -> Result<Option<Url>, Failure> {
        let status = response.status();
        let location = response.headers().get(LOCATION);
        let (301 | 302 | 303 | 307 | 308, Some(location)) = (status.as_u16(), location) else {
            return Ok(None);
        };
        match mode {
            Redirect::Manual => return Ok(None),
            Redirect::Error => {
                return Err(failed(
                    "the answer is a redirection, which the request doesn't follow",
                ));
            }
            Redirect::Follow if followed == REDIRECTIONS => {
                return Err(failed("there are too many redirections"));
            }
            Redirect::Follow => {}
        }
        let location = std::str::from_utf8(location.as_bytes()).ok();
        let to = location.and_then(|location| self.url.join(location).ok());
        let to = to.filter(|url| matches!(url.scheme(), "http" | "https"));
        let to = to.ok_or_else(|| failed("a redirection leads to no URL"))?;
        let to_get = match status {
            StatusCode::SEE_OTHER => !matches!(self.method, Method::GET | Method::HEAD),
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => self.method == Method::POST,
            _ => false,
        };
        if to_get {
            self.method = Method::GET;
            self.payload = Payload::None;
            for name in [CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION, CONTENT_TYPE] {
                self.headers.remove(name);
            }
        }
        if matches!(self.payload, Payload::Gone) {
            return Err(failed(
                "a redirection asks for a body again, which was sent as a stream",
            ));
        }
        if to.origin() != self.url.origin() {
            self.headers.remove(AUTHORIZATION);
            self.headers.remove(COOKIE);
        }
        Ok(Some(to))
    }
}

async fn connect(url: &Url, tls: Arc<ClientConfig>) -> Result<Box<dyn Stream>, Failure> {
    let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
        return Err(invalid("the URL"));
    };
    let refused = |error: std::io::Error| failed(&format!("{host}: {error}"));
    let stream = match &host {
        Host::Domain(name) => TcpStream::connect((*name, port)).await,
        Host::Ipv4(address) => TcpStream::connect((*address, port)).await,
        Host::Ipv6(address) => TcpStream::connect((*address, port)).await,
    };
    let stream = stream.map_err(refused)?;
    stream.set_nodelay(true).map_err(refused)?;
    if url.scheme() == "http" {
        return Ok(Box::new(stream));
    }
    let name = match &host {
        Host::Domain(name) => ServerName::try_from((*name).to_owned()).map_err(|_| invalid("the URL"))?,
        Host::Ipv4(address) => ServerName::IpAddress((*address).into()),
        Host::Ipv6(address) => ServerName::IpAddress((*address).into()),
    };
    let stream = TlsConnector::from(tls)
        .connect(name, stream)
        .await
        .map_err(refused)?;
    Ok(Box::new(stream))
}

/// Passes an answer's body on, as fast as it is read.
fn pass(mut body: Incoming) -> Body {
    let (sender, receiver) = mpsc::channel(PIECES);
    tokio::spawn(async move {
        while let Some(frame) = body.frame().await {
            let piece = match frame.map(Frame::into_data) {
                Ok(Ok(data)) if data.is_empty() => continue,
                Ok(Ok(data)) => Ok(data.to_vec()),
                // Trailers.
                Ok(Err(_)) => continue,
                Err(error) => Err(failed(&error.to_string())),
            };
            let is_last = piece.is_err();
            if sender.send(piece).await.is_err() || is_last {
                return;
            }
        }
    });
    receiver
}

fn fields(headers: &[(String, String)]) -> Result<HeaderMap, Failure> {
    let mut fields = HeaderMap::new();
    for (name, value) in headers {
        let name: HeaderName = name.parse().map_err(|_| invalid("a header field"))?;
        let value: Vec<u8> = value.chars().map(|c| c as u8).collect();
        let value = HeaderValue::from_bytes(&value).map_err(|_| invalid("a header field"))?;
        if !matches!(
            name.as_str(),
            "host" | "content-length" | "connection" | "transfer-encoding" | "upgrade"
        ) {
            fields.append(name, value);
        }
    }
    Ok(fields)
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

fn failed(words: &str) -> Failure {
    Failure::new(code::FETCH_FAILED, words)
}

fn invalid(what: &str) -> Failure {
    Failure::new(code::FETCH_INVALID, format!("{what} is none"))
}
