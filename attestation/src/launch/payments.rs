//! The payment part of the launch document: who earns, through which contract, and whether anybody is served for nothing;
//! and where keys that sign receipts are registered.
//!
//! Neither lets a node do or see more, so a policy has no rule on them: users pay by their own signature alone.

use serde::{Deserialize, Serialize};

use super::LaunchError;
use crate::hex_bytes::HexBytes;

/// What inference costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payments {
    /// The provider's account, which earns.
    pub provider: HexBytes<20>,
    /// `InferenceServing`, which has the prices and settles.
    pub serving: HexBytes<20>,
    /// `LedgerManager`, where users set money aside.
    pub ledger: HexBytes<20>,
    /// Whether only those are served who pay.
    #[serde(default)]
    pub required: bool,
    /// Most that an account may owe before it is served again, in wei as decimal digits.
    #[serde(default = "default_credit")]
    pub credit: String,
}

/// Where receipts can be checked on chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipts {
    /// `AttestedKeyRegistry`, whose domain receipts are signed for.
    pub keys: HexBytes<20>,
}

impl Payments {
    /// Most that an account may owe, in wei.
    pub fn credit_wei(&self) -> Option<u128> {
        let digits = self.credit.as_bytes();
        let plain = matches!(digits, [b'0'] | [b'1'..=b'9', ..]) && digits.iter().all(u8::is_ascii_digit);
        plain.then(|| self.credit.parse().ok()).flatten()
    }

    /// Whether the parts agree.
    pub(super) fn check(&self) -> Result<(), LaunchError> {
        let invalid = |field, value: &dyn ToString| {
            Err(LaunchError::Value {
                field,
                value: value.to_string(),
            })
        };
        let accounts = [
            ("payments.provider", &self.provider),
            ("payments.serving", &self.serving),
            ("payments.ledger", &self.ledger),
        ];
        if let Some((field, account)) = accounts.into_iter().find(|(_, account)| account.0 == [0; 20]) {
            return invalid(field, account);
        }
        match self.credit_wei() {
            Some(_) => Ok(()),
            None => invalid("payments.credit", &self.credit),
        }
    }
}

/// 0.001 ether.
fn default_credit() -> String {
    "1000000000000000".to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::LaunchDocument;
    use super::*;

    const DOCUMENT: &str = r#"
version = 1
[node]
agent = "0x0101010101010101010101010101010101010101010101010101010101010101"
names = ["node.example"]
[chain]
profile = "localnet"
id = 31337
registry = "0x0202020202020202020202020202020202020202"
rpc = ["http://127.0.0.1:8545"]
[services]
inference = true
[[models]]
id = "m"
sha256 = "0x0707070707070707070707070707070707070707070707070707070707070707"
[payments]
provider = "0x0303030303030303030303030303030303030303"
serving = "0x0404040404040404040404040404040404040404"
ledger = "0x0505050505050505050505050505050505050505"
[receipts]
keys = "0x0606060606060606060606060606060606060606"
[egress]
allow = ["127.0.0.1:8545"]
"#;

    fn parse(document: &str) -> Result<LaunchDocument, LaunchError> {
        LaunchDocument::parse(document.as_bytes())
    }

    #[test]
    fn says_who_earns_and_what_may_be_owed() {
        let document = parse(DOCUMENT).unwrap();
        let payments = document.payments.unwrap();
        assert_eq!((payments.provider, payments.required), (HexBytes([3; 20]), false));
        assert_eq!(payments.credit_wei(), Some(1_000_000_000_000_000));
        assert_eq!(document.receipts.unwrap().keys, HexBytes([6; 20]));
    }

    #[test]
    fn values_that_mean_nothing_are_refused() {
        for (from, to, field) in [
            (
                "03030303030303030303",
                "00000000000000000000",
                "payments.provider",
            ),
            ("04040404040404040404", "00000000000000000000", "payments.serving"),
            ("05050505050505050505", "00000000000000000000", "payments.ledger"),
            ("[receipts]", "credit = \"1e18\"\n[receipts]", "payments.credit"),
            ("[receipts]", "credit = \"007\"\n[receipts]", "payments.credit"),
            ("[receipts]", "credit = \"\"\n[receipts]", "payments.credit"),
            (
                "[receipts]",
                "credit = \"340282366920938463463374607431768211456\"\n[receipts]",
                "payments.credit",
            ),
        ] {
            match parse(&DOCUMENT.replace(from, to)) {
                Err(LaunchError::Value { field: found, .. }) => assert_eq!(found, field),
                other => panic!("{from} -> {to}: {other:?}"),
            }
        }
        let (models, rest) = (
            DOCUMENT.find("[[models]]").unwrap(),
            DOCUMENT.find("[payments]").unwrap(),
        );
        let no_models = format!("{}{}", &DOCUMENT[..models], &DOCUMENT[rest..]);
        match parse(&no_models.replace("inference = true", "inference = false")) {
            Err(LaunchError::Value { field, .. }) => assert_eq!(field, "payments"),
            other => panic!("{other:?}"),
        }
        for wrong in [
            DOCUMENT.replace("ledger =", "legder ="),
            DOCUMENT.replace("keys =", "key ="),
        ] {
            assert!(matches!(parse(&wrong), Err(LaunchError::Toml(_))), "{wrong}");
        }
    }
}
