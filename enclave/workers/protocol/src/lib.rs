//! What everybody knows of a worker: its code as a [`Bundle`], its limits, and the messages between the node's front and
//! the process that runs an owner's workers. No I/O.
//!
//! | module | what it holds |
//! |---|---|
//! | `bundle` | modules, and the digest that is published on chain |
//! | `limits` | what one event may use |
//! | `message` | [`ToProcess`], [`ToBroker`] |
//! | `frame` | how messages lie on a stream of bytes |
//! | [`api`] | documents of the HTTP API |
//! | `resolve` | which module of a bundle an import means |
//! | `route` | which worker answers a path |
//! | `cron` | when a worker is woken |
//!
//! The process runs code of strangers in an engine written in C: the front takes each of its bytes as hostile.

pub mod api;
mod bundle;
mod cron;
mod frame;
mod limits;
mod message;
mod resolve;
mod route;

pub use bundle::{Bundle, BundleError, Language, MAX_BUNDLE, MAX_MODULES, Module};
pub use cron::{CronError, MAX_CRON, Schedule};
pub use frame::{FrameError, Frames, HEADER_LEN, MAX_FRAME, append_frame, frame};
pub use limits::{BODY_WINDOW, Limits, MAX_CHUNK};
pub use message::{
    BodyOf, CallId, Event, Failure, FetchEvent, FetchId, FetchRequest, FetchResponse, Form, Handlers,
    Headers, Level, Load, LogLine, Redirect, ScheduledEvent, ToBroker, ToProcess, Usage, WorkerRef, code,
};
pub use resolve::{ResolveError, Resolver};
pub use route::{MAX_ROUTE, MAX_ROUTE_PARTS, Route, RouteError, RouteTable};
