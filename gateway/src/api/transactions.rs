//! Transactions of `ComputeRental` that a renter's own wallet signs and sends: the gateway has no key.

use jeju_chain::CallData;
use serde_json::{Value, json};

use super::documents::account;

/// What a wallet is asked to sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Transaction {
    to: [u8; 20],
    /// In wei.
    value: u128,
    data: Vec<u8>,
}

/// What is rented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NewRental<'a> {
    pub(super) provider: [u8; 20],
    pub(super) hours: u64,
    pub(super) ssh_public_key: &'a str,
    pub(super) container_image: &'a str,
    pub(super) startup_script: &'a str,
}

impl Transaction {
    /// Rents, and pays for it.
    pub(super) fn create(contract: [u8; 20], rental: NewRental<'_>, cost: u128) -> Self {
        let call = CallData::new("createRental(address,uint256,string,string,string)")
            .address(&rental.provider)
            .number(rental.hours)
            .text(rental.ssh_public_key)
            .text(rental.container_image)
            .text(rental.startup_script);
        Self::paid(contract, &call, cost)
    }

    /// Adds hours to a rental, and pays for them.
    pub(super) fn extend(contract: [u8; 20], rental: [u8; 32], hours: u64, cost: u128) -> Self {
        let call = CallData::new("extendRental(bytes32,uint256)")
            .word(rental)
            .number(hours);
        Self::paid(contract, &call, cost)
    }

    /// Gives up a rental that wasn't started.
    pub(super) fn cancel(contract: [u8; 20], rental: [u8; 32]) -> Self {
        Self::paid(contract, &CallData::new("cancelRental(bytes32)").word(rental), 0)
    }

    /// Rates a rental, 0 to 100.
    pub(super) fn rate(contract: [u8; 20], rental: [u8; 32], score: u8, comment: &str) -> Self {
        let call = CallData::new("rateRental(bytes32,uint8,string)")
            .word(rental)
            .number(score.into())
            .text(comment);
        Self::paid(contract, &call, 0)
    }

    fn paid(to: [u8; 20], call: &CallData, value: u128) -> Self {
        let data = call.encode();
        Self { to, value, data }
    }

    /// As wallets take it.
    pub(super) fn document(&self) -> Value {
        json!({
            "to": account(&self.to),
            "value": self.value.to_string(),
            "data": format!("0x{}", hex::encode(&self.data)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // What `cast calldata` of Foundry 1.7.1 makes: the selector, then words.
    const RATED: &[&str] = &[
        "0befb8f9",
        "0202020202020202020202020202020202020202020202020202020202020202",
        "0000000000000000000000000000000000000000000000000000000000000050",
        "0000000000000000000000000000000000000000000000000000000000000060",
        "0000000000000000000000000000000000000000000000000000000000000004",
        "676f6f6400000000000000000000000000000000000000000000000000000000",
    ];
    const CREATED: &[&str] = &[
        "e2bf364e",
        "0000000000000000000000000101010101010101010101010101010101010101",
        "0000000000000000000000000000000000000000000000000000000000000003",
        "00000000000000000000000000000000000000000000000000000000000000a0",
        "0000000000000000000000000000000000000000000000000000000000000100",
        "0000000000000000000000000000000000000000000000000000000000000140",
        "0000000000000000000000000000000000000000000000000000000000000029",
        "7373682d65643235353139204141414143334e7a6143316c5a4449314e544535",
        "414141414945206d650000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000007",
        "62757379626f7800000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000000",
    ];
    const EXTENDED: &[&str] = &[
        "f318019b",
        "0202020202020202020202020202020202020202020202020202020202020202",
        "00000000000000000000000000000000000000000000000000000000000002d0",
    ];
    const CANCELLED: &[&str] = &[
        "d84b89cd",
        "0202020202020202020202020202020202020202020202020202020202020202",
    ];
    #[test]
    fn calls_are_what_foundry_makes_of_them() {
        let (contract, provider, rental) = ([9; 20], [1; 20], [2; 32]);
        let wanted = NewRental {
            provider,
            hours: 3,
            ssh_public_key: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE me",
            container_image: "busybox",
            startup_script: "",
        };
        for (made, expected) in [
            (Transaction::create(contract, wanted, 5).data, CREATED),
            (Transaction::extend(contract, rental, 720, 5).data, EXTENDED),
            (Transaction::cancel(contract, rental).data, CANCELLED),
            (Transaction::rate(contract, rental, 80, "good").data, RATED),
        ] {
            assert_eq!(hex::encode(made), expected.concat());
        }
    }

    #[test]
    fn a_wallet_reads_amounts_as_decimal_text() {
        let document = Transaction::extend([1; 20], [2; 32], 1, u128::MAX).document();
        assert_eq!(document["value"], u128::MAX.to_string());
        assert_eq!(document["to"], "0x0101010101010101010101010101010101010101");
        assert!(document["data"].as_str().unwrap().starts_with("0xf318019b"));
    }
}
