//! The one chain reader that enclave, gateway and client share.
//!
//! It asks n JSON-RPC endpoints and believes what k of them say alike about one concrete block. Nothing here proves an
//! answer: where the endpoints are reached through an untrusted host, TLS to each of them and the independence of their
//! operators are what the k-of-n label rests on (`docs/design.md` §3.6, §3.7).
//!
//! The crate does no logging, resolves no names (the text of the authority goes to [`Dial`]) and reads no clock but the
//! timer of its own time limits, so it runs inside a confidential guest whose only way out is an egress stream.

mod dial;
mod endpoint;
mod hexadecimal;
mod measurement;
mod reader;
mod rpc;

pub use dial::{Dial, Io, TcpDial};
pub use endpoint::{Endpoint, EndpointError};
pub use hexadecimal::{HexError, parse_data, parse_quantity, parse_word};
pub use measurement::{
    LOOKUP_SELECTOR, MeasurementReading, MeasurementRecord, Policy, RecordError, Stage, Status, platform,
};
pub use reader::{Block, ChainReader, ConfigError, Finality, Head, MAX_ENDPOINTS, ReadError, ReaderConfig};
pub use rpc::{DEFAULT_TIMEOUT, MAX_RESPONSE_BYTES, RpcClient, RpcError, public_web_tls};
