//! The chain: endpoints that are read k of n, the one that transactions go to, and the contract.

use std::sync::Arc;

use clap::Args;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_chain::{
    Block, ChainReader, DEFAULT_TIMEOUT, Endpoint, Offer, ReaderConfig, RentalRecord, RpcClient, TcpDial,
    public_web_tls,
};
use jeju_contracts::rental::{Registries, registries};
use jeju_contracts::sender::{AccountKey as SendingKey, Sender};
use jeju_wallet_auth::signature::AccountKey;

use super::{RentalError, RentalNode};
use crate::node_url::NodeUrl;
use crate::relying_party::is_loopback;
use crate::trust::{TrustArguments, address};

/// Variables that may hold an endpoint, the first one that is set. Those of the first Jeju Compute.
const ENDPOINT_VARIABLES: [&str; 2] = ["JEJU_RPC_URL", "RPC_URL"];
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
        let (endpoints, quorum, wanted) = self.endpoints()?;
        let first = endpoints.first().ok_or(RentalError::NoEndpoint)?;
        let rpc = RpcClient::new(
            Endpoint::parse(first)?,
            Arc::new(TcpDial),
            public_web_tls(),
            DEFAULT_TIMEOUT,
        );
        let config = ReaderConfig {
            // Nobody but this machine carries the bytes to a node of one's own.
            plaintext: endpoints
                .iter()
                .all(|url| url.starts_with("https://") || is_loopback(url)),
            localnet: self.trust.development,
            ..ReaderConfig::new(endpoints, quorum)
        };
        let reader = ChainReader::new(config, Arc::new(TcpDial))?;
        let found = reader.chain_id().await?;
        match wanted {
            Some(wanted) if wanted != found => Err(RentalError::OtherChain { found, wanted }),
            _ => Ok(Market {
                reader,
                rpc,
                chain_id: found,
                contract: contract.0,
            }),
        }
    }

    /// Endpoints, how many must agree, and the chain that they are to be of.
    fn endpoints(&self) -> Result<(Vec<String>, usize, Option<u64>), RentalError> {
        if !self.trust.rpc.is_empty() && self.trust.policy.is_none() {
            let rpc = self.trust.rpc.clone();
            let quorum = rpc.len() / 2 + 1;
            return Ok((rpc, quorum, self.trust.chain_id));
        }
        if self.trust.policy.is_some()
            && let Some(registry) = self.trust.policy()?.registry
            && !registry.rpc.is_empty()
        {
            return Ok((registry.rpc, registry.quorum, Some(registry.chain_id)));
        }
        let variable = ENDPOINT_VARIABLES
            .into_iter()
            .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
        let endpoint = variable.ok_or(RentalError::NoEndpoint)?;
        Ok((vec![endpoint], 1, self.trust.chain_id))
    }

    fn contract(&self) -> Result<Option<HexBytes<20>>, RentalError> {
        if self.contract.is_some() {
            return Ok(self.contract);
        }
        match std::env::var(CONTRACT_VARIABLE) {
            Ok(text) if !text.is_empty() => address(&text)
                .map(Some)
                .map_err(|_| RentalError::Usage("COMPUTE_RENTAL_ADDRESS is no address")),
            _ => Ok(None),
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
    fn endpoints_come_from_the_command_line_first() {
        let arguments = MarketArguments {
            trust: TrustArguments {
                rpc: ["https://a", "https://b", "https://c"].map(str::to_owned).into(),
                chain_id: Some(5),
                ..TrustArguments::default()
            },
            ..MarketArguments::default()
        };
        let (endpoints, quorum, chain) = arguments.endpoints().unwrap();
        assert_eq!((endpoints.len(), quorum, chain), (3, 2, Some(5)));
    }

    #[test]
    fn keys_are_the_same_account_here_and_there() {
        let key = AccountKey::from_bytes(&[7; 32]).unwrap();
        let sending = sending_key(&key).unwrap();
        assert_eq!(sending.address().into_array(), key.account().0);
    }
}
