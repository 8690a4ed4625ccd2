//! Who sends, and to which chain.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use jeju_chain::{Endpoint, RpcClient, TcpDial, public_web_tls};
use jeju_contracts::localnet;
use jeju_contracts::network::Network;
use jeju_contracts::sender::{AccountKey, Receipt, Sender, quantity};
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// Key of deployer and owner.
const DEPLOYER_KEY: &str = "JEJU_DEPLOYER_KEY";
/// Key of the revoker, which is another one.
const REVOKER_KEY: &str = "JEJU_REVOKER_KEY";

const CALL_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Args)]
pub struct Chain {
    /// localnet, testnet or mainnet.
    #[arg(long)]
    pub network: Network,
    /// JSON-RPC URL of a node.
    #[arg(long)]
    pub rpc: String,
}

#[derive(Clone, Copy)]
pub enum Role {
    Owner,
    Revoker,
}

impl Role {
    /// The key from the environment; on a local chain the published one, so that nothing need be set up there.
    pub fn key(self, network: Network) -> Result<AccountKey> {
        let variable = match self {
            Role::Owner => DEPLOYER_KEY,
            Role::Revoker => REVOKER_KEY,
        };
        match std::env::var(variable).map(Zeroizing::new) {
            Ok(text) => text.parse().with_context(|| variable.to_owned()),
            Err(_) if network == Network::Localnet => Ok(match self {
                Role::Owner => localnet::owner_key(),
                Role::Revoker => localnet::revoker_key(),
            }),
            Err(_) => bail!("{variable} is not set"),
        }
    }
}

/// A key on a chain that was checked to be of the named kind.
pub struct Session {
    rpc: RpcClient,
    key: AccountKey,
    chain_id: u64,
}

impl Session {
    pub async fn open(chain: &Chain, role: Role) -> Result<Self> {
        let key = role.key(chain.network)?;
        let (rpc, chain_id) = checked(chain).await?;
        Ok(Self { rpc, key, chain_id })
    }

    pub fn sender(&self) -> Sender<'_> {
        Sender::new(&self.rpc, &self.key, self.chain_id)
    }
}

/// Speaks to the chain, whatever chain it is.
pub fn client(chain: &Chain) -> Result<RpcClient> {
    let endpoint = Endpoint::parse(&chain.rpc).context("--rpc")?;
    Ok(RpcClient::new(
        endpoint,
        Arc::new(TcpDial),
        public_web_tls(),
        CALL_TIMEOUT,
    ))
}

/// The same, once it says that it is of the named kind; and its chain id.
pub async fn checked(chain: &Chain) -> Result<(RpcClient, u64)> {
    let rpc = client(chain)?;
    let chain_id = quantity(&rpc, "eth_chainId", json!([])).await?;
    chain.network.check_chain_id(chain_id)?;
    Ok((rpc, chain_id))
}

/// What is shown of a transaction.
pub fn sent(receipt: Receipt) -> Value {
    json!({ "transaction": receipt.transaction, "block": receipt.block, "gasUsed": receipt.gas_used })
}
