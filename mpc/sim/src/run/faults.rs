//! What clients want in a run, and the faults that come meanwhile.

use jeju_mpc::network::KeyPath;
use rand_core::RngCore;

use super::{FAULT_ALARM, FAULTS, Run};
use crate::requests::Ask;
use crate::watch::Violation;
use crate::weather::{between, chance, pick};

/// The alarm of [`Run::hand_over`].
const HEIR: u64 = 8;

impl Run {
    pub(super) fn lie(&mut self) {
        for place in self.byzantine.clone() {
            self.world.corrupt(place, self.plan.lies.clone());
        }
    }

    pub(super) fn make_wishes(&mut self) {
        for client in 0..2 {
            let scheme = pick(&mut self.world.rng, &self.schemes);
            let dedicated = chance(&mut self.world.rng, 150);
            let path = self.clients.wallet(client).path(scheme, dedicated);
            self.clients.wish(client, Ask::Keygen(path));
            for _ in 0..2 {
                let ask = self.signature(path);
                self.clients.wish(client, ask);
            }
            if chance(&mut self.world.rng, 300) {
                self.clients.wish(client, Ask::Refresh(path));
            }
            let ask = self.signature(path);
            self.clients.wish(client, ask);
        }
    }

    pub(super) fn signature(&mut self, path: KeyPath) -> Ask {
        let mut message = [0; 32];
        self.world.rng.fill_bytes(&mut message);
        Ask::Sign(path, message)
    }

    /// Faults that come at times of their own, as alarms.
    pub(super) fn plan_faults(&mut self) {
        let number = between(&mut self.world.rng, 2, 8);
        for _ in 0..number {
            let at = between(&mut self.world.rng, 500, FAULTS - 20_000);
            let at = at * between(&mut self.world.rng, 1, 8) / 8;
            let kind = self.world.rng.next_u64() % 8;
            self.world.alarm(at, FAULT_ALARM + kind);
        }
        if self.plan.heir.is_some() {
            for _ in 0..between(&mut self.world.rng, 3, 8) {
                let at = between(&mut self.world.rng, 5000, FAULTS - 20_000);
                let at = at * between(&mut self.world.rng, 1, 8) / 8;
                self.world.alarm(at, FAULT_ALARM + HEIR);
            }
        }
    }

    pub(super) fn fault(&mut self, kind: u64) -> Result<(), Violation> {
        let places: Vec<u16> = (1..=self.world.network.members).collect();
        let place = pick(&mut self.world.rng, &places);
        match kind {
            HEIR => self.hand_over(place)?,
            0 | 1 if self.plan.kills => self.kill(place, None),
            2 | 3 if self.plan.cuts => {
                let one_way = chance(&mut self.world.rng, 200);
                let side: Vec<u16> = places
                    .iter()
                    .copied()
                    .filter(|_| chance(&mut self.world.rng, 400))
                    .collect();
                let other: Vec<u16> = places
                    .iter()
                    .copied()
                    .filter(|place| !side.contains(place))
                    .collect();
                self.world.cut(&side, &other, one_way);
                let delay = between(&mut self.world.rng, 1000, 40_000);
                self.world.heal_after(delay);
            }
            4 | 5 if !self.unlucky.is_empty() => {
                let place = pick(&mut self.world.rng, &self.unlucky);
                let states = self.world.states(place) as u64;
                if states > 0 {
                    let state = match chance(&mut self.world.rng, 300) {
                        true => 0,
                        false => between(&mut self.world.rng, 0, states - 1),
                    };
                    self.kill(place, Some(state as usize));
                }
            }
            6 if !self.unlucky.is_empty() => {
                let place = pick(&mut self.world.rng, &self.unlucky);
                if self.world.running(place).len() == 1 {
                    let states = self.world.states(place) as u64;
                    let old = states > 0 && chance(&mut self.world.rng, 500);
                    let state = old.then(|| between(&mut self.world.rng, 0, states - 1) as usize);
                    self.world.start_clone(place, state)?;
                }
            }
            _ if self.plan.strangers => self.stranger(place)?,
            _ => {}
        }
        Ok(())
    }

    fn kill(&mut self, place: u16, state: Option<usize>) {
        for boot in self.world.running(place) {
            self.world.kill(boot);
        }
        if let Some(state) = state {
            self.world.restore(place, state);
        }
        if !self.world.is_up(place) {
            let delay = between(&mut self.world.rng, 10, 20_000);
            self.world.start_after(place, delay);
        }
    }

    /// A place passes to another agent: governance asks whoever it reaches, until it is done, and then for the next. One that
    /// signs two of a number asks for both at the same time.
    fn hand_over(&mut self, at: u16) -> Result<(), Violation> {
        self.succeed();
        let Some((place, _)) = self.plan.heir else {
            return Ok(());
        };
        if self.successions.is_empty() {
            self.propose(place);
            if self.plan.rivals {
                let places: Vec<u16> = (1..=self.world.network.members).collect();
                let other = pick(&mut self.world.rng, &places);
                self.propose(other);
            }
        }
        for which in 0..self.successions.len() {
            let places: Vec<u16> = (1..=self.world.network.members).collect();
            let at = match which {
                0 => at,
                _ => pick(&mut self.world.rng, &places),
            };
            self.ask_governance(which, at)?;
        }
        Ok(())
    }

    fn propose(&mut self, place: u16) {
        self.heirs += 1;
        let proposed = self.world.propose(place, [100 + self.heirs; 32]);
        self.successions.extend(proposed);
    }

    /// Governance brings one of its proposals to a member.
    pub(super) fn ask_governance(&mut self, which: usize, at: u16) -> Result<(), Violation> {
        let succession = &self.successions[which];
        let (bytes, message) = (succession.bytes(), succession.message());
        self.world.watch.want(message, u64::MAX);
        self.strangers += 1;
        self.world.request(at, self.strangers, &bytes, None)?;
        Ok(())
    }

    /// Starts the new node of a place that has passed to it.
    pub(super) fn succeed(&mut self) {
        let empty = self.plan.heir.is_some_and(|(_, empty)| empty);
        if self
            .successions
            .iter()
            .any(|succession| self.world.succeed(succession, empty))
        {
            self.successions.clear();
        }
    }

    /// Somebody asks for what no owner wants: with an altered request, an expired one, or against the policy.
    fn stranger(&mut self, place: u16) -> Result<(), Violation> {
        let client = between(&mut self.world.rng, 0, 1) as usize;
        let scheme = pick(&mut self.world.rng, &self.schemes);
        let path = self.clients.wallet(client).path(scheme, false);
        let now = self.world.seconds();
        let kind = between(&mut self.world.rng, 0, 2);
        let closed = self.clients.wallet(client).closed(scheme);
        let ask = self.signature(if kind == 2 { closed } else { path });
        let expires = if kind == 1 { now } else { now + 100 };
        let wallet = self.clients.wallet(client);
        let mut request = wallet.request(ask, now.saturating_sub(100), expires, &mut self.world.rng);
        if kind == 0 {
            let at = between(&mut self.world.rng, 0, request.bytes.len() as u64 - 1) as usize;
            request.bytes[at] ^= 1;
        }
        self.strangers += 1;
        self.world
            .request(place, self.strangers, &request.bytes, request.message)?;
        Ok(())
    }
}
