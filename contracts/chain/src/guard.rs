//! Whether the chain that the endpoints show is one that new admissions may rest on.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::reader::{Block, ChainReader, Head, ReadError};

/// For how long a check that passed stands for reads of the newest block.
const RECENT: Duration = Duration::from_secs(10);

/// What a guard takes for granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardLimits {
    /// How long the finalised head may stand still, by this machine's own counting.
    pub max_stall: Duration,
    /// How old the finalised head may be, where the caller has a clock that the endpoints don't set.
    pub max_age: Duration,
    /// How far the head may lie behind the highest one seen: endpoints finalise at different times, and not all of them
    /// answer every time.
    pub max_lag: u64,
}

impl GuardLimits {
    /// For a local development chain: it may stand still for as long as nobody uses it.
    pub const LOCAL: Self = Self {
        max_stall: Duration::MAX,
        max_age: Duration::MAX,
        max_lag: 64,
    };
}

impl Default for GuardLimits {
    /// Ethereum's: blocks are final after 13 to 19 minutes, two epochs of 32 blocks.
    fn default() -> Self {
        Self {
            max_stall: Duration::from_secs(30 * 60),
            max_age: Duration::from_secs(60 * 60),
            max_lag: 64,
        }
    }
}

/// Remembers the highest finalised head, and refuses a chain that isn't its continuation, that stands still, or that the
/// endpoints don't agree on. A refusal lasts until a check finds everything in order.
///
/// The guard can only tell old from new by what it remembers: whoever keeps state gives the last head back at the start,
/// and whoever has a clock passes the time.
#[derive(Debug)]
pub struct HeadGuard {
    chain_id: u64,
    limits: GuardLimits,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    highest: Option<Head>,
    /// When the highest head was first seen, or the guard made.
    advanced: Instant,
    outcome: Outcome,
    /// When the last check ended.
    checked: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
enum Outcome {
    Never,
    Passed,
    Refused(&'static str),
}

/// Why nothing new may be admitted.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// The endpoints gave no answer, or different ones.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// They serve another chain.
    #[error("the endpoints serve chain {found}, not {wanted}")]
    OtherChain {
        /// Their chain id.
        found: u64,
        /// The guard's.
        wanted: u64,
    },
    /// The finalised head went back, or a block that was final is one no longer.
    #[error("the chain has rewound: block {number} was final as {expected}, now {found}", number = highest.number, expected = hex::encode(highest.hash), found = describe(found))]
    Rewound {
        /// The highest block that was final.
        highest: Block,
        /// What the endpoints show instead: the block of that number, or the head, where that lies too far below.
        found: Option<Block>,
    },
    /// The finalised head is too old, or hasn't moved for too long.
    #[error("the finalised head, block {} of time {}, stands still", head.number, head.timestamp)]
    Stalled {
        /// The head.
        head: Block,
    },
    /// No check was made yet, or none for too long.
    #[error("the chain has not been checked")]
    Unchecked,
    /// The last check refused, for the reason of this code.
    #[error("the last check of the chain refused: {0}")]
    Refused(&'static str),
}

impl GuardError {
    /// A stable code for output and metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Read(error) => error.code(),
            Self::OtherChain { .. } => "chain-other",
            Self::Rewound { .. } => "chain-rewound",
            Self::Stalled { .. } => "chain-stalled",
            Self::Unchecked => "chain-unchecked",
            Self::Refused(code) => code,
        }
    }
}

impl HeadGuard {
    /// A guard that starts from what was seen before: a stored head, or a checkpoint that is known from elsewhere.
    pub fn new(chain_id: u64, limits: GuardLimits, known: Option<Head>) -> Self {
        let state = State {
            highest: known,
            advanced: Instant::now(),
            outcome: Outcome::Never,
            checked: None,
        };
        Self {
            chain_id,
            limits,
            state: Mutex::new(state),
        }
    }

    /// Asks the endpoints, and returns the head to read at. `now` is the time in Unix seconds, from a clock that isn't
    /// theirs; without one, only a head that stands still while this process runs is noticed.
    ///
    /// # Errors
    /// Where nothing may be admitted. [`admission`](Self::admission) then refuses, too, until a later check passes.
    pub async fn check(&self, chain: &ChainReader, now: Option<u64>) -> Result<Head, GuardError> {
        let result = match self.seen(chain).await {
            Ok(head) => self.judge(head, now),
            Err(error) => Err(error),
        };
        let mut state = self.lock();
        state.outcome = match &result {
            Ok(_) => Outcome::Passed,
            Err(error) => Outcome::Refused(error.code()),
        };
        state.checked = Some(Instant::now());
        drop(state);
        result
    }

    /// The highest head by a check that passed a moment ago, or by one that is made now.
    ///
    /// # Errors
    /// As of [`check`](Self::check).
    pub(crate) async fn recent(&self, chain: &ChainReader) -> Result<Head, GuardError> {
        let is_recent = self.lock().checked.is_some_and(|at| at.elapsed() < RECENT);
        match self.admission() {
            Ok(head) if is_recent => Ok(head),
            _ => self.check(chain, None).await,
        }
    }

    /// Whether something may be admitted now, by the last check. Asks nobody.
    ///
    /// # Errors
    /// Where the last check refused, or is too long ago.
    pub fn admission(&self) -> Result<Head, GuardError> {
        let state = self.lock();
        match (state.outcome, state.highest) {
            (Outcome::Refused(code), _) => Err(GuardError::Refused(code)),
            (Outcome::Passed, Some(head)) if state.advanced.elapsed() > self.limits.max_stall => {
                Err(GuardError::Stalled { head: head.block })
            }
            (Outcome::Passed, Some(head)) => Ok(head),
            (Outcome::Passed | Outcome::Never, _) => Err(GuardError::Unchecked),
        }
    }

    /// The highest finalised head seen, to be stored.
    pub fn highest(&self) -> Option<Head> {
        self.lock().highest
    }

    /// The head, of the right chain and standing on the highest one seen.
    async fn seen(&self, chain: &ChainReader) -> Result<Head, GuardError> {
        let found = chain.chain_id().await?;
        if found != self.chain_id {
            return Err(GuardError::OtherChain {
                found,
                wanted: self.chain_id,
            });
        }
        let head = chain.shown_finalized().await?;
        let Some(highest) = self.highest() else {
            return Ok(head);
        };
        let highest = highest.block;
        if head.block.number.saturating_add(self.limits.max_lag) < highest.number {
            return Err(GuardError::Rewound {
                highest,
                found: Some(head.block),
            });
        }
        let there = if head.block.number == highest.number {
            Some(head.block)
        } else {
            match chain.block_by_number(highest.number).await {
                Ok(block) => Some(block),
                Err(ReadError::BlockNotFound) => None,
                Err(error) => return Err(error.into()),
            }
        };
        // The hash stands for all of a block.
        if there.is_none_or(|there| there.hash != highest.hash) {
            return Err(GuardError::Rewound {
                highest,
                found: there,
            });
        }
        Ok(head)
    }

    fn judge(&self, head: Head, now: Option<u64>) -> Result<Head, GuardError> {
        let mut state = self.lock();
        // Another check may have seen a higher one meanwhile; the next check holds it against that.
        let highest = match state.highest {
            Some(highest) if highest.block.number > head.block.number => highest,
            Some(highest) if highest.block.hash == head.block.hash => highest,
            Some(highest) if highest.block.number == head.block.number => {
                return Err(GuardError::Rewound {
                    highest: highest.block,
                    found: Some(head.block),
                });
            }
            _ => {
                state.advanced = Instant::now();
                state.highest = Some(head);
                head
            }
        };
        let stands = state.advanced.elapsed() > self.limits.max_stall;
        let age = now.map_or(0, |now| now.saturating_sub(highest.block.timestamp));
        if stands || age > self.limits.max_age.as_secs() {
            return Err(GuardError::Stalled { head: highest.block });
        }
        Ok(highest)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn describe(block: &Option<Block>) -> String {
    block.map_or_else(
        || "not there".to_owned(),
        |block| format!("block {} {}", block.number, hex::encode(block.hash)),
    )
}
