//! A request to the web server in a container, and its answer. Both are parsed whole and written anew, each on a connection of
//! its own into the container: nobody can put a second request inside a first.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::uri::{Authority, PathAndQuery};
use http::{Request, Response, StatusCode, Uri, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::Front;
use super::body::{self, Aborted, Body, Passing, Way};
use super::headers;
use super::refusal::Refusal;
use crate::inside::{Inside, InsideError, Tally};
use crate::passthrough::Counters;
use crate::routes::Session;

/// Longest head of an answer, in bytes.
const HEAD_LEN: usize = 64 * 1024;

/// Who asks, and for what.
pub(super) struct Asker<'a> {
    pub(super) authority: Authority,
    pub(super) peer: IpAddr,
    pub(super) front: &'a Front,
    /// Ends the client's connection.
    pub(super) cut: Arc<Notify>,
    /// Time without a byte either way, after which that is done.
    pub(super) idle: Duration,
}

/// A container's end of a connection that is no longer HTTP.
pub(super) struct Upgraded {
    pub(super) container: OnUpgrade,
    pub(super) session: Arc<Session>,
    pub(super) tally: Arc<Tally>,
    pub(super) _task: Aborted,
}

/// Sends a request on. Its answer's body follows as it comes; with an upgrade, both ends of the connection.
pub(super) async fn forward(
    mut request: Request<Incoming>,
    asker: Asker<'_>,
    inside: &Arc<Inside>,
    session: Arc<Session>,
    counters: Arc<Counters>,
) -> Result<(Response<Body>, Option<(OnUpgrade, Upgraded)>), Refusal> {
    let answer_time = asker.front.answer;
    let upgrade = headers::upgrade(&request);
    headers::of_request(request.headers_mut(), &asker, upgrade.clone())?;
    *request.version_mut() = Version::HTTP_11;
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    let client = upgrade.is_some().then(|| hyper::upgrade::on(&mut request));

    let tally = Arc::new(Tally::new(counters));
    let (in_tally, out_tally) = (tally.clone(), tally.clone());
    let request = request.map(|body| Passing::new(body, in_tally, Way::In, Vec::new()));
    let answering = async {
        let channel = inside.open(&session).await?;
        let http = http1::Builder::new()
            .max_buf_size(HEAD_LEN)
            .handshake(TokioIo::new(channel));
        let (mut sender, connection) = http.await.map_err(|_| InsideError::Unreachable)?;
        let connection = connection.with_upgrades();
        let task = Aborted(tokio::spawn(async move { drop(connection.await) }));
        let answer = in_time(sender.send_request(request), &tally, answer_time).await?;
        Ok::<_, InsideError>((answer.map_err(|_| InsideError::NoAnswer)?, task))
    };
    let (mut answer, task) = tokio::select! {
        answered = answering => answered?,
        () = session.over() => return Err(InsideError::Over.into()),
    };
    *answer.version_mut() = Version::HTTP_11;
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        let client = client.ok_or(InsideError::NoAnswer)?;
        let protocol = answer.headers().get(http::header::UPGRADE).cloned();
        let container = hyper::upgrade::on(&mut answer);
        let (mut head, _) = answer.into_parts();
        headers::of_response(&mut head.headers);
        headers::for_connection(&mut head.headers, Some(protocol.ok_or(InsideError::NoAnswer)?));
        let upgraded = Upgraded {
            container,
            session,
            tally: out_tally,
            _task: task,
        };
        let response = Response::from_parts(head, body::empty());
        return Ok((response, Some((client, upgraded))));
    }
    headers::of_response(answer.headers_mut());
    // The body is not asked while its client reads nothing: what ends it stands beside.
    let (watched, cut, idle) = (out_tally.clone(), asker.cut, asker.idle);
    let watch = tokio::spawn(async move {
        tokio::select! {
            () = session.over() => {}
            () = watched.silence(idle) => {}
        }
        cut.notify_one();
        // The session lasts as long as its answer.
        std::future::pending::<()>().await;
    });
    let beside = vec![Aborted(watch), task];
    let response = answer.map(|body| Passing::new(body, out_tally, Way::Out, beside).boxed_unsync());
    Ok((response, None))
}

/// Waits for an answer's head, as long as `time` after the request's last byte.
async fn in_time<T>(
    answer: impl Future<Output = T>,
    tally: &Tally,
    time: Duration,
) -> Result<T, InsideError> {
    let mut answer = std::pin::pin!(answer);
    let mut before = tally.sum();
    loop {
        if let Ok(answered) = timeout(time, answer.as_mut()).await {
            return Ok(answered);
        }
        let now = tally.sum();
        if now == before {
            return Err(InsideError::TimedOut);
        }
        before = now;
    }
}
