//! Bytes through a route: standard input to the rental's SSH server, its answer to standard output.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::time::Duration;
use std::{net, thread};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::error::shown;
use super::{RouteAt, RouteError};

/// How long the gateway may take to reach the rental: its own limits are 10 s for each of four addresses, and for the answer.
const LIMIT: Duration = Duration::from_secs(60);
/// Longest first line, in bytes.
const MAX_LINE: usize = 256;
/// Bytes that are carried at once.
const PIECE: usize = 32 * 1024;

/// Carries until the rental's end closes.
pub(super) async fn connect(
    route: &RouteAt,
    input: impl Read + Send + 'static,
    output: impl Write + Send + 'static,
) -> Result<(), RouteError> {
    let gateway = route.gateway();
    let broken = |source| RouteError::Broken {
        gateway: gateway.to_string(),
        source,
    };
    let opening = timeout(LIMIT, open(route));
    let late = || broken(io::Error::new(io::ErrorKind::TimedOut, "no answer in time"));
    let stream = opening.await.unwrap_or_else(|_| Err(late()))?;
    let stream = stream.into_std().map_err(broken)?;
    let carried = spawn_blocking(move || carry(stream, input, output)).await;
    carried
        .unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
        .map_err(broken)
}

/// On threads: nothing else runs here, and who waits for a terminal to speak can't be told to stop.
fn carry(
    mut stream: net::TcpStream,
    mut input: impl Read + Send + 'static,
    mut output: impl Write,
) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    let mut to = stream.try_clone()?;
    thread::spawn(move || {
        // Whatever ends the input, the other end may go on to speak.
        let _ = relay(&mut input, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    relay(&mut stream, &mut output)
}

/// Each piece as it comes. `io::copy` splices pipes and sockets, and the kernel holds pieces back then for more to follow.
fn relay(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(length) => {
                to.write_all(&piece[..length])?;
                to.flush()?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A connection on which the rental speaks next.
async fn open(route: &RouteAt) -> Result<TcpStream, RouteError> {
    let gateway = route.gateway();
    let broken = |source| RouteError::Broken {
        gateway: gateway.to_string(),
        source,
    };
    let mut stream = TcpStream::connect((gateway.host(), gateway.port()))
        .await
        .map_err(broken)?;
    stream.set_nodelay(true).map_err(broken)?;
    let preamble = format!("SSH-CONNECT {}\r\n", route.id());
    stream.write_all(preamble.as_bytes()).await.map_err(broken)?;
    let line = line(&mut stream).await.map_err(broken)?;
    match line.strip_prefix("SSH-ERROR: ") {
        None if line == "SSH-OK" => Ok(stream),
        Some(reason) => Err(RouteError::NoWay(shown(reason))),
        None => Err(RouteError::NoWay(format!(
            "{:?} is no gateway's answer",
            shown(&line)
        ))),
    }
}

/// One byte at a time: what follows is SSH's.
async fn line(stream: &mut TcpStream) -> io::Result<String> {
    let mut line = Vec::new();
    while line.len() < MAX_LINE {
        match stream.read_u8().await? {
            b'\n' => return Ok(String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned()),
            byte => line.push(byte),
        }
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Seek;

    use tokio::net::TcpListener;

    use super::*;

    const ID: &str = "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0ff";

    /// A gateway that answers so, and what comes out of a route through it.
    async fn through(answer: &'static [u8]) -> Result<Vec<u8>, RouteError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let route: RouteAt = format!("{ID}@{}", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let gateway = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(answer).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut sent = String::new();
            stream.read_to_string(&mut sent).await.unwrap();
            sent
        });
        let mut output = tempfile::tempfile().unwrap();
        connect(&route, &b"SSH-2.0-client\r\n"[..], output.try_clone().unwrap()).await?;
        assert_eq!(
            gateway.await.unwrap(),
            format!("SSH-CONNECT {ID}\r\nSSH-2.0-client\r\n")
        );
        output.rewind().unwrap();
        let mut said = Vec::new();
        output.read_to_end(&mut said).unwrap();
        Ok(said)
    }

    #[tokio::test]
    async fn what_the_rental_says_comes_out_and_a_gateways_refusal_does_not() {
        let answer = b"SSH-OK\r\nSSH-2.0-rental\r\n";
        assert_eq!(through(answer).await.unwrap(), b"SSH-2.0-rental\r\n");
        let refused = through(b"SSH-ERROR: Route \x1b[2Jnot found\r\n")
            .await
            .unwrap_err();
        assert_eq!(
            (refused.code(), refused.to_string()),
            (
                "route_refused",
                "the gateway doesn't lead there: Route [2Jnot found".to_owned()
            )
        );
        assert_eq!(
            through(b"SSH-2.0-no gateway\r\n").await.unwrap_err().code(),
            "route_refused"
        );
        assert_eq!(through(&[b'x'; 1000]).await.unwrap_err().code(), "route_refused");
        assert_eq!(through(b"SSH-O").await.unwrap_err().code(), "route_broken");
    }
}
