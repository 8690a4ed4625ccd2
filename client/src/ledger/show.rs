//! `jeju ledger`.

use std::path::PathBuf;

use clap::Args;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_chain::{Block, ChainReader, SubAccount, VoucherSession};
use jeju_wallet_auth::account::Account;
use serde_json::{Value, json};

use super::actor::OnChainActor;
use crate::deployment::Contract;
use crate::payment::{self, Book, Parties, PaymentError, Record};
use crate::rental::amount::Amount;
use crate::rental::command::Printed;
use crate::trust::address;

/// Options of `jeju ledger`.
#[derive(Debug, Clone, Args)]
pub struct LedgerArguments {
    /// Account to show [default: the one of the key]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    user: Option<HexBytes<20>>,
    /// Show what is set aside for this provider, and what vouchers paid it (may be given several times)
    #[arg(long = "provider", value_name = "ADDRESS", value_parser = address)]
    providers: Vec<HexBytes<20>>,
    /// Folder in which is kept what was promised to whom [default: JEJU_PAYMENTS of the environment, or ~/.jeju/payments]
    #[arg(long, value_name = "DIR")]
    payments: Option<PathBuf>,
    #[command(flatten)]
    pub(super) actor: OnChainActor,
}

/// What is between the user and one provider.
struct Between {
    provider: Account,
    part: SubAccount,
    /// Where `InferenceServing` is known.
    session: Option<VoucherSession>,
    book: Option<Book>,
}

pub(super) async fn run(arguments: &LedgerArguments) -> Result<Printed, PaymentError> {
    let user = arguments.actor.shown(arguments.user.map(|user| user.0))?;
    let on_chain = &arguments.actor.on_chain;
    let contract = on_chain.contract(Contract::LedgerManager)?;
    let serving = on_chain.find(Contract::InferenceServing)?;
    let chain = on_chain.chain().await?;
    let block = chain.reader.newest_block().await?;
    let ledger = chain.reader.ledger_at(&block, &contract, &user.0).await?;
    let earned = chain.reader.owed_at(&block, &contract, &user.0).await?;
    let mut all = Vec::new();
    for provider in &arguments.providers {
        let reading = Reading {
            reader: &chain.reader,
            block: &block,
            chain: chain.chain_id,
            ledger: &contract,
            serving,
        };
        all.push(reading.between(arguments, user, *provider).await?);
    }
    let mut lines = vec![
        format!("account     {user}"),
        format!("available   {}", Amount(ledger.available)),
        format!("set aside   {}", Amount(ledger.locked)),
        format!("earned      {}", Amount(earned)),
    ];
    all.iter().for_each(|between| lines.extend(between.lines()));
    let json = json!({
        "account": user.to_string(),
        "availableWei": ledger.available.to_string(),
        "setAsideWei": ledger.locked.to_string(),
        "earnedWei": earned.to_string(),
        "block": block.number,
        "providers": all.iter().map(Between::json).collect::<Vec<_>>(),
    });
    Ok(Printed::report(lines, json))
}

struct Reading<'a> {
    reader: &'a ChainReader,
    block: &'a Block,
    chain: u64,
    ledger: &'a [u8; 20],
    serving: Option<[u8; 20]>,
}

impl Reading<'_> {
    async fn between(
        &self,
        arguments: &LedgerArguments,
        user: Account,
        provider: HexBytes<20>,
    ) -> Result<Between, PaymentError> {
        let part = self
            .reader
            .sub_account_at(self.block, self.ledger, &user.0, &provider.0)
            .await?;
        let (mut session, mut book) = (None, None);
        if let Some(serving) = self.serving {
            let read = self
                .reader
                .voucher_session_at(self.block, &serving, &user.0, &provider.0);
            session = Some(read.await?);
            let parties = Parties {
                chain: self.chain,
                serving: HexBytes(serving),
                user: HexBytes(user.0),
                provider,
            };
            // Nobody has promised anything on this machine where there is no folder.
            if let Ok(folder) = payment::folder(arguments.payments.as_deref())
                && folder.is_dir()
            {
                book = Record::new(&folder, parties)?.read()?;
            }
        }
        Ok(Between {
            provider: Account(provider.0),
            part,
            session,
            book,
        })
    }
}

impl Between {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            String::new(),
            format!("provider    {}", self.provider),
            format!("set aside   {}", Amount(self.part.balance)),
        ];
        if self.part.pending_refund > 0 {
            lines.push(format!(
                "refund      {} from {} on (unix seconds)",
                Amount(self.part.pending_refund),
                self.part.refund_unlock
            ));
        }
        if let Some(session) = &self.session {
            lines.push(format!(
                "paid        {}, by vouchers up to number {}",
                Amount(session.paid),
                session.sequence
            ));
        }
        if let Some(book) = &self.book {
            lines.push(format!(
                "promised    {}, by vouchers up to number {}",
                Amount(book.promised),
                book.sequence
            ));
            lines.push(format!("owed        {}", Amount(book.owed)));
        }
        lines
    }

    fn json(&self) -> Value {
        let session = self
            .session
            .as_ref()
            .map(|session| json!({ "paidWei": session.paid.to_string(), "sequence": session.sequence }));
        let book = self.book.as_ref().map(|book| {
            json!({
                "owedWei": book.owed.to_string(),
                "promisedWei": book.promised.to_string(),
                "sequence": book.sequence,
                "doubtfulWei": book.doubtful.to_string(),
            })
        });
        json!({
            "provider": self.provider.to_string(),
            "setAsideWei": self.part.balance.to_string(),
            "pendingWei": self.part.pending_refund.to_string(),
            "unlocks": self.part.refund_unlock,
            "acknowledged": self.part.acknowledged,
            "vouchers": session,
            "record": book,
        })
    }
}
