//! Who may log in now, and how late it is: written by the manager, read by the SSH server. Nothing else says yes to anybody.

use std::collections::HashMap;
use std::future::pending;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::backend::RentalId;
use super::pace::Pace;
use crate::newest::Reading;

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
    /// The chain's time.
    clock: watch::Sender<Option<Reading>>,
}

#[derive(Debug)]
struct Entry {
    lease: Arc<Lease>,
    /// Dropped with the lease.
    end: watch::Sender<()>,
    sessions: Arc<()>,
    /// Those of them that have a certificate.
    guests: Arc<()>,
    pace: Arc<Pace>,
}

/// A certificate by a lease's key: what it says of who may log in where and when.
#[derive(Debug, Clone, Copy)]
pub struct Certified<'a> {
    /// The rentals that it is for.
    pub rentals: &'a [RentalId],
    /// When, in seconds since 1970.
    pub valid: &'a Range<u64>,
}

/// A session under a lease.
#[derive(Debug, Clone)]
pub struct Session {
    lease: Arc<Lease>,
    end: watch::Receiver<()>,
    pace: Arc<Pace>,
    /// Counted while it lives.
    _place: Arc<()>,
    guest: Option<Guest>,
}

/// A session with a certificate.
#[derive(Debug, Clone)]
struct Guest {
    /// Seconds since 1970 at which the certificate ends.
    end: u64,
    clock: watch::Receiver<Option<Reading>>,
    /// Counted while it lives.
    _place: Arc<()>,
}

/// Why a session must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The lease is gone.
    Lease,
    /// The certificate's time is over.
    Certificate,
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
                    guests: Arc::new(()),
                    pace: Arc::new(Pace::new(lease.bandwidth_mbps)),
                    lease: Arc::new(lease),
                },
            };
            table.insert(entry.lease.rental, entry);
        }
    }

    /// Tells how late it is, in seconds since 1970. It doesn't get earlier again.
    pub fn set_time(&self, now: u64) {
        let told = Reading::new(now);
        self.clock.send_if_modified(|clock| {
            let later = clock.is_none_or(|known| known.now() < now);
            if later {
                *clock = Some(told);
            }
            later
        });
    }

    /// The rental that a key logs in to. `user` is the name that the client gave: where it may begin an id (at least 8
    /// hexadecimal digits, with or without `0x`), the rental of that id and no other, so that nobody lands on another machine
    /// than the one that was named; else the newest of the key's.
    pub fn find(&self, key: &[u8], user: &str) -> Option<Session> {
        self.newest(key, user, None)
    }

    /// The rental that a certificate by this key logs in to: of those that it is for, the one that [`find`](Self::find) would
    /// take. None where its time isn't now, or the time isn't known.
    pub fn find_certified(&self, key: &[u8], user: &str, certified: Certified<'_>) -> Option<Session> {
        let now = (*self.clock.borrow())?.now();
        self.newest(key, user, Some(certified))
            .filter(|_| certified.valid.contains(&now))
    }

    fn newest(&self, key: &[u8], user: &str, certified: Option<Certified<'_>>) -> Option<Session> {
        let digits = user.strip_prefix("0x").unwrap_or(user).to_ascii_lowercase();
        let names = digits.len() >= 8 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let meant = |entry: &&Entry| !names || hex::encode(entry.lease.rental).starts_with(&digits);
        let granted = |entry: &&Entry| {
            certified.is_none_or(|certified| certified.rentals.contains(&entry.lease.rental))
        };
        let table = self.table();
        let entry = table
            .values()
            .filter(|entry| entry.lease.key == key)
            .filter(meant)
            .filter(granted)
            .max_by_key(|entry| (entry.lease.started, entry.lease.rental))?;
        Some(Session {
            lease: entry.lease.clone(),
            end: entry.end.subscribe(),
            pace: entry.pace.clone(),
            _place: entry.sessions.clone(),
            guest: certified.map(|certified| Guest {
                end: certified.valid.end,
                clock: self.clock.subscribe(),
                _place: entry.guests.clone(),
            }),
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

    /// How many of them have a certificate.
    pub fn guests(&self, rental: &RentalId) -> usize {
        let table = self.table();
        table
            .get(rental)
            .map_or(0, |entry| Arc::strong_count(&entry.guests) - 1)
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

    /// Whether it has a certificate.
    pub fn is_guest(&self) -> bool {
        self.guest.is_some()
    }

    /// Resolves when the lease has ended, or the certificate. The session must end then.
    pub async fn ended(&mut self) -> End {
        let Self { end, guest, .. } = self;
        let lease = async {
            // Nothing is ever sent: the sender goes with the lease.
            while end.changed().await.is_ok() {}
        };
        let certificate = async {
            match guest {
                Some(guest) => guest.ended().await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = lease => End::Lease,
            () = certificate => End::Certificate,
        }
    }
}

impl Guest {
    async fn ended(&mut self) {
        loop {
            let now = self.clock.borrow_and_update().map(|clock| clock.now());
            let left = now.map_or(0, |now| self.end.saturating_sub(now));
            if left == 0 {
                return;
            }
            tokio::select! {
                () = sleep(Duration::from_secs(left)) => (),
                // The chain's clock is ahead of what was counted here.
                changed = self.clock.changed() => if changed.is_err() {
                    return;
                },
            }
        }
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
    async fn a_certificate_opens_the_rentals_that_it_is_for_while_it_is_valid() {
        let leases = Leases::new();
        leases.set(vec![lease(0x11, 1, 10), lease(0x22, 1, 20), lease(0x33, 2, 30)]);
        let find = |key: u8, user: &str, rentals: &[u8], valid: Range<u64>| {
            let rentals: Vec<RentalId> = rentals.iter().map(|rental| [*rental; 32]).collect();
            let (rentals, valid) = (&*rentals, &valid);
            let found = leases.find_certified(&[key], user, Certified { rentals, valid });
            found.map(|found| found.lease().rental[0])
        };
        assert_eq!(find(1, "", &[0x11], 0..u64::MAX), None, "the time isn't known");
        leases.set_time(1000);
        leases.set_time(900);
        assert_eq!(find(1, "", &[0x11], 0..u64::MAX), Some(0x11));
        assert_eq!(find(1, "", &[0x11], 1000..1001), Some(0x11));
        assert_eq!(find(1, "", &[0x11], 900..1000), None, "over");
        assert_eq!(find(1, "", &[0x11], 1001..1100), None, "not yet");
        let never = Range {
            start: 1100,
            end: 900,
        };
        assert_eq!(find(1, "", &[0x11], never), None);
        assert_eq!(find(1, "", &[0x11, 0x22], 0..2000), Some(0x22), "the newest");
        assert_eq!(find(1, "11111111", &[0x11, 0x22], 0..2000), Some(0x11));
        assert_eq!(
            find(1, "22222222", &[0x11], 0..2000),
            None,
            "named, and not granted"
        );
        assert_eq!(find(1, "", &[0x33], 0..2000), None, "another key's");
        assert_eq!(find(1, "", &[0x44], 0..2000), None, "not here");
        assert_eq!(find(1, "", &[], 0..2000), None, "nobody's");
        assert_eq!(find(3, "", &[0x11], 0..2000), None);
    }

    #[tokio::test(start_paused = true)]
    async fn sessions_end_with_their_certificate() {
        let leases = Leases::new();
        leases.set(vec![lease(1, 1, 0)]);
        leases.set_time(1000);
        let find = |end: u64| {
            let (rentals, valid) = (&[[1; 32]][..], &(0..end));
            let found = leases.find_certified(&[1], "", Certified { rentals, valid });
            found.unwrap()
        };
        let start = tokio::time::Instant::now();
        let (mut first, mut second, mut third) = (find(1060), find(2000), find(u64::MAX));
        let mut renter = leases.find(&[1], "").unwrap();
        assert_eq!((leases.sessions(&[1; 32]), leases.guests(&[1; 32])), (4, 3));
        assert!(first.is_guest() && !renter.is_guest());
        assert_eq!(first.ended().await, End::Certificate);
        assert_eq!(start.elapsed().as_secs(), 60);
        drop(first);
        // The chain knows that it is later.
        let jump = async {
            sleep(Duration::from_secs(1)).await;
            leases.set_time(1999);
        };
        let (ended, ()) = tokio::join!(second.ended(), jump);
        assert_eq!(ended, End::Certificate);
        assert_eq!(start.elapsed().as_secs(), 62);
        drop(second);
        assert_eq!((leases.sessions(&[1; 32]), leases.guests(&[1; 32])), (2, 1));
        let still = tokio::time::timeout(Duration::from_secs(1 << 20), third.ended()).await;
        assert!(still.is_err());
        leases.set(Vec::new());
        assert_eq!(third.ended().await, End::Lease);
        assert_eq!(renter.ended().await, End::Lease);
    }

    #[tokio::test]
    async fn sessions_end_with_their_lease() {
        let leases = Leases::new();
        leases.set(vec![lease(1, 1, 0), lease(2, 2, 0)]);
        let mut first = leases.find(&[1], "").unwrap();
        let mut second = leases.find(&[2], "").unwrap();
        assert_eq!((leases.sessions(&[1; 32]), leases.sessions(&[2; 32])), (1, 1));
        leases.set(vec![lease(2, 2, 0)]);
        assert_eq!(first.ended().await, End::Lease);
        let still = tokio::time::timeout(Duration::from_millis(50), second.ended()).await;
        assert!(still.is_err(), "the other one goes on");
        drop(second);
        assert_eq!((leases.sessions(&[1; 32]), leases.sessions(&[2; 32])), (0, 0));
        let mut third = leases.find(&[2], "").unwrap();
        leases.set(vec![lease(2, 3, 0)]);
        assert_eq!(third.ended().await, End::Lease);
    }
}
