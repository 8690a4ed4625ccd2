//! The chain: endpoints that are read k of n, the one that transactions go to, and the contract.

use clap::Args;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_chain::{Block, ChainReader, Offer, RentalRecord, RpcClient};
use jeju_contracts::rental::{Registries, registries};
use jeju_contracts::sender::{AccountKey as SendingKey, Sender};
use jeju_wallet_auth::signature::AccountKey;

use super::{RentalError, RentalNode};
use crate::chain::Chain;
use crate::deployment::{Contract, recorded};
use crate::node_url::NodeUrl;
use crate::trust::{TrustArguments, address};

/// Variable that may hold the contract's address; the first Jeju Compute's too.
const CONTRACT_VARIABLE: &str = "COMPUTE_RENTAL_ADDRESS";

/// The chain, and what the user trusts.
#[derive(Debug, Clone, Default, Args)]
pub struct MarketArguments {
    /// What the user trusts.
    #[command(flatten)]
    pub trust: TrustArguments,
    /// Address of ComputeRental [default: that of the node's launch document, or COMPUTE_RENTAL_ADDRESS of the environment]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub contract: Option<HexBytes<20>>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `ComputeRental` on one chain.
pub struct Market {
    /// Reads it.
    pub reader: ChainReader,
    /// The endpoint that transactions go to: the first.
    pub rpc: RpcClient,
    /// The chain.
    pub chain_id: u64,
    /// Where it is.
    pub contract: [u8; 20],
}

impl MarketArguments {
    /// The chain and the contract that the arguments name.
    ///
    /// # Errors
    /// Where none is named, the endpoints can't be asked, or serve another chain.
    pub async fn market(&self) -> Result<Market, RentalError> {
        let contract = self.contract()?.ok_or(RentalError::NoContract)?;
        self.market_at(contract).await
    }

    /// The same, and a session with the node where one is named: of the same contract and chain.
    ///
    /// # Errors
    /// As [`MarketArguments::market`], and of each [`crate::error::Class`].
    pub async fn market_and_node(
        &self,
        url: Option<&NodeUrl>,
    ) -> Result<(Market, Option<RentalNode>), RentalError> {
        let Some(url) = url else {
            return Ok((self.market().await?, None));
        };
        let node = RentalNode::connect(url, self.trust.relying_party()?).await?;
        let named = self.contract()?;
        let contract = named.unwrap_or(node.facts().contract);
        let market = self.market_at(contract).await?;
        node.check(&market)?;
        Ok((market, Some(node)))
    }

    async fn market_at(&self, contract: HexBytes<20>) -> Result<Market, RentalError> {
        let Chain {
            reader,
            rpc,
            chain_id,
        } = Chain::connect(&self.trust).await?;
        Ok(Market {
            reader,
            rpc,
            chain_id,
            contract: contract.0,
        })
    }

    fn contract(&self) -> Result<Option<HexBytes<20>>, RentalError> {
        if self.contract.is_some() {
            return Ok(self.contract);
        }
        match std::env::var(CONTRACT_VARIABLE) {
            Ok(text) if !text.is_empty() => address(&text)
                .map(Some)
                .map_err(|_| RentalError::Usage("COMPUTE_RENTAL_ADDRESS is no address")),
            _ => match self.trust.config()?.contracts {
                Some(path) => Ok(recorded(&path, Contract::ComputeRental)?.map(HexBytes)),
                None => Ok(None),
            },
        }
    }
}

impl Market {
    /// The newest block, at which what a command shows is read.
    ///
    /// # Errors
    /// [`RentalError::Chain`].
    pub async fn block(&self) -> Result<Block, RentalError> {
        Ok(self.reader.newest_block().await?)
    }

    /// A rental at a block.
    ///
    /// # Errors
    /// [`RentalError::Unknown`], [`RentalError::Chain`].
    pub async fn rental(&self, block: &Block, id: HexBytes<32>) -> Result<RentalRecord, RentalError> {
        let rental = self.reader.rental_at(block, &self.contract, &id.0).await?;
        rental.ok_or(RentalError::Unknown(id))
    }

    /// A provider's offer at a block.
    ///
    /// # Errors
    /// [`RentalError::NoOffer`], [`RentalError::Chain`].
    pub async fn offer(&self, block: &Block, provider: HexBytes<20>) -> Result<Offer, RentalError> {
        let offer = self.reader.offer_at(block, &self.contract, &provider.0).await?;
        offer.ok_or(RentalError::NoOffer(provider))
    }

    /// The registries that the contract asks.
    ///
    /// # Errors
    /// [`RentalError::NotAMarket`], [`RentalError::Chain`].
    pub async fn registries(&self) -> Result<Registries, RentalError> {
        let block = self.block().await?;
        let found = registries(&self.reader, &block, self.contract.into()).await?;
        found.ok_or(RentalError::NotAMarket(HexBytes(self.contract)))
    }

    /// Sends transactions of an account.
    pub fn sender<'a>(&'a self, key: &'a SendingKey) -> Sender<'a> {
        Sender::new(&self.rpc, key, self.chain_id)
    }
}

/// The account's key, to sign transactions with.
pub fn sending_key(key: &AccountKey) -> Result<SendingKey, RentalError> {
    Ok(SendingKey::from_bytes(&key.to_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_same_account_here_and_there() {
        let key = AccountKey::from_bytes(&[7; 32]).unwrap();
        let sending = sending_key(&key).unwrap();
        assert_eq!(sending.address().into_array(), key.account().0);
    }
}
