//! One step with one fault.

use jeju_mpc::authority::request::Form;
use jeju_mpc::network::{KeyPath, MemberIndex, Network, Scheme};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

use crate::byzantine::{Lie, Lies};
use crate::client::{Clients, Patience};
use crate::lens::{Stage, Step};
use crate::queue::Millis;
use crate::requests::{Ask, Wallet};
use crate::trace::Trace;
use crate::trap::{Spring, Trap};
use crate::watch::Violation;
use crate::world::World;

use super::{Fault, name};

/// How long a wish may take without a fault, and with one.
const BOUND: Millis = 120_000;
/// Who lies, where the step is one of all members, or of a helper.
const LIAR: u16 = 1;
/// Who loses its share.
const LOSER: u16 = 3;

pub(super) struct Pair {
    step: Step,
    fault: Fault,
    world: World,
    clients: Clients,
    path: KeyPath,
    rng: ChaCha20Rng,
}

impl Pair {
    pub(super) fn new(step: Step, fault: Fault, trace: Trace) -> Self {
        let (threshold, members) = match fault {
            // Two receivers of what only as many get as must sign.
            Fault::Byzantine(Lie::Equivocation) => (3, 5),
            _ => (2, 3),
        };
        let mut rng =
            ChaCha20Rng::seed_from_u64(u64::from(step.name().len() as u32) << 8 | fault.name().len() as u64);
        let mut genesis = [0; 32];
        rng.fill_bytes(&mut genesis);
        let network = Network {
            genesis,
            chain_id: 31337,
            threshold,
            members,
        };
        let wallet = Wallet::new(&network, Form::Eip712, &mut rng);
        // Both schemes, each in half of the pairs.
        let scheme = Scheme::ALL[name(step, fault).len() % 2];
        let path = wallet.path(scheme, false);
        let clients = Clients::new(
            vec![wallet],
            Patience {
                answer: 20_000,
                wish: BOUND,
            },
        );
        let mut world = World::new(network, rng.next_u64(), trace);
        world.trace.note(0, || name(step, fault));
        Self {
            step,
            fault,
            world,
            clients,
            path,
            rng,
        }
    }

    pub(super) fn run(mut self) -> Result<String, Violation> {
        for place in 1..=self.world.network.members {
            self.world.start_after(place, u64::from(place));
        }
        // Requests that may be older than a member are refused by it.
        self.let_pass(8000)?;
        let keygen = Ask::Keygen(self.path);
        match self.step {
            Step::Keygen(_) => {
                self.arm();
                self.wish(keygen)?;
                self.disarm()?;
                self.must(keygen)?;
            }
            Step::Refresh(_) => {
                self.must(keygen)?;
                self.arm();
                self.wish(Ask::Refresh(self.path))?;
                // Members that follow the protocol sign in the meantime.
                let sign = self.sign();
                self.must(sign)?;
                self.disarm()?;
                self.must(Ask::Refresh(self.path))?;
            }
            Step::SignInit | Step::SignCommit | Step::SignPackage | Step::SignShare | Step::SignDone => {
                self.must(keygen)?;
                self.arm();
                // Until the liar is among the signers.
                for _ in 0..8 {
                    let sign = self.sign();
                    self.must(sign)?;
                    if self.happened() {
                        break;
                    }
                }
                self.disarm()?;
            }
            _ => {
                self.must(keygen)?;
                self.arm();
                // Until the liar is among the helpers.
                for _ in 0..8 {
                    self.lose();
                    self.let_pass(60_000)?;
                    if self.happened() {
                        break;
                    }
                }
                self.disarm()?;
                self.must_repair()?;
            }
        }
        let sign = self.sign();
        self.must(sign)?;
        self.word()
    }

    /// From now on, the fault waits for its step.
    fn arm(&mut self) {
        let spring = match self.fault {
            Fault::KillBefore => Spring::KillBefore,
            Fault::KillAfter => Spring::KillAfter,
            Fault::OldDisk => Spring::Restore(match self.step {
                Step::Keygen(_) | Step::SignInit | Step::SignCommit | Step::SignPackage => 0,
                Step::SignShare | Step::SignDone => 0,
                Step::Refresh(_) => self.world.states(LIAR),
                // A helper's state must be one with a share: of three members, two have to have one.
                _ => self.world.states(LIAR).saturating_sub(1),
            }),
            Fault::Clone => Spring::Clone,
            Fault::Delay => Spring::Delay(25_000),
            Fault::Duplicate => Spring::Repeat(vec![0, 50, 10_000]),
            Fault::Reorder => Spring::Delay(300),
            Fault::Partition => Spring::CutOff { heal_after: 40_000 },
            Fault::Byzantine(lie) => {
                self.world.corrupt(self.liar(), Lies::At(self.step, lie));
                return;
            }
        };
        self.world.trap = Some(Trap {
            place: None,
            step: self.step,
            spring,
            skip: 0,
            sprung: None,
        });
    }

    /// The fault ends: a liar is replaced, a clone ends.
    fn disarm(&mut self) -> Result<(), Violation> {
        if !self.happened() {
            return Err(Violation::TooLate("the step with the fault".to_owned()));
        }
        if let Fault::Byzantine(_) = self.fault {
            let liar = self.liar();
            self.world.corrupt(liar, Lies::Sometimes(0));
            for boot in self.world.running(liar) {
                self.world.kill(boot);
            }
            self.world.start_after(liar, 1000);
        }
        for place in 1..=self.world.network.members {
            for boot in self.world.running(place).iter().skip(1) {
                self.world.kill(*boot);
            }
        }
        self.let_pass(60_000)
    }

    fn happened(&self) -> bool {
        match self.fault {
            Fault::Byzantine(_) => self.world.lies_told() > 0,
            _ => self.world.trap.as_ref().is_some_and(|trap| trap.sprung.is_some()),
        }
    }

    /// The member that sends the step's messages, if it is one that we may choose.
    fn liar(&self) -> u16 {
        match self.step {
            Step::RepairQuery | Step::RepairBegin | Step::RepairDone => LOSER,
            _ => LIAR,
        }
    }

    /// Whom the client asks first: the liar where the coordinator is to lie.
    fn first(&self) -> u16 {
        match self.step {
            Step::Keygen(Stage::Begin) | Step::Refresh(Stage::Begin) => LIAR,
            Step::SignInit | Step::SignPackage | Step::SignDone => LIAR,
            _ => 2,
        }
    }

    fn sign(&mut self) -> Ask {
        let mut message = [0; 32];
        self.rng.fill_bytes(&mut message);
        Ask::Sign(self.path, message)
    }

    fn lose(&mut self) {
        for boot in self.world.running(LOSER) {
            self.world.kill(boot);
        }
        self.world.restore(LOSER, 0);
        self.world.start_after(LOSER, 100);
    }

    /// The member that lost its share has it back: without it, too few can sign.
    fn must_repair(&mut self) -> Result<(), Violation> {
        let needed = self.world.network.threshold;
        let places: Vec<u16> = (LOSER - (needed - 1).min(2)..=LOSER).collect();
        let others: Vec<u16> = (1..=self.world.network.members)
            .filter(|place| !places.contains(place))
            .collect();
        self.world.cut(&places, &others, false);
        let sign = self.sign();
        self.clients.wish_from(0, sign, places);
        let done = self.finish()?;
        self.world.heal();
        self.let_pass(5000)?;
        if done {
            Ok(())
        } else {
            Err(Violation::TooLate("repair".to_owned()))
        }
    }

    /// Whether a wish comes true.
    fn wish(&mut self, ask: Ask) -> Result<bool, Violation> {
        let first = self.first();
        let others = (1..=self.world.network.members).filter(|place| *place != first);
        self.clients
            .wish_from(0, ask, [first].into_iter().chain(others).collect());
        self.finish()
    }

    fn must(&mut self, ask: Ask) -> Result<(), Violation> {
        match self.wish(ask)? {
            true => Ok(()),
            false => Err(Violation::TooLate(format!("{ask:?}"))),
        }
    }

    fn finish(&mut self) -> Result<bool, Violation> {
        let end = self.world.now() + 2 * BOUND;
        loop {
            self.clients.begin(&mut self.world)?;
            let Some(news) = self.world.step(end)? else {
                return Ok(false);
            };
            if let Some(outcome) = self.clients.hear(news, &mut self.world)? {
                self.world.trace.note(self.world.now(), || format!("{outcome:?}"));
                return Ok(outcome.result.is_ok());
            }
        }
    }

    fn let_pass(&mut self, time: Millis) -> Result<(), Violation> {
        let end = self.world.now() + time;
        while let Some(news) = self.world.step(end)? {
            self.clients.hear(news, &mut self.world)?;
        }
        Ok(())
    }

    /// What the table says, after it was checked that a culprit was named who can be.
    fn word(&self) -> Result<String, Violation> {
        let Fault::Byzantine(lie) = self.fault else {
            return Ok("ok".to_owned());
        };
        let liar = MemberIndex(self.liar());
        let blame = self.world.watch.blames.iter().find(|blame| blame.member == liar);
        match blame {
            Some(_) => Ok("named".to_owned()),
            None if is_provable(self.step, lie) => Err(Violation::NotNamed {
                member: liar,
                fault: lie_name(self.step, lie),
            }),
            None => Ok("ok".to_owned()),
        }
    }
}

fn lie_name(step: Step, lie: Lie) -> String {
    name(step, Fault::Byzantine(lie))
}

/// Whether honest members can tell who did it.
fn is_provable(step: Step, lie: Lie) -> bool {
    match (step, lie) {
        (Step::Keygen(stage) | Step::Refresh(stage), Lie::Content) => {
            matches!(
                stage,
                Stage::Round1 | Stage::Round2 | Stage::Commit | Stage::TestShare
            )
        }
        (Step::Keygen(stage) | Step::Refresh(stage), Lie::Equivocation) => {
            matches!(
                stage,
                Stage::Round1 | Stage::Echo | Stage::Round2 | Stage::Commit | Stage::TestShare
            )
        }
        (Step::SignShare, Lie::Content) => true,
        _ => false,
    }
}
