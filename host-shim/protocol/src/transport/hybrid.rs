//! The Unix side of a vhost-user vsock device ("hybrid vsock", after Firecracker's `docs/vsock.md`).

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::{Stream, unix};
use crate::{ParseError, Port, line};

/// `OK `, ten digits of a u32, `\n`.
const MAX_ANSWER: usize = 14;
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// `<socket>_<port>`.
pub(super) fn port_path(socket: &Path, port: Port) -> PathBuf {
    let mut path = OsString::from(socket);
    path.push(format!("_{port}"));
    path.into()
}

pub(super) async fn dial(socket: &Path, port: Port) -> io::Result<Stream> {
    let stream = unix::dial(socket).await?;
    // In a task of its own, because a caller that gives up must not close the socket before the answer:
    // vhost-device-vsock 0.3.0 panics when it can't write it (`vsock_conn.rs`, `write_all(…).unwrap()`).
    tokio::spawn(handshake(stream, port))
        .await
        .map_err(io::Error::other)?
}

async fn handshake(mut stream: Stream, port: Port) -> io::Result<Stream> {
    stream.write_all(format!("CONNECT {port}\n").as_bytes()).await?;
    let answer = timeout(ANSWER_TIME, read_answer(&mut stream)).await;
    let answer =
        answer.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "vsock device gave no answer"))??;
    parse_answer(&answer).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(stream)
}

/// One line, and not a byte more: the guest's first bytes may follow at once.
async fn read_answer(stream: &mut Stream) -> io::Result<Vec<u8>> {
    let mut answer = Vec::with_capacity(MAX_ANSWER);
    while answer.len() < MAX_ANSWER && answer.last() != Some(&b'\n') {
        match stream.read_u8().await {
            Ok(byte) => answer.push(byte),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(io::Error::new(
                    io::ErrorKind::ConnectionRefused,
                    "nothing listens in the guest",
                ));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(answer)
}

/// Parses `OK n\n`, where `n` is the port that the device chose on the host's side.
fn parse_answer(answer: &[u8]) -> Result<u32, ParseError> {
    let number = line::text(answer)?
        .strip_prefix("OK ")
        .ok_or(ParseError::UnknownVerb)?;
    line::decimal(number)?
        .try_into()
        .map_err(|_| ParseError::BadNumber)
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;
    use crate::transport::HostTransport;

    #[test]
    fn answers_have_one_form() {
        assert_eq!(parse_answer(b"OK 1073741824\n"), Ok(1_073_741_824));
        assert_eq!(parse_answer(b"OK 4294967295\n"), Ok(u32::MAX));
        for bad in [
            "",
            "OK\n",
            "OK 1",
            "OK 01\n",
            "OK 4294967296\n",
            "OK 1 \n",
            "ok 1\n",
            "ERR\n",
            "OK -1\n",
        ] {
            assert!(parse_answer(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    /// What a dialler sees of a device that sends `answer` and then closes, and what the device saw.
    async fn dial_device(answer: &'static [u8]) -> (io::Result<Vec<u8>>, Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("v.sock");
        let device = UnixListener::bind(&path).unwrap();
        let device = tokio::spawn(async move {
            let (mut stream, _) = device.accept().await.unwrap();
            let mut request = vec![0; b"CONNECT 4007\n".len()];
            stream.read_exact(&mut request).await.unwrap();
            stream.write_all(answer).await.unwrap();
            request
        });
        let seen = match HostTransport::VhostUser(path).dial(Port::Node).await {
            Ok(mut stream) => {
                let mut rest = Vec::new();
                stream.read_to_end(&mut rest).await.map(|_| rest)
            }
            Err(error) => Err(error),
        };
        (seen, device.await.unwrap())
    }

    #[tokio::test]
    async fn the_handshake_leaves_the_guests_first_bytes() {
        let (seen, request) = dial_device(b"OK 1024\nSSH-2.0-x").await;
        assert_eq!(seen.unwrap(), b"SSH-2.0-x");
        assert_eq!(request, b"CONNECT 4007\n");
    }

    #[tokio::test]
    async fn wrong_answers_are_refused() {
        for (answer, kind) in [
            (&b""[..], io::ErrorKind::ConnectionRefused),
            (b"OK 10", io::ErrorKind::ConnectionRefused),
            (b"NO\n", io::ErrorKind::InvalidData),
            (b"OK x\n", io::ErrorKind::InvalidData),
            (
                b"OK 11111111111111111111111111111111\n",
                io::ErrorKind::InvalidData,
            ),
            (&[b'O'; 4096], io::ErrorKind::InvalidData),
        ] {
            assert_eq!(
                dial_device(answer).await.0.unwrap_err().kind(),
                kind,
                "{answer:?}"
            );
        }
    }

    #[tokio::test]
    async fn guests_reach_the_host_under_the_sockets_name() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("v.sock");
        let _listener = HostTransport::VhostUser(socket).listen(Port::Egress).unwrap();
        unix::dial(&dir.path().join("v.sock_5000")).await.unwrap();
    }
}
