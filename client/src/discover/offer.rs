//! A provider of a model, as the chain has it.

use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::launch::LaunchDocument;
use jeju_chain::ChainText;
use jeju_wallet_auth::account::Account;
use serde_json::{Value, json};

use crate::error::Error;
use crate::node_url::NodeUrl;
use crate::session::Session;

/// A provider of a model. All of it is the provider's word, which anybody can write on chain: whether the node is what the
/// user trusts shows its evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The provider's account.
    pub provider: [u8; 20],
    /// Display name.
    pub name: ChainText,
    /// Its node, of this provider.
    pub node: NodeUrl,
    /// Agent that it is; zeros where it is none.
    pub agent: [u8; 32],
    /// The model.
    pub model: String,
    /// What it costs.
    pub price: Price,
    /// Tokens of the longest context, where the registry has it; zero where it hasn't.
    pub max_context: u64,
}

/// What a model costs at a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// Wei for each token of a prompt.
    pub input: u128,
    /// Wei for each token of an answer.
    pub output: u128,
    /// Whether it is that of a service, which is what is paid; else what the registry announces.
    pub of_service: bool,
}

impl Price {
    /// By which offers are compared: what one token of each costs.
    pub fn both(&self) -> u128 {
        self.input.saturating_add(self.output)
    }

    /// Whether neither is more than these.
    pub fn is_within(&self, input: Option<u128>, output: Option<u128>) -> bool {
        input.is_none_or(|most| self.input <= most) && output.is_none_or(|most| self.output <= most)
    }
}

impl Offer {
    /// Whether a verified node is this provider's: is the agent that the provider has on chain, where it has one, and is
    /// paid as this provider, where it is paid.
    ///
    /// # Errors
    /// [`Error::OtherProvider`]: whoever leads to another one's node, however genuine, is refused.
    pub fn check(&self, session: &Session) -> Result<(), Error> {
        let other = |what, found: String, expected: String| {
            Err(Error::OtherProvider {
                node: self.node.to_string(),
                what,
                found,
                expected,
            })
        };
        let agent = HexBytes(self.agent);
        let found = session.verdict().agent;
        if self.agent != [0; 32] && found != agent {
            return other("agent", found.to_string(), agent.to_string());
        }
        let document = LaunchDocument::parse(session.launch()).ok();
        match document.and_then(|document| document.payments) {
            Some(payments) if payments.provider.0 != self.provider => other(
                "provider",
                payments.provider.to_string(),
                HexBytes(self.provider).to_string(),
            ),
            _ => Ok(()),
        }
    }

    /// For programs.
    pub fn json(&self) -> Value {
        json!({
            "provider": Account(self.provider).to_string(),
            "name": self.name.to_string(),
            "endpoint": format!("https://{}", self.node.authority()),
            "agent": format!("0x{}", hex::encode(self.agent)),
            "model": self.model,
            "inputWei": self.price.input.to_string(),
            "outputWei": self.price.output.to_string(),
            "priced": if self.price.of_service { "service" } else { "registry" },
            "maxContext": self.max_context,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_have_limits() {
        let price = Price {
            input: 2,
            output: 3,
            of_service: true,
        };
        assert!(price.is_within(None, None) && price.is_within(Some(2), Some(3)));
        assert!(!price.is_within(Some(1), None) && !price.is_within(None, Some(2)));
        let dear = Price {
            output: u128::MAX,
            ..price
        };
        assert_eq!((price.both(), dear.both()), (5, u128::MAX));
    }
}
