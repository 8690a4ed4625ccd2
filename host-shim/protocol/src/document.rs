//! Documents (port 5003): the guest asks for the launch document or for collateral, the host answers with its bytes.

use std::fmt;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::line::{self, ErrorCode, read_line};
use crate::{ExchangeError, ParseError};

/// Longest launch document in bytes.
pub const MAX_LAUNCH: usize = 256 * 1024;
/// Longest collateral document in bytes.
pub const MAX_COLLATERAL: usize = 4 * 1024 * 1024;

const LAUNCH: &str = "GET launch";
const COLLATERAL: &str = "GET collateral/";
const MAX_NAME: usize = 128;

/// What the guest asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DocumentRequest {
    /// The launch document.
    Launch,
    /// A file of collateral (certificates, revocation lists, TCB information).
    Collateral(CollateralName),
}

impl DocumentRequest {
    /// Parses one whole line, `GET launch\n` or `GET collateral/NAME\n`.
    ///
    /// # Errors
    /// [`ParseError`], for anything that [`DocumentRequest::encode`] wouldn't have written.
    pub fn parse(line: &[u8]) -> Result<Self, ParseError> {
        let text = line::text(line)?;
        match (text, text.strip_prefix(COLLATERAL)) {
            (LAUNCH, _) => Ok(Self::Launch),
            (_, Some(name)) => CollateralName::new(name).map(Self::Collateral),
            _ => Err(ParseError::UnknownVerb),
        }
    }

    /// The line.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Launch => format!("{LAUNCH}\n").into_bytes(),
            Self::Collateral(name) => format!("{COLLATERAL}{name}\n").into_bytes(),
        }
    }

    /// Longest document of this kind in bytes.
    pub const fn max_len(&self) -> usize {
        match self {
            Self::Launch => MAX_LAUNCH,
            Self::Collateral(_) => MAX_COLLATERAL,
        }
    }
}

/// Name of a collateral file: 1 to 128 characters of `[a-z0-9._-]` with no dot in front, so that it can neither leave
/// its directory nor name a hidden file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CollateralName(String);

impl CollateralName {
    /// # Errors
    /// [`ParseError::BadName`].
    pub fn new(name: &str) -> Result<Self, ParseError> {
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
        if name.is_empty() || name.len() > MAX_NAME || name.starts_with('.') || !name.bytes().all(allowed) {
            return Err(ParseError::BadName);
        }
        Ok(Self(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CollateralName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The line that opens the host's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocumentReply {
    /// That many bytes follow, and then the host closes.
    Found(u32),
    /// Nothing follows.
    Refused(ErrorCode),
}

impl DocumentReply {
    /// Parses one whole line, `OK length\n` or `ERR code\n`.
    ///
    /// # Errors
    /// [`ParseError`], for anything else, and for a length over [`MAX_COLLATERAL`].
    pub fn parse(line: &[u8]) -> Result<Self, ParseError> {
        let text = line::text(line)?;
        if let Some(code) = text.strip_prefix("ERR ") {
            return ErrorCode::parse(code).map(Self::Refused);
        }
        let len = line::decimal(text.strip_prefix("OK ").ok_or(ParseError::UnknownVerb)?)?;
        match u32::try_from(len) {
            Ok(small) if len <= MAX_COLLATERAL as u64 => Ok(Self::Found(small)),
            _ => Err(ParseError::DocumentTooLong {
                len,
                max: MAX_COLLATERAL,
            }),
        }
    }

    /// The line.
    pub fn encode(self) -> Vec<u8> {
        match self {
            Self::Found(len) => format!("OK {len}\n").into_bytes(),
            Self::Refused(code) => code.encode(),
        }
    }
}

/// Guest side: fetches a document of at most `limit` bytes, and of at most its kind's limit.
///
/// The bytes are the host's: launch documents are checked against the platform's measurement of them, collateral
/// against its signatures. Memory grows only with what has arrived. The caller bounds the time.
///
/// # Errors
/// [`ExchangeError::Refused`], [`ExchangeError::OverLimit`], [`ExchangeError::Closed`] when the host sends less than
/// it announced, [`ExchangeError::Parse`], [`ExchangeError::Io`].
pub async fn fetch<S>(
    stream: &mut S,
    request: &DocumentRequest,
    limit: usize,
) -> Result<Vec<u8>, ExchangeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(&request.encode()).await?;
    stream.flush().await?;
    let len = match DocumentReply::parse(&read_line(stream).await?)? {
        DocumentReply::Found(len) => len as usize,
        DocumentReply::Refused(code) => return Err(ExchangeError::Refused(code)),
    };
    let limit = limit.min(request.max_len());
    if len > limit {
        return Err(ExchangeError::OverLimit { len, limit });
    }
    let mut document = Vec::new();
    stream.take(len as u64).read_to_end(&mut document).await?;
    if document.len() < len {
        return Err(ExchangeError::Closed);
    }
    Ok(document)
}

/// Host side: reads the one request of a connection.
///
/// # Errors
/// [`ExchangeError::Parse`] when the line isn't a request; answer it with [`ErrorCode::BadRequest`].
pub async fn read_request<S: AsyncRead + Unpin>(stream: &mut S) -> Result<DocumentRequest, ExchangeError> {
    Ok(DocumentRequest::parse(&read_line(stream).await?)?)
}

/// Host side: answers a request with a document or a refusal, and ends the stream. A document over `request`'s limit
/// is answered with [`ErrorCode::TooLarge`].
///
/// # Errors
/// [`ExchangeError::Io`].
pub async fn write_reply<S: AsyncWrite + Unpin>(
    stream: &mut S,
    request: &DocumentRequest,
    document: Result<&[u8], ErrorCode>,
) -> Result<(), ExchangeError> {
    let fits = document.and_then(|bytes| match u32::try_from(bytes.len()) {
        Ok(len) if bytes.len() <= request.max_len() => Ok((len, bytes)),
        _ => Err(ErrorCode::TooLarge),
    });
    match fits {
        Ok((len, bytes)) => {
            stream.write_all(&DocumentReply::Found(len).encode()).await?;
            stream.write_all(bytes).await?;
        }
        Err(code) => stream.write_all(&code.encode()).await?,
    }
    stream.shutdown().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    fn collateral(name: &str) -> DocumentRequest {
        DocumentRequest::Collateral(CollateralName::new(name).unwrap())
    }

    #[test]
    fn requests_round_trip() {
        for request in [
            DocumentRequest::Launch,
            collateral("a"),
            collateral("qe_identity.v4-2.json"),
            collateral(&"x".repeat(MAX_NAME)),
        ] {
            assert_eq!(DocumentRequest::parse(&request.encode()), Ok(request));
        }
    }

    #[test]
    fn other_requests_are_refused() {
        use ParseError::*;
        for (line, error) in [
            ("GET launch", Unterminated),
            ("GET launch\n\n", Unterminated),
            ("GET launch \n", UnknownVerb),
            ("GET launch/x\n", UnknownVerb),
            ("GET  launch\n", UnknownVerb),
            ("get launch\n", UnknownVerb),
            ("PUT launch\n", UnknownVerb),
            ("GET collateral\n", UnknownVerb),
            ("GET collateral/\n", BadName),
            ("GET collateral/.\n", BadName),
            ("GET collateral/..\n", BadName),
            ("GET collateral/.hidden\n", BadName),
            ("GET collateral/../launch.toml\n", BadName),
            ("GET collateral//etc/passwd\n", BadName),
            ("GET collateral/a/b\n", BadName),
            ("GET collateral/a\\b\n", BadName),
            ("GET collateral/A\n", BadName),
            ("GET collateral/a b\n", BadName),
            ("GET collateral/a%2f\n", BadName),
            ("GET collateral/a\0\n", NotAscii(0)),
        ] {
            assert_eq!(DocumentRequest::parse(line.as_bytes()), Err(error), "{line:?}");
        }
        let long = format!("GET collateral/{}\n", "x".repeat(MAX_NAME + 1));
        assert_eq!(DocumentRequest::parse(long.as_bytes()), Err(BadName));
    }

    #[test]
    fn replies_round_trip_and_others_are_refused() {
        for reply in [
            DocumentReply::Found(0),
            DocumentReply::Found(MAX_COLLATERAL as u32),
            DocumentReply::Refused(ErrorCode::NotFound),
        ] {
            assert_eq!(DocumentReply::parse(&reply.encode()), Ok(reply));
        }
        for (line, error) in [
            ("OK\n", ParseError::UnknownVerb),
            ("OK \n", ParseError::BadNumber),
            ("OK 07\n", ParseError::BadNumber),
            ("OK -1\n", ParseError::BadNumber),
            ("OK 1 \n", ParseError::BadNumber),
            ("OK 1", ParseError::Unterminated),
            ("ERR gone\n", ParseError::UnknownErrorCode),
        ] {
            assert_eq!(DocumentReply::parse(line.as_bytes()), Err(error), "{line:?}");
        }
        let over = format!("OK {}\n", MAX_COLLATERAL + 1);
        assert!(matches!(
            DocumentReply::parse(over.as_bytes()),
            Err(ParseError::DocumentTooLong { .. })
        ));
    }

    #[tokio::test]
    async fn a_document_arrives_whole() {
        let bytes: Vec<u8> = (0..MAX_LAUNCH).map(|i| (i % 251) as u8).collect();
        let (mut guest, mut host) = duplex(4096);
        let sent = bytes.clone();
        let server = tokio::spawn(async move {
            let request = read_request(&mut host).await.unwrap();
            write_reply(&mut host, &request, Ok(&sent)).await.unwrap();
            request
        });
        let got = fetch(&mut guest, &DocumentRequest::Launch, MAX_LAUNCH)
            .await
            .unwrap();
        assert_eq!(got, bytes);
        assert_eq!(server.await.unwrap(), DocumentRequest::Launch);
    }

    #[tokio::test]
    async fn a_hosts_wrong_answers_are_refused() {
        for (answer, check) in [
            (&b"ERR not-found\n"[..], "refused: not-found"),
            (b"OK 5\nabc", "closed in the middle of a message"),
            (
                b"OK 11\nabcdefghijk",
                "document of 11 bytes is over the caller's limit of 10",
            ),
            (
                b"OK 99999999\n",
                "protocol: document of 99999999 bytes is over the limit of 4194304",
            ),
            (b"abc", "closed in the middle of a message"),
        ] {
            let (mut guest, mut host) = duplex(1024);
            host.write_all(answer).await.unwrap();
            host.shutdown().await.unwrap();
            let error = fetch(&mut guest, &DocumentRequest::Launch, 10).await.unwrap_err();
            assert_eq!(error.to_string(), check);
        }
    }

    #[tokio::test]
    async fn the_limit_of_the_kind_holds_for_any_caller() {
        let (mut guest, mut host) = duplex(1024);
        host.write_all(format!("OK {}\n", MAX_LAUNCH + 1).as_bytes())
            .await
            .unwrap();
        let error = fetch(&mut guest, &DocumentRequest::Launch, usize::MAX)
            .await
            .unwrap_err();
        assert!(
            matches!(
                error,
                ExchangeError::OverLimit {
                    limit: MAX_LAUNCH,
                    ..
                }
            ),
            "{error}"
        );
    }

    #[tokio::test]
    async fn the_host_refuses_to_send_an_oversize_document() {
        let mut wire = Vec::new();
        let long = vec![0; MAX_LAUNCH + 1];
        write_reply(&mut wire, &DocumentRequest::Launch, Ok(&long))
            .await
            .unwrap();
        assert_eq!(wire, b"ERR too-large\n");
    }
}
