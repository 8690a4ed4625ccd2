//! Blobs (port 5001): the guest keeps sealed bytes at the host under names, and gets them back.
//!
//! Any number of requests on a connection, each answered before the next is read. The host sees names, lengths and
//! times, and may lose, keep or replay anything: what the bytes mean is the guest's own business
//! (`enclave/store`).

use std::fmt;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::line::{self, ErrorCode, read_line};
use crate::{ExchangeError, ParseError};

/// Longest blob in bytes.
pub const MAX_BLOB: usize = 1024 * 1024;
/// Most names on a page of a list.
pub const MAX_PAGE: usize = 256;
/// Longest part of a name in bytes.
pub const MAX_PART: usize = 96;

/// Longest page in bytes: names with their line ends.
const MAX_PAGE_BYTES: usize = MAX_PAGE * (MAX_PART + 1);

/// Name of a blob, `SPACE/LEAF`. Each part is 1 to 96 characters of `[a-z0-9-]`, so that none is a hidden file, a
/// parent folder or a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobName {
    space: String,
    leaf: String,
}

impl BlobName {
    /// # Errors
    /// [`ParseError::BadBlobName`].
    pub fn new(space: &str, leaf: &str) -> Result<Self, ParseError> {
        Ok(Self {
            space: part(space)?,
            leaf: part(leaf)?,
        })
    }

    /// Parses `SPACE/LEAF`.
    ///
    /// # Errors
    /// [`ParseError::BadBlobName`].
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let (space, leaf) = text.split_once('/').ok_or(ParseError::BadBlobName)?;
        Self::new(space, leaf)
    }

    /// What stands before the slash.
    pub fn space(&self) -> &str {
        &self.space
    }

    /// What stands behind the slash.
    pub fn leaf(&self) -> &str {
        &self.leaf
    }
}

impl fmt::Display for BlobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.space, self.leaf)
    }
}

/// Which names of a space to list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ListRequest {
    space: String,
    prefix: String,
    after: Option<String>,
}

impl ListRequest {
    /// Names of `space` that start with `prefix` (empty: all) and, in byte order, come behind `after`.
    ///
    /// # Errors
    /// [`ParseError::BadBlobName`].
    pub fn new(space: &str, prefix: &str, after: Option<&str>) -> Result<Self, ParseError> {
        Ok(Self {
            space: part(space)?,
            prefix: match prefix {
                "" => String::new(),
                _ => part(prefix)?,
            },
            after: after.map(part).transpose()?,
        })
    }

    /// The space.
    pub fn space(&self) -> &str {
        &self.space
    }

    /// What the names start with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The name behind which the page starts.
    pub fn after(&self) -> Option<&str> {
        self.after.as_deref()
    }
}

/// What the guest asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum BlobRequest {
    /// The bytes of a blob.
    Get(BlobName),
    /// That many bytes follow, and take the place of what is there; durable once answered.
    Put(BlobName, u32),
    /// Forget a blob, which may not be there; durable once answered.
    Delete(BlobName),
    /// A page of names.
    List(ListRequest),
}

impl BlobRequest {
    /// Parses one whole line: `GET NAME\n`, `PUT NAME length\n`, `DELETE NAME\n`, `LIST SPACE/PREFIX\n` or
    /// `LIST SPACE/PREFIX AFTER\n`.
    ///
    /// # Errors
    /// [`ParseError`], for anything that [`BlobRequest::encode`] wouldn't have written, and for a length over
    /// [`MAX_BLOB`].
    pub fn parse(line: &[u8]) -> Result<Self, ParseError> {
        let (verb, rest) = line::text(line)?.split_once(' ').ok_or(ParseError::UnknownVerb)?;
        match verb {
            "GET" => BlobName::parse(rest).map(Self::Get),
            "DELETE" => BlobName::parse(rest).map(Self::Delete),
            "PUT" => {
                let (name, len) = rest.split_once(' ').ok_or(ParseError::BadNumber)?;
                Ok(Self::Put(BlobName::parse(name)?, length(len, MAX_BLOB)?))
            }
            "LIST" => {
                let (space, rest) = rest.split_once('/').ok_or(ParseError::BadBlobName)?;
                let (prefix, after) = match rest.split_once(' ') {
                    Some((prefix, after)) => (prefix, Some(after)),
                    None => (rest, None),
                };
                ListRequest::new(space, prefix, after).map(Self::List)
            }
            _ => Err(ParseError::UnknownVerb),
        }
    }

    /// The line; the bytes of a blob follow it.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Get(name) => format!("GET {name}\n"),
            Self::Put(name, len) => format!("PUT {name} {len}\n"),
            Self::Delete(name) => format!("DELETE {name}\n"),
            Self::List(ListRequest {
                space,
                prefix,
                after: None,
            }) => format!("LIST {space}/{prefix}\n"),
            Self::List(ListRequest {
                space,
                prefix,
                after: Some(after),
            }) => format!("LIST {space}/{prefix} {after}\n"),
        }
        .into_bytes()
    }
}

/// The line that opens the host's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobReply {
    /// Done, and nothing follows: to `PUT` and `DELETE`.
    Done,
    /// That many bytes follow: to `GET` and `LIST`.
    Found(u32),
    /// Nothing follows.
    Refused(ErrorCode),
}

impl BlobReply {
    /// Parses one whole line, `OK\n`, `OK length\n` or `ERR code\n`.
    ///
    /// # Errors
    /// [`ParseError`], for anything else, and for a length over [`MAX_BLOB`].
    pub fn parse(line: &[u8]) -> Result<Self, ParseError> {
        let text = line::text(line)?;
        match (text, text.split_once(' ')) {
            ("OK", _) => Ok(Self::Done),
            (_, Some(("OK", len))) => length(len, MAX_BLOB).map(Self::Found),
            (_, Some(("ERR", code))) => ErrorCode::parse(code).map(Self::Refused),
            _ => Err(ParseError::UnknownVerb),
        }
    }

    /// The line.
    pub fn encode(self) -> Vec<u8> {
        match self {
            Self::Done => b"OK\n".to_vec(),
            Self::Found(len) => format!("OK {len}\n").into_bytes(),
            Self::Refused(code) => code.encode(),
        }
    }
}

/// Names that answer a [`ListRequest`], in ascending byte order. A page of fewer than [`MAX_PAGE`] names is the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page(Vec<String>);

impl Page {
    /// The first [`MAX_PAGE`] of `names`, which are those of the request's space in ascending order, that the request
    /// asks for.
    pub fn select<'a>(request: &ListRequest, names: impl Iterator<Item = &'a str>) -> Self {
        let asked = |name: &&str| {
            name.starts_with(request.prefix()) && request.after().is_none_or(|after| *name > after)
        };
        Self(names.filter(asked).take(MAX_PAGE).map(str::to_owned).collect())
    }

    /// Parses the names, each ended by `\n`.
    ///
    /// # Errors
    /// [`ParseError::BadPage`] when it isn't an answer to the request, [`ParseError::BadBlobName`].
    pub fn parse(bytes: &[u8], request: &ListRequest) -> Result<Self, ParseError> {
        let mut names: Vec<String> = Vec::new();
        let mut left = bytes;
        while let Some(end) = left.iter().position(|byte| *byte == b'\n') {
            let name = std::str::from_utf8(&left[..end]).map_err(|_| ParseError::BadBlobName)?;
            left = &left[end + 1..];
            let last = names.last().map(String::as_str).or(request.after());
            let follows = last.is_none_or(|last| name > last);
            if !follows || !name.starts_with(request.prefix()) || names.len() == MAX_PAGE {
                return Err(ParseError::BadPage);
            }
            names.push(part(name)?);
        }
        match left {
            [] => Ok(Self(names)),
            _ => Err(ParseError::BadPage),
        }
    }

    /// The bytes.
    pub fn encode(&self) -> Vec<u8> {
        let lines = self.0.iter().map(|name| format!("{name}\n"));
        lines.collect::<String>().into_bytes()
    }

    /// The names, without their space.
    pub fn into_names(self) -> Vec<String> {
        self.0
    }
}

/// Guest side: the bytes of a blob, or `None` when the host has none of that name. Memory grows only with what has
/// arrived. The caller bounds the time, here and below; after an error other than [`ExchangeError::Refused`] the
/// connection is of no more use.
///
/// # Errors
/// [`ExchangeError::Refused`], [`ExchangeError::Closed`] when the host sends less than it announced,
/// [`ExchangeError::Parse`], [`ExchangeError::Io`].
pub async fn get<S>(stream: &mut S, name: &BlobName) -> Result<Option<Vec<u8>>, ExchangeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match ask(stream, &BlobRequest::Get(name.clone()), &[]).await? {
        BlobReply::Found(len) => read_body(stream, len).await.map(Some),
        BlobReply::Refused(ErrorCode::NotFound) => Ok(None),
        other => Err(unexpected(other)),
    }
}

/// Guest side: keeps a blob. On return the host says that it is durable.
///
/// # Errors
/// [`ExchangeError::OverLimit`] for more than [`MAX_BLOB`] bytes, else as [`get`]. Whether the blob was replaced is
/// unknown after any error but these two: [`ExchangeError::OverLimit`] and [`ExchangeError::Refused`].
pub async fn put<S>(stream: &mut S, name: &BlobName, blob: &[u8]) -> Result<(), ExchangeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let len = match u32::try_from(blob.len()) {
        Ok(len) if blob.len() <= MAX_BLOB => len,
        _ => {
            return Err(ExchangeError::OverLimit {
                len: blob.len(),
                limit: MAX_BLOB,
            });
        }
    };
    done(ask(stream, &BlobRequest::Put(name.clone(), len), blob).await?)
}

/// Guest side: forgets a blob, whether it is there or not.
///
/// # Errors
/// As [`get`].
pub async fn delete<S>(stream: &mut S, name: &BlobName) -> Result<(), ExchangeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    done(ask(stream, &BlobRequest::Delete(name.clone()), &[]).await?)
}

/// Guest side: a page of names.
///
/// # Errors
/// As [`get`].
pub async fn list<S>(stream: &mut S, request: &ListRequest) -> Result<Page, ExchangeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match ask(stream, &BlobRequest::List(request.clone()), &[]).await? {
        BlobReply::Found(len) if len as usize > MAX_PAGE_BYTES => Err(ParseError::BadPage.into()),
        BlobReply::Found(len) => Ok(Page::parse(&read_body(stream, len).await?, request)?),
        other => Err(unexpected(other)),
    }
}

/// Host side: reads the line of the next request; [`read_body`] reads what follows a `PUT`.
///
/// # Errors
/// [`ExchangeError::Parse`] when the line isn't a request: answer it with [`ErrorCode::BadRequest`] and close, since
/// what follows can't be told apart from it.
pub async fn read_request<S: AsyncRead + Unpin>(stream: &mut S) -> Result<BlobRequest, ExchangeError> {
    Ok(BlobRequest::parse(&read_line(stream).await?)?)
}

/// Exactly `len` bytes, on either side. Memory grows only with what has arrived.
///
/// # Errors
/// [`ExchangeError::Closed`] when fewer come, [`ExchangeError::Io`].
pub async fn read_body<S: AsyncRead + Unpin>(stream: &mut S, len: u32) -> Result<Vec<u8>, ExchangeError> {
    let mut body = Vec::new();
    stream.take(u64::from(len)).read_to_end(&mut body).await?;
    match body.len() == len as usize {
        true => Ok(body),
        false => Err(ExchangeError::Closed),
    }
}

/// Host side: answers a `PUT` or `DELETE`.
///
/// # Errors
/// [`ExchangeError::Io`].
pub async fn write_done<S: AsyncWrite + Unpin>(
    stream: &mut S,
    outcome: Result<(), ErrorCode>,
) -> Result<(), ExchangeError> {
    let reply = outcome.map_or_else(BlobReply::Refused, |()| BlobReply::Done);
    stream.write_all(&reply.encode()).await?;
    Ok(stream.flush().await?)
}

/// Host side: answers a `GET` with a blob, or a `LIST` with the bytes of a page. More than [`MAX_BLOB`] bytes are
/// answered with [`ErrorCode::TooLarge`].
///
/// # Errors
/// [`ExchangeError::Io`].
pub async fn write_found<S: AsyncWrite + Unpin>(
    stream: &mut S,
    found: Result<&[u8], ErrorCode>,
) -> Result<(), ExchangeError> {
    let fits = found.and_then(|bytes| match u32::try_from(bytes.len()) {
        Ok(len) if bytes.len() <= MAX_BLOB => Ok((len, bytes)),
        _ => Err(ErrorCode::TooLarge),
    });
    match fits {
        Ok((len, bytes)) => {
            stream.write_all(&BlobReply::Found(len).encode()).await?;
            stream.write_all(bytes).await?;
        }
        Err(code) => stream.write_all(&code.encode()).await?,
    }
    Ok(stream.flush().await?)
}

async fn ask<S>(stream: &mut S, request: &BlobRequest, body: &[u8]) -> Result<BlobReply, ExchangeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(&request.encode()).await?;
    stream.write_all(body).await?;
    stream.flush().await?;
    Ok(BlobReply::parse(&read_line(stream).await?)?)
}

fn done(reply: BlobReply) -> Result<(), ExchangeError> {
    match reply {
        BlobReply::Done => Ok(()),
        other => Err(unexpected(other)),
    }
}

/// A refusal, or an answer to another kind of request.
fn unexpected(reply: BlobReply) -> ExchangeError {
    match reply {
        BlobReply::Refused(code) => ExchangeError::Refused(code),
        BlobReply::Done | BlobReply::Found(_) => ParseError::UnknownVerb.into(),
    }
}

fn part(text: &str) -> Result<String, ParseError> {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    match (1..=MAX_PART).contains(&text.len()) && text.bytes().all(allowed) {
        true => Ok(text.to_owned()),
        false => Err(ParseError::BadBlobName),
    }
}

fn length(text: &str, max: usize) -> Result<u32, ParseError> {
    let len = line::decimal(text)?;
    match u32::try_from(len) {
        Ok(small) if len <= max as u64 => Ok(small),
        _ => Err(ParseError::DocumentTooLong { len, max }),
    }
}

#[cfg(test)]
mod tests;
