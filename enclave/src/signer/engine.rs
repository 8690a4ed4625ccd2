//! The member of [`jeju_mpc`], with random numbers.

use jeju_mpc::authority::wallet::WalletAuthority;
use jeju_mpc::member::{Input, Member, Output, Setup};
use jeju_mpc::time::Interval;
use rand_core::OsRng;

use super::driver::Engine;
use super::vault::Records;

/// The member.
pub(super) struct MemberEngine(Member);

impl MemberEngine {
    /// With what it kept. `None` where that isn't its own, or the network is none.
    pub(super) fn new(setup: Setup, records: Records, now: Interval) -> Option<MemberEngine> {
        let authority = Box::new(WalletAuthority::new(setup.network.clone()));
        let records = records.into_iter().collect();
        let member = Member::new(setup, authority, records, now, &mut OsRng).ok()?;
        Some(MemberEngine(member))
    }
}

impl Engine for MemberEngine {
    fn handle(&mut self, input: Input<'_>, now: Interval) -> Vec<Output> {
        self.0.handle(input, now, &mut OsRng)
    }

    fn stored_keys(&self) -> usize {
        self.0.keys().len()
    }
}
