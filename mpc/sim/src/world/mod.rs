//! The world that members live in: clock, disks, processes, and a network that loses, repeats and reorders.
//!
//! A *place* is a member's number in the network. At a place, a *boot* runs: one start of the signer, with an identity key of
//! its own. After a crash there is a later boot; when the host clones a disk, two boots run at one place.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jeju_mpc::configuration::Founding;
use jeju_mpc::member::{Input, Response};
use jeju_mpc::network::{MemberIndex, Network};
use jeju_mpc::refusal::Refusal;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use zeroize::Zeroizing;

use crate::byzantine::{Byzantine, Lies};
use crate::disk::Disk;
use crate::lens::Lens;
use crate::process::{Boot, Channel, Process};
use crate::queue::{Millis, Queue};
use crate::requests::Memory;
use crate::trace::Trace;
use crate::trap::Trap;
use crate::watch::{Violation, Watch};
use crate::weather::{Cuts, Weather, between, chance};

mod happen;
mod send;
mod succession;

pub use succession::Succession;

/// Seconds since 1970 when a run starts.
pub const START: u64 = 1_800_000_000;

/// What a step has for whoever drives the world.
#[derive(Debug)]
pub enum News {
    /// A client's answer.
    Answer {
        /// Of [`World::request`].
        ticket: u64,
        /// What the member says.
        outcome: Result<Response, Refusal>,
    },
    /// The process that had the client's request ended.
    Gone {
        /// Of [`World::request`].
        ticket: u64,
    },
    /// Of [`World::alarm`].
    Alarm(u64),
}

/// All of it.
pub struct World {
    /// Which network its members form.
    pub network: Network,
    /// What the network does to messages from now on.
    pub weather: Weather,
    /// Of 1000 outputs, before how many a process is killed.
    pub kill_rate: u32,
    /// A fault that waits for its message.
    pub trap: Option<Trap>,
    /// What must never happen.
    pub watch: Watch,
    /// What happened.
    pub trace: Trace,
    /// Random numbers.
    pub rng: ChaCha20Rng,
    queue: Queue<Happening>,
    processes: BTreeMap<Boot, Process>,
    disks: Vec<Disk>,
    /// The disk that a restart at a place reads.
    disk_of: BTreeMap<u16, usize>,
    cuts: Cuts,
    lies: BTreeMap<u16, Lies>,
    lens: Lens,
    /// Latest arrival at an end of a channel.
    arrivals: BTreeMap<(Channel, Boot), Millis>,
    /// What requests want signed.
    tickets: BTreeMap<u64, Option<[u8; 32]>>,
    /// Places that are about to start.
    starting: BTreeSet<u16>,
    memory: Memory,
    boots: u32,
    channels: u64,
    news: VecDeque<News>,
    founding: Founding,
    /// Agents that run at a place instead of the first configuration's.
    agents: BTreeMap<u16, [u8; 32]>,
}

/// What happens.
enum Happening {
    Deliver {
        channel: Channel,
        from: Boot,
        to: Boot,
        bytes: Zeroizing<Vec<u8>>,
    },
    Timer {
        boot: Boot,
        id: u64,
    },
    Written {
        boot: Boot,
    },
    Connect {
        one: Boot,
        other: Boot,
    },
    Admit {
        at: Boot,
        peer: Boot,
        channel: Channel,
    },
    Leave {
        at: Boot,
        channel: Channel,
    },
    Contract {
        boot: Boot,
        query: u64,
        valid: bool,
    },
    Start {
        place: u16,
    },
    Heal,
    Alarm(u64),
}

impl World {
    /// A network whose members haven't started yet.
    pub fn new(network: Network, seed: u64, trace: Trace) -> Self {
        let places = 1..=network.members;
        let founding = succession::founding(&network);
        Self {
            network,
            weather: Weather::CALM,
            kill_rate: 0,
            trap: None,
            watch: Watch::default(),
            trace,
            rng: ChaCha20Rng::seed_from_u64(seed),
            queue: Queue::default(),
            processes: BTreeMap::new(),
            disks: places.clone().map(|_| Disk::default()).collect(),
            disk_of: places.enumerate().map(|(disk, place)| (place, disk)).collect(),
            cuts: Cuts::default(),
            lies: BTreeMap::new(),
            lens: Lens::default(),
            arrivals: BTreeMap::new(),
            tickets: BTreeMap::new(),
            starting: BTreeSet::new(),
            memory: Memory::default(),
            boots: 0,
            channels: 0,
            news: VecDeque::new(),
            founding,
            agents: BTreeMap::new(),
        }
    }

    /// Virtual time.
    pub fn now(&self) -> Millis {
        self.queue.now()
    }

    /// The true time in seconds since 1970.
    pub fn seconds(&self) -> u64 {
        START + self.now() / 1000
    }

    /// The boots that run at a place, oldest first.
    pub fn running(&self, place: u16) -> Vec<Boot> {
        let here = |(boot, process): (&Boot, &Process)| (process.place.0 == place).then_some(*boot);
        self.processes.iter().filter_map(here).collect()
    }

    /// Lets things happen until there is something to say, or `end`.
    pub fn step(&mut self, end: Millis) -> Result<Option<News>, Violation> {
        loop {
            if let Some(news) = self.news.pop_front() {
                return Ok(Some(news));
            }
            match self.queue.next_until(end) {
                Some(happening) => self.happen(happening)?,
                None => return Ok(None),
            }
        }
    }

    /// Gives [`News::Alarm`] after a while.
    pub fn alarm(&mut self, after: Millis, id: u64) {
        self.queue.after(after, Happening::Alarm(id));
    }

    /// Sends a client's request to the newest process at `place`; false if none runs. `message` is what it wants signed.
    pub fn request(
        &mut self,
        place: u16,
        ticket: u64,
        bytes: &[u8],
        message: Option<[u8; 32]>,
    ) -> Result<bool, Violation> {
        let Some(boot) = self.running(place).pop() else {
            return Ok(false);
        };
        self.trace.note(self.queue.now(), || {
            format!("{place}#{} request {ticket}", boot.0)
        });
        self.tickets.insert(ticket, message);
        if let Some(process) = self.processes.get_mut(&boot) {
            process.tickets.insert(ticket);
        }
        self.input(boot, Input::Request { ticket, bytes })?;
        Ok(true)
    }

    /// Whether the member at `place` follows the protocol.
    pub fn is_honest(&self, place: u16) -> bool {
        self.watch.is_honest(MemberIndex(place))
    }

    /// From now on the member at `place` lies.
    pub fn corrupt(&mut self, place: u16, lies: Lies) {
        self.watch.distrust(MemberIndex(place));
        self.lies.insert(place, lies.clone());
        for process in self
            .processes
            .values_mut()
            .filter(|process| process.place.0 == place)
        {
            process.byzantine = Some(Byzantine::new(lies.clone()));
        }
    }

    /// Starts the member at `place` from its disk.
    pub fn start(&mut self, place: u16) -> Result<Boot, Violation> {
        self.start_from(place, self.disk_of[&place])
    }

    /// Starts the member at `place` after a while.
    pub fn start_after(&mut self, place: u16, delay: Millis) {
        self.starting.insert(place);
        self.queue.after(delay, Happening::Start { place });
    }

    /// Whether the member at `place` runs or is about to.
    pub fn is_up(&self, place: u16) -> bool {
        self.starting.contains(&place) || !self.running(place).is_empty()
    }

    /// Starts a second process of the member at `place`, from a copy of its disk or of an older state of it.
    pub fn start_clone(&mut self, place: u16, state: Option<usize>) -> Result<Boot, Violation> {
        let mut disk = self.disks[self.disk_of[&place]].clone();
        if let Some(state) = state {
            disk.restore(state);
        }
        self.disks.push(disk);
        self.start_from(place, self.disks.len() - 1)
    }

    /// Lets the next start at `place` read an older state of the disk.
    pub fn restore(&mut self, place: u16, state: usize) {
        self.trace.note(self.queue.now(), || {
            format!("{place} disk goes back to state {state}")
        });
        let disk = self.disk_of[&place];
        self.disks[disk].restore(state);
    }

    /// How often members lied.
    pub fn lies_told(&self) -> u32 {
        self.processes
            .values()
            .filter_map(|process| process.byzantine.as_ref())
            .map(|byzantine| byzantine.told)
            .sum()
    }

    /// How many processes started.
    pub fn boots(&self) -> u32 {
        self.boots
    }

    /// How many older states the disk of `place` has.
    pub fn states(&self, place: u16) -> usize {
        self.disks[self.disk_of[&place]].states()
    }

    /// Ends a process as `kill -9` does. What it hadn't done yet is lost; a record on its way may or may not be kept.
    pub fn kill(&mut self, boot: Boot) {
        let Some(process) = self.processes.remove(&boot) else {
            return;
        };
        let place = process.place.0;
        self.trace.note(self.queue.now(), || {
            format!("{place}#{} killed, {} outputs lost", boot.0, process.todo.len())
        });
        if process.writing
            && chance(&mut self.rng, 500)
            && let Some(output) = process.todo.front()
        {
            self.disks[process.disk].apply(output);
        }
        // Whoever survives of two clones is the member from now on.
        if let Some(survivor) = self.running(place).pop() {
            self.disk_of.insert(place, self.processes[&survivor].disk);
        }
        self.news.extend(
            process
                .tickets
                .iter()
                .map(|ticket| News::Gone { ticket: *ticket }),
        );
        let ends: Vec<(Boot, Channel)> = self
            .processes
            .iter()
            .filter_map(|(at, other)| match other.peers.get(&process.place) {
                Some((peer, channel)) if *peer == boot => Some((*at, *channel)),
                _ => None,
            })
            .collect();
        for (at, channel) in ends {
            // A new connection may come first: then the end of the old one isn't told at all.
            let delay = between(&mut self.rng, 1, 2000);
            self.queue.after(delay, Happening::Leave { at, channel });
        }
    }

    /// Cuts all connections between two sets of places; with `one_way`, only from the first to the second. Whoever is cut off
    /// may learn it late.
    pub fn cut(&mut self, ones: &[u16], others: &[u16], one_way: bool) {
        self.trace.note(self.queue.now(), || {
            format!("cut {ones:?} {others:?} one way: {one_way}")
        });
        for (one, other) in ones
            .iter()
            .flat_map(|one| others.iter().map(move |other| (*one, *other)))
        {
            match one_way {
                true => self.cuts.cut_one_way(one, other),
                false => self.cuts.cut(one, other),
            }
            for (at, peer) in [(one, other), (other, one)] {
                for boot in self.running(at) {
                    if let Some((_, channel)) = self.processes[&boot].peers.get(&MemberIndex(peer)).copied()
                        && chance(&mut self.rng, 700)
                    {
                        let delay = between(&mut self.rng, 500, 8000);
                        self.queue.after(delay, Happening::Leave { at: boot, channel });
                    }
                }
            }
        }
    }

    /// Mends the network.
    pub fn heal(&mut self) {
        self.trace.note(self.queue.now(), || "heal".to_owned());
        self.cuts.heal();
        let boots: Vec<Boot> = self.processes.keys().copied().collect();
        for (number, one) in boots.iter().enumerate() {
            for other in &boots[number + 1..] {
                let delay = between(&mut self.rng, 5, 500);
                self.queue.after(
                    delay,
                    Happening::Connect {
                        one: *one,
                        other: *other,
                    },
                );
            }
        }
    }

    /// Mends the network after a while.
    pub fn heal_after(&mut self, delay: Millis) {
        self.queue.after(delay, Happening::Heal);
    }
}
