//! Time as an enclave knows it: the host carries the chain's blocks and may hold them back, so it is an interval.

/// Seconds since 1970, at the least and at the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// It is at least this late.
    pub lower: u64,
    /// It is at most this late.
    pub upper: u64,
}

impl Interval {
    /// An exact time.
    pub fn exact(seconds: u64) -> Self {
        Self {
            lower: seconds,
            upper: seconds,
        }
    }

    /// Whether a thing that is valid until `end` certainly still is.
    pub fn is_before(&self, end: u64) -> bool {
        self.upper < end
    }

    /// Whether a thing that is valid from `start` certainly already is.
    pub fn is_after(&self, start: u64) -> bool {
        self.lower >= start
    }
}
