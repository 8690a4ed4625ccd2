//! What the network does to messages.

use std::collections::BTreeSet;

use rand_chacha::ChaCha20Rng;
use rand_core::RngCore;

use crate::queue::Millis;

/// How often things happen is told in thousandths.
pub const ALWAYS: u32 = 1000;

/// Faults of all links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weather {
    /// Shortest and longest way of a message.
    pub delay: (Millis, Millis),
    /// How often a message gets lost, of 1000.
    pub loss: u32,
    /// How often it arrives twice, of 1000.
    pub duplicate: u32,
    /// How often it may overtake others, of 1000; it then takes up to ten times as long.
    pub reorder: u32,
}

impl Weather {
    /// Nothing happens to any message.
    pub const CALM: Weather = Weather {
        delay: (1, 3),
        loss: 0,
        duplicate: 0,
        reorder: 0,
    };
}

/// The way of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copy {
    /// How long it takes.
    pub delay: Millis,
    /// Whether it stays behind those that were sent before it.
    pub in_order: bool,
}

impl Weather {
    /// What becomes of one message: none, one or two copies.
    pub fn fate(&self, rng: &mut ChaCha20Rng) -> Vec<Copy> {
        if chance(rng, self.loss) {
            return Vec::new();
        }
        let copies = if chance(rng, self.duplicate) { 2 } else { 1 };
        let copy = |_| {
            let delay = between(rng, self.delay.0, self.delay.1);
            match chance(rng, self.reorder) {
                true => Copy {
                    delay: delay * between(rng, 1, 10),
                    in_order: false,
                },
                false => Copy {
                    delay,
                    in_order: true,
                },
            }
        };
        (0..copies).map(copy).collect()
    }
}

/// Directions that are cut: from the one place to the other.
#[derive(Default)]
pub struct Cuts(BTreeSet<(u16, u16)>);

impl Cuts {
    /// Whether nothing gets from the one to the other.
    pub fn has(&self, from: u16, to: u16) -> bool {
        self.0.contains(&(from, to))
    }

    /// Cuts both directions.
    pub fn cut(&mut self, one: u16, other: u16) {
        self.0.extend([(one, other), (other, one)]);
    }

    /// Cuts one direction.
    pub fn cut_one_way(&mut self, from: u16, to: u16) {
        self.0.insert((from, to));
    }

    /// Mends all; tells what was cut.
    pub fn heal(&mut self) -> BTreeSet<(u16, u16)> {
        std::mem::take(&mut self.0)
    }
}

/// True in `thousandths` of 1000 cases.
pub fn chance(rng: &mut ChaCha20Rng, thousandths: u32) -> bool {
    thousandths > 0 && rng.next_u32() % ALWAYS < thousandths
}

/// A number from `low` to `high`, both included. The bias of the remainder doesn't matter here.
pub fn between(rng: &mut ChaCha20Rng, low: u64, high: u64) -> u64 {
    low + rng.next_u64() % (high - low + 1)
}

/// One of `choices`, which aren't empty.
pub fn pick<T: Clone>(rng: &mut ChaCha20Rng, choices: &[T]) -> T {
    choices[between(rng, 0, choices.len() as u64 - 1) as usize].clone()
}
