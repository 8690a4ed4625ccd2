//! Signed questions to a node about payments, on a session that is verified already.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use jeju_wallet_auth::market::SignedVoucher;
use jeju_wallet_auth::signature::AccountKey;
use jeju_wallet_auth::v2::Audience;
use serde_json::{Value, json};

use super::PaymentError;
use super::book::AtNode;
use super::usage::wei;
use crate::rental::authority;
use crate::rental::node::words;
use crate::session::{Session, VerifiedBody};

/// Where users ask what they owe.
pub(super) const SESSION: &str = "/v1/payments/session";
/// Where vouchers are handed in, and where providers fetch them.
pub(crate) const VOUCHERS: &str = "/v1/payments/vouchers";

/// Who asks, of which node, at which time by the chain.
pub(crate) struct Asker<'a> {
    pub(crate) key: &'a AccountKey,
    pub(crate) audience: &'a Audience,
    pub(crate) now: u64,
}

impl Asker<'_> {
    /// Headers that make a request the account's.
    pub(crate) fn headers(
        &self,
        method: &Method,
        path: &str,
        body: &[u8],
    ) -> Result<HeaderMap, PaymentError> {
        Ok(authority::headers(
            self.key,
            self.audience,
            method,
            path,
            body,
            self.now,
        )?)
    }

    /// What the node knows of the account's vouchers.
    pub(super) async fn session(&self, session: &mut Session) -> Result<AtNode, PaymentError> {
        at_node(&self.document(session, SESSION).await?)
    }

    /// A document that the account may read.
    pub(crate) async fn document(&self, session: &mut Session, path: &str) -> Result<Value, PaymentError> {
        let headers = self.headers(&Method::GET, path, b"")?;
        ask(session, Method::GET, path, headers, Bytes::new()).await
    }
}

/// Hands a voucher in, which needs nobody's signature but its own. Returns what the node knows then.
pub(super) async fn hand_in(session: &mut Session, voucher: &SignedVoucher) -> Result<AtNode, PaymentError> {
    let body = Bytes::from(voucher_json(voucher).to_string());
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    at_node(&ask(session, Method::POST, VOUCHERS, headers, body).await?)
}

/// A voucher as JSON.
pub(crate) fn voucher_json(signed: &SignedVoucher) -> Value {
    let voucher = &signed.voucher;
    let digest = |bytes: &[u8; 32]| format!("0x{}", hex::encode(bytes));
    json!({
        "user": voucher.user.to_string(),
        "cumulative": voucher.cumulative.to_string(),
        "sequence": voucher.sequence,
        "request": digest(&voucher.request_digest),
        "response": digest(&voucher.response_digest),
        "expiry": voucher.expiry,
        "signature": signed.signature.to_string(),
    })
}

fn at_node(document: &Value) -> Result<AtNode, PaymentError> {
    let amount = |name: &str| {
        let found = document[name].as_str().and_then(wei);
        found.ok_or(PaymentError::Answer("owed and promised are not amounts"))
    };
    // A number, or its digits.
    let sequence = match &document["sequence"] {
        Value::String(text) => wei(text).and_then(|number| number.try_into().ok()),
        number => number.as_u64(),
    };
    Ok(AtNode {
        owed: amount("owed")?,
        promised: amount("promised")?,
        sequence: sequence.ok_or(PaymentError::Answer("sequence is no number"))?,
    })
}

async fn ask(
    session: &mut Session,
    method: Method,
    path: &str,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Value, PaymentError> {
    let answer = session.request(method, path, headers, body).await?;
    let VerifiedBody::Whole(body) = answer.body else {
        return Err(PaymentError::Answer("a stream, which nobody asked for"));
    };
    match answer.status.is_success() {
        true => serde_json::from_slice(&body).map_err(|_| PaymentError::Answer("not JSON")),
        false => Err(refusal(answer.status, &body)),
    }
}

/// What a node's error says: the code stands beside the text, or in the object that x402 has at the top.
pub(crate) fn refusal(status: StatusCode, body: &[u8]) -> PaymentError {
    let document: Value = serde_json::from_slice(body).unwrap_or_default();
    let inner = &document["error"];
    let first = |found: &[&Value], none: &str| {
        let found = found.iter().find_map(|found| found.as_str());
        words(found.unwrap_or(none))
    };
    PaymentError::Refused {
        status,
        code: first(&[&inner["code"], &document["code"]], "node_refused"),
        message: first(&[&inner["message"], &document["message"], inner], "no message"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_have_codes_in_either_form() {
        for (body, code, message) in [
            (r#"{"error":{"code":"a","message":"b"}}"#, "a", "b"),
            (
                r#"{"x402Version":1,"error":"Payment required","code":"payment_due","accepts":[]}"#,
                "payment_due",
                "Payment required",
            ),
            (
                r#"{"error":"Payment required","code":"payment_due","message":"2 wei are due"}"#,
                "payment_due",
                "2 wei are due",
            ),
            ("<html>", "node_refused", "no message"),
            (r#"{"error":{"code":"a\u001b[2J"}}"#, "a[2J", "no message"),
        ] {
            match refusal(StatusCode::PAYMENT_REQUIRED, body.as_bytes()) {
                PaymentError::Refused {
                    code: found,
                    message: words,
                    ..
                } => assert_eq!((&*found, &*words), (code, message)),
                other => panic!("{other}"),
            }
        }
    }

    #[test]
    fn what_a_node_knows_is_read_strictly() {
        let good = json!({ "owed": "5", "promised": "3", "sequence": 2, "paid": "0", "credit": "9" });
        let expected = AtNode {
            owed: 5,
            promised: 3,
            sequence: 2,
        };
        assert_eq!(at_node(&good).unwrap(), expected);
        let digits = json!({ "owed": "5", "promised": "3", "sequence": "2" });
        assert_eq!(at_node(&digits).unwrap(), expected);
        for (name, wrong) in [
            ("owed", json!(5)),
            ("owed", json!("-5")),
            ("promised", json!("0x3")),
            ("promised", json!(null)),
            ("sequence", json!("0x2")),
            ("sequence", json!("18446744073709551616")),
            ("sequence", json!(-2)),
        ] {
            let mut bad = good.clone();
            bad[name] = wrong;
            assert_eq!(at_node(&bad).unwrap_err().code(), "answer_malformed");
        }
    }
}
