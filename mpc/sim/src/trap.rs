//! A fault that waits for a step of the protocol.

use crate::lens::Step;
use crate::queue::Millis;

/// A fault that waits for a message of one step.
#[derive(Debug, Clone)]
pub struct Trap {
    /// Whose; `None` for whoever is first.
    pub place: Option<u16>,
    /// Of which step.
    pub step: Step,
    /// What happens then.
    pub spring: Spring,
    /// How many messages of the step pass first.
    pub skip: u32,
    /// Whether it happened: at which place.
    pub sprung: Option<u16>,
}

/// What happens to the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spring {
    /// Nothing.
    Pass,
    /// Its sender is killed before it is sent, and starts again.
    KillBefore,
    /// Its sender is killed when it is sent, and starts again.
    KillAfter,
    /// Its sender is killed, and starts again from an older state of its disk.
    Restore(usize),
    /// A second process of its sender starts from a copy of its disk.
    Clone,
    /// It comes late.
    Delay(Millis),
    /// It comes several times.
    Repeat(Vec<Millis>),
    /// It is lost, with all connections of its sender.
    CutOff {
        /// For how long.
        heal_after: Millis,
    },
}

impl Trap {
    /// What happens to a message.
    pub fn spring(&mut self, place: u16, step: Option<Step>) -> Spring {
        let fits = step == Some(self.step) && self.place.is_none_or(|wanted| wanted == place);
        if !fits || self.sprung.is_some() {
            return Spring::Pass;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return Spring::Pass;
        }
        self.sprung = Some(place);
        self.spring.clone()
    }
}
