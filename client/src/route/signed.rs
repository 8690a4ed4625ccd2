//! Requests to a gateway that are an account's, as clients of the first Jeju Compute sign them. The text names no gateway,
//! method or body: who captures one gets what any gateway allows the account, once.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use jeju_wallet_auth::signature::{AccountKey, text_digest};
use jeju_wallet_auth::v1::gateway_text;
use serde_json::Value;

use super::RouteError;
use super::error::shown;
use crate::via::GatewayApi;

/// Asks a gateway as an account; its answer, if it is one.
pub(super) async fn ask(
    gateway: &GatewayApi,
    account: &AccountKey,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<Value, RouteError> {
    let failed = |reason: String| RouteError::Gateway {
        gateway: gateway.authority(),
        reason: shown(&reason),
    };
    let body = body.map_or_else(Bytes::new, |body| body.to_string().into());
    let asked = gateway.ask(method, path, headers(account)?, body);
    let (status, body) = asked.await.map_err(failed)?;
    let document: Option<Value> = serde_json::from_slice(&body).ok();
    match document {
        Some(document) if status.is_success() => Ok(document),
        Some(document) if document["code"].is_string() => {
            let word = |member: &str| shown(document[member].as_str().unwrap_or_default());
            Err(RouteError::Refused {
                gateway: gateway.authority(),
                code: word("code"),
                message: word("error"),
            })
        }
        _ => Err(failed(format!(
            "no answer of a gateway (status {})",
            status.as_u16()
        ))),
    }
}

fn headers(account: &AccountKey) -> Result<HeaderMap, RouteError> {
    let mut nonce = [0; 16];
    aws_lc_rs::rand::fill(&mut nonce).map_err(|_| RouteError::Random)?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (address, nonce) = (account.account().to_string(), hex::encode(nonce));
    let timestamp = since.as_millis().to_string();
    let signature = account.sign(&text_digest(&gateway_text(&address, &nonce, &timestamp)));
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("x-jeju-address", address),
        ("x-jeju-nonce", nonce),
        ("x-jeju-timestamp", timestamp),
        ("x-jeju-signature", signature.to_string()),
    ] {
        let value =
            HeaderValue::try_from(value).expect("hexadecimal and decimal digits are a header's value");
        headers.insert(name, value);
    }
    Ok(headers)
}
