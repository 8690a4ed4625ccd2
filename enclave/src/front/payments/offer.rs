//! What a request says of its payment. Nothing is judged yet.

use http::HeaderMap;
use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::market::{SignedVoucher, VoucherTextError};

use super::refusal::Reason;
use super::x402::Payment;

const VOUCHER: &str = "jeju-voucher";
const PAYMENT: &str = "x-payment";
const NONCE: &str = "x-jeju-settlement-nonce";

/// The headers of a request, as texts.
#[derive(Default)]
pub(in crate::front) struct Headers {
    voucher: Option<String>,
    payment: Option<String>,
    nonce: Option<String>,
}

/// What an account offers.
pub(super) struct Offer {
    pub(super) voucher: Option<SignedVoucher>,
    pub(super) payment: Option<Payment>,
    /// Nonce of the settlement that it wants.
    pub(super) nonce: Option<u64>,
}

impl Headers {
    /// A header that is doubled, or isn't ASCII, is one without meaning.
    pub(in crate::front) fn read(headers: &HeaderMap) -> Self {
        let one = |name: &str| {
            let mut values = headers.get_all(name).iter();
            let first = values.next()?;
            let text = first.to_str().ok().filter(|_| values.next().is_none());
            Some(text.unwrap_or_default().to_owned())
        };
        Self {
            voucher: one(VOUCHER),
            payment: one(PAYMENT),
            nonce: one(NONCE),
        }
    }

    /// Whether the request wants to be paid for.
    pub(super) fn offers(&self) -> bool {
        self.voucher.is_some() || self.payment.is_some()
    }

    /// What they say of `user`'s payment.
    ///
    /// # Errors
    /// [`Reason`] where one is malformed.
    pub(super) fn offer(&self, user: Account, provider: Account) -> Result<Offer, Reason> {
        let voucher =
            |text: &String| SignedVoucher::parse(text, user, provider).map_err(Reason::VoucherMalformed);
        let nonce = |text: &String| {
            let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            is_plain.then(|| text.parse().ok()).flatten().ok_or(Reason::Nonce)
        };
        Ok(Offer {
            voucher: self.voucher.as_ref().map(voucher).transpose()?,
            payment: self.payment.as_deref().map(Payment::parse).transpose()?,
            nonce: self.nonce.as_ref().map(nonce).transpose()?,
        })
    }
}

/// Reads a voucher in JSON, whose members are those of the header, and `user`.
///
/// # Errors
/// [`Reason::VoucherMalformed`].
pub(super) fn voucher_of_json(body: &[u8], provider: Account) -> Result<SignedVoucher, Reason> {
    let members = Reason::VoucherMalformed(VoucherTextError::Members);
    let document: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(body).map_err(|_| members.clone())?;
    let text = |name: &str| match document.get(name) {
        Some(serde_json::Value::String(text)) => Ok(text.clone()),
        Some(serde_json::Value::Number(number)) if number.is_u64() => Ok(number.to_string()),
        _ => Err(members.clone()),
    };
    let user = text("user")?
        .parse()
        .map_err(|_| Reason::VoucherMalformed(VoucherTextError::Value("user")))?;
    let names = [
        "cumulative",
        "sequence",
        "request",
        "response",
        "expiry",
        "signature",
    ];
    let header = names
        .iter()
        .map(|name| Ok(format!("{name}={}", text(name)?)))
        .collect::<Result<Vec<_>, Reason>>()?;
    SignedVoucher::parse(&header.join(";"), user, provider).map_err(Reason::VoucherMalformed)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::json;

    use super::*;

    const USER: Account = Account([1; 20]);
    const PROVIDER: Account = Account([2; 20]);

    fn voucher() -> String {
        let (word, signature) = ("11".repeat(32), "22".repeat(65));
        format!("cumulative=5;sequence=1;request=0x{word};response=0x{word};expiry=9;signature=0x{signature}")
    }

    fn offer(headers: &[(&'static str, &str)]) -> Result<Offer, Reason> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        Headers::read(&map).offer(USER, PROVIDER)
    }

    #[test]
    fn a_request_without_headers_offers_nothing() {
        let none = offer(&[]).ok().unwrap();
        assert!(none.voucher.is_none() && none.payment.is_none() && none.nonce.is_none());
        let both = offer(&[(VOUCHER, &voucher()), (NONCE, "7")]).ok().unwrap();
        assert_eq!(both.voucher.unwrap().voucher.user, USER);
        assert_eq!(both.nonce, Some(7));
    }

    #[test]
    fn doubled_and_malformed_headers_are_refused() {
        let refused = |headers: &[(&'static str, &str)]| offer(headers).err().unwrap();
        let twice = [(VOUCHER, &*voucher()), (VOUCHER, &*voucher())];
        assert!(matches!(refused(&twice), Reason::VoucherMalformed(_)));
        assert_eq!(refused(&[(PAYMENT, "")]), Reason::PaymentMalformed);
        for nonce in ["", "-1", "+1", "0x1", "1.0", "18446744073709551616"] {
            assert_eq!(refused(&[(NONCE, nonce)]), Reason::Nonce, "{nonce:?}");
        }
        assert_eq!(refused(&[(NONCE, "1"), (NONCE, "1")]), Reason::Nonce);
    }

    #[test]
    fn a_voucher_is_the_same_in_json() {
        let word = format!("0x{}", "11".repeat(32));
        let good = json!({
            "user": USER.to_string(), "cumulative": "5", "sequence": 1, "request": word, "response": word,
            "expiry": "9", "signature": format!("0x{}", "22".repeat(65)),
        });
        let read = |document: &serde_json::Value| voucher_of_json(document.to_string().as_bytes(), PROVIDER);
        assert_eq!(
            read(&good),
            Ok(SignedVoucher::parse(&voucher(), USER, PROVIDER).unwrap())
        );
        for (name, wrong) in [
            ("user", json!(null)),
            ("user", json!("0x01")),
            ("cumulative", json!(5.5)),
            ("cumulative", json!(-5)),
            ("cumulative", json!("5;sequence=2")),
            ("sequence", json!([1])),
            ("request", json!("0x")),
            ("signature", json!("0x22")),
        ] {
            let mut changed = good.clone();
            changed[name] = wrong;
            assert!(
                matches!(read(&changed), Err(Reason::VoucherMalformed(_))),
                "{name}"
            );
        }
        assert!(voucher_of_json(b"[]", PROVIDER).is_err());
        assert!(voucher_of_json(b"{", PROVIDER).is_err());
    }
}
