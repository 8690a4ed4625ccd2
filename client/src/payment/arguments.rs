//! Options of commands that pay.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use jeju_wallet_auth::account::Account;

use super::{PaymentError, Payments, PriceLimit, Recount, Settings};
use crate::chain::Chain;
use crate::rental::RentalError;
use crate::rental::amount::Amount;
use crate::trust::TrustArguments;
use crate::wallet::AccountArguments;

/// Variable that may hold the folder of books.
const FOLDER_VARIABLE: &str = "JEJU_PAYMENTS";

/// Who pays, and how much.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Payment")]
pub struct PayArguments {
    /// Pay for answers: requests are signed by the account, and each verified answer is promised by a voucher
    #[arg(long)]
    pub pay: bool,
    /// Promise no more than this until the command ends, as 0.05eth
    #[arg(long, value_name = "AMOUNT", requires = "pay")]
    pub max_spend: Option<Amount>,
    /// Folder in which is kept what was promised to whom [default: JEJU_PAYMENTS of the environment, or ~/.jeju/payments]
    #[arg(long, value_name = "DIR")]
    pub payments: Option<PathBuf>,
    /// Believe a node that holds vouchers of the account that this machine has no record of
    #[arg(long, requires = "pay")]
    pub adopt_vouchers: bool,
    /// File of the node's embedded model (GGUF): the tokens of prompts are counted again
    #[arg(long, value_name = "FILE", requires = "pay")]
    pub recount: Option<PathBuf>,
    /// The account.
    #[command(flatten)]
    pub account: AccountArguments,
}

impl PayArguments {
    /// What pays; `None` where nothing is to be paid. `serving`: the only contract whose nodes are paid; `prices`: what a token may
    /// cost.
    ///
    /// # Errors
    /// Where there is no key, no folder or no chain.
    pub async fn payments(
        &self,
        trust: &TrustArguments,
        serving: Option<[u8; 20]>,
        prices: PriceLimit,
    ) -> Result<Option<Payments>, PaymentError> {
        if !self.pay {
            return Ok(None);
        }
        let key = self.account.read().map_err(RentalError::from)?;
        let folder = folder(self.payments.as_deref())?;
        let chain = Chain::connect(trust).await.map_err(RentalError::from)?;
        Ok(Some(Payments::new(Settings {
            key: Arc::new(key),
            reader: chain.reader,
            chain_id: chain.chain_id,
            serving: serving.map(Account),
            folder,
            limit: self.max_spend.map(|limit| limit.0),
            prices,
            adopt: self.adopt_vouchers,
            recount: self.recount.as_deref().map(Recount::open).transpose()?,
        })))
    }
}

/// Where books are kept: as named, or by default.
///
/// # Errors
/// [`PaymentError::NoFolder`].
pub(crate) fn folder(named: Option<&Path>) -> Result<PathBuf, PaymentError> {
    let set = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    named
        .map(Path::to_owned)
        .or_else(|| set(FOLDER_VARIABLE))
        .or_else(|| Some(set("HOME")?.join(".jeju/payments")))
        .ok_or(PaymentError::NoFolder)
}
