//! Payments: who is served, what an account owes, and what it promised.
//!
//! A request's headers → [`offer`] → [`Payments::admit`] (what the chain says of price and account: [`facts`]; what the node
//! knows of the account: [`accounts`]) → a [`Bill`] → the answer → [`Bill::charge`]. Users pay by vouchers behind answers that
//! they verified, or by settlements that they submit; `X-Payment` ([`x402`]) is a promise without money. What is known of
//! accounts is stored sealed. A user's money moves by its own signature alone.

mod account;
mod accounts;
mod bill;
mod estimate;
mod facts;
mod offer;
mod refusal;
mod settlement;
mod tally;
mod x402;

use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::error::Unspecified;
use jeju_attestation::launch::LaunchDocument;
use jeju_attestation::launch::payments as launch;
use jeju_chain::ChainReader;
use jeju_store::SealingKey;
use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::market::{At, SignedVoucher, Voucher, cost};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::attester::Attester;
use super::error::ApiError;
use super::mpc::erc1271;
use super::receipts::Signed;
use super::wallet::Wallets;
use crate::blobs::Blobs;

use self::account::State;
use self::accounts::Accounts;
use self::facts::{ChainFacts, Facts};
use self::refusal::{Reason, Requirement};
use self::settlement::Wish;
use self::tally::Tally;
use self::x402::{Network, Payment};

pub(super) use self::bill::{Bill, Tokens};
pub(super) use self::estimate::Estimate;
pub(super) use self::offer::Headers;

/// Contracts that are asked about signatures at a time.
const CONTRACTS: usize = 4;
/// Vouchers of one answer.
const PAGE: usize = 100;
const VOUCHERS_PATH: &str = "/v1/payments/vouchers";

/// What payments are made of.
pub(super) struct Parts {
    pub(super) config: launch::Payments,
    pub(super) chain: Arc<ChainReader>,
    pub(super) wallets: Arc<Wallets>,
    pub(super) attester: Arc<Attester>,
    pub(super) blobs: Blobs,
    pub(super) sealing: Option<SealingKey>,
}

/// A node's payments.
pub(super) struct Payments {
    provider: Account,
    /// The contract that vouchers and settlements are for.
    serving: At,
    network: Network,
    required: bool,
    /// Most that an account may owe beyond what it promised, in wei.
    credit: u128,
    facts: ChainFacts,
    accounts: Accounts,
    chain: Arc<ChainReader>,
    wallets: Arc<Wallets>,
    attester: Arc<Attester>,
    contracts: Semaphore,
    tally: Tally,
}

/// A request for inference, as far as it is paid for.
pub(super) struct Asked<'a> {
    pub(super) account: Option<[u8; 20]>,
    pub(super) headers: &'a Headers,
    pub(super) path: &'a str,
    pub(super) model: &'a str,
    pub(super) estimate: Estimate,
}

impl Payments {
    /// Reads what accounts owe and promised.
    ///
    /// # Errors
    /// Where there are no random numbers.
    pub(super) async fn open(document: &LaunchDocument, parts: Parts) -> Result<Arc<Self>, Unspecified> {
        let accounts = Accounts::open(parts.blobs, parts.sealing).await;
        let payments = Arc::new(Self {
            provider: Account(parts.config.provider.0),
            serving: At {
                chain_id: document.chain.id,
                contract: Account(parts.config.serving.0),
            },
            network: Network::of_chain(document.chain.id),
            required: parts.config.required,
            credit: parts.config.credit_wei().ok_or(Unspecified)?,
            facts: ChainFacts::new(&parts.config, parts.chain.clone()),
            accounts: accounts.map_err(|_| Unspecified)?,
            chain: parts.chain,
            wallets: parts.wallets,
            attester: parts.attester,
            contracts: Semaphore::new(CONTRACTS),
            tally: Tally::default(),
        });
        let keeping = payments.clone();
        tokio::spawn(async move {
            keeping
                .accounts
                .keep(|| Tally::count(&keeping.tally.unstored))
                .await
        });
        Ok(payments)
    }

    /// Who earns.
    pub(super) fn provider(&self) -> Account {
        self.provider
    }

    /// Counters.
    pub(super) fn document(&self) -> Value {
        let mut document = self.tally.document();
        document["required"] = self.required.into();
        document["persistence"] = self.accounts.persistence().into();
        document["accounts"] = self.accounts.len().into();
        document
    }

    /// Whether a request is answered; with a bill, where its account pays.
    ///
    /// # Errors
    /// What the client is told.
    pub(super) async fn admit(self: &Arc<Self>, asked: Asked<'_>) -> Result<Option<Bill>, ApiError> {
        let judged = self.required || asked.headers.offers();
        let mut amount = 0;
        match self.begin(&asked, judged, &mut amount).await {
            Ok(bill) => Ok(bill),
            // Whom nobody asks for money is served without a bill where the chain doesn't answer.
            Err(Reason::Unreadable | Reason::NoPrice | Reason::Full) if !judged => Ok(None),
            Err(reason) => Err(self.refuse(reason, asked.path, amount)),
        }
    }

    /// `amount` is what the answer may cost, once that is known.
    async fn begin(
        self: &Arc<Self>,
        asked: &Asked<'_>,
        judged: bool,
        amount: &mut u128,
    ) -> Result<Option<Bill>, Reason> {
        let Some(account) = asked.account else {
            return if judged { Err(Reason::Anonymous) } else { Ok(None) };
        };
        let offer = asked.headers.offer(Account(account), self.provider)?;
        let price = self.facts.price(asked.model).await?.ok_or(Reason::NoPrice)?;
        let Estimate { input, output } = asked.estimate;
        let estimate = cost(input, output, price.input, price.output).unwrap_or(u128::MAX);
        *amount = estimate;
        if let Some(voucher) = &offer.voucher {
            self.take(voucher).await?;
        }
        if let Some(payment) = &offer.payment {
            payment.judge(&self.network, &self.provider, &Account(account), estimate)?;
        }
        let now = self.now().await?;
        let payment = offer.payment.as_ref();
        self.with_facts(&account, |state, facts| {
            if judged {
                state.admit(estimate, self.credit, now, facts)?;
            }
            payment.map_or(Ok(()), |payment: &Payment| state.spend(payment.amount))?;
            state.reserve(estimate);
            Ok(())
        })
        .await?;
        let mut bill = Bill::new(self.clone(), account, price, asked.estimate, estimate, now);
        if payment.is_some() {
            self.store(&account).await;
        }
        if let Some(nonce) = offer.nonce {
            let signer = Account(self.attester.identity().evm_address());
            bill.wish(Wish::new(nonce, self.facts.settling(&account).await, &signer));
        }
        Ok(Some(bill))
    }

    /// Takes a voucher.
    async fn take(&self, voucher: &SignedVoucher) -> Result<(), Reason> {
        let taken = self.judge(voucher).await;
        Tally::count(match taken {
            Ok(()) => &self.tally.vouchers,
            Err(_) => &self.tally.vouchers_refused,
        });
        taken
    }

    async fn judge(&self, voucher: &SignedVoucher) -> Result<(), Reason> {
        let user = voucher.voucher.user;
        if !voucher.is_signed(&self.serving) && !self.is_signed_by_contract(voucher).await? {
            return Err(Reason::VoucherSignature);
        }
        let now = self.now().await?;
        let is_new = self
            .with_facts(&user.0, |state, facts| state.take(voucher, now, facts))
            .await?;
        if is_new {
            self.keep_receipt(&voucher.voucher);
            self.store(&user.0).await;
        }
        Ok(())
    }

    /// Keeps what the enclave says of the answer that a voucher pays for last, as long as it still knows.
    fn keep_receipt(&self, voucher: &Voucher) {
        let receipt = self.attester.receipts.of_response(&voucher.response_digest);
        let of_request = |signed: &Signed| signed.receipt.request_digest == voucher.request_digest;
        if let Some(receipt) = receipt.filter(|receipt| receipt.signature.is_some() && of_request(receipt)) {
            self.accounts.change(&voucher.user.0, |state| {
                state.keep_receipt(&voucher.response_digest, receipt.json().to_string());
            });
        }
    }

    /// Whether the user is a contract that takes the signature for its own (ERC-1271).
    async fn is_signed_by_contract(&self, voucher: &SignedVoucher) -> Result<bool, Reason> {
        let _place = self.contracts.acquire().await.map_err(|_| Reason::Unreadable)?;
        let call = erc1271::call(&voucher.voucher.digest(&self.serving), &voucher.signature.0);
        let answer = self.chain.call(&voucher.voucher.user.0, &call).await;
        let answer = answer.map_err(|_| Reason::Unreadable)?;
        Ok(answer.is_some_and(|answer| erc1271::is_yes(&answer)))
    }

    /// Changes an account by what the chain says of it: asked again, if that would refuse the account.
    async fn with_facts<T>(
        &self,
        account: &[u8; 20],
        change: impl Fn(&mut State, &Facts) -> Result<T, Reason>,
    ) -> Result<T, Reason> {
        let read = self
            .facts
            .account(account, self.accounts.facts(account), false)
            .await?;
        let attempt =
            |read: (Instant, Facts)| self.accounts.with(account, read, |state| change(state, &read.1));
        match attempt(read) {
            Err(refused) => {
                let again = self.facts.account(account, Some(read), true).await;
                match again {
                    Ok(again) if again.0 > read.0 => attempt(again),
                    _ => Err(refused),
                }
            }
            done => done,
        }
    }

    /// A voucher that is brought by itself, as JSON.
    ///
    /// # Errors
    /// What the client is told.
    pub(super) async fn voucher(&self, body: &[u8]) -> Result<Value, ApiError> {
        let refuse = |reason| self.refuse(reason, VOUCHERS_PATH, 0);
        let voucher = offer::voucher_of_json(body, self.provider).map_err(refuse)?;
        self.take(&voucher).await.map_err(refuse)?;
        self.session(&voucher.voucher.user.0).await
    }

    /// What stands between an account and the provider.
    ///
    /// # Errors
    /// What the client is told.
    pub(super) async fn session(&self, account: &[u8; 20]) -> Result<Value, ApiError> {
        let refuse = |reason| self.refuse(reason, "/v1/payments/session", 0);
        let known = self.accounts.facts(account);
        let read = self.facts.account(account, known, true).await.map_err(refuse)?;
        let now = self.now().await.map_err(refuse)?;
        let state = match self.accounts.peek(account, |_| ()) {
            Some(()) => self.accounts.with(account, read, |state| Ok(state.clone())),
            // Asking makes nobody known.
            None => Ok(State::new(&read.1)),
        };
        let (state, facts) = (state.map_err(refuse)?, read.1);
        let sequence = state.promise.as_ref().map_or(0, |promise| promise.sequence);
        Ok(json!({
            "user": Account(*account).to_string(),
            "provider": self.provider.to_string(),
            "owed": state.owed.to_string(),
            "promised": state.promised(now).to_string(),
            "paid": state.paid().to_string(),
            "sequence": sequence.max(facts.sequence).to_string(),
            "credit": self.credit.to_string(),
            "balance": facts.balance.to_string(),
        }))
    }

    /// The newest vouchers that promise more than was paid, of accounts behind `after`; the provider's alone to see.
    ///
    /// # Errors
    /// What the client is told.
    pub(super) async fn vouchers(&self, after: Option<[u8; 20]>) -> Result<Value, ApiError> {
        let now = self
            .now()
            .await
            .map_err(|reason| self.refuse(reason, VOUCHERS_PATH, 0))?;
        let due = |state: &State| {
            let promise = state.promise.as_ref().filter(|promise| promise.expiry > now);
            promise
                .filter(|promise| promise.cumulative > state.paid())
                .cloned()
        };
        let accounts = self
            .accounts
            .page(after, PAGE, |account, state| due(state).map(|_| *account));
        let reads = accounts.iter().map(|account| async {
            let read = self
                .facts
                .account(account, self.accounts.facts(account), false)
                .await?;
            self.accounts.with(account, read, |_| Ok(()))
        });
        // What can't be read is told as it was known.
        futures_util::future::join_all(reads).await;
        let vouchers = accounts.iter().filter_map(|account| {
            let (promise, paid) = self
                .accounts
                .peek(account, |state| Some((due(state)?, state.paid())))??;
            Some(self.voucher_document(account, &promise, paid))
        });
        let vouchers: Vec<Value> = vouchers.collect();
        let next = accounts.last().filter(|_| accounts.len() == PAGE);
        Ok(json!({"vouchers": vouchers, "next": next.map(|account| Account(*account).to_string())}))
    }

    fn voucher_document(&self, account: &[u8; 20], promise: &account::Promise, paid: u128) -> Value {
        let SignedVoucher { voucher, signature } = promise.signed(Account(*account), self.provider);
        let word = |word: [u8; 32]| format!("0x{}", hex::encode(word));
        let receipt = promise
            .receipt
            .as_deref()
            .and_then(|text| serde_json::from_str(text).ok());
        json!({
            "user": voucher.user.to_string(),
            "provider": voucher.provider.to_string(),
            "cumulative": voucher.cumulative.to_string(),
            "sequence": voucher.sequence.to_string(),
            "request": word(voucher.request_digest),
            "response": word(voucher.response_digest),
            "expiry": voucher.expiry.to_string(),
            "signature": signature.to_string(),
            "paid": paid.to_string(),
            "receipt": receipt.unwrap_or(Value::Null),
        })
    }

    /// Stores what an account did. What can't be stored still holds while the node runs.
    async fn store(&self, account: &[u8; 20]) {
        if self.accounts.store(account).await.is_err() {
            Tally::count(&self.tally.unstored);
        }
    }

    async fn now(&self) -> Result<u64, Reason> {
        self.wallets.now().await.ok_or(Reason::Unreadable)
    }

    fn refuse(&self, reason: Reason, path: &str, amount: u128) -> ApiError {
        Tally::count(&self.tally.refused);
        reason.into_error(&Requirement {
            network: &self.network,
            provider: self.provider,
            resource: path,
            amount,
        })
    }
}
