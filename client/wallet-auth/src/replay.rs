//! Remembers what was used, so that nothing passes twice; in bounded memory.

use std::collections::{HashSet, VecDeque};

use thiserror::Error;

/// Why something isn't taken now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReplayError {
    /// It was used before.
    #[error("nonce was used before")]
    Used,
    /// Everything remembered is still needed: to forget one would let it pass again.
    #[error("too many requests: the nonce can't be remembered")]
    Full,
}

/// Digests that were used, each until it would be too old anyway.
///
/// Time only goes forward here: a clock that is set back forgets nothing early.
#[derive(Debug)]
pub struct ReplayCache {
    capacity: usize,
    used: HashSet<[u8; 32]>,
    /// In the order in which they may be forgotten.
    until: VecDeque<(u64, [u8; 32])>,
    now: u64,
    lifetime: u64,
}

impl ReplayCache {
    /// Remembers up to `capacity` digests (about 100 bytes each), each for `lifetime` units of the caller's clock.
    pub fn new(capacity: usize, lifetime: u64) -> Self {
        Self {
            capacity,
            used: HashSet::new(),
            until: VecDeque::new(),
            now: 0,
            lifetime,
        }
    }

    /// Uses a digest.
    ///
    /// # Errors
    /// [`ReplayError`].
    pub fn use_once(&mut self, digest: [u8; 32], now: u64) -> Result<(), ReplayError> {
        self.now = self.now.max(now);
        while let Some((until, digest)) = self.until.front().copied()
            && until < self.now
        {
            self.used.remove(&digest);
            self.until.pop_front();
        }
        if self.used.contains(&digest) {
            return Err(ReplayError::Used);
        }
        if self.used.len() >= self.capacity {
            return Err(ReplayError::Full);
        }
        self.used.insert(digest);
        self.until
            .push_back((self.now.saturating_add(self.lifetime), digest));
        Ok(())
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.used.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.used.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_passes_once_until_it_is_too_old() {
        let mut cache = ReplayCache::new(10, 600);
        assert_eq!(cache.use_once([1; 32], 1000), Ok(()));
        assert_eq!(cache.use_once([1; 32], 1000), Err(ReplayError::Used));
        assert_eq!(cache.use_once([2; 32], 1300), Ok(()));
        assert_eq!(cache.use_once([1; 32], 1600), Err(ReplayError::Used));
        assert_eq!(cache.use_once([1; 32], 1601), Ok(()));
        assert_eq!(cache.len(), 2);
    }

    #[test]
    fn a_clock_that_is_set_back_forgets_nothing() {
        let mut cache = ReplayCache::new(10, 600);
        cache.use_once([1; 32], 1000).unwrap();
        assert_eq!(cache.use_once([1; 32], 0), Err(ReplayError::Used));
        // Remembered from the latest time that was seen on.
        cache.use_once([2; 32], 0).unwrap();
        assert_eq!(cache.use_once([2; 32], 1600), Err(ReplayError::Used));
    }

    #[test]
    fn a_flood_is_refused_and_forgets_nothing() {
        let mut cache = ReplayCache::new(3, 600);
        for number in 0..3 {
            cache.use_once([number; 32], 1000).unwrap();
        }
        assert_eq!(cache.use_once([3; 32], 1000), Err(ReplayError::Full));
        assert_eq!(cache.use_once([0; 32], 1000), Err(ReplayError::Used));
        assert_eq!(cache.use_once([3; 32], 1601), Ok(()));
        assert_eq!(cache.len(), 1);
    }
}
