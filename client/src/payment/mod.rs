//! Pays for inference by vouchers, after each verified answer, and never more than was counted here.
//!
//! ```text
//! request ──▶ begin: price of the chain, limits, wallet signature, newest voucher ──▶ node
//! verified answer ──▶ Paid: usage x price ──▶ book (file) ──▶ next voucher, with the next request or by `flush`
//! ```
//!
//! A node is paid for what it has answered, so a node that answers nothing gets nothing. What a request can have cost whose
//! end isn't known (a stream that was cut, a connection that broke) is believed of the node's own count, up to the most that
//! it can be.

mod arguments;
pub(crate) mod asking;
mod book;
mod error;
mod facts;
mod paid;
mod payer;
mod record;
mod recount;
mod usage;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue, Method};
use jeju_attestation::hash::sha256;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::launch::LaunchDocument;
use jeju_chain::ChainReader;
use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::signature::AccountKey;

pub use arguments::PayArguments;
pub(crate) use arguments::folder;
pub use book::{Answered, AtNode, Book, OnChain, Promise};
pub use error::PaymentError;
pub use facts::Facts;
pub use paid::{Paid, PaidStream};
pub use record::{Parties, Record};
pub use recount::Recount;
pub(crate) use usage::wei;
pub use usage::{Asked, Price, PriceLimit, Told, Usage};

use crate::rental::amount::Amount;
use crate::session::{Session, unix_now};
use asking::Asker;
use payer::{Payer, lock};

/// Header that a voucher comes in.
pub const VOUCHER: HeaderName = HeaderName::from_static("jeju-voucher");
/// Headers that say who pays: set here alone, deleted of whatever a caller sends.
const OURS: [HeaderName; 7] = [
    VOUCHER,
    HeaderName::from_static("x-payment"),
    HeaderName::from_static("x-jeju-address"),
    HeaderName::from_static("x-jeju-nonce"),
    HeaderName::from_static("x-jeju-timestamp"),
    HeaderName::from_static("x-jeju-expiry"),
    HeaderName::from_static("x-jeju-signature"),
];
/// Launch documents that are remembered.
const MAX_FACTS: usize = 1024;

/// What payments need.
pub struct Settings {
    /// Who pays.
    pub key: Arc<AccountKey>,
    /// The chain's reader.
    pub reader: ChainReader,
    /// The chain.
    pub chain_id: u64,
    /// `InferenceServing`, where the user names it: nodes of another one are not paid.
    pub serving: Option<Account>,
    /// Where books are kept.
    pub folder: PathBuf,
    /// Most that is promised as long as this lives, in wei.
    pub limit: Option<u128>,
    /// Most that a token may cost: what is dearer isn't asked.
    pub prices: PriceLimit,
    /// Believe nodes that hold vouchers of this account that aren't in the book.
    pub adopt: bool,
    /// The model's file, to count prompts again.
    pub recount: Option<Recount>,
}

/// Payments of one account to all providers. Cheap to clone.
#[derive(Clone)]
pub struct Payments(Arc<Inner>);

struct Inner {
    settings: Settings,
    payers: Mutex<HashMap<Parties, Arc<Payer>>>,
    facts: Mutex<HashMap<[u8; 32], Option<Facts>>>,
    spending: Mutex<Spending>,
}

/// Of `--max-spend`, in wei.
#[derive(Debug, Default)]
struct Spending {
    /// What was counted, requests without an end at the most that they can have cost.
    counted: u128,
    /// What requests on their way are reckoned at.
    reserved: u128,
    /// What was promised.
    promised: u128,
}

impl Payments {
    /// With nothing paid yet.
    pub fn new(settings: Settings) -> Self {
        Self(Arc::new(Inner {
            settings,
            payers: Mutex::default(),
            facts: Mutex::default(),
            spending: Mutex::default(),
        }))
    }

    /// Who pays.
    pub fn account(&self) -> Account {
        self.0.settings.key.account()
    }

    /// Makes a request one that this account pays for: reckons with its price, signs it, and adds a voucher for what was
    /// answered before. `None`: it costs nothing here, and nothing was signed.
    ///
    /// # Errors
    /// Where it may not be sent: limits, a price or a book that is missing, a chain that can't be read, a node of another
    /// contract or chain, or one that holds vouchers that the book knows nothing of.
    pub async fn begin(
        &self,
        session: &mut Session,
        method: &Method,
        path_and_query: &str,
        headers: &mut HeaderMap,
        body: &Bytes,
    ) -> Result<Option<Paid>, PaymentError> {
        if method != Method::POST || !usage::is_paid(path_and_query) {
            return Ok(None);
        }
        let Some(facts) = self.facts(session) else {
            return Ok(None);
        };
        OURS.iter().for_each(|name| drop(headers.remove(name)));
        let Some(asked) = Asked::read(body) else {
            // The node will say what is wrong with it.
            return Ok(None);
        };
        let payer = self.payer(&facts).await?;
        let price = match payer.price(&self.0.settings.reader, &asked.model).await {
            Err(PaymentError::NoPrice { .. }) if !facts.required => return Ok(None),
            price => price?,
        };
        if !self.0.settings.prices.allows(&price) {
            return Err(PaymentError::TooDear {
                provider: facts.provider,
                price,
            });
        }
        match payer
            .covered(&self.0.settings.reader, asked.estimate(&price)?)
            .await
        {
            Err(PaymentError::Insufficient { .. }) if !facts.required => return Ok(None),
            covered => covered?,
        }
        let counted = self.recounted(session, &asked.model, path_and_query, body);
        let mut paid = Paid::new(self.clone(), payer, price, asked, counted)?;
        let now = self.now().await;
        paid.payer().learn(self, session, now).await?;
        let wait = paid.payer().is_pressed()?;
        paid.carry(self.voucher(paid.payer(), now, wait).await?);
        let asker = self.asker(&facts, now);
        headers.extend(asker.headers(method, path_and_query, body)?);
        if let Some(voucher) = paid.voucher() {
            let text = HeaderValue::try_from(voucher.to_string());
            let text = text.expect("hexadecimal and decimal digits are a header's value");
            headers.insert(VOUCHER, text);
        }
        paid.sent();
        Ok(Some(paid))
    }

    /// Hands in what is owed to the session's node and wasn't promised yet.
    ///
    /// # Errors
    /// Where the node doesn't take it. What is owed stays in the book.
    pub async fn flush(&self, session: &mut Session) -> Result<(), PaymentError> {
        let Some(facts) = self.facts(session) else {
            return Ok(());
        };
        let Some(payer) = self.known(&facts) else {
            return Ok(());
        };
        let now = self.now().await;
        payer.learn(self, session, now).await?;
        let Some(sent) = self.voucher(&payer, now, true).await? else {
            return Ok(());
        };
        match asking::hand_in(session, &sent.voucher).await {
            Ok(node) => payer.at_node(&node, self.0.settings.adopt),
            Err(error) => {
                payer.forget_node();
                Err(error)
            }
        }
    }

    /// Whether something is owed to the session's node that it has no voucher for.
    pub fn is_due(&self, session: &Session) -> bool {
        let payer = self.facts(session).and_then(|facts| self.known(&facts));
        payer.is_some_and(|payer| payer.open_amount().is_ok_and(|open| open > 0))
    }

    /// What is counted for the session's provider; `None` where nothing is yet.
    ///
    /// # Errors
    /// Where the book can't be read.
    pub fn book(&self, session: &Session) -> Result<Option<Book>, PaymentError> {
        let payer = self.facts(session).and_then(|facts| self.known(&facts));
        payer.map(|payer| payer.book()).transpose()
    }

    /// What the session's node says of payments.
    pub fn facts(&self, session: &Session) -> Option<Facts> {
        let launch = session.launch();
        let digest = sha256(launch);
        let mut known = lock(&self.0.facts);
        if let Some(facts) = known.get(&digest) {
            return *facts;
        }
        if known.len() >= MAX_FACTS {
            known.clear();
        }
        let facts = Facts::read(launch);
        known.insert(digest, facts);
        facts
    }

    /// Tokens of the prompt, where the model's file is at hand and the node names it for this model.
    fn recounted(&self, session: &Session, model: &str, path_and_query: &str, body: &[u8]) -> Option<u64> {
        let recount = self.0.settings.recount.as_ref()?;
        let document = LaunchDocument::parse(session.launch()).ok()?;
        let digest = HexBytes(recount.digest());
        let is_named = document
            .models
            .iter()
            .any(|named| named.id == model && named.sha256 == digest);
        is_named
            .then(|| recount.prompt_tokens(path_and_query, body))
            .flatten()
    }

    fn known(&self, facts: &Facts) -> Option<Arc<Payer>> {
        let parties = Payer::parties(&self.0.settings.key, facts);
        lock(&self.0.payers).get(&parties).cloned()
    }

    async fn payer(&self, facts: &Facts) -> Result<Arc<Payer>, PaymentError> {
        if let Some(payer) = self.known(facts) {
            return Ok(payer);
        }
        let settings = &self.0.settings;
        self.check(facts)?;
        let parties = Payer::parties(&settings.key, facts);
        let block = settings.reader.newest_block().await?;
        let (user, provider) = (&parties.user.0, &parties.provider.0);
        let found = settings
            .reader
            .voucher_session_at(&block, &parties.serving.0, user, provider)
            .await?;
        let chain = OnChain {
            paid: found.paid,
            sequence: found.sequence,
        };
        let record = Record::new(&settings.folder, parties)?;
        let payer = Arc::new(Payer::open(settings.key.clone(), *facts, record, chain)?);
        // Another request may have been faster.
        Ok(lock(&self.0.payers).entry(parties).or_insert(payer).clone())
    }

    fn check(&self, facts: &Facts) -> Result<(), PaymentError> {
        let settings = &self.0.settings;
        let other = |what, found: &dyn ToString, expected: &dyn ToString| {
            Err(PaymentError::Other {
                what,
                found: found.to_string(),
                expected: expected.to_string(),
            })
        };
        if facts.audience.chain_id != settings.chain_id {
            return other("chain", &facts.audience.chain_id, &settings.chain_id);
        }
        match settings.serving {
            Some(serving) if serving != facts.serving => other("contract", &facts.serving, &serving),
            _ => Ok(()),
        }
    }

    /// The next voucher, within the limit.
    async fn voucher(
        &self,
        payer: &Payer,
        now: u64,
        wait: bool,
    ) -> Result<Option<payer::Sent>, PaymentError> {
        let left = match self.0.settings.limit {
            None => u128::MAX,
            Some(limit) => limit.saturating_sub(lock(&self.0.spending).promised),
        };
        let Some((sent, more)) = payer.voucher(now, left, wait).await? else {
            return Ok(None);
        };
        let mut spending = lock(&self.0.spending);
        spending.promised = spending.promised.saturating_add(more);
        Ok(Some(sent))
    }

    /// Sets an estimate aside.
    fn reserve(&self, estimate: u128) -> Result<u128, PaymentError> {
        let mut spending = lock(&self.0.spending);
        if let Some(limit) = self.0.settings.limit {
            let left = limit.saturating_sub(spending.counted.saturating_add(spending.reserved));
            if estimate > left {
                return Err(PaymentError::SpendLimit {
                    estimate: Amount(estimate),
                    left: Amount(left),
                });
            }
        }
        spending.reserved = spending.reserved.saturating_add(estimate);
        Ok(estimate)
    }

    /// The reserve's request has ended.
    fn count(&self, reserved: u128, cost: u128) {
        let mut spending = lock(&self.0.spending);
        spending.reserved = spending.reserved.saturating_sub(reserved);
        spending.counted = spending.counted.saturating_add(cost);
    }

    fn asker<'a>(&'a self, facts: &'a Facts, now: u64) -> Asker<'a> {
        Asker {
            key: &self.0.settings.key,
            audience: &facts.audience,
            now,
        }
    }

    /// The time by the chain, which is what nodes judge signatures by; this machine's clock where it can't be asked.
    async fn now(&self) -> u64 {
        let newest = self.0.settings.reader.newest_timestamp().await;
        newest.unwrap_or_else(|_| unix_now())
    }
}

impl Payer {
    /// Asks the node what it has, if it wasn't asked since anything went wrong.
    async fn learn(&self, payments: &Payments, session: &mut Session, now: u64) -> Result<(), PaymentError> {
        if self.knows_node() {
            return Ok(());
        }
        let node = payments.asker(self.facts(), now).session(session).await?;
        self.at_node(&node, payments.0.settings.adopt)
    }
}

/// An answer's digests, as vouchers name them.
fn answered(headers: &HeaderMap, response: [u8; 32]) -> Option<Answered> {
    use jeju_attestation::response::header::REQUEST_DIGEST;
    let request = headers.get(REQUEST_DIGEST)?.to_str().ok()?;
    let request = jeju_attestation::structured_field::parse_digest(request)?;
    Some(Answered {
        request: HexBytes(request),
        response: HexBytes(response),
    })
}
