//! Who may log in now: written by the manager, read by the SSH server. Nothing else says yes to anybody.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::backend::RentalId;
use super::pace::Pace;

/// Right of one key to log in to one rental. It holds while the table has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The rental.
    pub rental: RentalId,
    /// The renter's public key in SSH's wire form (RFC 4253 §6.6).
    pub key: Vec<u8>,
    /// Seconds since 1970 at which the rental started: of several rentals with one key the newest is meant.
    pub started: u64,
    /// What the tenant is told at login.
    pub notice: String,
    /// Mbit/s that its sessions may carry each way; zero: none was rented.
    pub bandwidth_mbps: u32,
}

/// All leases.
#[derive(Debug, Default)]
pub struct Leases {
    table: Mutex<HashMap<RentalId, Entry>>,
}

#[derive(Debug)]
struct Entry {
    lease: Arc<Lease>,
    /// Dropped with the lease.
    end: watch::Sender<()>,
    sessions: Arc<()>,
    pace: Arc<Pace>,
}

/// A session under a lease.
#[derive(Debug, Clone)]
pub struct Session {
    lease: Arc<Lease>,
    end: watch::Receiver<()>,
    pace: Arc<Pace>,
    /// Counted while it lives.
    _place: Arc<()>,
}

impl Leases {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces the table. Sessions of leases that are gone, or have another key, end.
    pub fn set(&self, leases: Vec<Lease>) {
        let mut table = self.table();
        let mut old = std::mem::take(&mut *table);
        for lease in leases {
            let kept = old
                .remove(&lease.rental)
                .filter(|entry| entry.lease.key == lease.key);
            let entry = match kept {
                Some(entry) => {
                    entry.pace.set(lease.bandwidth_mbps);
                    Entry {
                        lease: Arc::new(lease),
                        ..entry
                    }
                }
                None => Entry {
                    end: watch::Sender::new(()),
                    sessions: Arc::new(()),
                    pace: Arc::new(Pace::new(lease.bandwidth_mbps)),
                    lease: Arc::new(lease),
                },
            };
            table.insert(entry.lease.rental, entry);
        }
    }

    /// The rental that a key logs in to. `user` is the name that the client gave: where it may begin an id (at least 8
    /// hexadecimal digits, with or without `0x`), the rental of that id and no other, so that nobody lands on another machine
    /// than the one that was named; else the newest of the key's.
    pub fn find(&self, key: &[u8], user: &str) -> Option<Session> {
        let digits = user.strip_prefix("0x").unwrap_or(user).to_ascii_lowercase();
        let names = digits.len() >= 8 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let meant = |entry: &&Entry| !names || hex::encode(entry.lease.rental).starts_with(&digits);
        let table = self.table();
        let entry = table
            .values()
            .filter(|entry| entry.lease.key == key)
            .filter(meant)
            .max_by_key(|entry| (entry.lease.started, entry.lease.rental))?;
        Some(Session {
            lease: entry.lease.clone(),
            end: entry.end.subscribe(),
            pace: entry.pace.clone(),
            _place: entry.sessions.clone(),
        })
    }

    /// Whether any rental has this key.
    pub fn knows(&self, key: &[u8]) -> bool {
        self.table().values().any(|entry| entry.lease.key == key)
    }

    /// How many sessions a rental has.
    pub fn sessions(&self, rental: &RentalId) -> usize {
        let table = self.table();
        table
            .get(rental)
            .map_or(0, |entry| Arc::strong_count(&entry.sessions) - 1)
    }

    fn table(&self) -> MutexGuard<'_, HashMap<RentalId, Entry>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    /// The lease, as it was at login.
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// What all sessions of the rental keep to.
    pub fn pace(&self) -> Arc<Pace> {
        self.pace.clone()
    }

    /// Resolves when the lease has ended. The session must end then.
    pub async fn ended(&mut self) {
        // Nothing is ever sent: the sender goes with the lease.
        while self.end.changed().await.is_ok() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(rental: u8, key: u8, started: u64) -> Lease {
        Lease {
            rental: [rental; 32],
            key: vec![key],
            started,
            notice: String::new(),
            bandwidth_mbps: 0,
        }
    }

    #[test]
    fn a_key_opens_its_own_rentals_only() {
        let leases = Leases::new();
        leases.set(vec![lease(0x11, 1, 10), lease(0x22, 1, 20), lease(0x33, 2, 30)]);
        let found = |key: u8, user: &str| leases.find(&[key], user).map(|found| found.lease().rental[0]);
        assert_eq!(found(1, "root"), Some(0x22), "the newest");
        assert_eq!(found(1, "11111111"), Some(0x11));
        assert_eq!(found(1, "0x1111111111"), Some(0x11));
        assert_eq!(found(1, "1111"), Some(0x22), "too short to be an id");
        assert_eq!(found(1, "33333333"), None, "another key's");
        assert_eq!(found(1, "44444444"), None, "not here, or not yet");
        assert_eq!(found(1, "4444444g"), Some(0x22), "no id");
        assert_eq!(found(2, "33333333"), Some(0x33));
        assert_eq!(found(3, "33333333"), None);
        assert!(leases.knows(&[2]) && !leases.knows(&[3]));
    }

    #[tokio::test]
    async fn sessions_end_with_their_lease() {
        let leases = Leases::new();
        leases.set(vec![lease(1, 1, 0), lease(2, 2, 0)]);
        let mut first = leases.find(&[1], "").unwrap();
        let mut second = leases.find(&[2], "").unwrap();
        assert_eq!((leases.sessions(&[1; 32]), leases.sessions(&[2; 32])), (1, 1));
        leases.set(vec![lease(2, 2, 0)]);
        first.ended().await;
        let still = tokio::time::timeout(std::time::Duration::from_millis(50), second.ended()).await;
        assert!(still.is_err(), "the other one goes on");
        drop(second);
        assert_eq!((leases.sessions(&[1; 32]), leases.sessions(&[2; 32])), (0, 0));
        let mut third = leases.find(&[2], "").unwrap();
        leases.set(vec![lease(2, 3, 0)]);
        third.ended().await;
    }
}
