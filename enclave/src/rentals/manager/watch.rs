//! Follows the provider's rentals on chain.
//!
//! The provider's list grows for ever, so it is read from where the last reading ended, and a rental that is over for good is
//! not read again. What is in the finalised block counts as made; how far it has come is read at the newest block.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use jeju_chain::{Block, MAX_RENTAL_PAGE, Offer, RentalRecord, RentalStatus};
use tokio::time::Instant;

use crate::newest::Reading;
use crate::rentals::backend::RentalId;
use crate::rentals::chain::{Blocks, ChainError, RentalChain};

/// Pages of the list that are read at a time.
const PAGES: usize = 4;
/// Rentals that are read at the same time.
const AT_ONCE: usize = 8;
/// Rentals not started yet that are read at a time: those that were read longest ago.
const PENDING_READS: usize = 128;
/// Of those that are over, and not yet settled.
const SETTLING_READS: usize = 4;
/// Rentals that are over for good and still shown.
const KEPT: usize = 256;
/// Seconds after which a block that is older than a rental's end is as good as one that is younger: a chain without a block in
/// so long is a development chain.
const QUIET: u64 = 15;
/// How old a reading may be for new things to begin.
const FRESH: Duration = Duration::from_secs(60);

/// A rental as the chain showed it last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its place in the provider's list.
    pub place: u64,
    /// Its record at the newest block.
    pub record: Arc<RentalRecord>,
    /// Whether its creation is in the finalised block.
    pub created_final: bool,
    /// Whether its end is.
    pub end_final: bool,
    /// Whether it was read when its time was over.
    pub seen_over: bool,
    /// When it was read.
    pub read: Instant,
}

/// What is known of the chain.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// By id. Those that have been over for long are missing.
    pub rentals: BTreeMap<RentalId, Known>,
    /// The provider's offer, at the finalised block.
    pub offer: Option<Offer>,
    /// How late it is.
    pub time: Option<Reading>,
    /// Whether every rental of the list was read: what isn't known then is nobody's.
    pub complete: bool,
    /// When all was read that had to be.
    pub read: Option<Instant>,
    /// Why the last reading failed.
    pub error: Option<ChainError>,
    /// Finalised block.
    pub finalized: Option<Block>,
    /// Rentals in the finalised list.
    cursor: u64,
    /// Of those, the ones that were never read, with their places.
    unread: BTreeMap<RentalId, u64>,
}

impl View {
    /// Seconds since 1970, at least; zero where no block was read.
    pub fn now(&self) -> u64 {
        self.time.map_or(0, |time| time.now())
    }

    /// Whether the chain was read a short time ago.
    pub fn is_fresh(&self) -> bool {
        self.read.is_some_and(|read| read.elapsed() < FRESH)
    }

    /// Whether a container of this rental is nobody's.
    pub fn is_stranger(&self, rental: &RentalId) -> bool {
        self.complete && self.is_fresh() && !self.rentals.contains_key(rental)
    }
}

impl Known {
    /// Whether it was read a short time ago.
    pub fn is_fresh(&self) -> bool {
        self.read.elapsed() < FRESH
    }
}

/// Whether the time of a rental is over: the time to use it, or the time to start it.
pub fn time_is_over(record: &RentalRecord, now: u64) -> bool {
    match record.status {
        RentalStatus::Pending => now > record.start_deadline,
        RentalStatus::Active => now >= record.end_time,
        _ => true,
    }
}

/// Reads the chain again and again. The view is handed over in between, so that others see it while the chain is slow.
pub struct Watch {
    chain: Arc<dyn RentalChain>,
}

/// What one reading brought.
struct Reads {
    blocks: Blocks,
    offer: Option<Offer>,
    /// New in the finalised list.
    made: Vec<RentalId>,
    /// Whether there are more.
    more: bool,
    /// In the newest list only.
    tail: Vec<RentalId>,
}

impl Watch {
    /// Follows this chain.
    pub fn new(chain: Arc<dyn RentalChain>) -> Self {
        Self { chain }
    }

    /// Reads what may have changed, and shows the view after each step. `Ok` says whether there is more to read at once.
    ///
    /// # Errors
    /// Where not all could be read; what could be is in the view.
    pub async fn read(&self, view: &Mutex<View>) -> Result<bool, ChainError> {
        let outcome = self.read_all(view).await;
        if outcome.is_err()
            && let Ok(timestamp) = self.chain.newest_timestamp().await
        {
            let mut view = lock(view);
            view.time = Some(Reading::new(timestamp).or_later(view.time));
        }
        let mut view = lock(view);
        view.error = outcome.as_ref().err().cloned();
        if outcome.is_ok() {
            view.read = Some(Instant::now());
        }
        outcome
    }

    async fn read_all(&self, view: &Mutex<View>) -> Result<bool, ChainError> {
        let cursor = lock(view).cursor;
        let reads = self.lists(cursor).await?;
        let blocks = reads.blocks;
        let more = reads.more;
        let due = lock(view).take(reads);
        let now = lock(view).now();
        let mut records = stream::iter(due)
            .map(|due| async move { (due, self.one(due, blocks, now).await) })
            .buffer_unordered(AT_ONCE);
        let mut failed = None;
        while let Some((due, read)) = records.next().await {
            match read {
                Ok(read) => lock(view).learn(due, read),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        let mut view = lock(view);
        view.complete = !more && view.unread.is_empty();
        view.forget_long_ended();
        match failed {
            Some(error) => Err(error),
            None => Ok(more),
        }
    }

    async fn lists(&self, mut cursor: u64) -> Result<Reads, ChainError> {
        let blocks = self.chain.blocks().await?;
        let offer = self.chain.offer(blocks.finalized).await?;
        let mut made = Vec::new();
        let mut more = true;
        for _ in 0..PAGES {
            let page = self.chain.listed(blocks.finalized, cursor).await?;
            cursor += page.len() as u64;
            more = page.len() >= MAX_RENTAL_PAGE;
            made.extend(page);
            if !more {
                break;
            }
        }
        let tail = match more {
            true => Vec::new(),
            false => self.chain.listed(blocks.newest, cursor).await?,
        };
        Ok(Reads {
            blocks,
            offer,
            made,
            more,
            tail,
        })
    }

    async fn one(&self, due: Due, blocks: Blocks, now: u64) -> Result<Option<Read>, ChainError> {
        let final_end = |record: &RentalRecord| {
            // No block after one of this time can add to a time that is over.
            record.status.is_over() || time_is_over(record, blocks.finalized.timestamp)
        };
        if due.first {
            // Most of a long list is over since long, and then one reading is enough.
            let old = self.chain.rental(blocks.finalized, due.id).await?;
            if let Some(old) = old.filter(|old| old.status.is_over()) {
                return Ok(Some(Read {
                    record: old,
                    seen_over: true,
                    end_final: true,
                }));
            }
        }
        let Some(record) = self.chain.rental(blocks.newest, due.id).await? else {
            return Ok(None);
        };
        let seen_over = time_is_over(&record, blocks.newest.timestamp.max(now.saturating_sub(QUIET)));
        let end_final = match seen_over && due.created_final && !due.end_final {
            true => {
                let old = self.chain.rental(blocks.finalized, due.id).await?;
                old.is_some_and(|old| final_end(&old))
            }
            false => due.end_final,
        };
        Ok(Some(Read {
            record,
            seen_over,
            end_final,
        }))
    }
}

/// What a rental's reading brought.
struct Read {
    record: RentalRecord,
    seen_over: bool,
    end_final: bool,
}

/// A rental to read.
#[derive(Debug, Clone, Copy)]
struct Due {
    id: RentalId,
    place: u64,
    created_final: bool,
    end_final: bool,
    /// Whether it was never read.
    first: bool,
}

impl View {
    /// Takes what the lists say, and names what is to be read.
    fn take(&mut self, reads: Reads) -> Vec<Due> {
        self.time = Some(Reading::new(reads.blocks.newest.timestamp).or_later(self.time));
        self.finalized = Some(reads.blocks.finalized);
        self.offer = reads.offer;
        let mut at_once = BTreeSet::new();
        for id in reads.made {
            let place = self.cursor;
            self.cursor += 1;
            match self.rentals.get_mut(&id) {
                // What was read before may be of a block that left the chain.
                Some(known) => {
                    (known.place, known.created_final) = (place, true);
                    at_once.insert(id);
                }
                None => {
                    self.unread.insert(id, place);
                }
            }
        }
        if !reads.more {
            let tail: BTreeSet<RentalId> = reads.tail.iter().copied().collect();
            self.rentals
                .retain(|id, known| known.created_final || tail.contains(id));
        }
        let mut due: Vec<Due> = self.due(&at_once);
        due.extend(self.unread.iter().map(|(id, place)| Due {
            id: *id,
            place: *place,
            created_final: true,
            end_final: false,
            first: true,
        }));
        let tail = reads.tail.into_iter().enumerate();
        due.extend(
            tail.filter(|(_, id)| !self.rentals.contains_key(id) && !self.unread.contains_key(id))
                .map(|(offset, id)| Due {
                    id,
                    place: self.cursor + offset as u64,
                    created_final: false,
                    end_final: false,
                    first: false,
                }),
        );
        due
    }

    /// Of what is known, what is to be read again.
    fn due(&self, at_once: &BTreeSet<RentalId>) -> Vec<Due> {
        let due = |(id, known): (&RentalId, &Known)| Due {
            id: *id,
            place: known.place,
            created_final: known.created_final,
            end_final: known.end_final,
            first: false,
        };
        let of = |wanted: fn(&Known, bool) -> bool, most: usize| {
            let mut rentals: Vec<_> = self
                .rentals
                .iter()
                .filter(|(id, known)| wanted(known, at_once.contains(*id)))
                .collect();
            rentals.sort_by_key(|(_, known)| known.read);
            rentals.truncate(most);
            rentals
        };
        // A provider starts as many as it can run. Whoever pays makes any number that wait.
        let first = of(
            |known, at_once| at_once || known.record.status == RentalStatus::Active,
            usize::MAX,
        );
        let pending = of(
            |known, at_once| !at_once && !known.end_final && known.record.status != RentalStatus::Active,
            PENDING_READS,
        );
        let settling = of(
            |known, at_once| {
                let waits = matches!(
                    known.record.status,
                    RentalStatus::Pending | RentalStatus::Disputed
                );
                !at_once && known.end_final && waits
            },
            SETTLING_READS,
        );
        let all = first.into_iter().chain(pending).chain(settling);
        all.map(due).collect()
    }

    /// Takes what a rental's reading brought.
    fn learn(&mut self, due: Due, read: Option<Read>) {
        let Some(read) = read else {
            // One that isn't final may leave the chain. One that is may not, so it stays to be read.
            if !due.created_final {
                self.rentals.remove(&due.id);
            }
            return;
        };
        self.unread.remove(&due.id);
        // What didn't change stays the same object.
        let before = self.rentals.get(&due.id).map(|known| &known.record);
        let record = match before {
            Some(before) if **before == read.record => before.clone(),
            _ => Arc::new(read.record),
        };
        let known = Known {
            place: due.place,
            record,
            created_final: due.created_final,
            end_final: read.end_final,
            seen_over: read.seen_over,
            read: Instant::now(),
        };
        self.rentals.insert(due.id, known);
    }

    fn forget_long_ended(&mut self) {
        // An active one waits for the provider's wallet.
        let over = |known: &Known| known.end_final && known.record.status != RentalStatus::Active;
        let mut ended: Vec<u64> = self
            .rentals
            .values()
            .filter(|known| over(known))
            .map(|known| known.place)
            .collect();
        if ended.len() <= KEPT {
            return;
        }
        ended.sort_unstable();
        let oldest = ended[ended.len() - KEPT];
        self.rentals
            .retain(|_, known| !over(known) || known.place >= oldest);
    }
}

fn lock(view: &Mutex<View>) -> MutexGuard<'_, View> {
    view.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
