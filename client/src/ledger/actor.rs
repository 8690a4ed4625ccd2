//! The chain, and the account that acts on a contract there.

use clap::Args;
use jeju_chain::Block;
use jeju_contracts::sender::{AccountKey, Sender};
use jeju_wallet_auth::account::Account;

use crate::chain::Chain;
use crate::deployment::{Contract, OnChainArguments};
use crate::payment::PaymentError;
use crate::rental::RentalError;
use crate::rental::market::sending_key;
use crate::wallet::AccountArguments;

/// The chain, and the account that acts.
#[derive(Debug, Clone, Default, Args)]
pub struct OnChainActor {
    /// The chain, and where contracts are.
    #[command(flatten)]
    pub on_chain: OnChainArguments,
    /// The account.
    #[command(flatten)]
    pub account: AccountArguments,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// A contract on one chain, and the account that acts.
pub(crate) struct Acting {
    pub(crate) chain: Chain,
    pub(crate) key: AccountKey,
    pub(crate) account: Account,
    pub(crate) contract: [u8; 20],
}

impl OnChainActor {
    /// Reads the key, asks the chain for its id, and looks up where the contract is.
    pub(crate) async fn acting(&self, contract: Contract) -> Result<Acting, PaymentError> {
        let account = self.account.read().map_err(RentalError::from)?;
        let contract = self.on_chain.contract(contract)?;
        let chain = self.on_chain.chain().await?;
        Ok(Acting {
            chain,
            key: sending_key(&account)?,
            account: account.account(),
            contract,
        })
    }

    /// The account that is named, or the key's own: reading takes no key.
    pub(crate) fn shown(&self, named: Option<[u8; 20]>) -> Result<Account, PaymentError> {
        match named {
            Some(account) => Ok(Account(account)),
            None => Ok(self.account.read().map_err(RentalError::from)?.account()),
        }
    }
}

impl Acting {
    /// Sends transactions of the account.
    pub(crate) fn sender(&self) -> Sender<'_> {
        self.chain.sender(&self.key)
    }

    /// The newest block, at which what a command shows is read.
    pub(crate) async fn block(&self) -> Result<Block, PaymentError> {
        Ok(self.chain.reader.newest_block().await?)
    }
}
