//! Things that happen, and what members do then.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jeju_mpc::authority::Authority;
use jeju_mpc::authority::wallet::WalletAuthority;
use jeju_mpc::identity::IdentityKey;
use jeju_mpc::member::{Input, Member, Output, Setup};
use jeju_mpc::network::MemberIndex;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use zeroize::Zeroizing;

use super::{Happening, News, World};
use crate::byzantine::Byzantine;
use crate::process::{Boot, Channel, Process, interval};
use crate::requests::{self, Credulous, Remembering};
use crate::watch::Violation;
use crate::weather::{between, chance};

/// How far a member's interval reaches at most below and above the true time, in seconds.
const CLOCK_ERROR: u64 = 3;

impl World {
    pub(super) fn happen(&mut self, happening: Happening) -> Result<(), Violation> {
        match happening {
            Happening::Deliver {
                channel,
                from,
                to,
                bytes,
            } => self.deliver(channel, from, to, &bytes),
            Happening::Timer { boot, id } => self.input(boot, Input::Timer(id)),
            Happening::Written { boot } => self.written(boot),
            Happening::Connect { one, other } => {
                self.connect(one, other);
                Ok(())
            }
            Happening::Admit { at, peer, channel } => self.admit(at, peer, channel),
            Happening::Leave { at, channel } => self.leave(at, channel),
            Happening::Contract { boot, query, valid } => self.input(boot, Input::Contract { query, valid }),
            Happening::Start { place } => {
                self.starting.remove(&place);
                self.start(place).map(|_| ())
            }
            Happening::Heal => {
                self.heal();
                Ok(())
            }
            Happening::Alarm(id) => {
                self.news.push_back(News::Alarm(id));
                Ok(())
            }
        }
    }

    pub(super) fn start_from(&mut self, place: u16, disk: usize) -> Result<Boot, Violation> {
        self.boots += 1;
        let boot = Boot(self.boots);
        let me = MemberIndex(place);
        let mut rng = ChaCha20Rng::from_rng(&mut self.rng).expect("ChaCha20 doesn't fail");
        let clock = (
            between(&mut self.rng, 0, CLOCK_ERROR),
            between(&mut self.rng, 0, CLOCK_ERROR),
        );
        let opened = self.disks[disk].open(u64::from(boot.0));
        let records = self.disks[disk].records().clone();
        self.trace.note(self.queue.now(), || {
            format!("{place}#{} starts with {} records", boot.0, records.len())
        });
        // The same random numbers twice: the member takes its key over, and its lies need a copy.
        let identity = IdentityKey::generate(&mut rng.clone());
        let own = IdentityKey::generate(&mut rng);
        let setup = Setup {
            network: self.network.clone(),
            me,
            membership: Some(self.membership(place)),
            identity: own,
        };
        let now = interval(self.seconds(), clock);
        let authority = WalletAuthority::new(self.network.clone());
        let authority: Box<dyn Authority + Send> = match self.lies.contains_key(&place) {
            true => Box::new(Credulous(authority)),
            false => Box::new(Remembering {
                authority,
                memory: self.memory.clone(),
            }),
        };
        let records = records
            .into_iter()
            .map(|(name, record)| (name, Zeroizing::new(record)))
            .collect();
        let engine = Member::new(setup, authority, records, now, &mut rng)
            .map_err(|error| Violation::Interface {
                by: me,
                what: format!("doesn't start from its records: {error}"),
            })?
            .with_state(Box::new(opened));
        let byzantine = self.lies.get(&place).cloned().map(Byzantine::new);
        let process = Process {
            place: me,
            engine,
            identity,
            rng,
            disk,
            agent: self.agent(place),
            todo: VecDeque::new(),
            writing: false,
            peers: BTreeMap::new(),
            tickets: BTreeSet::new(),
            clock,
            byzantine,
            timers: BTreeSet::new(),
        };
        let others: Vec<Boot> = self
            .processes
            .iter()
            .filter(|(_, other)| other.place != me)
            .map(|(boot, _)| *boot)
            .collect();
        self.processes.insert(boot, process);
        for other in others {
            let delay = between(&mut self.rng, 5, 300);
            self.queue.after(delay, Happening::Connect { one: boot, other });
        }
        self.work(boot)?;
        Ok(boot)
    }

    /// Gives a member an input, and does what it wants done.
    pub(super) fn input(&mut self, boot: Boot, input: Input<'_>) -> Result<(), Violation> {
        let seconds = self.seconds();
        let Some(process) = self.processes.get_mut(&boot) else {
            return Ok(());
        };
        let now = process.interval(seconds);
        let outputs = process.engine.handle(input, now, &mut process.rng);
        process.todo.extend(outputs);
        self.work(boot)
    }

    /// Does what a member wants done, up to a record that has to reach the disk first.
    fn work(&mut self, boot: Boot) -> Result<(), Violation> {
        while let Some(process) = self.processes.get_mut(&boot) {
            if process.writing || process.todo.is_empty() {
                return Ok(());
            }
            if chance(&mut self.rng, self.kill_rate) {
                let place = process.place.0;
                self.kill(boot);
                if !self.is_up(place) {
                    let delay = between(&mut self.rng, 10, 20_000);
                    self.start_after(place, delay);
                }
                return Ok(());
            }
            if let Some(Output::Persist { .. } | Output::Erase { .. }) = process.todo.front() {
                let delay = between(&mut self.rng, 0, 4);
                if delay > 0 {
                    process.writing = true;
                    self.queue.after(delay, Happening::Written { boot });
                    return Ok(());
                }
            }
            if let Some(output) = process.todo.pop_front() {
                self.carry_out(boot, output)?;
            }
        }
        Ok(())
    }

    fn written(&mut self, boot: Boot) -> Result<(), Violation> {
        let Some(process) = self.processes.get_mut(&boot) else {
            return Ok(());
        };
        process.writing = false;
        if let Some(output) = process.todo.pop_front() {
            self.carry_out(boot, output)?;
        }
        self.work(boot)
    }

    fn carry_out(&mut self, boot: Boot, output: Output) -> Result<(), Violation> {
        let seconds = self.seconds();
        let Some(process) = self.processes.get_mut(&boot) else {
            return Ok(());
        };
        let honest = self.watch.is_honest(process.place);
        if honest {
            process.check(&output)?;
            self.lens.hide(&output, &mut self.watch.canary);
            self.watch.printed("an output's Debug", &format!("{output:?}"))?;
        }
        let place = process.place;
        match output {
            Output::Send { to, bytes } => self.send(boot, to, bytes),
            Output::Persist { .. } | Output::Erase { .. } => match self.disks[process.disk].apply(&output) {
                Some(mark) => self.input(boot, Input::Stored { mark }),
                None => Ok(()),
            },
            Output::Configured { places } => {
                self.configured(boot, &places);
                Ok(())
            }
            Output::Outrun { newest } => {
                self.disks[process.disk].outrun(&newest);
                Ok(())
            }
            Output::Timer { id, after } => {
                let after = u64::try_from(after.as_millis()).unwrap_or(u64::MAX / 2);
                self.queue.after(after, Happening::Timer { boot, id });
                Ok(())
            }
            Output::Answer { ticket, outcome } => {
                self.trace.note(self.queue.now(), || {
                    format!("{}#{} answers {ticket}: {}", place.0, boot.0, short(&outcome))
                });
                if honest {
                    let message = self.tickets.get(&ticket).copied().flatten();
                    self.watch.answer(message.as_ref(), &outcome)?;
                }
                self.news.push_back(News::Answer { ticket, outcome });
                Ok(())
            }
            Output::AskContract { query, question } => {
                let delay = between(&mut self.rng, 1, 50);
                let valid = requests::contract_says(&question);
                self.queue
                    .after(delay, Happening::Contract { boot, query, valid });
                Ok(())
            }
            Output::Audit(event) => {
                self.trace.note(self.queue.now(), || {
                    format!("{}#{} audit {event:?}", place.0, boot.0)
                });
                if honest {
                    self.watch.event(place, &event, seconds)
                } else {
                    Ok(())
                }
            }
        }
    }

    fn deliver(
        &mut self,
        channel: Channel,
        from: Boot,
        to: Boot,
        bytes: &Zeroizing<Vec<u8>>,
    ) -> Result<(), Violation> {
        let Some(process) = self.processes.get_mut(&to) else {
            return Ok(());
        };
        let sender = process.peers.iter().find(|(_, peer)| **peer == (from, channel));
        let Some(sender) = sender.map(|(place, _)| *place) else {
            return Ok(());
        };
        let place = process.place.0;
        self.trace.note(self.queue.now(), || {
            format!(
                "{place}#{} gets {} from {}#{}",
                to.0,
                self.lens.name(from, bytes),
                sender.0,
                from.0
            )
        });
        if let Some(byzantine) = &mut process.byzantine {
            byzantine.hear(bytes, &mut self.rng);
        }
        self.input(to, Input::Message { from: sender, bytes })
    }

    fn connect(&mut self, one: Boot, other: Boot) {
        let (Some(first), Some(second)) = (self.processes.get(&one), self.processes.get(&other)) else {
            return;
        };
        let places = (first.place, second.place);
        if !(first.admits(second) && second.admits(first)) {
            return;
        }
        if places.0 == places.1
            || self.cuts.has(places.0.0, places.1.0)
            || self.cuts.has(places.1.0, places.0.0)
        {
            return;
        }
        let of_first = first.peers.get(&places.1);
        let of_second = second.peers.get(&places.0);
        if let (Some((boot, channel)), Some((back, same))) = (of_first, of_second)
            && (*boot, *back) == (other, one)
            && channel == same
        {
            return;
        }
        self.channels += 1;
        let channel = Channel(self.channels);
        for (at, peer) in [(one, other), (other, one)] {
            let delay = between(&mut self.rng, 1, 20);
            self.queue.after(delay, Happening::Admit { at, peer, channel });
        }
    }

    fn admit(&mut self, at: Boot, peer: Boot, channel: Channel) -> Result<(), Violation> {
        let alive = self
            .processes
            .get(&peer)
            .map(|process| (process.place, process.identity.public().to_bytes()));
        let Some(process) = self.processes.get_mut(&at) else {
            return Ok(());
        };
        let Some((member, identity)) = alive else {
            return Ok(());
        };
        let place = process.place;
        let before = process.peers.insert(member, (peer, channel));
        self.trace.note(self.queue.now(), || {
            format!("{}#{} admits {}#{}", place.0, at.0, member.0, peer.0)
        });
        // The front ends an older connection to the same member, also one to the same boot of it: two that were made at once may
        // be admitted in another order at each end. The boot at its other end may try again.
        if let Some((old, old_channel)) = before
            && old_channel != channel
        {
            self.queue.after(
                1,
                Happening::Leave {
                    at: old,
                    channel: old_channel,
                },
            );
        }
        self.input(at, Input::Admitted { member, identity })
    }

    fn leave(&mut self, at: Boot, channel: Channel) -> Result<(), Violation> {
        let Some(process) = self.processes.get_mut(&at) else {
            return Ok(());
        };
        let place = process.place;
        let Some((member, peer)) = process
            .peers
            .iter()
            .find(|(_, peer)| peer.1 == channel)
            .map(|(member, peer)| (*member, peer.0))
        else {
            return Ok(());
        };
        process.peers.remove(&member);
        self.trace.note(self.queue.now(), || {
            format!("{}#{} leaves {}", place.0, at.0, member.0)
        });
        let delay = between(&mut self.rng, 2000, 8000);
        self.queue
            .after(delay, Happening::Connect { one: at, other: peer });
        self.input(at, Input::Left { member })
    }
}

fn short(outcome: &Result<jeju_mpc::member::Response, jeju_mpc::refusal::Refusal>) -> String {
    match outcome {
        Ok(response) => format!("{response:?}").chars().take(60).collect(),
        Err(refusal) => refusal.to_string(),
    }
}
