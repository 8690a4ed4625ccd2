//! `SSH-CONNECT <route id>\r\n`.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::routes::{RouteError, RouteId};

/// Longest first line, in bytes, with its end.
pub const MAX_LINE: usize = 100;
/// What is read at most before the line's end is there; what comes behind it in the same packet is kept.
const FIRST_READ: usize = 4096;
const WORD: &[u8] = b"SSH-CONNECT";
/// How clients of SSH begin (RFC 4253 §4.2).
const VERSION: &[u8] = b"SSH-2.0-";

/// What a client wants.
pub enum Asked {
    /// A route, or one that can't be, and all that came behind the line.
    Route(Result<RouteId, RouteError>, Vec<u8>),
    /// To speak SSH with the gateway itself; it said this already.
    Ssh(Vec<u8>),
    /// Neither.
    Nothing,
}

/// Reads the first line, in however many pieces it comes.
///
/// # Errors
/// Where the connection breaks.
pub async fn read(client: &mut (impl AsyncRead + Unpin)) -> io::Result<Asked> {
    let mut bytes = Vec::with_capacity(FIRST_READ);
    loop {
        if bytes.starts_with(VERSION) {
            return Ok(Asked::Ssh(bytes));
        }
        let end = bytes.iter().take(MAX_LINE).position(|byte| *byte == b'\n');
        if let Some(end) = end {
            let rest = bytes.split_off(end + 1);
            return Ok(parse(&bytes).map_or(Asked::Nothing, |route| Asked::Route(route, rest)));
        }
        let is_so_far = |word: &[u8]| bytes.iter().zip(word).all(|(found, wanted)| found == wanted);
        if !(is_so_far(WORD) || is_so_far(VERSION)) || bytes.len() >= MAX_LINE {
            return Ok(Asked::Nothing);
        }
        if client.read_buf(&mut bytes).await? == 0 {
            return Ok(Asked::Nothing);
        }
    }
}

/// `None` where no route is named.
fn parse(line: &[u8]) -> Option<Result<RouteId, RouteError>> {
    let rest = std::str::from_utf8(line.strip_prefix(WORD)?).ok()?;
    let id = rest.strip_prefix(' ')?.trim_matches([' ', '\r', '\n']);
    let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    is_id.then(|| id.parse())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0b0e7a9c-5a0e-4d3e-8a51-6d3c2f1e0d9b";

    async fn asked(pieces: &[&[u8]]) -> Option<(Result<RouteId, RouteError>, Vec<u8>)> {
        let mut client = in_pieces(pieces);
        match read(&mut client).await.unwrap() {
            Asked::Route(route, rest) => Some((route, rest)),
            Asked::Ssh(_) | Asked::Nothing => None,
        }
    }

    /// Gives each piece by itself, then the end.
    fn in_pieces(pieces: &[&[u8]]) -> impl AsyncRead + Unpin {
        let (mut near, far) = tokio::io::duplex(64);
        let pieces: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.to_vec()).collect();
        tokio::spawn(async move {
            for piece in pieces {
                let _ = tokio::io::AsyncWriteExt::write_all(&mut near, &piece).await;
                tokio::task::yield_now().await;
            }
        });
        far
    }

    #[tokio::test]
    async fn the_line_may_come_in_pieces_and_what_follows_is_kept() {
        let line = format!("SSH-CONNECT {ID}\r\nSSH-2.0-x\r\n");
        let whole = asked(&[line.as_bytes()]).await.unwrap();
        assert_eq!((whole.0, &whole.1[..]), (ID.parse(), &b"SSH-2.0-x\r\n"[..]));
        let single: Vec<&[u8]> = line.as_bytes().chunks(1).collect();
        let (route, rest) = asked(&single).await.unwrap();
        assert_eq!(
            (route, rest),
            (ID.parse(), Vec::new()),
            "the rest is still in the connection"
        );
    }

    #[tokio::test]
    async fn what_names_no_route_is_known_at_once() {
        let long = [b"SSH-CONNECT ", &[b'a'; 200][..]].concat();
        for wrong in [
            &b"SSH-1.5-old\r\n"[..],
            b"SSH-2.0",
            b"GET / HTTP/1.1\r\n",
            b"SSH-CONNECT\r\n",
            b"SSH-CONNECT \r\n",
            b"SSH-CONNECT zz\r\n",
            b"SSH-CONNECTa\r\n",
            b"SSH-CONN",
            b"",
            &long,
        ] {
            assert!(
                asked(&[wrong]).await.is_none(),
                "{:?}",
                String::from_utf8_lossy(wrong)
            );
        }
        let mut client = in_pieces(&[b"SSH-", b"2.0-OpenSSH_10.0\r\nand more"]);
        match read(&mut client).await.unwrap() {
            Asked::Ssh(first) => assert!(first.starts_with(b"SSH-2.0-")),
            Asked::Route(..) | Asked::Nothing => panic!("a client of SSH"),
        }
        let (route, _) = asked(&[b"SSH-CONNECT 12-34\n"]).await.unwrap();
        assert_eq!(route, Err(RouteError::NotFound));
    }
}
