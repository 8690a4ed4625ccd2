//! One request to the engine, on a connection of its own.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, UPGRADE};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use jeju_shim_protocol::docker::{Emitted, answer};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::failure::Failure;

/// Longest head of an answer in bytes.
const MAX_HEAD: usize = 64 * 1024;
/// Longest failure in bytes that is read.
const MAX_FAILURE: usize = 64 * 1024;

/// An answer of the engine whose body has yet to come. Dropping it closes the connection, which ends a pull.
pub(super) struct Answer {
    pub(super) response: http::Response<Incoming>,
    driver: Driver,
}

/// The task that moves a connection's bytes.
pub(super) struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Sends a request and waits for the head of its answer, which has a status below 400.
///
/// `archive` is the body of a request that emits none. `upgrade` asks for the connection itself.
pub(super) async fn send(
    socket: &Path,
    emitted: Emitted,
    archive: Option<Bytes>,
    upgrade: bool,
    wait: Duration,
) -> Result<Answer, Failure> {
    let body = emitted.body.map(Bytes::from).or(archive).unwrap_or_default();
    let mut request = http::Request::builder()
        .method(emitted.method)
        .uri(emitted.target)
        .header(HOST, "docker");
    if let Some(content_type) = emitted.content_type {
        request = request.header(CONTENT_TYPE, content_type);
    }
    if upgrade {
        request = request.header(CONNECTION, "Upgrade").header(UPGRADE, "tcp");
    }
    let request = request.body(Full::new(body)).map_err(|_| Failure::malformed())?;
    timeout(wait, exchange(socket, request))
        .await
        .unwrap_or_else(|_| Err(Failure::timed_out()))
}

async fn exchange(socket: &Path, request: http::Request<Full<Bytes>>) -> Result<Answer, Failure> {
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|_| Failure::unreachable())?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| Failure::unreachable())?;
    let driver = Driver(tokio::spawn(async move {
        // How it ends shows in the answer.
        let _ = connection.with_upgrades().await;
    }));
    let response = sender
        .send_request(request)
        .await
        .map_err(|_| Failure::unreachable())?;
    let answer = Answer { response, driver };
    let status = answer.response.status();
    if status.is_client_error() || status.is_server_error() {
        let body = answer.read(MAX_FAILURE).await?;
        return Err(Failure::of_engine(status, &body));
    }
    Ok(answer)
}

impl Answer {
    /// The whole body, up to [`answer::MAX_ANSWER`].
    pub(super) async fn whole(self, wait: Duration) -> Result<Bytes, Failure> {
        timeout(wait, self.read(answer::MAX_ANSWER))
            .await
            .unwrap_or_else(|_| Err(Failure::timed_out()))
    }

    async fn read(self, limit: usize) -> Result<Bytes, Failure> {
        let Self { response, driver } = self;
        let read = Limited::new(response.into_body(), limit).collect().await;
        drop(driver);
        match read {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(Failure::malformed()),
            Err(_) => Err(Failure::unreachable()),
        }
    }

    /// The body as it comes, with what must live as long.
    pub(super) fn into_stream(self) -> (Incoming, Driver) {
        (self.response.into_body(), self.driver)
    }

    /// The connection itself, once the engine has given it up.
    pub(super) fn into_upgrade(self) -> (hyper::upgrade::OnUpgrade, Driver) {
        (hyper::upgrade::on(self.response), self.driver)
    }
}

#[cfg(test)]
mod tests {
    use jeju_shim_protocol::docker::Request;
    use tokio::io::AsyncWriteExt;
    use tokio::net::UnixListener;

    use super::*;

    /// Time stands still while anything can go on, so nothing here is timed.
    #[tokio::test(start_paused = true)]
    async fn a_silent_engine_is_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("engine.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let wait = Duration::from_secs(30);
        let ask = || send(&socket, Request::Info.emit(), None, false, wait);
        // It takes the connection and says nothing.
        let silent = tokio::spawn(async move {
            let first = listener.accept().await;
            let mut second = listener.accept().await.unwrap().0;
            let _ = second
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{")
                .await;
            std::future::pending::<()>().await;
            drop((first, second));
        });
        let failure = ask().await.err().unwrap();
        assert_eq!(failure.code(), "docker_timeout");
        // It begins an answer and never ends it.
        if let Ok(answer) = ask().await {
            let failure = answer.whole(wait).await.unwrap_err();
            assert_eq!(failure.code(), "docker_timeout");
        }
        silent.abort();
    }
}
