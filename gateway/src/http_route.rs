//! HTTP routes: for networks that let nothing out but HTTP. `CONNECT <route id>.<domain>:22` (RFC 9110 §9.3.6) leads to the
//! rental's SSH server, as the other kinds of routes do.
//!
//! A rental publishes nothing but that server. What listens for HTTP in its container is reached through SSH (`ssh -L`), by who
//! has the renter's key; a gateway has no key, and would see what it carried. Requests other than CONNECT are told so.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::passthrough::{Admission, Counters, Drain, Limits, Said, accept, carry};
use crate::routes::{RouteError, RouteId, RouteKind, Routes, Session};
use crate::ssh::{Target, Targets, said, within};

/// Longest request head, in bytes.
const HEAD_LEN: usize = 16 * 1024;
/// How long the client may take for the bytes of an answer.
const HANDOVER: Duration = Duration::from_secs(30);

/// A listener, and its connections.
pub struct HttpRoutes {
    /// In lower case.
    domain: String,
    routes: Arc<Routes>,
    targets: Arc<Targets>,
    limits: Limits,
    counters: Arc<Counters>,
}

/// A connection that was answered with 200.
struct Joined {
    client: OnUpgrade,
    target: Target,
    session: Session,
}

impl HttpRoutes {
    /// Of these routes, below `domain`.
    pub fn new(domain: String, routes: Arc<Routes>, targets: Arc<Targets>, limits: Limits) -> Self {
        Self {
            domain,
            routes,
            targets,
            limits,
            counters: Arc::default(),
        }
    }

    /// What was counted so far.
    pub fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }

    /// Accepts until `drain` asks for an end, and then waits for the connections that there are.
    pub async fn serve(self, listener: TcpListener, admission: Admission, drain: Drain) {
        let this = Arc::new(self);
        let counters = this.counters();
        accept(listener, admission, counters, drain, |client| {
            let this = this.clone();
            async move { this.connection(client).await }
        })
        .await;
    }

    async fn connection(self: Arc<Self>, client: TcpStream) {
        let (join, mut joined) = mpsc::channel(1);
        let this = self.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let (this, join) = (this.clone(), join.clone());
            async move { Ok::<_, Infallible>(this.respond(request, &join).await) }
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(self.limits.hello)
            .max_buf_size(HEAD_LEN);
        let served = http
            .serve_connection(TokioIo::new(client), service)
            .with_upgrades()
            .await;
        let Some(Joined {
            client,
            mut target,
            session,
        }) = joined.recv().await
        else {
            return;
        };
        let upgraded = match (served, tokio::time::timeout(HANDOVER, client).await) {
            (Ok(()), Ok(Ok(upgraded))) => upgraded.downcast::<TokioIo<TcpStream>>().ok(),
            _ => None,
        };
        let Some(parts) = upgraded else {
            self.counters.broken.fetch_add(1, Relaxed);
            return;
        };
        let said = Said {
            client: parts.read_buf.to_vec(),
            target: target.version,
        };
        let mut client = parts.io.into_inner();
        within(
            &session,
            carry(
                &mut client,
                &mut target.stream,
                said,
                &self.counters,
                self.limits.idle,
            ),
        )
        .await;
    }

    async fn respond(
        &self,
        mut request: Request<Incoming>,
        join: &mpsc::Sender<Joined>,
    ) -> Response<Full<Bytes>> {
        if *request.method() != Method::CONNECT {
            self.counters.no_hello.fetch_add(1, Relaxed);
            return error(
                StatusCode::NOT_IMPLEMENTED,
                "route_connect_only",
                "A rental publishes its SSH server alone, and CONNECT leads there. Reach its web server through it: \
                 ssh -L 8080:localhost:80.",
            );
        }
        let host = request
            .uri()
            .authority()
            .map(|authority| authority.host().to_ascii_lowercase());
        let session = match self.open(host.as_deref().unwrap_or_default()) {
            Ok(session) => session,
            Err(found) => {
                self.counters.unknown.fetch_add(1, Relaxed);
                let status = match found {
                    RouteError::Expired => StatusCode::GONE,
                    RouteError::TooManySessions => StatusCode::TOO_MANY_REQUESTS,
                    _ => StatusCode::NOT_FOUND,
                };
                return error(status, found.code(), &found.to_string());
            }
        };
        let Some(target) = self.targets.reach(&session).await else {
            self.counters.unreachable.fetch_add(1, Relaxed);
            return error(
                StatusCode::BAD_GATEWAY,
                "route_unreachable",
                "Rental not reachable",
            );
        };
        let joined = Joined {
            client: hyper::upgrade::on(&mut request),
            target,
            session,
        };
        match join.try_send(joined) {
            Ok(()) => Response::new(Full::default()),
            Err(_) => error(
                StatusCode::BAD_REQUEST,
                "route_busy",
                "This connection has its rental already.",
            ),
        }
    }

    /// By `<id>.<domain>`, or the id alone.
    fn open(&self, host: &str) -> Result<Session, RouteError> {
        let below = |host: &str| Some(host.strip_suffix(&self.domain)?.strip_suffix('.')?.to_owned());
        let id: RouteId = below(host).unwrap_or_else(|| host.to_owned()).parse()?;
        self.routes.open(&id, RouteKind::Http).map_err(said)
    }
}

fn error(status: StatusCode, code: &str, message: &str) -> Response<Full<Bytes>> {
    let body = json!({ "error": message, "code": code }).to_string();
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
