//! HTTP routes, by the host name `<route id>.<domain>`. One with a port leads to the web server on that port of the rental's
//! container: requests are read and written anew, and their bodies streamed. One without leads to the rental's SSH server, for
//! networks that let nothing out but HTTP: `CONNECT <route id>.<domain>:22` (RFC 9110 §9.3.6).
//!
//! | module | what it does |
//! |---|---|
//! | `connect` | CONNECT |
//! | `forward` | requests to containers |
//! | `headers` | which headers go on, and what is put beside them |
//! | `body` | bodies on their way |
//! | `refusal` | answers of the gateway's own |

mod body;
mod connect;
mod forward;
mod headers;
mod refusal;

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use crate::inside::{Inside, carry};
use crate::passthrough::{Admission, Counters, Drain, Limits, accept};
use crate::routes::{RouteError, RouteId, RouteKind, Routes, Session};
use crate::ssh::{Targets, said, within};

use body::Body;
use connect::Connected;
use forward::{Asker, Upgraded};
use refusal::Refusal;

/// Longest request head, in bytes.
const HEAD_LEN: usize = 16 * 1024;
/// How long the client may take for the bytes of an answer.
const HANDOVER: Duration = Duration::from_secs(30);

/// How requests reach the listener, and how long containers may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Front {
    /// Domain below which a route's id is a host name, in lower case.
    pub domain: String,
    /// Whether a web server in front writes `X-Forwarded-For` and `-Proto`, which then go on.
    pub forwarded: bool,
    /// Time for the head of a container's answer, from the last byte of the request on.
    pub answer: Duration,
}

/// A listener, and its connections.
pub struct HttpRoutes {
    front: Front,
    routes: Arc<Routes>,
    targets: Arc<Targets>,
    inside: Arc<Inside>,
    limits: Limits,
    counters: Arc<Counters>,
}

/// A connection that is no longer HTTP.
enum Joined {
    /// With a rental's SSH server.
    Ssh(OnUpgrade, Connected),
    /// With what listens in a container, in a protocol of theirs.
    Container(OnUpgrade, Upgraded),
}

/// A client's connection, as requests on it see it.
#[derive(Clone)]
struct Way {
    peer: IpAddr,
    join: mpsc::Sender<Joined>,
    cut: Arc<Notify>,
}

impl Way {
    fn join(&self, joined: Joined) -> Result<(), Refusal> {
        self.join.try_send(joined).map_err(|_| Refusal::HasRental)
    }
}

impl HttpRoutes {
    /// Of these routes.
    pub fn new(
        front: Front,
        routes: Arc<Routes>,
        targets: Arc<Targets>,
        inside: Arc<Inside>,
        limits: Limits,
    ) -> Self {
        Self {
            front,
            routes,
            targets,
            inside,
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
        let Ok(peer) = client.peer_addr() else {
            return;
        };
        let (join, mut joined) = mpsc::channel(1);
        let end = Arc::new(Notify::new());
        let way = Way {
            peer: peer.ip(),
            join,
            cut: end.clone(),
        };
        let this = self.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let (this, way) = (this.clone(), way.clone());
            async move { Ok::<_, Infallible>(this.respond(request, &way).await) }
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(self.limits.hello)
            .max_buf_size(HEAD_LEN);
        let serving = http
            .serve_connection(TokioIo::new(client), service)
            .with_upgrades();
        let served = tokio::select! {
            served = serving => served,
            () = end.notified() => return,
        };
        let Some(joined) = joined.recv().await else {
            return;
        };
        let (client, joined) = match joined {
            Joined::Ssh(client, ssh) => (client, Ok(ssh)),
            Joined::Container(client, container) => (client, Err(container)),
        };
        let (Ok(()), Ok(Ok(client))) = (served, timeout(HANDOVER, client).await) else {
            self.counters.broken.fetch_add(1, Relaxed);
            return;
        };
        match joined {
            Ok(ssh) => ssh.carry(client, &self.counters, self.limits.idle).await,
            Err(Upgraded {
                container,
                session,
                tally,
                _task,
            }) => {
                let Ok(Ok(container)) = timeout(HANDOVER, container).await else {
                    self.counters.broken.fetch_add(1, Relaxed);
                    return;
                };
                let (client, container) = (TokioIo::new(client), TokioIo::new(container));
                within(&session, carry(client, container, &tally, self.limits.idle)).await;
            }
        }
    }

    async fn respond(&self, request: Request<Incoming>, way: &Way) -> Response<Body> {
        let answered = match *request.method() == Method::CONNECT {
            true => self.connect(request, way).await,
            false => self.request(request, way).await,
        };
        answered.unwrap_or_else(|refusal| {
            refusal.count(&self.counters);
            refusal.answer()
        })
    }

    async fn connect(&self, mut request: Request<Incoming>, way: &Way) -> Result<Response<Body>, Refusal> {
        let host = request.uri().authority().map(|authority| authority.host());
        let host = host.unwrap_or_default().to_ascii_lowercase();
        // The id alone is as good.
        let id = self.label(&host).unwrap_or(&host);
        let session = self.open(id)?;
        if session.route().grant().is_some() {
            return Err(Refusal::HasPort);
        }
        let target = self.targets.reach(&session).await.ok_or(Refusal::Unreachable)?;
        let client = hyper::upgrade::on(&mut request);
        let joined = Joined::Ssh(client, Connected { target, session });
        way.join(joined)?;
        Ok(Response::new(body::empty()))
    }

    async fn request(&self, request: Request<Incoming>, way: &Way) -> Result<Response<Body>, Refusal> {
        let authority = headers::authority(&request)?;
        let host = authority.host().to_ascii_lowercase();
        let id = self.label(&host).ok_or(Refusal::Route(RouteError::NotFound))?;
        let session = Arc::new(self.open(id)?);
        if session.route().grant().is_none() {
            return Err(Refusal::ConnectOnly);
        }
        let asker = Asker {
            authority,
            peer: way.peer,
            front: &self.front,
            cut: way.cut.clone(),
            idle: self.limits.idle,
        };
        let (response, upgraded) =
            forward::forward(request, asker, &self.inside, session, self.counters.clone()).await?;
        if let Some((client, upgraded)) = upgraded {
            let joined = Joined::Container(client, upgraded);
            way.join(joined)?;
        }
        Ok(response)
    }

    /// What stands before the domain.
    fn label<'a>(&self, host: &'a str) -> Option<&'a str> {
        host.strip_suffix(&self.front.domain)?.strip_suffix('.')
    }

    fn open(&self, id: &str) -> Result<Session, Refusal> {
        let id: RouteId = id.parse().map_err(Refusal::Route)?;
        let opened = self.routes.open(&id, RouteKind::Http);
        opened.map_err(|error| Refusal::Route(said(error)))
    }
}
