//! How many connections one address has: nobody takes all places of a gateway.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::limits::peer as key;

/// Connections of each address, on all listeners together. An IPv6 address stands for its network of 64 bits, which
/// whoever has one address of it usually has whole.
#[derive(Debug)]
pub struct Addresses {
    most: usize,
    counts: Mutex<HashMap<IpAddr, usize>>,
}

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    of: Arc<Addresses>,
    key: IpAddr,
}

impl Addresses {
    /// At most so many connections of each address at a time.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            counts: Mutex::default(),
        }
    }

    /// A place for a connection from `peer`; none where its address has all that it may.
    pub(crate) fn take(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let key = key(peer);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(key).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(Place {
            of: self.clone(),
            key,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.of.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_places_and_gets_them_back() {
        let addresses = Arc::new(Addresses::new(2));
        let take = |peer: &str| addresses.take(peer.parse().unwrap());
        let (first, second) = (take("192.0.2.1"), take("::ffff:192.0.2.1"));
        assert!(first.is_some() && second.is_some());
        assert!(take("192.0.2.1").is_none());
        assert!(take("192.0.2.2").is_some());
        drop(first);
        assert!(take("192.0.2.1").is_some());
        drop(second);
        let kept = (take("2001:db8:0:1::1"), take("2001:db8:0:1:ffff::2"));
        assert!(kept.0.is_some() && kept.1.is_some());
        assert!(take("2001:db8:0:1::3").is_none(), "one network of 64 bits");
        assert!(take("2001:db8:0:2::3").is_some());
        drop(kept);
        assert!(addresses.counts.lock().unwrap().is_empty());
    }
}
