//! A member's records as the host keeps them: it may restore an older state and run a copy, but can't read or forge them.

use std::collections::BTreeMap;

use jeju_attestation::hash::{sha256, tagged_sha256};
use jeju_mpc::marks::{MARK_LEN, MARKS_NAME, StartedState, StateMark};
use jeju_mpc::member::Output;

/// All records, by name.
pub type Records = BTreeMap<String, Vec<u8>>;

/// A disk and the states in which it was before.
#[derive(Clone, Default)]
pub struct Disk {
    state: State,
    snapshots: Vec<State>,
    /// A peer remembers a newer state, and the next one has to be numbered above it.
    outrun: bool,
}

/// What is on a disk.
#[derive(Clone, Default, PartialEq, Eq)]
struct State {
    records: Records,
    /// Of the store; a host that shows an empty disk has another one made.
    store: u64,
    commits: u64,
}

/// Most states kept. The oldest (nothing there at all) is among them for ever.
const SNAPSHOTS: usize = 48;

impl Disk {
    /// What a member finds when it starts.
    pub fn records(&self) -> &Records {
        &self.state.records
    }

    /// Opens the store; one that was never written to is a new one, with this number.
    pub fn open(&mut self, store: u64) -> Opened {
        if self.state.commits == 0 {
            self.state.store = store;
        }
        Opened(self.mark())
    }

    /// The mark of the state.
    pub fn mark(&self) -> StateMark {
        let mut root = tagged_sha256("sim-root", &[&self.state.commits.to_be_bytes()]);
        for (name, record) in &self.state.records {
            root = tagged_sha256("sim-record", &[&root, name.as_bytes(), &sha256(record)]);
        }
        let mut mark = [0; MARK_LEN];
        mark[8..16].copy_from_slice(&self.state.store.to_be_bytes());
        mark[16..24].copy_from_slice(&self.state.commits.to_be_bytes());
        mark[24..56].copy_from_slice(&root);
        let tag = tag(&mark);
        mark[56..].copy_from_slice(&tag);
        mark
    }

    /// Numbers all later states above one that a peer remembers.
    pub fn outrun(&mut self, newest: &StateMark) {
        let (store, commits) = parts(newest);
        if store == self.state.store {
            self.state.commits = self.state.commits.max(commits);
        }
        self.outrun = true;
    }

    /// Keeps a record.
    pub fn write(&mut self, name: &str, record: &[u8]) {
        self.snapshot();
        self.state.commits += 1;
        self.state.records.insert(name.to_owned(), record.to_vec());
    }

    /// Does what a member wants done with its records; nothing for other outputs. The new state's mark, if peers are to know
    /// of it.
    pub fn apply(&mut self, output: &Output) -> Option<StateMark> {
        let name = match output {
            Output::Persist { name, record } => {
                self.write(name, record);
                name
            }
            Output::Erase { name } => {
                self.erase(name);
                name
            }
            _ => return None,
        };
        let outran = std::mem::take(&mut self.outrun);
        (outran || name != MARKS_NAME).then(|| self.mark())
    }

    /// Forgets a record.
    pub fn erase(&mut self, name: &str) {
        self.snapshot();
        self.state.commits += 1;
        self.state.records.remove(name);
    }

    /// How many older states there are: the argument of [`Disk::restore`] is below this.
    pub fn states(&self) -> usize {
        self.snapshots.len()
    }

    /// Goes back to an older state. The newer ones stay, so that the host may go forward again.
    pub fn restore(&mut self, state: usize) {
        if let Some(state) = self.snapshots.get(state).cloned() {
            self.snapshot();
            self.state = state;
        }
    }

    fn snapshot(&mut self) {
        if self.snapshots.last() == Some(&self.state) {
            return;
        }
        if self.snapshots.len() == SNAPSHOTS {
            self.snapshots.remove(1);
        }
        self.snapshots.push(self.state.clone());
    }
}

/// The state that a member started with.
pub struct Opened(StateMark);

impl StartedState for Opened {
    fn mark(&self) -> StateMark {
        self.0
    }

    fn is_older_than(&self, remembered: &StateMark) -> bool {
        if remembered[56..] != tag(remembered) {
            return false;
        }
        let ((store, commits), (other, newest)) = (parts(&self.0), parts(remembered));
        store != other || newest > commits || (newest == commits && self.0 != *remembered)
    }
}

fn parts(mark: &StateMark) -> (u64, u64) {
    let number = |at: usize| u64::from_be_bytes(mark[at..at + 8].try_into().expect("eight bytes"));
    (number(8), number(16))
}

/// Only a member's own store can make it: nobody in a simulation tries to.
fn tag(mark: &StateMark) -> [u8; 16] {
    let tag = tagged_sha256("sim-mark", &[&mark[..56]]);
    tag[..16].try_into().expect("longer than that")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_states_come_back() {
        let mut disk = Disk::default();
        disk.write("a", b"1");
        disk.write("a", b"2");
        disk.erase("a");
        assert!(disk.records().is_empty());
        assert_eq!(disk.states(), 3);
        disk.restore(1);
        assert_eq!(disk.records()["a"], b"1");
        disk.restore(0);
        assert!(disk.records().is_empty());
        for number in 0..200u8 {
            disk.write("a", &[number]);
        }
        assert_eq!(disk.states(), SNAPSHOTS);
        disk.restore(0);
        assert!(disk.records().is_empty());
    }
}
