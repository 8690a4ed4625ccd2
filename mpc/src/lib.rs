//! The threshold signer: FROST (RFC 9591) among members of a network, as state machines over messages.
//!
//! A [`member::Member`] takes [`member::Input`]s and gives [`member::Output`]s; it has no socket, no clock, no disk and no
//! random numbers of its own. Who drives it carries its messages over channels that authenticate and encrypt, keeps its
//! records, and tells it the time.
//!
//! | module | what it does |
//! |---|---|
//! | [`network`] | who the members are, and how many must sign |
//! | [`configuration`] | how its members change |
//! | [`member`] | one member: what goes in, what comes out |
//! | [`message`] | what members say to each other, and its encoding |
//! | [`identity`] | the key that signs what must be provable |
//! | `ceremony` | key generation and refresh |
//! | `signing` | coordinator and signer |
//! | `repair` | a lost share comes back |
//! | `derive` | users' keys from one generated key |
//! | `record` | what is kept over a restart |
//! | [`marks`] | an old state that a host brings back is found out |
//! | `limits` | how often a wallet may ask for what all members have to do |
//! | [`authority`] | whether a request may use a key |
//! | [`refusal`] | why a request gets no answer; stable codes |

pub mod authority;
mod ceremony;
pub mod configuration;
mod derive;
pub mod identity;
mod key;
mod limits;
pub mod marks;
pub mod member;
pub mod message;
pub mod network;
mod policy;
mod record;
pub mod refusal;
mod repair;
mod signing;
mod suite;
pub mod time;
pub mod wire;
