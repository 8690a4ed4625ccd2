//! Fetches of workers, from what is asked to the end of what comes back.

use std::sync::Arc;

use jeju_worker_protocol::{BodyOf, CallId, Failure, FetchId, FetchRequest, ToProcess, code};

use crate::call::CallContext;
use crate::check;
use crate::flow::{Credit, send_body};
use crate::outbound::Body;
use crate::state::Shared;

/// Carries out a fetch, and hands its answer to the process.
pub(crate) async fn carry_out(
    shared: Arc<Shared>,
    context: Arc<CallContext>,
    (call, fetch): (CallId, FetchId),
    request: FetchRequest,
    body: Option<Body>,
    credit: Arc<Credit>,
) {
    let outcome = match check::is_request(&request) {
        true => shared.outbound().fetch(context, request, body).await,
        false => Err(Failure::new(code::FETCH_INVALID, "the request isn't one of HTTP")),
    };
    match outcome {
        Ok((response, body)) => {
            shared.send(&ToProcess::FetchHead {
                call,
                fetch,
                response,
            });
            send_body(shared, call, BodyOf::Fetch(fetch), body, credit).await;
        }
        Err(failure) => shared.send(&ToProcess::FetchFailed { call, fetch, failure }),
    }
}
