//! The verifier's end of a connection with a node: attested TLS on any stream, a challenge that binds a fresh quote to
//! this very connection, and the signature of each answer.
//!
//! [`Connection::open`] does the handshake, with the evidence of the certificate, which may be relayed; [`attest`] sends
//! the challenge and gives [`Attested`]: genuine, fresh, and of this connection's other end. Whether that end is one to
//! talk to is for the caller to appraise, before anything else is sent. Users and nodes share all of this; they differ in
//! where their policy and their time come from.

mod chain;
mod challenge;
mod connection;
mod error;
mod evidence;
pub mod hpke;
mod response;

pub use chain::{anchor, measurement_status};
pub use challenge::{Attested, attest};
pub use connection::{Connection, EndOnDrop, Exchange, Sender, Target, request_fields};
pub use error::{Error, within};
pub use evidence::Epochs;
pub use response::{
    Bounds, HeaderView, MAX_BODY_LEN, VerifiedBody, VerifiedResponse, VerifiedStream, verified,
};

/// 32 random bytes.
///
/// # Errors
/// [`Error::Crypto`] where there are none.
pub fn random_nonce() -> Result<[u8; 32], Error> {
    let mut nonce = [0; 32];
    aws_lc_rs::rand::fill(&mut nonce).map_err(|_| Error::Crypto("no random numbers"))?;
    Ok(nonce)
}
