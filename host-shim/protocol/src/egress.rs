//! Egress (port 5000): the guest names a target in one line, the host answers in one line, then bytes flow.
//!
//! The enclave checks its own allow-list before it asks; the host's list protects the host's network.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;
use std::str::FromStr;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use crate::line::{self, ErrorCode, read_line};
use crate::{ExchangeError, ParseError};

/// Longest host name in bytes (RFC 1035 §2.3.4, without the root's dot).
pub const MAX_HOST: usize = 253;

const VERB: &str = "CONNECT ";

/// A target of egress. Its text form is `host:port`, the form of allow-lists too, so equality is what a list checks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EgressRequest {
    /// Where to.
    pub host: Host,
    /// TCP port.
    pub port: NonZeroU16,
}

impl EgressRequest {
    /// Parses one whole line, `CONNECT host:port\n`.
    ///
    /// # Errors
    /// [`ParseError`], for anything that [`EgressRequest::encode`] wouldn't have written.
    pub fn parse(line: &[u8]) -> Result<Self, ParseError> {
        line::text(line)?
            .strip_prefix(VERB)
            .ok_or(ParseError::UnknownVerb)?
            .parse()
    }

    /// The line `CONNECT host:port\n`.
    pub fn encode(&self) -> Vec<u8> {
        format!("{VERB}{self}\n").into_bytes()
    }
}

impl FromStr for EgressRequest {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (host, port) = text.rsplit_once(':').ok_or(ParseError::MissingPort)?;
        let port = line::decimal(port)
            .ok()
            .and_then(|number| u16::try_from(number).ok())
            .and_then(NonZeroU16::new)
            .ok_or(ParseError::BadPort)?;
        Ok(Self {
            host: host.parse()?,
            port,
        })
    }
}

impl fmt::Display for EgressRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Host part of a target. IPv6 addresses stand in brackets, in the form of RFC 5952, without zone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// An address.
    Ip(IpAddr),
    /// A lower-case DNS name without final dot.
    Name(DnsName),
}

impl FromStr for Host {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.len() > MAX_HOST {
            return Err(ParseError::HostTooLong);
        }
        if let Some(bracketed) = text.strip_prefix('[') {
            let address: Ipv6Addr = bracketed
                .strip_suffix(']')
                .and_then(|inner| inner.parse().ok())
                .ok_or(ParseError::BadHost)?;
            // `[::0]` or `[FE80::1]` would be a second encoding of the same request.
            let host = Host::Ip(address.into());
            return if host.to_string() == text {
                Ok(host)
            } else {
                Err(ParseError::BadHost)
            };
        }
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Ok(Host::Ip(address.into()));
        }
        DnsName::new(text).map(Host::Name)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Ip(IpAddr::V4(address)) => write!(f, "{address}"),
            Host::Ip(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Host::Name(name) => f.write_str(name.as_str()),
        }
    }
}

/// A DNS name: labels of 1 to 63 characters of `[a-z0-9-]`, no hyphen at either end, at most 253 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DnsName(String);

impl DnsName {
    /// # Errors
    /// [`ParseError::BadHost`]. Also for names that a resolver would take for an address in another spelling
    /// (`127.1`, `0x7f.1`): their last label starts with a digit, which no top-level domain does.
    pub fn new(text: &str) -> Result<Self, ParseError> {
        let label_ok = |label: &str| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let numeric = text
            .rsplit('.')
            .next()
            .is_some_and(|last| last.starts_with(|c: char| c.is_ascii_digit()));
        if text.len() > MAX_HOST || numeric || !text.split('.').all(label_ok) {
            return Err(ParseError::BadHost);
        }
        Ok(Self(text.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What the host answers to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EgressReply {
    /// Connected; bytes of the target follow.
    Connected,
    /// Not connected; the host closes.
    Refused(ErrorCode),
}

impl EgressReply {
    /// Parses one whole line, `OK\n` or `ERR code\n`.
    ///
    /// # Errors
    /// [`ParseError`], for anything else.
    pub fn parse(line: &[u8]) -> Result<Self, ParseError> {
        let text = line::text(line)?;
        match (text, text.strip_prefix("ERR ")) {
            ("OK", _) => Ok(Self::Connected),
            (_, Some(code)) => ErrorCode::parse(code).map(Self::Refused),
            _ => Err(ParseError::UnknownVerb),
        }
    }

    /// The line.
    pub fn encode(self) -> Vec<u8> {
        match self {
            Self::Connected => b"OK\n".to_vec(),
            Self::Refused(code) => code.encode(),
        }
    }
}

/// Guest side: asks the host to connect `stream` to `host:port`. On success the stream carries the target's bytes.
///
/// The host isn't trusted to have connected to that target: whatever matters is authenticated above this layer.
///
/// # Errors
/// [`ExchangeError::Parse`] when `host` or `port` isn't valid (nothing is sent then) or the answer isn't,
/// [`ExchangeError::Refused`] when the host says no.
pub async fn connect<S>(stream: &mut S, host: &str, port: u16) -> Result<(), ExchangeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let request = EgressRequest {
        host: host.parse()?,
        port: NonZeroU16::new(port).ok_or(ParseError::BadPort)?,
    };
    stream.write_all(&request.encode()).await?;
    stream.flush().await?;
    match EgressReply::parse(&read_line(stream).await?)? {
        EgressReply::Connected => Ok(()),
        EgressReply::Refused(code) => Err(ExchangeError::Refused(code)),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, duplex};

    use super::*;

    #[test]
    fn valid_requests_round_trip() {
        let label = "a".repeat(63);
        let longest = format!("{label}.{label}.{label}.{}", "b".repeat(61));
        assert_eq!(longest.len(), MAX_HOST);
        for target in [
            "localhost:1",
            "api.example.com:443",
            "xn--bcher-kva.example:65535",
            "3com.com:80",
            "1.2.3.4:8545",
            "[::1]:443",
            "[2001:db8::1:0:0:1]:9",
            "[::ffff:1.2.3.4]:9",
            &format!("{longest}:443"),
        ] {
            let line = format!("CONNECT {target}\n").into_bytes();
            let request = EgressRequest::parse(&line).unwrap_or_else(|e| panic!("{target}: {e}"));
            assert_eq!(request.encode(), line);
            assert_eq!(request.to_string(), target);
        }
    }

    #[test]
    fn other_requests_are_refused() {
        use ParseError::*;
        let too_long = format!("CONNECT {}:1\n", "a.".repeat(127) + "a");
        for (line, error) in [
            ("CONNECT a:1", Unterminated),
            ("CONNECT a:1\n\n", Unterminated),
            ("CONNECT a:1\r\n", NotAscii(b'\r')),
            ("connect a:1\n", UnknownVerb),
            ("CONNECT\n", UnknownVerb),
            ("GET a:1\n", UnknownVerb),
            ("CONNECT \n", MissingPort),
            ("CONNECT a\n", MissingPort),
            ("CONNECT a:\n", BadPort),
            ("CONNECT a:0\n", BadPort),
            ("CONNECT a:01\n", BadPort),
            ("CONNECT a:+1\n", BadPort),
            ("CONNECT a:1 \n", BadPort),
            ("CONNECT a:65536\n", BadPort),
            ("CONNECT a:99999999999999999999\n", BadPort),
            ("CONNECT :1\n", BadHost),
            ("CONNECT  a:1\n", BadHost),
            ("CONNECT A:1\n", BadHost),
            ("CONNECT a.:1\n", BadHost),
            ("CONNECT .a:1\n", BadHost),
            ("CONNECT a..b:1\n", BadHost),
            ("CONNECT -a:1\n", BadHost),
            ("CONNECT a-:1\n", BadHost),
            ("CONNECT a_b:1\n", BadHost),
            ("CONNECT a/b:1\n", BadHost),
            ("CONNECT a@b:1\n", BadHost),
            ("CONNECT a%00:1\n", BadHost),
            ("CONNECT 127.1:1\n", BadHost),
            ("CONNECT 2130706433:1\n", BadHost),
            ("CONNECT 0x7f.0x1:1\n", BadHost),
            ("CONNECT 01.2.3.4:1\n", BadHost),
            ("CONNECT 256.2.3.4:1\n", BadHost),
            ("CONNECT ::1:1\n", BadHost),
            ("CONNECT [::1:1\n", BadHost),
            ("CONNECT [::0]:1\n", BadHost),
            ("CONNECT [0:0:0:0:0:0:0:1]:1\n", BadHost),
            ("CONNECT [2001:DB8::1]:1\n", BadHost),
            ("CONNECT [fe80::1%eth0]:1\n", BadHost),
            ("CONNECT [1.2.3.4]:1\n", BadHost),
            (&too_long, HostTooLong),
        ] {
            assert_eq!(EgressRequest::parse(line.as_bytes()), Err(error), "{line:?}");
        }
        let label = format!("CONNECT {}.com:1\n", "a".repeat(64));
        assert_eq!(EgressRequest::parse(label.as_bytes()), Err(BadHost));
    }

    #[test]
    fn replies_round_trip_and_others_are_refused() {
        let refused = ErrorCode::ALL.into_iter().map(EgressReply::Refused);
        for reply in refused.chain([EgressReply::Connected]) {
            assert_eq!(EgressReply::parse(&reply.encode()), Ok(reply));
        }
        for (line, error) in [
            (&b"OK"[..], ParseError::Unterminated),
            (b"OK \n", ParseError::UnknownVerb),
            (b"OK 5\n", ParseError::UnknownVerb),
            (b"ok\n", ParseError::UnknownVerb),
            (b"ERR\n", ParseError::UnknownVerb),
            (b"ERR \n", ParseError::UnknownErrorCode),
            (b"ERR denied \n", ParseError::UnknownErrorCode),
            (b"ERR nope\n", ParseError::UnknownErrorCode),
        ] {
            assert_eq!(EgressReply::parse(line), Err(error), "{line:?}");
        }
    }

    #[tokio::test]
    async fn connect_sends_one_line_and_leaves_the_targets_bytes() {
        let (mut guest, mut host) = duplex(1024);
        let answer = tokio::spawn(async move {
            let line = read_line(&mut host).await.unwrap();
            host.write_all(b"OK\nhello").await.unwrap();
            line
        });
        connect(&mut guest, "example.com", 443).await.unwrap();
        let mut rest = Vec::new();
        guest.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"hello");
        assert_eq!(answer.await.unwrap(), b"CONNECT example.com:443\n");
    }

    #[tokio::test]
    async fn connect_reports_refusals_and_garbage() {
        for (answer, check) in [
            (&b"ERR denied\n"[..], "refused: denied"),
            (b"ERR whatever\n", "protocol: unknown error code"),
            (b"HTTP/1.1 200 OK\n", "protocol: unknown verb"),
            (b"OK", "closed in the middle of a message"),
            (&[b'x'; 4096], "protocol: line is longer than 512 bytes"),
        ] {
            let (mut guest, mut host) = duplex(8192);
            host.write_all(answer).await.unwrap();
            host.shutdown().await.unwrap();
            let error = connect(&mut guest, "example.com", 443).await.unwrap_err();
            assert_eq!(error.to_string(), check);
        }
    }

    #[tokio::test]
    async fn connect_sends_nothing_for_a_host_that_would_break_out_of_the_line() {
        let (mut guest, mut host) = duplex(1024);
        for (name, port) in [("a\nCONNECT b", 1), ("a", 0), ("a:1", 1), ("", 1)] {
            assert!(
                matches!(
                    connect(&mut guest, name, port).await,
                    Err(ExchangeError::Parse(_))
                ),
                "{name:?}"
            );
        }
        drop(guest);
        assert_eq!(host.read(&mut [0; 8]).await.unwrap(), 0);
    }
}
