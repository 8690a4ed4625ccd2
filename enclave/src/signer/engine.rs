//! The member of [`jeju_mpc`], with random numbers.

use jeju_mpc::authority::wallet::WalletAuthority;
use jeju_mpc::member::{Input, Member, Output, Rollback, Setup};
use jeju_mpc::time::Interval;
use rand_core::OsRng;

use super::driver::Engine;
use super::outcome::Known;
use super::vault::{Records, Started};

/// The member.
pub(super) struct MemberEngine(Member);

impl MemberEngine {
    /// With what it kept, and the state of the store that it came from. `None` where that isn't its own, or the network is
    /// none.
    pub(super) fn new(
        setup: Setup,
        records: Records,
        state: Option<Started>,
        now: Interval,
    ) -> Option<MemberEngine> {
        let authority = Box::new(WalletAuthority::new(setup.network.clone()));
        let records = records.into_iter().collect();
        let member = Member::new(setup, authority, records, now, &mut OsRng).ok()?;
        Some(MemberEngine(match state {
            Some(state) => member.with_state(Box::new(state)),
            None => member,
        }))
    }
}

impl Engine for MemberEngine {
    fn handle(&mut self, input: Input<'_>, now: Interval) -> Vec<Output> {
        self.0.handle(input, now, &mut OsRng)
    }

    fn stored_keys(&self) -> usize {
        self.0.keys().len()
    }

    fn rollback(&self) -> Rollback {
        self.0.rollback()
    }

    fn configurations(&self) -> Known<'_> {
        Known {
            chain: self.0.configurations(),
            root_key: self.0.root_key(),
            approves: self.0.approves(),
        }
    }
}
