//! How often somebody may ask: a token bucket for each wallet or address, in a table that can't grow.
//!
//! A bucket is one number: the time at which it is full again (GCRA). Wallets cost nothing to make, so a flood of new ones
//! fills the table; those that don't fit share one bucket, and whoever is in the table keeps its own.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time between two searches for buckets that are full again.
const SWEEP: Duration = Duration::from_secs(1);

/// How often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Requests a minute in the long run; at least 1.
    pub per_minute: u32,
    /// Requests at once; at least 1.
    pub burst: u32,
}

/// Too often: how long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait(pub Duration);

/// A bucket for each key.
#[derive(Debug)]
pub struct Buckets<K> {
    rate: Rate,
    capacity: usize,
    started: Instant,
    table: Mutex<Table<K>>,
}

#[derive(Debug)]
struct Table<K> {
    /// When each bucket is full again, since the start.
    full_at: HashMap<K, Duration>,
    /// The bucket of all that have none.
    others: Duration,
    swept: Duration,
}

impl<K: Hash + Eq> Buckets<K> {
    /// Buckets for `capacity` keys (about 80 bytes each).
    pub fn new(rate: Rate, capacity: usize) -> Self {
        Self {
            rate,
            capacity,
            started: Instant::now(),
            table: Mutex::new(Table {
                full_at: HashMap::new(),
                others: Duration::ZERO,
                swept: Duration::ZERO,
            }),
        }
    }

    /// Takes a token out of the key's bucket.
    ///
    /// # Errors
    /// [`Wait`] where there is none.
    pub fn take(&self, key: K) -> Result<(), Wait> {
        self.take_at(key, self.started.elapsed())
    }

    fn take_at(&self, key: K, now: Duration) -> Result<(), Wait> {
        let table = &mut *self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if table.full_at.len() >= self.capacity
            && now >= table.swept + SWEEP
            && !table.full_at.contains_key(&key)
        {
            table.full_at.retain(|_, full_at| *full_at > now);
            table.swept = now;
        }
        let has_room = table.full_at.len() < self.capacity || table.full_at.contains_key(&key);
        let full_at = match has_room {
            true => table.full_at.entry(key).or_default(),
            false => &mut table.others,
        };
        let token = Duration::from_secs(60) / self.rate.per_minute.max(1);
        let after = (*full_at).max(now) + token;
        let most = now + token * self.rate.burst.max(1);
        if after > most {
            return Err(Wait(after - most));
        }
        *full_at = after;
        Ok(())
    }
}

/// Whom an address stands for: an IPv6 network of 64 bits is one customer's, and IPv4 in IPv6 is IPv4.
pub fn peer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) >> 64 << 64;
            Ipv6Addr::from(network).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        per_minute: 60,
        burst: 3,
    };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_burst_passes_and_then_one_for_each_token() {
        let buckets = Buckets::new(RATE, 10);
        for _ in 0..3 {
            assert_eq!(buckets.take_at(1, at(100)), Ok(()));
        }
        assert_eq!(buckets.take_at(1, at(100)), Err(Wait(at(1))));
        assert_eq!(buckets.take_at(2, at(100)), Ok(()), "another key's bucket");
        assert_eq!(buckets.take_at(1, at(101)), Ok(()));
        assert_eq!(buckets.take_at(1, at(101)), Err(Wait(at(1))));
        // It never holds more than the burst.
        for _ in 0..3 {
            assert_eq!(buckets.take_at(1, at(1000)), Ok(()));
        }
        assert!(buckets.take_at(1, at(1000)).is_err());
    }

    #[test]
    fn a_flood_of_new_keys_shares_one_bucket() {
        let buckets = Buckets::new(RATE, 2);
        for key in [1, 2, 3, 4, 5] {
            assert_eq!(buckets.take_at(key, at(100)), Ok(()));
        }
        assert!(
            buckets.take_at(6, at(100)).is_err(),
            "three of those that don't fit"
        );
        assert_eq!(buckets.take_at(1, at(100)), Ok(()), "who fitted keeps its own");
        assert_eq!(buckets.table.lock().unwrap().full_at.len(), 2);
        // Buckets that are full again make room.
        assert_eq!(buckets.take_at(6, at(200)), Ok(()));
        assert!(buckets.table.lock().unwrap().full_at.contains_key(&6));
    }

    #[test]
    fn an_address_stands_for_its_customer() {
        let of = |text: &str| peer(text.parse().unwrap()).to_string();
        assert_eq!(of("192.0.2.1"), "192.0.2.1");
        assert_eq!(of("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }
}
