//! The chip's end of port 5006 (`docs/wire-formats.md` §6). The guest is the chip's user, not its friend: frames,
//! waits and connections are bounded.

use std::time::Duration;

use jeju_shim_protocol::ExchangeError;
use jeju_shim_protocol::silicon::{DerivedKey, SiliconAnswer, SiliconRequest, read_frame};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::chip::Chip;

/// Connections served at a time; further ones are closed at once.
pub const MAX_CONNECTIONS: usize = 32;

/// Error code for a frame that isn't a request.
const BAD_REQUEST: u16 = 1;
/// Longest wait for the next whole frame, and for the guest to take an answer.
const IDLE: Duration = Duration::from_secs(30);
/// Pause after a failed accept (no descriptors left), so that the loop doesn't spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers requests on `listener` until the future is dropped, which ends its connections too.
pub async fn serve(chip: Chip, listener: UnixListener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if connections.len() < MAX_CONNECTIONS => {
                    let chip = chip.clone();
                    connections.spawn(async move { serve_stream(&chip, stream).await });
                }
                Ok(_) => {}
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Answers the requests of one connection, in order, until it ends, idles for 30 seconds, or sends what isn't a
/// request; that last gets an error frame first.
///
/// # Errors
/// Why the connection ended other than by a clean close.
pub async fn serve_stream<S>(chip: &Chip, mut stream: S) -> Result<(), ExchangeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let request = match within(IDLE, read_frame(&mut stream)).await {
            Ok(None) => return Ok(()),
            Ok(Some(frame)) => SiliconRequest::parse(&frame).map_err(ExchangeError::from),
            Err(error) => Err(error),
        };
        let (answer, outcome) = match request {
            Ok(SiliconRequest::Describe) => (SiliconAnswer::HostData(chip.host_data()), Ok(())),
            Ok(SiliconRequest::Report(report_data)) => {
                (SiliconAnswer::Evidence(chip.report(report_data)), Ok(()))
            }
            Ok(SiliconRequest::SealingKey) => {
                (SiliconAnswer::DerivedKey(DerivedKey(*chip.sealing_key())), Ok(()))
            }
            Err(error @ ExchangeError::Parse(_)) => (SiliconAnswer::Error(BAD_REQUEST), Err(error)),
            Err(error) => return Err(error),
        };
        within(IDLE, async { Ok(stream.write_all(&answer.encode()).await?) }).await?;
        outcome?;
    }
}

async fn within<T>(
    limit: Duration,
    exchange: impl Future<Output = Result<T, ExchangeError>>,
) -> Result<T, ExchangeError> {
    match timeout(limit, exchange).await {
        Ok(outcome) => outcome,
        Err(_) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, DuplexStream, duplex};

    use super::*;
    use crate::Silicon;

    fn chip() -> Chip {
        let dir = tempfile::tempdir().unwrap();
        Silicon::open_or_create(dir.path())
            .unwrap()
            .chip([1; 32], [2; 32])
    }

    fn connect(chip: &Chip) -> (DuplexStream, tokio::task::JoinHandle<Result<(), ExchangeError>>) {
        let (guest, host) = duplex(4096);
        let chip = chip.clone();
        (
            guest,
            tokio::spawn(async move { serve_stream(&chip, host).await }),
        )
    }

    async fn answer(guest: &mut DuplexStream) -> SiliconAnswer {
        SiliconAnswer::parse(&read_frame(guest).await.unwrap().unwrap()).unwrap()
    }

    #[tokio::test]
    async fn requests_on_one_connection_are_answered_in_order() {
        let chip = chip();
        let (mut guest, served) = connect(&chip);
        let requests = [
            SiliconRequest::Report([7; 64]),
            SiliconRequest::Describe,
            SiliconRequest::Report([8; 64]),
        ];
        for request in requests {
            guest.write_all(&request.encode()).await.unwrap();
        }
        for request in requests {
            match (request, answer(&mut guest).await) {
                (SiliconRequest::Describe, SiliconAnswer::HostData(host_data)) => {
                    assert_eq!(host_data, [2; 32])
                }
                (SiliconRequest::Report(report_data), SiliconAnswer::Evidence(report)) => {
                    assert_eq!(report[70..134], report_data);
                }
                other => panic!("{other:?}"),
            }
        }
        drop(guest);
        assert!(served.await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn wrong_frames_get_an_error_and_end_the_connection() {
        let chip = chip();
        for frame in [
            &[0, 0, 0, 1, 9][..],                  // unknown kind
            &[0, 0, 0, 2, 1, 0],                   // describe with a body
            &[0, 0, 0, 3, 2, 0, 0],                // report with too little REPORT_DATA
            &[0, 0, 0, 0],                         // empty frame
            &[0xff, 0xff, 0xff, 0xff],             // a length to exhaust memory with
            &SiliconAnswer::Error(3).encode()[..], // an answer isn't a request
        ] {
            let (mut guest, served) = connect(&chip);
            guest.write_all(frame).await.unwrap();
            assert_eq!(
                answer(&mut guest).await,
                SiliconAnswer::Error(BAD_REQUEST),
                "{frame:?}"
            );
            assert_eq!(guest.read(&mut [0]).await.unwrap(), 0, "closed after {frame:?}");
            assert!(matches!(served.await.unwrap(), Err(ExchangeError::Parse(_))));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn idle_and_half_sent_connections_are_closed() {
        let chip = chip();
        for sent in [&[][..], &[0, 0], &[0, 0, 0, 65, 2, 1, 1]] {
            let (mut guest, served) = connect(&chip);
            guest.write_all(sent).await.unwrap();
            let started = tokio::time::Instant::now();
            assert_eq!(guest.read(&mut [0]).await.unwrap(), 0);
            assert_eq!(started.elapsed().as_secs(), IDLE.as_secs());
            assert!(matches!(served.await.unwrap(), Err(ExchangeError::Io(_))));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_guest_that_takes_no_answers_is_cut_off() {
        let chip = chip();
        let (mut guest, host) = duplex(256);
        let served = tokio::spawn(async move { serve_stream(&chip, host).await });
        for _ in 0..4 {
            let _ = timeout(
                Duration::from_secs(1),
                guest.write_all(&SiliconRequest::Report([7; 64]).encode()),
            )
            .await;
        }
        assert!(matches!(served.await.unwrap(), Err(ExchangeError::Io(_))));
    }
}
