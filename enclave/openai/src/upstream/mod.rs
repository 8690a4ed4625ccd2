//! What passes between this node and an upstream: [`request`] makes the body that is sent there, [`sse`] takes a stream
//! apart, [`answer`] lets through what has the shape of an answer, and [`refusal`] says what an error means.
//!
//! Both ways by allow-list. A field that isn't known here never reaches an upstream, and nothing but the known fields of
//! its answer reaches a client: an upstream's own id, model name, fingerprint, timings and error texts stay behind.

pub mod answer;
pub mod refusal;
pub mod request;
pub mod sse;
