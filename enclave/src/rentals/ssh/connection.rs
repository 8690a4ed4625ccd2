//! One connection, from its first byte to its last.

use std::sync::Arc;
use std::time::Duration;

use russh::Disconnect;
use russh::server::{Config, run_stream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::config::LOGIN_TIME;
use super::cut::CutOnDrop;
use super::handler::Requests;
use super::places::Place;
use super::wire::Wire;
use crate::rentals::lease::{End, Session};

/// Time for the last words to a client whose rental or certificate has ended.
const FAREWELL: Duration = Duration::from_millis(500);

/// Serves a connection until either end has enough. Whatever ends it is the client's or the host's doing, or the end of the
/// rental or the certificate.
pub(super) async fn serve<S>(
    stream: S,
    config: Arc<Config>,
    requests: impl FnOnce(Login) -> Requests,
    mut place: Place,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    // russh runs a connection in a task of its own, which outlives this one by no more than what the cut takes.
    let _cut = CutOnDrop(place.cut().clone());
    let wire = Wire::new(stream, place.cut().clone());
    let (login, logged_in) = oneshot::channel();
    let deadline = passes(LOGIN_TIME);
    tokio::pin!(deadline);

    let greeted = tokio::select! {
        greeted = run_stream(config, wire, requests(login)) => greeted,
        () = &mut deadline => return,
    };
    let Ok(mut running) = greeted else { return };
    let handle = running.handle();
    let mut session = tokio::select! {
        Ok(session) = logged_in => session,
        _ = &mut running => return,
        () = deadline => return,
    };
    place.settle();
    let end = tokio::select! {
        _ = &mut running => return,
        end = session.ended() => end,
    };
    let farewell = async {
        let why = match end {
            End::Lease => "rental ended",
            End::Certificate => "certificate ended",
        };
        let told = handle
            .disconnect(Disconnect::ByApplication, why.to_owned(), String::new())
            .await;
        if told.is_ok() {
            let _ = running.await;
        }
    };
    // A client that doesn't read doesn't stay for it.
    tokio::select! {
        () = farewell => {}
        () = passes(FAREWELL) => {}
    }
}

/// Ends when a client has had so much time. Of one in which the machine stood still no more than a tenth counts: the client's
/// part is behind it.
async fn passes(time: Duration) {
    for _ in 0..10 {
        sleep(time / 10).await;
    }
}

/// Gets the user's session.
pub(super) type Login = oneshot::Sender<Session>;
