//! What is going to happen, by virtual time; things of one moment happen in the order in which they were planned.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// Virtual milliseconds since the start of a run.
pub type Millis = u64;

/// The clock and the plan.
pub struct Queue<T> {
    now: Millis,
    planned: u64,
    order: BinaryHeap<Reverse<(Millis, u64)>>,
    things: BTreeMap<u64, T>,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            now: 0,
            planned: 0,
            order: BinaryHeap::new(),
            things: BTreeMap::new(),
        }
    }
}

impl<T> Queue<T> {
    /// The time of what happened last.
    pub fn now(&self) -> Millis {
        self.now
    }

    /// Plans a thing.
    pub fn after(&mut self, delay: Millis, thing: T) {
        self.planned += 1;
        self.order.push(Reverse((self.now + delay, self.planned)));
        self.things.insert(self.planned, thing);
    }

    /// The next thing that is due no later than `end`; the clock moves to it, or to `end` if there is none.
    pub fn next_until(&mut self, end: Millis) -> Option<T> {
        match self.order.peek() {
            Some(Reverse((time, _))) if *time <= end => {
                let Reverse((time, number)) = self.order.pop()?;
                self.now = time;
                self.things.remove(&number)
            }
            _ => {
                self.now = self.now.max(end);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_happen_in_order_and_not_before_their_time() {
        let mut queue = Queue::default();
        queue.after(20, 'c');
        queue.after(10, 'a');
        queue.after(10, 'b');
        assert_eq!(queue.next_until(9), None);
        assert_eq!(queue.next_until(15), Some('a'));
        assert_eq!((queue.next_until(15), queue.now()), (Some('b'), 10));
        assert_eq!((queue.next_until(15), queue.now()), (None, 15));
        queue.after(1, 'd');
        assert_eq!((queue.next_until(30), queue.now()), (Some('d'), 16));
        assert_eq!((queue.next_until(30), queue.now()), (Some('c'), 20));
    }
}
