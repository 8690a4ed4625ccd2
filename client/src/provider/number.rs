//! Which number the provider's next transaction has.

use std::time::{Duration, Instant};

use jeju_chain::RpcClient;
use jeju_contracts::sender::{AccountKey, quantity};
use serde_json::json;
use tokio::time::sleep;

use crate::rental::RentalError;

/// How long transactions that wait for inclusion are waited for in one round.
pub(super) const INCLUSION: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(500);

/// Number of the account's next transaction, once none waits for inclusion.
///
/// # Errors
/// [`RentalError::InFlight`] where one still waits then.
pub(super) async fn next_number(
    rpc: &RpcClient,
    key: &AccountKey,
    inclusion: Duration,
) -> Result<u64, RentalError> {
    let started = Instant::now();
    loop {
        let count = async |tag: &str| {
            let of = json!([key.address(), tag]);
            quantity(rpc, "eth_getTransactionCount", of).await
        };
        let (included, known) = (count("latest").await?, count("pending").await?);
        if known <= included {
            return Ok(included);
        }
        if started.elapsed() >= inclusion {
            return Err(RentalError::InFlight(known - included));
        }
        sleep(POLL).await;
    }
}
