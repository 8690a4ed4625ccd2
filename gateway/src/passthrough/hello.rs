//! The server name that a client asks for.

use rustls::server::Acceptor;
use thiserror::Error;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Longest ClientHello, with the headers of its records, in bytes. Those with post-quantum key shares have some 2 KiB.
pub const MAX_HELLO: usize = 16 * 1024;

/// Why a connection leads nowhere.
#[derive(Debug, Error)]
pub enum HelloError {
    /// The client went away before it said what it wants.
    #[error("the connection ended before its ClientHello")]
    Ended,
    /// Not TLS, or more than [`MAX_HELLO`].
    #[error("no ClientHello of TLS")]
    NotTls,
    /// No server name (RFC 6066 §3).
    #[error("the ClientHello names no server")]
    NoName,
}

/// What a client said first.
pub(super) struct Hello {
    /// Server name, in lower case.
    pub(super) name: String,
    /// All bytes that came so far: the provider gets them as they are.
    pub(super) bytes: Vec<u8>,
}

/// Reads a ClientHello and keeps its bytes.
pub(super) async fn read(client: &mut TcpStream) -> Result<Hello, HelloError> {
    let mut bytes = Vec::with_capacity(2048);
    let mut acceptor = Acceptor::default();
    loop {
        let before = bytes.len();
        match client.read_buf(&mut bytes).await {
            Ok(0) | Err(_) => return Err(HelloError::Ended),
            Ok(_) => {}
        }
        let mut new = &bytes[before..];
        while !new.is_empty() {
            match acceptor.read_tls(&mut new) {
                Ok(0) | Err(_) => return Err(HelloError::NotTls),
                Ok(_) => {}
            }
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => {
                let name = accepted.client_hello().server_name().map(str::to_ascii_lowercase);
                let name = name.ok_or(HelloError::NoName)?;
                return Ok(Hello { name, bytes });
            }
            Ok(None) if bytes.len() < MAX_HELLO => {}
            Ok(None) | Err(_) => return Err(HelloError::NotTls),
        }
    }
}
