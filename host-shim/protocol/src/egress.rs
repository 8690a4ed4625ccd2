//! Egress (port 5000): the guest names a target in one line, the host answers in one line, then bytes flow.
//!
//! The enclave checks its own allow-list before it asks; the host's list protects the host's network. Where the enclave
//! asks for strangers' code, which may name any target, it asks for a public address: only the host sees what a name
//! leads to.

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
const PUBLIC_VERB: &str = "CONNECT-PUBLIC ";

/// A request line.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EgressLine {
    /// Where to.
    pub target: EgressRequest,
    /// Which addresses of the target will do.
    pub addresses: Addresses,
}

/// Which addresses a target may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Addresses {
    /// Any: the host's list has the target.
    Any,
    /// Those of [`crate::public::is_public`], and not the host's own.
    Public,
}

impl EgressLine {
    /// Parses one whole line, `CONNECT host:port\n` or `CONNECT-PUBLIC host:port\n`.
    ///
    /// # Errors
    /// [`ParseError`], for anything that [`EgressLine::encode`] wouldn't have written.
    pub fn parse(line: &[u8]) -> Result<Self, ParseError> {
        let (target, addresses) = match line::text(line)?.strip_prefix(PUBLIC_VERB) {
            Some(target) => (target.parse()?, Addresses::Public),
            None => (EgressRequest::parse(line)?, Addresses::Any),
        };
        Ok(Self { target, addresses })
    }

    /// The line.
    pub fn encode(&self) -> Vec<u8> {
        match self.addresses {
            Addresses::Any => self.target.encode(),
            Addresses::Public => format!("{PUBLIC_VERB}{}\n", self.target).into_bytes(),
        }
    }
}

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
    let addresses = Addresses::Any;
    open(stream, &line(host, port, addresses)?).await
}

/// As [`connect`], to public addresses alone: [`ErrorCode::NotPublic`] where the target has none.
///
/// # Errors
/// See [`connect`].
pub async fn connect_public<S>(stream: &mut S, host: &str, port: u16) -> Result<(), ExchangeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let addresses = Addresses::Public;
    open(stream, &line(host, port, addresses)?).await
}

fn line(host: &str, port: u16, addresses: Addresses) -> Result<EgressLine, ParseError> {
    let target = EgressRequest {
        host: host.parse()?,
        port: NonZeroU16::new(port).ok_or(ParseError::BadPort)?,
    };
    Ok(EgressLine { target, addresses })
}

/// As [`connect`], with a line that was made before.
///
/// # Errors
/// See [`connect`].
pub async fn open<S>(stream: &mut S, line: &EgressLine) -> Result<(), ExchangeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(&line.encode()).await?;
    stream.flush().await?;
    match EgressReply::parse(&read_line(stream).await?)? {
        EgressReply::Connected => Ok(()),
        EgressReply::Refused(code) => Err(ExchangeError::Refused(code)),
    }
}

#[cfg(test)]
mod tests;
