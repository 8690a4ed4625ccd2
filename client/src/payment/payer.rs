//! One user's payments to one provider.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jeju_chain::{ChainReader, Service};
use jeju_wallet_auth::market::{SignedVoucher, Voucher};
use jeju_wallet_auth::signature::AccountKey;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::PaymentError;
use super::book::{Answered, AtNode, Book, OnChain, Promise};
use super::facts::Facts;
use super::record::{Parties, Record};
use super::usage::Price;

/// How long a voucher is good, in seconds: providers submit many answers at a time.
pub const VOUCHER_LIFE: u64 = 30 * 24 * 60 * 60;
/// How long prices are remembered. They never change; which one is offered may.
const PRICES_FOR: Duration = Duration::from_secs(60);

/// What the node is known to have.
#[derive(Debug, Clone, Copy, Default)]
struct NodeView {
    promised: u128,
    /// Whether the node has said so since anything went wrong.
    is_known: bool,
}

/// How long it is remembered what is set aside: nodes look as often.
const COVER_FOR: Duration = Duration::from_secs(30);

/// What is set aside for the provider, and what the chain paid it, in wei.
#[derive(Debug, Clone, Copy)]
struct Cover {
    read: Instant,
    there: u128,
    paid: u128,
}

/// Prices by model, and when they were read.
type Prices = Option<(Instant, HashMap<String, Price>)>;

/// One user's payments to one provider.
pub(super) struct Payer {
    key: Arc<AccountKey>,
    facts: Facts,
    record: Record,
    prices: Mutex<Prices>,
    cover: Mutex<Option<Cover>>,
    node: Mutex<NodeView>,
    /// One voucher is on its way at a time: a later one that overtook it would make it worth nothing.
    sending: Arc<Semaphore>,
}

/// A voucher on its way.
pub(super) struct Sent {
    pub(super) voucher: SignedVoucher,
    _permit: OwnedSemaphorePermit,
}

impl Payer {
    /// Opens the book, which begins where the chain's session is.
    pub(super) fn open(
        key: Arc<AccountKey>,
        facts: Facts,
        record: Record,
        chain: OnChain,
    ) -> Result<Self, PaymentError> {
        record.change(|book| {
            let mut book = book.unwrap_or_default();
            book.on_chain(chain)?;
            Ok((book, ()))
        })?;
        Ok(Self {
            key,
            facts,
            record,
            prices: Mutex::default(),
            cover: Mutex::default(),
            node: Mutex::default(),
            sending: Arc::new(Semaphore::new(1)),
        })
    }

    /// Whose payments to whom.
    pub(super) fn parties(user: &AccountKey, facts: &Facts) -> Parties {
        use jeju_attestation::hex_bytes::HexBytes;
        Parties {
            chain: facts.audience.chain_id,
            serving: facts.serving_hex(),
            user: HexBytes(user.account().0),
            provider: HexBytes(facts.provider.0),
        }
    }

    /// The price of a model, as the chain has it.
    pub(super) async fn price(&self, reader: &ChainReader, model: &str) -> Result<Price, PaymentError> {
        if let Some(price) = self.known_price(model) {
            return Ok(price);
        }
        let block = reader.newest_block().await?;
        let (serving, provider) = (&self.facts.serving.0, &self.facts.provider.0);
        let services = reader.services_at(&block, serving, provider).await?;
        let prices: HashMap<_, _> = services
            .iter()
            .filter_map(|service| service.model.as_str())
            .filter_map(|model| Some((model.to_owned(), price_of(&services, model)?)))
            .collect();
        let found = prices.get(model).copied();
        *lock(&self.prices) = Some((Instant::now(), prices));
        found.ok_or_else(|| PaymentError::NoPrice {
            provider: self.facts.provider,
            model: model.chars().take(100).collect(),
        })
    }

    fn known_price(&self, model: &str) -> Option<Price> {
        match &*lock(&self.prices) {
            Some((read, prices)) if read.elapsed() < PRICES_FOR => prices.get(model).copied(),
            _ => None,
        }
    }

    /// Whether enough is set aside for a request that may cost `estimate`, by what the node goes by: the balance covers what isn't
    /// paid yet, and that.
    ///
    /// # Errors
    /// [`PaymentError::Insufficient`], or where the chain can't be read.
    pub(super) async fn covered(&self, reader: &ChainReader, estimate: u128) -> Result<(), PaymentError> {
        let known = *lock(&self.cover);
        let fresh = known.filter(|cover| cover.read.elapsed() < COVER_FOR);
        if let Some(cover) = fresh
            && self.is_enough(&cover, estimate)?.is_ok()
        {
            return Ok(());
        }
        let block = reader.newest_block().await?;
        let (user, provider) = (&self.key.account().0, &self.facts.provider.0);
        let part = reader
            .sub_account_at(&block, &self.facts.ledger.0, user, provider)
            .await?;
        let session = reader
            .voucher_session_at(&block, &self.facts.serving.0, user, provider)
            .await?;
        let cover = Cover {
            read: Instant::now(),
            there: part.balance,
            paid: session.paid,
        };
        *lock(&self.cover) = Some(cover);
        self.is_enough(&cover, estimate)?
    }

    fn is_enough(&self, cover: &Cover, estimate: u128) -> Result<Result<(), PaymentError>, PaymentError> {
        let open = self.book()?.owed.saturating_sub(cover.paid);
        let needed = open.checked_add(estimate).ok_or(PaymentError::Overflow)?;
        Ok(match cover.there >= needed {
            true => Ok(()),
            false => Err(PaymentError::Insufficient {
                provider: self.facts.provider,
                there: cover.there,
                needed,
            }),
        })
    }

    /// Whether the node was asked what it has, and nothing went wrong since.
    pub(super) fn knows_node(&self) -> bool {
        lock(&self.node).is_known
    }

    /// Something went wrong: the node is to be asked again.
    pub(super) fn forget_node(&self) {
        lock(&self.node).is_known = false;
    }

    /// Takes in what the node says.
    pub(super) fn at_node(&self, node: &AtNode, adopt: bool) -> Result<(), PaymentError> {
        self.record.change(|book| {
            let mut book = book.unwrap_or_default();
            book.at_node(node, adopt)?;
            Ok((book, ()))
        })?;
        *lock(&self.node) = NodeView {
            promised: node.promised,
            is_known: true,
        };
        Ok(())
    }

    /// A verified answer cost so much.
    pub(super) fn charge(&self, cost: u128, answered: Answered) -> Result<(), PaymentError> {
        self.record.change(|book| {
            let mut book = book.unwrap_or_default();
            book.charge(cost, answered)?;
            Ok((book, ()))
        })
    }

    /// A request was sent whose end isn't known.
    pub(super) fn doubt(&self, bound: u128) -> Result<(), PaymentError> {
        self.forget_node();
        self.record.change(|book| {
            let mut book = book.unwrap_or_default();
            book.doubt(bound);
            Ok((book, ()))
        })
    }

    /// How much the node waits for.
    pub(super) fn open_amount(&self) -> Result<u128, PaymentError> {
        let book = self.record.read()?.unwrap_or_default();
        Ok(book.owed.saturating_sub(lock(&self.node).promised))
    }

    /// Whether the node would serve no more until it gets a voucher: half its credit is used up.
    pub(super) fn is_pressed(&self) -> Result<bool, PaymentError> {
        Ok(self.open_amount()? > self.facts.credit / 2)
    }

    /// The next voucher, `more` at most beyond what was promised. `None`: there is nothing to promise, or another one is on
    /// its way. `wait`: until that has arrived.
    pub(super) async fn voucher(
        &self,
        now: u64,
        more: u128,
        wait: bool,
    ) -> Result<Option<(Sent, u128)>, PaymentError> {
        let permit = match wait {
            // Never closed.
            true => self.sending.clone().acquire_owned().await.ok(),
            false => self.sending.clone().try_acquire_owned().ok(),
        };
        let Some(permit) = permit else {
            return Ok(None);
        };
        let node_promised = lock(&self.node).promised;
        let promised = self.record.change(|book| {
            let mut book = book.unwrap_or_default();
            let before = book.promised;
            let promise = book.promise(node_promised, more);
            Ok((
                book,
                promise.map(|promise| (promise, promise.cumulative - before)),
            ))
        })?;
        let Some((promise, more)) = promised else {
            return Ok(None);
        };
        let voucher = self.sign(&promise, now)?;
        let sent = Sent {
            voucher,
            _permit: permit,
        };
        Ok(Some((sent, more)))
    }

    /// The node took it.
    pub(super) fn delivered(&self, sent: &Sent) {
        let mut node = lock(&self.node);
        node.promised = node.promised.max(sent.voucher.voucher.cumulative);
    }

    fn sign(&self, promise: &Promise, now: u64) -> Result<SignedVoucher, PaymentError> {
        let voucher = Voucher {
            user: self.key.account(),
            provider: self.facts.provider,
            cumulative: promise.cumulative,
            sequence: promise.sequence,
            request_digest: promise.answered.request.0,
            response_digest: promise.answered.response.0,
            expiry: now.saturating_add(VOUCHER_LIFE),
        };
        SignedVoucher::sign(voucher, &self.facts.at(), &self.key).ok_or(PaymentError::Other {
            what: "account",
            found: voucher.user.to_string(),
            expected: self.key.account().to_string(),
        })
    }

    /// The book as it is.
    pub(super) fn book(&self) -> Result<Book, PaymentError> {
        Ok(self.record.read()?.unwrap_or_default())
    }

    /// Whom it pays, and how.
    pub(super) fn facts(&self) -> &Facts {
        &self.facts
    }
}

fn price_of(services: &[Service], model: &str) -> Option<Price> {
    Service::first_active(services, model).map(|service| Price {
        input: service.price_per_input_token,
        output: service.price_per_output_token,
    })
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
