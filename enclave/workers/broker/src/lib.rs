//! The trusted end of a channel to a process that runs an owner's workers.
//!
//! A [`Process`] loads code and runs events; each event is a [`Call`] whose answer, log lines and end are taken one by
//! one. What its workers `fetch` goes through an [`Outbound`]. Everything that comes from the process is taken as
//! hostile: it is bounded, checked, and counted against what it may send, and a process that breaks the protocol is
//! given up, which ends its calls with [`code::CRASHED`](jeju_worker_protocol::code::CRASHED).
//!
//! | module | what it holds |
//! |---|---|
//! | `process` | [`Process`]: the two directions of the channel, and what is under way on it |
//! | `call` | [`Call`]: one event |
//! | `outbound` | [`Outbound`]: where fetches go |
//! | `channel` | the work on the channel |
//! | `pace` | how much of the front's time the channel may take |
//! | `state` | what is under way, and what is done with each message |
//! | `entry` | what the process may still send of an event, and until when |
//! | `fetch` | fetches of workers under way |
//! | `pipe`, `flow` | bodies from the process and to it, by credit |
//! | `uploading` | a fetch's body on its way to whoever sends it |
//! | `check` | whether heads, requests and failures are such |

mod call;
mod channel;
mod check;
mod entry;
mod fetch;
mod flow;
mod outbound;
mod pace;
mod pipe;
mod process;
mod state;
mod uploading;

pub use call::{Call, CallContext, CallEvent, Guard};
pub use outbound::{Body, BoxFuture, Outbound};
pub use process::{Ended, Loaded, Process};

pub use jeju_worker_protocol as protocol;
