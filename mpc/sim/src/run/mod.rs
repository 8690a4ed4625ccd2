//! One seed: a network, clients, a time of faults, and then calm, in which signatures must be made again.

use jeju_mpc::authority::request::Form;
use jeju_mpc::network::{KeyPath, Network, Scheme};
use jeju_mpc::refusal::Refusal;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use thiserror::Error;

use crate::byzantine::Lies;
use crate::client::{Clients, Outcome, Patience};
use crate::queue::Millis;
use crate::requests::{Ask, Wallet};
use crate::trace::Trace;
use crate::watch::Violation;
use crate::weather::{Weather, between, chance, pick};
use crate::world::{News, Succession, World};

mod faults;

/// A seed that shows a fault.
#[derive(Debug, Error)]
#[error("seed {seed} at {now} ms: {violation}\nreplay: cargo run -p jeju-mpc-sim -- --seed {seed} --trace")]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// Virtual time.
    pub now: Millis,
    /// What happened.
    pub violation: Violation,
}

/// What a run was like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Its seed.
    pub seed: u64,
    /// How many members there are.
    pub members: u16,
    /// How many must sign.
    pub threshold: u16,
    /// How many lie.
    pub byzantine: u16,
    /// How many signatures clients got.
    pub signatures: u64,
    /// How many wishes came true and how many were given up during the faults.
    pub wishes: (u32, u32),
    /// How often a process started.
    pub boots: u32,
    /// How often a byzantine member was blamed.
    pub blames: usize,
    /// How often a member found out that its disk is an old one.
    pub rolled_back: usize,
    /// How many configurations came into force.
    pub configurations: usize,
    /// How many proposals were one of two of their number.
    pub rivals: usize,
    /// What happened, if it was kept.
    pub trace: Vec<String>,
}

/// Runs a seed.
///
/// # Errors
/// When something happens that must not.
pub fn run(seed: u64, trace: Trace) -> Result<Summary, Failure> {
    let mut run = Run::new(seed, trace);
    match run.all() {
        Ok(()) => Ok(run.summary(seed)),
        Err(violation) => Err(Failure {
            seed,
            now: run.world.now(),
            violation,
        }),
    }
}

/// How long faults may go on.
const FAULTS: Millis = 90_000;
/// How long the network has to settle when they end.
const SETTLE: Millis = 45_000;
/// How long a proposal may take to come into force then.
const HANDOVER: Millis = 30_000;
/// In what time a signature or a key must then be made.
const BOUND: Millis = 120_000;
/// Alarms from here on are faults, not clients'.
const FAULT_ALARM: u64 = 1 << 40;
/// Tickets from here on are nobody's.
const STRANGER: u64 = 1 << 41;

struct Run {
    world: World,
    clients: Clients,
    plan: Plan,
    /// Places whose disk may be rolled back or cloned.
    unlucky: Vec<u16>,
    byzantine: Vec<u16>,
    schemes: Vec<Scheme>,
    wishes: (u32, u32),
    strangers: u64,
    /// What governance proposed last, while it isn't in force: one configuration, or two of one number.
    successions: Vec<Succession>,
    heirs: u8,
    /// Keys that clients were told, with who may use them.
    told: Vec<(usize, KeyPath)>,
}

/// Which faults a run has.
struct Plan {
    weather: Weather,
    kill_rate: u32,
    kills: bool,
    cuts: bool,
    strangers: bool,
    lies: Lies,
    /// Whether lying members follow the protocol until the first key exists.
    late_lies: bool,
    /// Whether in the end just as many members as needed can talk.
    remnant: bool,
    /// The place that passes to another agent, and whether to one with an empty disk.
    heir: Option<(u16, bool)>,
    /// Whether governance signs two configurations of each number. Of two quorums one member is in both here: it must
    /// neither lie nor forget.
    rivals: bool,
}

impl Run {
    fn new(seed: u64, trace: Trace) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let (threshold, members) = if chance(&mut rng, 800) { (2, 3) } else { (3, 5) };
        let mut genesis = [0; 32];
        rng.fill_bytes(&mut genesis);
        let network = Network {
            genesis,
            chain_id: 31337,
            threshold,
            members,
        };
        let mut places: Vec<u16> = (1..=members).collect();
        shuffle(&mut rng, &mut places);
        let spare = members - threshold;
        let liars = if chance(&mut rng, 500) {
            between(&mut rng, 1, u64::from(threshold) - 1) as u16
        } else {
            0
        };
        let byzantine = places.split_off(places.len() - usize::from(liars));
        let unlucky = match chance(&mut rng, 400) {
            true => places[..usize::from(spare - liars)].to_vec(),
            false => Vec::new(),
        };
        let schemes = match between(&mut rng, 0, 4) {
            0 | 1 => vec![Scheme::Secp256k1],
            2 | 3 => vec![Scheme::Taproot],
            _ => Scheme::ALL.to_vec(),
        };
        let weather = match between(&mut rng, 0, 3) {
            0 => Weather::CALM,
            1 => Weather {
                delay: (1, 200),
                loss: 0,
                duplicate: 0,
                reorder: 100,
            },
            2 => Weather {
                delay: (1, 50),
                loss: 30,
                duplicate: 100,
                reorder: 100,
            },
            _ => Weather {
                delay: (1, 1500),
                loss: 5,
                duplicate: 20,
                reorder: 300,
            },
        };
        let plan = Plan {
            weather,
            kill_rate: pick(&mut rng, &[0, 0, 1, 3, 8]),
            kills: chance(&mut rng, 400),
            cuts: chance(&mut rng, 400),
            strangers: chance(&mut rng, 300),
            lies: Lies::Sometimes(pick(&mut rng, &[30, 100, 300, 1000])),
            late_lies: chance(&mut rng, 600),
            remnant: chance(&mut rng, 300),
            heir: chance(&mut rng, 350).then(|| match unlucky.first() {
                Some(place) => (*place, true),
                None => (places[0], false),
            }),
            rivals: byzantine.is_empty() && unlucky.is_empty() && chance(&mut rng, 500),
        };
        let forms = [Form::Eip712, Form::Eip712, Form::Eip191, Form::Erc1271];
        let wallet = |_| {
            let form = pick(&mut rng, &forms);
            Wallet::new(&network, form, &mut rng)
        };
        let wallets = (0..2).map(wallet).collect();
        let mut world = World::new(network, rng.next_u64(), trace);
        world.trace.note(0, || {
            format!("{threshold} of {members}, byzantine {byzantine:?}, unlucky {unlucky:?}, {schemes:?}, {weather:?}")
        });
        Self {
            world,
            clients: Clients::new(
                wallets,
                Patience {
                    answer: 20_000,
                    wish: 45_000,
                },
            ),
            plan,
            unlucky,
            byzantine,
            schemes,
            wishes: (0, 0),
            strangers: STRANGER,
            successions: Vec::new(),
            heirs: 0,
            told: Vec::new(),
        }
    }

    fn all(&mut self) -> Result<(), Violation> {
        for place in 1..=self.world.network.members {
            let delay = between(&mut self.world.rng, 0, 3000);
            self.world.start_after(place, delay);
        }
        if !self.plan.late_lies {
            self.lie();
        }
        self.world.weather = self.plan.weather;
        self.world.kill_rate = self.plan.kill_rate;
        self.make_wishes();
        self.plan_faults();
        self.until(FAULTS, true)?;
        self.calm()?;
        self.must_work()
    }

    /// Lets things happen, until `end` or, during the faults, until all clients have what they want.
    fn until(&mut self, end: Millis, faults: bool) -> Result<(), Violation> {
        loop {
            self.clients.begin(&mut self.world)?;
            if faults && self.clients.are_content() {
                return Ok(());
            }
            let Some(news) = self.world.step(end)? else {
                return Ok(());
            };
            match news {
                News::Alarm(id) if id >= FAULT_ALARM => {
                    if faults {
                        self.fault(id - FAULT_ALARM)?;
                    }
                }
                news => {
                    if let Some(outcome) = self.clients.hear(news, &mut self.world)? {
                        self.note(outcome);
                    }
                }
            }
        }
    }

    fn note(&mut self, outcome: Outcome) {
        self.world.trace.note(self.world.now(), || {
            let text = match &outcome.result {
                Ok(_) => "done".to_owned(),
                Err(refusal) => format!("given up: {refusal:?}"),
            };
            format!(
                "client {} {:?}: {text} in {} ms",
                outcome.client, outcome.ask, outcome.took
            )
        });
        if let (Ask::Keygen(path), Ok(_)) = (&outcome.ask, &outcome.result) {
            self.told.push((outcome.client, *path));
            if self.plan.late_lies {
                self.lie();
            }
        }
        match outcome.result {
            Ok(_) => self.wishes.0 += 1,
            Err(_) => self.wishes.1 += 1,
        }
    }

    /// The faults end: all run, once each, and can talk.
    fn calm(&mut self) -> Result<(), Violation> {
        // Who hasn't lied by now never does: what must work depends on how many lie.
        self.plan.late_lies = false;
        self.world.trace.note(self.world.now(), || "calm".to_owned());
        self.world.weather = Weather::CALM;
        self.world.kill_rate = 0;
        self.world.heal();
        for place in 1..=self.world.network.members {
            let running = self.world.running(place);
            for boot in running.iter().skip(1) {
                self.world.kill(*boot);
            }
            if !self.world.is_up(place) {
                self.world.start_after(place, 100);
            }
        }
        // A proposal that is on its way comes into force or doesn't.
        let end = self.world.now() + HANDOVER;
        self.until(end, false)?;
        self.succeed();
        let end = self.world.now() + SETTLE + self.clients.patience.wish;
        self.until(end, false)?;
        if self.plan.rivals {
            self.decide()?;
        }
        Ok(())
    }

    /// Of two proposals of one number, one comes into force once all members are asked: in networks of these sizes enough
    /// members approve one or the other.
    fn decide(&mut self) -> Result<(), Violation> {
        for place in 1..=self.world.network.members {
            for at in 0..self.successions.len() {
                self.ask_governance(at, place)?;
                let end = self.world.now() + HANDOVER;
                self.until(end, false)?;
                self.succeed();
                if self.successions.is_empty() {
                    // The new node starts.
                    let end = self.world.now() + SETTLE;
                    return self.until(end, false);
                }
            }
        }
        match self.successions.is_empty() {
            true => Ok(()),
            false => Err(Violation::TooLate("two proposals: neither has an end".to_owned())),
        }
    }

    /// Now signatures must be made, and keys if all members follow the protocol.
    fn must_work(&mut self) -> Result<(), Violation> {
        let members: Vec<u16> = (1..=self.world.network.members).collect();
        let honest: Vec<u16> = members
            .iter()
            .copied()
            .filter(|place| self.world.is_honest(*place))
            .collect();
        self.clients.patience.wish = BOUND;
        let all_honest = honest.len() == members.len();
        if all_honest {
            for client in 0..2 {
                let scheme = self.schemes[client % self.schemes.len()];
                let path = self.clients.wallet(client).path(scheme, false);
                self.demand(client, Ask::Keygen(path), &members)?;
            }
        }
        let mut told = std::mem::take(&mut self.told);
        told.dedup();
        let mut talking = honest.clone();
        if self.plan.remnant {
            talking.retain(|place| !self.unlucky.contains(place));
            shuffle(&mut self.world.rng, &mut talking);
            talking.truncate(usize::from(self.world.network.threshold));
            let rest: Vec<u16> = members
                .iter()
                .copied()
                .filter(|place| !talking.contains(place))
                .collect();
            self.world.cut(&talking, &rest, false);
        }
        for (client, path) in told {
            let ask = self.signature(path);
            self.demand(client, ask, &talking)?;
        }
        Ok(())
    }

    fn demand(&mut self, client: usize, ask: Ask, places: &[u16]) -> Result<(), Violation> {
        self.clients.wish_from(client, ask, places.to_vec());
        let end = self.world.now() + 2 * BOUND;
        loop {
            self.clients.begin(&mut self.world)?;
            let Some(news) = self.world.step(end)? else {
                return Err(Violation::TooLate(format!("{ask:?} has no end")));
            };
            let Some(outcome) = self.clients.hear(news, &mut self.world)? else {
                continue;
            };
            let wanted = outcome.client == client && outcome.ask == ask;
            let refusal = outcome.result.as_ref().err().cloned();
            self.note(outcome);
            match refusal {
                _ if !wanted => {}
                None => return Ok(()),
                Some(refusal) => return Err(too_late(ask, refusal)),
            }
        }
    }

    fn summary(&mut self, seed: u64) -> Summary {
        Summary {
            seed,
            members: self.world.network.members,
            threshold: self.world.network.threshold,
            byzantine: self.byzantine.len() as u16,
            signatures: self.world.watch.signatures,
            wishes: self.wishes,
            boots: self.world.boots(),
            blames: self.world.watch.blames.len(),
            rolled_back: self.world.watch.rolled_back.len(),
            configurations: self.world.watch.configurations.len(),
            rivals: if self.plan.rivals { self.heirs.into() } else { 0 },
            trace: match std::mem::take(&mut self.world.trace) {
                Trace::Keep(lines) => lines,
                _ => Vec::new(),
            },
        }
    }
}

fn too_late(ask: Ask, refusal: Option<Refusal>) -> Violation {
    let why = refusal.map_or("no answer".to_owned(), |refusal| refusal.to_string());
    Violation::TooLate(format!("{ask:?}: {why}"))
}

/// In an order that follows from the random numbers.
fn shuffle<T>(rng: &mut ChaCha20Rng, list: &mut [T]) {
    for at in (1..list.len()).rev() {
        list.swap(at, between(rng, 0, at as u64) as usize);
    }
}
