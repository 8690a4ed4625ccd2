//! A member's records as the host keeps them: it may restore an older state and run a copy, but can't read or forge them.

use std::collections::BTreeMap;

use jeju_mpc::member::Output;

/// All records, by name.
pub type Records = BTreeMap<String, Vec<u8>>;

/// A disk and the states in which it was before.
#[derive(Clone, Default)]
pub struct Disk {
    records: Records,
    snapshots: Vec<Records>,
}

/// Most states kept. The oldest (nothing there at all) is among them for ever.
const SNAPSHOTS: usize = 48;

impl Disk {
    /// What a member finds when it starts.
    pub fn records(&self) -> &Records {
        &self.records
    }

    /// Keeps a record.
    pub fn write(&mut self, name: &str, record: &[u8]) {
        self.snapshot();
        self.records.insert(name.to_owned(), record.to_vec());
    }

    /// Does what a member wants done with its records; nothing for other outputs.
    pub fn apply(&mut self, output: &Output) {
        match output {
            Output::Persist { name, record } => self.write(name, record),
            Output::Erase { name } => self.erase(name),
            _ => {}
        }
    }

    /// Forgets a record.
    pub fn erase(&mut self, name: &str) {
        self.snapshot();
        self.records.remove(name);
    }

    /// How many older states there are: the argument of [`Disk::restore`] is below this.
    pub fn states(&self) -> usize {
        self.snapshots.len()
    }

    /// Goes back to an older state. The newer ones stay, so that the host may go forward again.
    pub fn restore(&mut self, state: usize) {
        if let Some(records) = self.snapshots.get(state).cloned() {
            self.snapshot();
            self.records = records;
        }
    }

    fn snapshot(&mut self) {
        if self.snapshots.last() == Some(&self.records) {
            return;
        }
        if self.snapshots.len() == SNAPSHOTS {
            self.snapshots.remove(1);
        }
        self.snapshots.push(self.records.clone());
    }
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
