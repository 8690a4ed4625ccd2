//! The vouchers that a node asks its provider to submit.

use jeju_attestation::hex_bytes::HexBytes;
use jeju_contracts::serving::{UsageReceipt, Voucher as Submitted};
use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::market::{SignedVoucher, Voucher};
use jeju_wallet_auth::signature::Signature;
use serde_json::Value;

use crate::payment::wei;

/// Most vouchers of one page.
const MAX_PAGE: usize = 1000;

/// A voucher, and the receipt of its last answer where there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The voucher, with what is said to be its user's signature.
    pub signed: SignedVoucher,
    /// The enclave's receipt and its signature.
    pub receipt: Option<(UsageReceipt, Signature)>,
}

/// A page of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The vouchers.
    pub due: Vec<Due>,
    /// After whom the next page begins.
    pub next: Option<HexBytes<20>>,
}

impl Page {
    /// Of a node's answer. A receipt of another form is left out: it moves no money.
    ///
    /// # Errors
    /// What is wrong with the answer.
    pub fn read(document: &Value) -> Result<Self, &'static str> {
        let vouchers = document["vouchers"].as_array().ok_or("no list of vouchers")?;
        if vouchers.len() > MAX_PAGE {
            return Err("too many vouchers");
        }
        let next = match &document["next"] {
            Value::Null => None,
            next => Some(next.as_str().and_then(account).ok_or("next is no account")?),
        };
        let due: Option<Vec<_>> = vouchers.iter().map(Due::read).collect();
        Ok(Self {
            due: due.ok_or("a voucher has not its form")?,
            next: next.map(|next| HexBytes(next.0)),
        })
    }
}

impl Due {
    fn read(document: &Value) -> Option<Self> {
        let voucher = Voucher {
            user: account(document["user"].as_str()?)?,
            provider: account(document["provider"].as_str()?)?,
            cumulative: wei(document["cumulative"].as_str()?)?,
            sequence: number(&document["sequence"])?,
            request_digest: bytes(&document["request"])?,
            response_digest: bytes(&document["response"])?,
            expiry: number(&document["expiry"])?,
        };
        let signature = Signature::parse(document["signature"].as_str()?).ok()?;
        Some(Self {
            signed: SignedVoucher { voucher, signature },
            receipt: receipt(&document["receipt"]),
        })
    }

    /// The voucher as it is submitted.
    pub fn submitted(&self) -> Submitted {
        let voucher = &self.signed.voucher;
        Submitted {
            user: voucher.user.0.into(),
            provider: voucher.provider.0.into(),
            cumulative: voucher.cumulative,
            sequence: voucher.sequence,
            request_digest: voucher.request_digest.into(),
            response_digest: voucher.response_digest.into(),
            expiry: voucher.expiry,
        }
    }
}

fn receipt(document: &Value) -> Option<(UsageReceipt, Signature)> {
    let receipt = UsageReceipt {
        agent: bytes::<32>(&document["agentId"])?.into(),
        boot: bytes(&document["boot"])?,
        request_id: bytes::<32>(&document["requestId"])?.into(),
        request_digest: bytes::<32>(&document["requestDigest"])?.into(),
        response_digest: bytes::<32>(&document["responseDigest"])?.into(),
        input_units: number(&document["inputUnits"])?,
        output_units: number(&document["outputUnits"])?,
        epoch: number(&document["epoch"])?,
        anchor_block: number(&document["anchorBlock"])?,
    };
    let signature = Signature::parse(document["signature"].as_str()?).ok()?;
    Some((receipt, signature))
}

fn account(text: &str) -> Option<Account> {
    text.parse().ok()
}

fn bytes<const N: usize>(value: &Value) -> Option<[u8; N]> {
    HexBytes::parse(value.as_str()?).map(|bytes| bytes.0)
}

/// A number, or its digits.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| wei(value.as_str()?)?.try_into().ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn digest(byte: u8) -> String {
        HexBytes([byte; 32]).to_string()
    }

    fn voucher() -> Value {
        json!({
            "user": HexBytes([1; 20]).to_string(),
            "provider": HexBytes([2; 20]).to_string(),
            "cumulative": "340282366920938463463374607431768211455",
            "sequence": "7",
            "request": digest(3),
            "response": digest(4),
            "expiry": 1_900_000_000,
            "signature": format!("0x{}", "05".repeat(65)),
            "paid": "0",
            "receipt": {
                "agentId": digest(6), "boot": format!("0x{}", "07".repeat(16)), "requestId": digest(8),
                "requestDigest": digest(3), "responseDigest": digest(4), "inputUnits": 1, "outputUnits": "2",
                "epoch": 3, "anchorBlock": 4, "signature": format!("0x{}", "09".repeat(65)),
            },
        })
    }

    fn page(voucher: &Value) -> Result<Page, &'static str> {
        Page::read(&json!({ "vouchers": [voucher], "next": HexBytes([1; 20]).to_string() }))
    }

    #[test]
    fn vouchers_are_read_as_nodes_write_them() {
        let page = page(&voucher()).unwrap();
        assert_eq!(page.next, Some(HexBytes([1; 20])));
        let due = &page.due[0];
        let submitted = due.submitted();
        assert_eq!((submitted.cumulative, submitted.sequence), (u128::MAX, 7));
        let (receipt, _) = due.receipt.as_ref().unwrap();
        assert_eq!((receipt.input_units, receipt.output_units), (1, 2));
        assert_eq!(Page::read(&json!({ "vouchers": [] })).unwrap().next, None);
    }

    #[test]
    fn answers_of_another_form_are_refused() {
        for (name, wrong) in [
            ("user", json!("0x01")),
            ("provider", json!(null)),
            ("cumulative", json!(5)),
            ("cumulative", json!("340282366920938463463374607431768211456")),
            ("sequence", json!("18446744073709551616")),
            ("sequence", json!(-1)),
            ("request", json!("0x03")),
            ("response", json!(3)),
            ("expiry", json!(1.5)),
            ("signature", json!("0x05")),
        ] {
            let mut voucher = voucher();
            voucher[name] = wrong;
            assert!(page(&voucher).is_err(), "{name}");
        }
        for wrong in [
            json!([]),
            json!({ "vouchers": {} }),
            json!({ "vouchers": [], "next": "x" }),
            json!({ "vouchers": vec![0; MAX_PAGE + 1] }),
        ] {
            assert!(Page::read(&wrong).is_err());
        }
    }

    #[test]
    fn a_receipt_of_another_form_is_left_out() {
        for wrong in [json!(null), json!({}), json!("x")] {
            let mut voucher = voucher();
            voucher["receipt"] = wrong;
            assert_eq!(page(&voucher).unwrap().due[0].receipt, None);
        }
    }
}
