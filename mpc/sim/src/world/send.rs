//! The way of a message.

use jeju_mpc::message::Commitments;
use jeju_mpc::network::MemberIndex;
use zeroize::Zeroizing;

use super::{Happening, World};
use crate::byzantine::Liar;
use crate::process::{Boot, Channel};
use crate::queue::Millis;
use crate::trap::Spring;
use crate::watch::Violation;
use crate::weather::Copy;

impl World {
    /// Sends a message of a member, after what its lies and the trap do to it.
    pub(super) fn send(
        &mut self,
        boot: Boot,
        to: MemberIndex,
        bytes: Zeroizing<Vec<u8>>,
    ) -> Result<(), Violation> {
        let Some(process) = self.processes.get_mut(&boot) else {
            return Ok(());
        };
        let place = process.place;
        self.lens.learn(boot, &bytes);
        let step = self.lens.step(boot, &bytes);
        let messages = match &mut process.byzantine {
            Some(byzantine) => {
                let liar = Liar {
                    me: place,
                    boot,
                    network: &self.network,
                    identity: &process.identity,
                    lens: &self.lens,
                };
                byzantine.rewrite(&liar, to, bytes, &mut self.rng)
            }
            None => {
                if self.watch.is_honest(place) {
                    self.lens.observe(place, boot, &bytes, &mut self.watch)?;
                }
                vec![bytes]
            }
        };
        let spring = match &mut self.trap {
            Some(trap) => trap.spring(place.0, step),
            None => Spring::Pass,
        };
        match spring {
            Spring::Pass => messages
                .iter()
                .for_each(|bytes| self.post(boot, to, bytes, 0, true)),
            Spring::KillBefore => self.kill_and_restart(boot, None),
            Spring::KillAfter => {
                messages
                    .iter()
                    .for_each(|bytes| self.post(boot, to, bytes, 0, true));
                self.kill_and_restart(boot, None);
            }
            Spring::Restore(state) => self.kill_and_restart(boot, Some(state)),
            Spring::Clone => {
                messages
                    .iter()
                    .for_each(|bytes| self.post(boot, to, bytes, 0, true));
                self.start_clone(place.0, None)?;
            }
            Spring::Delay(delay) => messages
                .iter()
                .for_each(|bytes| self.post(boot, to, bytes, delay, false)),
            Spring::Repeat(delays) => {
                for delay in delays {
                    messages
                        .iter()
                        .for_each(|bytes| self.post(boot, to, bytes, delay, false));
                }
            }
            Spring::CutOff { heal_after } => {
                let others: Vec<u16> = self
                    .network
                    .indices()
                    .map(|member| member.0)
                    .filter(|other| *other != place.0)
                    .collect();
                self.cut(&[place.0], &others, false);
                self.heal_after(heal_after);
            }
        }
        Ok(())
    }

    /// What the member at `place` committed to in a signing session.
    pub fn commitments(&self, place: u16, exchange: &[u8; 16]) -> Option<Commitments> {
        self.lens.commitments_in(self.running(place).pop()?, exchange)
    }

    /// Sends a message that the member at `place` didn't make.
    pub fn inject(&mut self, place: u16, to: MemberIndex, bytes: Zeroizing<Vec<u8>>) {
        if let Some(boot) = self.running(place).pop() {
            self.post(boot, to, &bytes, 0, true);
        }
    }

    fn kill_and_restart(&mut self, boot: Boot, state: Option<usize>) {
        let Some(process) = self.processes.get(&boot) else {
            return;
        };
        let place = process.place.0;
        self.kill(boot);
        if let Some(state) = state {
            self.restore(place, state);
        }
        self.start_after(place, 2000);
    }

    /// Puts a message on its way, `more` later than the weather alone would have it.
    fn post(
        &mut self,
        from: Boot,
        to: MemberIndex,
        bytes: &Zeroizing<Vec<u8>>,
        more: Millis,
        in_order: bool,
    ) {
        let Some(process) = self.processes.get(&from) else {
            return;
        };
        let place = process.place.0;
        let Some((peer, channel)) = process.peers.get(&to).copied() else {
            return;
        };
        if self.cuts.has(place, to.0) {
            return;
        }
        for copy in self.weather.fate(&mut self.rng) {
            let delay = self.arrival(
                channel,
                peer,
                Copy {
                    delay: copy.delay + more,
                    in_order: in_order && copy.in_order,
                },
            );
            self.queue.after(
                delay,
                Happening::Deliver {
                    channel,
                    from,
                    to: peer,
                    bytes: bytes.clone(),
                },
            );
        }
    }

    /// A message that keeps its place arrives after those before it.
    fn arrival(&mut self, channel: Channel, end: Boot, copy: Copy) -> Millis {
        if !copy.in_order {
            return copy.delay;
        }
        let now = self.queue.now();
        let latest = self.arrivals.entry((channel, end)).or_default();
        *latest = (now + copy.delay).max(*latest);
        *latest - now
    }
}
