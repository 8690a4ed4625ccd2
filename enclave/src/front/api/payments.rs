//! `/v1/payments`: what an account owes and promised, and the vouchers that its provider submits.

use std::sync::Arc;

use http::StatusCode;

use super::{get, post};
use crate::front::Node;
use crate::front::error::ApiError;
use crate::front::exchange::{Answer, Call};
use crate::front::payments::Payments;
use crate::front::wallet::fixed;

/// Answers what stands under `/v1/payments` on a node with payments; `None` for any other path.
pub(super) async fn route(node: &Arc<Node>, call: &Call) -> Option<Result<Answer, ApiError>> {
    let payments = node.payments.as_ref()?;
    let name = call.path.strip_prefix("/v1/payments/")?;
    Some(match (name, call.method.as_str()) {
        ("session", _) => session(node, payments, call).await,
        ("vouchers", "GET" | "HEAD") => vouchers(node, payments, call).await,
        ("vouchers", "POST") => voucher(payments, call).await,
        ("vouchers", _) => Err(ApiError::method_not_allowed("GET, POST")),
        _ => Err(ApiError::unknown_url(&call.method)),
    })
}

async fn session(node: &Node, payments: &Payments, call: &Call) -> Result<Answer, ApiError> {
    get(call)?;
    let account = account(node, call).await?;
    payments.session(&account).await.map(Answer::private)
}

/// The provider's alone: a voucher is money to whoever earns it, and nobody else's business.
async fn vouchers(node: &Node, payments: &Payments, call: &Call) -> Result<Answer, ApiError> {
    get(call)?;
    if account(node, call).await? != payments.provider().0 {
        let message = "Vouchers are shown to the provider alone.";
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "payment_not_provider",
            message,
        ));
    }
    let after = match call.query.as_str() {
        "" => None,
        query => {
            let after = query.strip_prefix("after=").and_then(fixed);
            Some(after.ok_or_else(|| {
                let message = "The query is after=0x… with an account, or nothing.";
                ApiError::invalid("invalid_query", message, Some("after"))
            })?)
        }
    };
    payments.vouchers(after).await.map(Answer::private)
}

async fn voucher(payments: &Payments, call: &Call) -> Result<Answer, ApiError> {
    post(call)?;
    payments.voucher(&call.body).await.map(Answer::private)
}

async fn account(node: &Node, call: &Call) -> Result<[u8; 20], ApiError> {
    node.wallets.account(call).await?.ok_or_else(|| {
        let message = "An account must sign the request.";
        ApiError::new(StatusCode::UNAUTHORIZED, "wallet_signature_missing", message)
    })
}
