//! One start of a signer, and what it does with its outputs.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jeju_mpc::identity::IdentityKey;
use jeju_mpc::member::{MAX_MESSAGE, Member, Output};
use jeju_mpc::network::MemberIndex;
use jeju_mpc::time::Interval;
use rand_chacha::ChaCha20Rng;

use crate::byzantine::Byzantine;
use crate::watch::Violation;

/// Number of a start of a signer, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Boot(pub u32);

/// Number of a connection between two boots. A new one has new keys, so nothing of an older one gets through it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Channel(pub u64);

/// One start of a signer.
pub struct Process {
    /// Whose.
    pub place: MemberIndex,
    /// The program.
    pub engine: Member,
    /// A copy of its identity key, for its lies.
    pub identity: IdentityKey,
    /// Its random numbers.
    pub rng: ChaCha20Rng,
    /// Number of its disk.
    pub disk: usize,
    /// Agent that it is.
    pub agent: [u8; 32],
    /// What its engine wants done.
    pub todo: VecDeque<Output>,
    /// Whether the first of those is a record on its way to the disk.
    pub writing: bool,
    /// Who it has admitted.
    pub peers: BTreeMap<MemberIndex, (Boot, Channel)>,
    /// Requests that it hasn't answered.
    pub tickets: BTreeSet<u64>,
    /// How far its interval reaches below and above the true time, in seconds.
    pub clock: (u64, u64),
    /// What it does to its messages.
    pub byzantine: Option<Byzantine>,
    /// Timers that it has set.
    pub timers: BTreeSet<u64>,
}

impl Process {
    /// Its time.
    pub fn interval(&self, seconds: u64) -> Interval {
        interval(seconds, self.clock)
    }

    /// Whether its configuration gives the other process its place.
    pub fn admits(&self, other: &Process) -> bool {
        let places = self.engine.configurations().places();
        places[usize::from(other.place.0) - 1].agent.0 == other.agent
    }

    /// Whether its interface allows an output.
    pub fn check(&mut self, output: &Output) -> Result<(), Violation> {
        let fault = match output {
            Output::Send { to, .. } if *to == self.place => Some("a message to itself"),
            Output::Send { bytes, .. } if bytes.len() > MAX_MESSAGE => Some("a message is too long"),
            Output::Persist { name, .. } | Output::Erase { name } if !is_name(name) => {
                Some("name of a record")
            }
            Output::Persist { record, .. } if record.len() > MAX_RECORD => Some("a record is too long"),
            Output::Timer { id, .. } if !self.timers.insert(*id) => Some("a timer's number is used again"),
            Output::Answer { ticket, .. } if !self.tickets.remove(ticket) => Some("a second answer"),
            _ => None,
        };
        match fault {
            Some(what) => Err(Violation::Interface {
                by: self.place,
                what: what.to_owned(),
            }),
            None => Ok(()),
        }
    }
}

/// What a member knows of the true time.
pub fn interval(seconds: u64, clock: (u64, u64)) -> Interval {
    Interval {
        lower: seconds - clock.0,
        upper: seconds + clock.1,
    }
}

/// Longest record, in bytes.
const MAX_RECORD: usize = 64 * 1024;

fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !name.is_empty() && name.len() <= 80 && name.chars().all(allowed)
}
