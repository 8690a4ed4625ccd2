//! The one chain reader that enclave, gateway and client share.
//!
//! It asks n JSON-RPC endpoints and believes what k of them say alike about one concrete block. That proves nothing: where
//! the endpoints are reached through an untrusted host, TLS to each of them and the independence of their operators are
//! what the k-of-n label rests on. What is read against a block hash that is trusted already
//! ([`ChainReader::proved_measurement`]) is proved, by any one endpoint. [`HeadGuard`] says whether the chain that is shown
//! goes on where it was, and a reader may have one of its own ([`ChainReader::guarded`]); [`EventReader`] reads logs of final blocks.
//!
//! The crate does no logging, resolves no names (the text of the authority goes to [`Dial`]) and reads no clock but the
//! timer of its own time limits, so it runs inside a confidential guest whose only way out is an egress stream.

mod abi;
mod agent;
mod attested_key;
mod call;
mod call_data;
mod dial;
mod endpoint;
mod events;
mod guard;
mod hexadecimal;
mod ledger;
mod measurement;
mod measurement_list;
mod newest;
mod proof;
mod provider;
mod reader;
mod rental;
mod rpc;
mod serving;
mod staking;
mod text;
mod worker;

pub use abi::AbiError;
pub use agent::{
    AgentRecord, ClientPage, MAX_AGENT_METADATA, MAX_AGENT_URI, MAX_CLIENT_PAGE, ReputationSummary,
    ValidationSummary,
};
pub use attested_key::AttestedSigner;
pub use call::MAX_CALL_RESULT;
pub use call_data::{CallData, selector};
pub use dial::{Dial, Io, TcpDial};
pub use endpoint::{Endpoint, EndpointError};
pub use events::{
    CURSOR_VERSION, Cursor, CursorError, Event, EventError, EventReader, Filter, FilterError, MAX_ADDRESSES,
    MAX_SPAN, MAX_TOPIC_ALTERNATIVES, Page,
};
pub use guard::{GuardError, GuardLimits, HeadGuard};
pub use hexadecimal::{HexError, parse_data, parse_quantity, parse_word};
pub use ledger::{Ledger, SubAccount};
pub use measurement::{
    LOOKUP_SELECTOR, MeasurementReading, MeasurementRecord, Policy, RecordError, Stage, Status, platform,
};
pub use proof::{
    AccountProof, EMPTY_ROOT, Header, HeaderError, MAX_HEADER_BYTES, MAX_NODE_BYTES, MAX_PROOF_NODES,
    MAX_SLOTS, POLICY_SLOT, ProofError, ProvedError, RECORDS_SLOT, RlpError, TrieError, measurement_slots,
    prove,
};
pub use provider::{
    Capability, MAX_CAPABILITIES, MAX_PROVIDER_PAGE, MAX_TEXT_BYTES, ProviderPage, ProviderRecord,
};
pub use reader::{Block, ChainReader, ConfigError, Finality, Head, MAX_ENDPOINTS, ReadError, ReaderConfig};
pub use rental::{
    CALCULATE_RENTAL_COST_SELECTOR, GET_PROVIDER_RENTALS_PAGE_SELECTOR, GET_PROVIDER_RESOURCES_SELECTOR,
    GET_RENTAL_SELECTOR, GET_USER_RENTALS_PAGE_SELECTOR, GpuType, MAX_HOST_BYTES, MAX_IMAGE_BYTES,
    MAX_KEY_BYTES, MAX_RENTAL_HOURS, MAX_RENTAL_PAGE, MAX_SCRIPT_BYTES, OWED_SELECTOR, Offer, RentalRecord,
    RentalResources, RentalStatus, TERMS_OF_SELECTOR, rental_page,
};
pub use rpc::{DEFAULT_TIMEOUT, MAX_RESPONSE_BYTES, RpcClient, RpcError, public_web_tls};
pub use serving::{AgentStats, MAX_SERVICE_PAGE, MAX_SERVICES, Service, ServingContracts, VoucherSession};
pub use staking::{LeavingStake, ShownKey, StakeKind, StakeRecord};
pub use text::ChainText;
pub use worker::{CODE_URI_SELECTOR, GET_WORKER_SELECTOR, MAX_WORKER_TEXT, WorkerRecord, WorkerStatus};
