//! A signed voucher as the header `Jeju-Voucher` carries it:
//! `cumulative=<wei>;sequence=<n>;request=0x<64>;response=0x<64>;expiry=<unix s>;signature=0x<130>`.
//!
//! User and provider aren't in it: they are those of the request.

use std::fmt;

use thiserror::Error;

use super::{At, Voucher};
use crate::account::Account;
use crate::signature::{AccountKey, Signature, SignatureError};

/// Longest text, in bytes: the longest numbers with all names have 402.
pub const MAX_VOUCHER_TEXT: usize = 512;

/// Why a text is no voucher.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum VoucherTextError {
    /// Too long.
    #[error("a voucher has at most {MAX_VOUCHER_TEXT} bytes")]
    Length,
    /// Not the six members in their order.
    #[error("a voucher is cumulative, sequence, request, response, expiry and signature, in this order")]
    Members,
    /// A member's value has another form.
    #[error("{0} of the voucher has not its form")]
    Value(&'static str),
    /// The signature's form.
    #[error("signature of the voucher: {0}")]
    Signature(#[from] SignatureError),
}

/// A voucher with its user's signature, which may be anybody's until [`SignedVoucher::is_signed`] says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedVoucher {
    /// What was promised.
    pub voucher: Voucher,
    /// By the user.
    pub signature: Signature,
}

impl SignedVoucher {
    /// Signs as the voucher's user; `None` if the key is another account's.
    pub fn sign(voucher: Voucher, serving: &At, key: &AccountKey) -> Option<Self> {
        (key.account() == voucher.user).then(|| Self {
            voucher,
            signature: key.sign(&voucher.digest(serving)),
        })
    }

    /// Whether the voucher's user signed it for this contract. Users that are contracts (ERC-1271) never did, as far as
    /// can be said without a chain.
    pub fn is_signed(&self, serving: &At) -> bool {
        self.signature.recover(&self.voucher.digest(serving)) == Ok(self.voucher.user)
    }

    /// Reads the header of a request of `user` to `provider`.
    ///
    /// # Errors
    /// Any of [`VoucherTextError`].
    pub fn parse(text: &str, user: Account, provider: Account) -> Result<Self, VoucherTextError> {
        if text.len() > MAX_VOUCHER_TEXT {
            return Err(VoucherTextError::Length);
        }
        let mut members = text.split(';');
        let mut member = |name: &'static str| {
            let value = members.next().and_then(|member| member.trim().split_once('='));
            match value {
                Some((found, value)) if found == name => Ok((name, value)),
                _ => Err(VoucherTextError::Members),
            }
        };
        let cumulative = decimal(member("cumulative")?)?;
        let sequence = u64_of(member("sequence")?)?;
        let request_digest = digest(member("request")?)?;
        let response_digest = digest(member("response")?)?;
        let expiry = u64_of(member("expiry")?)?;
        let signature = Signature::parse(member("signature")?.1)?;
        if members.next().is_some() {
            return Err(VoucherTextError::Members);
        }
        let voucher = Voucher {
            user,
            provider,
            cumulative,
            sequence,
            request_digest,
            response_digest,
            expiry,
        };
        Ok(Self { voucher, signature })
    }
}

impl fmt::Display for SignedVoucher {
    /// The header's text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Voucher {
            cumulative,
            sequence,
            request_digest,
            response_digest,
            expiry,
            ..
        } = self.voucher;
        let (request, response) = (hex::encode(request_digest), hex::encode(response_digest));
        write!(
            f,
            "cumulative={cumulative};sequence={sequence};request=0x{request};response=0x{response};expiry={expiry};\
             signature={}",
            self.signature
        )
    }
}

type Member<'a> = (&'static str, &'a str);

/// Digits alone, without zeros before them: one number has one text.
fn decimal((name, value): Member<'_>) -> Result<u128, VoucherTextError> {
    let is_plain = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    if !is_plain || (value.len() > 1 && value.starts_with('0')) {
        return Err(VoucherTextError::Value(name));
    }
    value.parse().map_err(|_| VoucherTextError::Value(name))
}

fn u64_of(member: Member<'_>) -> Result<u64, VoucherTextError> {
    decimal(member)?
        .try_into()
        .map_err(|_| VoucherTextError::Value(member.0))
}

fn digest((name, value): Member<'_>) -> Result<[u8; 32], VoucherTextError> {
    let wrong = || VoucherTextError::Value(name);
    let mut bytes = [0; 32];
    let digits = value.strip_prefix("0x").ok_or_else(wrong)?;
    hex::decode_to_slice(digits, &mut bytes).map_err(|_| wrong())?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::tests::{provider, user};

    const AT: At = At {
        chain_id: 31337,
        contract: Account([7; 20]),
    };

    fn voucher() -> Voucher {
        Voucher {
            user: user().account(),
            provider: provider(),
            cumulative: 1_000,
            sequence: 1,
            request_digest: [1; 32],
            response_digest: [2; 32],
            expiry: 1_700_000_000,
        }
    }

    fn parse(text: &str) -> Result<SignedVoucher, VoucherTextError> {
        SignedVoucher::parse(text, user().account(), provider())
    }

    #[test]
    fn a_voucher_survives_its_header() {
        let signed = SignedVoucher::sign(voucher(), &AT, &user()).unwrap();
        assert_eq!(parse(&signed.to_string()), Ok(signed));
        assert!(signed.is_signed(&AT));
        let spaced = signed.to_string().replace(';', "; ");
        assert_eq!(parse(&spaced), Ok(signed));
        let largest = Voucher {
            cumulative: u128::MAX,
            sequence: u64::MAX,
            expiry: u64::MAX,
            ..voucher()
        };
        let signed = SignedVoucher::sign(largest, &AT, &user()).unwrap();
        assert!(
            signed.to_string().len() + 5 <= MAX_VOUCHER_TEXT,
            "with its spaces"
        );
        assert_eq!(parse(&signed.to_string()), Ok(signed));
    }

    #[test]
    fn a_voucher_is_its_users_for_one_contract_and_one_amount() {
        let signed = SignedVoucher::sign(voucher(), &AT, &user()).unwrap();
        let others = Voucher {
            user: provider(),
            ..voucher()
        };
        assert_eq!(SignedVoucher::sign(others, &AT, &user()), None);
        let elsewhere = [
            At { chain_id: 1, ..AT },
            At {
                contract: Account([8; 20]),
                ..AT
            },
        ];
        for at in elsewhere {
            assert!(!signed.is_signed(&at));
        }
        let changes: [fn(&mut Voucher); 7] = [
            |voucher| voucher.user = provider(),
            |voucher| voucher.provider = Account([1; 20]),
            |voucher| voucher.cumulative += 1,
            |voucher| voucher.sequence += 1,
            |voucher| voucher.request_digest[0] ^= 1,
            |voucher| voucher.response_digest[31] ^= 1,
            |voucher| voucher.expiry += 1,
        ];
        for change in changes {
            let mut changed = signed;
            change(&mut changed.voucher);
            assert!(!changed.is_signed(&AT), "{:?}", changed.voucher);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let text = SignedVoucher::sign(voucher(), &AT, &user()).unwrap().to_string();
        let with = |from: &str, to: &str| {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text);
            parse(&changed).unwrap_err()
        };
        for wrong in ["", "01", "+1", "-1", "1.0", "1e3", "0x1", &"9".repeat(40)] {
            let changed = format!("cumulative={wrong};");
            assert_eq!(
                with("cumulative=1000;", &changed),
                VoucherTextError::Value("cumulative")
            );
        }
        let large = format!("sequence={};", u128::from(u64::MAX) + 1);
        assert_eq!(with("sequence=1;", &large), VoucherTextError::Value("sequence"));
        assert_eq!(with("request=0x", "request="), VoucherTextError::Value("request"));
        assert_eq!(
            with("response=0x02", "response=0x"),
            VoucherTextError::Value("response")
        );
        assert_eq!(with("expiry=", "expiry=-"), VoucherTextError::Value("expiry"));
        assert_eq!(
            with("signature=0x", "signature="),
            VoucherTextError::Signature(SignatureError::Form)
        );
        for members in [
            with("cumulative=", "Cumulative="),
            with("sequence=1;", ""),
            with("sequence=1;", "sequence=1;sequence=1;"),
            parse("").unwrap_err(),
            parse(&format!("{text};")).unwrap_err(),
            parse(&format!("{text};more=1")).unwrap_err(),
        ] {
            assert_eq!(members, VoucherTextError::Members);
        }
        assert_eq!(
            parse(&" ".repeat(MAX_VOUCHER_TEXT + 1)),
            Err(VoucherTextError::Length)
        );
    }
}
