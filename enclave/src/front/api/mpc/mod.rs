//! Routes of 4010: the threshold signer's service.

mod requests;
mod status;

use std::sync::Arc;

use crate::front::Node;
use crate::front::error::ApiError;
use crate::front::exchange::{Answer, Call};
use crate::front::listener::Connection;
use crate::front::mpc::{Mpc, Operation};

use super::{get, post, well_known};

/// Finds the handler and lets it answer.
pub(in crate::front) async fn route(
    node: &Arc<Node>,
    connection: &Connection,
    call: Call,
) -> Result<Answer, ApiError> {
    let mpc = node
        .mpc
        .as_ref()
        .ok_or_else(|| ApiError::unknown_url(&call.method))?;
    if let Some(operation) = Operation::of_path(&call.path) {
        post(&call)?;
        return requests::serve(node, mpc, operation, call).await;
    }
    match call.path.as_str() {
        "/health" => {
            get(&call)?;
            status::health(node, mpc).await
        }
        "/mpc/status" => {
            get(&call)?;
            status::status(node, mpc).await
        }
        "/mpc/configuration" => {
            get(&call)?;
            status::configuration(mpc, &call.query).await
        }
        "/mpc/heartbeat" => {
            get(&call)?;
            status::heartbeat(node, mpc).await
        }
        "/v1/metrics" => {
            get(&call)?;
            status::metrics(mpc).await
        }
        _ => well_known(node, connection, &call).await,
    }
}

/// Name of the node as clients see it.
fn node_id(mpc: &Mpc) -> &str {
    &mpc.node().node
}
