//! `X-Payment` as the first clients send it: `scheme=exact;network=<name>;payload=0x<signature>;asset=0x<20 bytes>;amount=<wei>`, a
//! signed text over network, provider and amount.
//!
//! It moves no money. It says that its account will pay so much, is good once, and must be covered by what the account
//! set aside; what is owed is paid by vouchers and settlements.

use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::signature::{Signature, text_digest};

use super::refusal::Reason;

/// Longest header, in bytes.
const MAX_HEADER: usize = 1024;
/// Chains and their names, as the first clients know them; the first of a chain's is its own.
const NETWORKS: [(u64, &str); 8] = [
    (1, "ethereum"),
    (8453, "base"),
    (9545, "jeju"),
    (84_532, "base-sepolia"),
    (84_532, "jeju-testnet"),
    (11_155_111, "sepolia"),
    // The first clients call every chain for development by the second.
    (31_337, "localnet"),
    (31_337, "jeju"),
];

/// The node's chain by its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Network {
    names: Vec<String>,
}

impl Network {
    pub(super) fn of_chain(id: u64) -> Self {
        let known = NETWORKS.iter().filter(|(chain, _)| *chain == id);
        let mut names: Vec<String> = known.map(|(_, name)| (*name).to_owned()).collect();
        if names.is_empty() {
            names.push(format!("eip155:{id}"));
        }
        Self { names }
    }

    /// Its own.
    pub(super) fn name(&self) -> &str {
        &self.names[0]
    }

    fn is(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }
}

/// What a header says. Nothing is judged yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Payment {
    network: String,
    payload: Signature,
    /// In wei.
    pub(super) amount: u128,
}

impl Payment {
    /// Reads the header.
    ///
    /// # Errors
    /// [`Reason::PaymentMalformed`].
    pub(super) fn parse(text: &str) -> Result<Self, Reason> {
        Self::members(text).ok_or(Reason::PaymentMalformed)
    }

    fn members(text: &str) -> Option<Self> {
        if text.len() > MAX_HEADER {
            return None;
        }
        let (mut scheme, mut network, mut payload, mut asset, mut amount) = (None, None, None, None, None);
        for member in text.split(';') {
            let (name, value) = member.trim().split_once('=')?;
            let place = match name {
                "scheme" => &mut scheme,
                "network" => &mut network,
                "payload" => &mut payload,
                "asset" => &mut asset,
                "amount" => &mut amount,
                // Clients may say more than is read.
                _ => continue,
            };
            if place.replace(value).is_some() {
                return None;
            }
        }
        let is_coin = |asset: &str| asset.parse() == Ok(Account([0; 20]));
        if scheme? != "exact" || !asset.is_none_or(is_coin) {
            return None;
        }
        let amount = amount?;
        let is_plain = matches!(amount.as_bytes(), [b'0'] | [b'1'..=b'9', ..])
            && amount.bytes().all(|byte| byte.is_ascii_digit());
        Some(Self {
            network: network?.to_owned(),
            payload: Signature::parse(payload?).ok()?,
            amount: is_plain.then(|| amount.parse().ok())??,
        })
    }

    /// Whether `account` signed it for this chain and provider, and it is enough.
    ///
    /// # Errors
    /// [`Reason`].
    pub(super) fn judge(
        &self,
        network: &Network,
        provider: &Account,
        account: &Account,
        least: u128,
    ) -> Result<(), Reason> {
        if !network.is(&self.network) {
            return Err(Reason::PaymentNetwork);
        }
        let text = format!("x402:{}:{provider}:{}", self.network, self.amount);
        if self.payload.recover(&text_digest(&text)) != Ok(*account) {
            return Err(Reason::PaymentSignature);
        }
        if self.amount < least {
            return Err(Reason::PaymentLow);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Accounts of the published development keys: 0 is the provider, 1 the user.
    const PROVIDER: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
    const USER: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
    /// Made by ethers 6 for 1000 wei on `jeju`.
    const PAYLOAD: &str = "0x6eb33a568642dbbe3ed3f074cd5f98437b236cbd0b90c4a0e47c80c8fea73f3831d277dcc0d7175c63960ea07a2931c506c393e02e030ad8bbae74c976fa9e0b1c";

    fn header(network: &str, amount: &str) -> String {
        let zero = "0x0000000000000000000000000000000000000000";
        format!("scheme=exact;network={network};payload={PAYLOAD};asset={zero};amount={amount}")
    }

    fn judge(header: &str, chain: u64, provider: &str, least: u128) -> Result<(), Reason> {
        let (provider, user) = (provider.parse().unwrap(), USER.parse().unwrap());
        Payment::parse(header)?.judge(&Network::of_chain(chain), &provider, &user, least)
    }

    #[test]
    fn a_payment_of_the_first_clients_passes() {
        let header = header("jeju", "1000");
        assert_eq!(judge(&header, 9545, PROVIDER, 1000), Ok(()));
        assert_eq!(judge(&header, 31_337, PROVIDER, 0), Ok(()));
        // The asset may be left out, and more may be said.
        let other = header.replace(
            ";asset=0x0000000000000000000000000000000000000000",
            "; resource=/v1",
        );
        assert_eq!(judge(&other, 9545, PROVIDER, 1000), Ok(()));
    }

    #[test]
    fn one_for_something_else_does_not() {
        let good = header("jeju", "1000");
        assert_eq!(judge(&good, 9545, PROVIDER, 1001), Err(Reason::PaymentLow));
        assert_eq!(judge(&good, 1, PROVIDER, 0), Err(Reason::PaymentNetwork));
        assert_eq!(judge(&good, 9545, USER, 0), Err(Reason::PaymentSignature));
        assert_eq!(
            judge(&header("jeju", "1001"), 9545, PROVIDER, 0),
            Err(Reason::PaymentSignature)
        );
        assert_eq!(
            judge(&header("localnet", "1000"), 31_337, PROVIDER, 0),
            Err(Reason::PaymentSignature)
        );
    }

    #[test]
    fn other_headers_are_refused() {
        let good = header("jeju", "1000");
        for (from, to) in [
            ("scheme=exact", "scheme=credit"),
            ("scheme=exact;", ""),
            ("network=jeju;", ""),
            ("network=jeju", "network"),
            ("payload=0x", "payload="),
            ("amount=1000", "amount=01000"),
            ("amount=1000", "amount=+1000"),
            ("amount=1000", "amount=1e3"),
            ("amount=1000", "amount="),
            ("amount=1000", "amount=340282366920938463463374607431768211456"),
            (";amount=1000", ""),
            (";amount=1000", ";amount=1000;amount=1000"),
            ("asset=0x0", "asset=0x1"),
        ] {
            let wrong = good.replacen(from, to, 1);
            assert_ne!(wrong, good);
            assert_eq!(Payment::parse(&wrong), Err(Reason::PaymentMalformed), "{wrong}");
        }
        assert_eq!(Payment::parse(""), Err(Reason::PaymentMalformed));
        let long = format!("{good};{}=1", "a".repeat(MAX_HEADER));
        assert_eq!(Payment::parse(&long), Err(Reason::PaymentMalformed));
    }

    #[test]
    fn every_chain_has_a_name() {
        assert_eq!(Network::of_chain(31_337).name(), "localnet");
        assert_eq!(Network::of_chain(84_532).name(), "base-sepolia");
        assert!(Network::of_chain(84_532).is("jeju-testnet"));
        assert_eq!(Network::of_chain(7).name(), "eip155:7");
    }
}
