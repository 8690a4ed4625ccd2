use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use jeju_shim_protocol::docker::ExecId;

/// Most commands that are remembered; the oldest is forgotten for a new one.
const MAX_EXECS: usize = 4096;

/// Commands that were prepared through this shim. Others of the same engine are nobody's business here.
#[derive(Debug, Default)]
pub(super) struct Execs(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    ids: HashSet<ExecId>,
    order: VecDeque<ExecId>,
}

impl Execs {
    pub(super) fn remember(&self, id: ExecId) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.ids.insert(id) {
            return;
        }
        known.order.push_back(id);
        if known.order.len() > MAX_EXECS
            && let Some(oldest) = known.order.pop_front()
        {
            known.ids.remove(&oldest);
        }
    }

    pub(super) fn knows(&self, id: ExecId) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.ids.contains(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_at_the_limit() {
        let execs = Execs::default();
        let id = |number: usize| -> ExecId { format!("{number:064x}").parse().unwrap() };
        for number in 0..=MAX_EXECS {
            execs.remember(id(number));
            execs.remember(id(number));
        }
        assert!(!execs.knows(id(0)));
        assert!(execs.knows(id(1)) && execs.knows(id(MAX_EXECS)));
        assert!(!execs.knows(id(MAX_EXECS + 1)));
    }
}
