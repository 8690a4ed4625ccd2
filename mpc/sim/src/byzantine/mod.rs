//! A member that breaks the protocol: an honest engine whose messages are rewritten on their way out, and signed anew with
//! its own identity key.

use jeju_mpc::identity::IdentityKey;
use jeju_mpc::message::{Message, Signed};
use jeju_mpc::network::{MemberIndex, Network};
use rand_chacha::ChaCha20Rng;
use zeroize::Zeroizing;

use crate::lens::{Lens, Step};
use crate::process::Boot;
use crate::weather::{between, chance, pick};

mod rewrite;

use rewrite::{garbage, is_broadcast, other_content, other_session};

/// How a member lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lie {
    /// Another content, the same to everybody.
    Content,
    /// Another content to some; where there is one receiver only, two contents to it.
    Equivocation,
    /// Older messages of the same step too, its own and others'.
    Replay,
    /// The same content for another session.
    WrongSession,
    /// Bytes that mean nothing, and messages that are cut.
    Garbage,
    /// Nothing.
    Silence,
}

impl Lie {
    /// All of them.
    pub const ALL: [Lie; 6] = [
        Lie::Content,
        Lie::Equivocation,
        Lie::Replay,
        Lie::WrongSession,
        Lie::Garbage,
        Lie::Silence,
    ];
}

/// When a member lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lies {
    /// In so many of 1000 messages, in any way.
    Sometimes(u32),
    /// In all messages of one step, in one way.
    At(Step, Lie),
}

/// What a lying member remembers.
pub struct Byzantine {
    lies: Lies,
    heard: Vec<Zeroizing<Vec<u8>>>,
    /// How often it lied.
    pub told: u32,
}

/// The member that lies.
pub struct Liar<'a> {
    /// Its place.
    pub me: MemberIndex,
    /// Its start.
    pub boot: Boot,
    /// Its network.
    pub network: &'a Network,
    /// What it signs with.
    pub identity: &'a IdentityKey,
    /// Reads messages.
    pub lens: &'a Lens,
}

/// Most messages remembered.
const MEMORY: usize = 64;

impl Byzantine {
    /// Hasn't lied yet.
    pub fn new(lies: Lies) -> Self {
        Self {
            lies,
            heard: Vec::new(),
            told: 0,
        }
    }

    /// Remembers a message, its own or another's, to repeat it one day.
    pub fn hear(&mut self, bytes: &[u8], rng: &mut ChaCha20Rng) {
        let bytes = Zeroizing::new(bytes.to_vec());
        if self.heard.len() < MEMORY {
            self.heard.push(bytes);
        } else {
            let at = between(rng, 0, MEMORY as u64 - 1) as usize;
            self.heard[at] = bytes;
        }
    }

    /// What it sends in place of a message.
    pub fn rewrite(
        &mut self,
        liar: &Liar<'_>,
        to: MemberIndex,
        bytes: Zeroizing<Vec<u8>>,
        rng: &mut ChaCha20Rng,
    ) -> Vec<Zeroizing<Vec<u8>>> {
        let step = liar.lens.step(liar.boot, &bytes);
        let lie = match &self.lies {
            Lies::Sometimes(rate) => chance(rng, *rate).then(|| pick(rng, &Lie::ALL)),
            Lies::At(at, lie) => (step == Some(*at)).then_some(*lie),
        };
        let sent = match lie {
            None => vec![bytes.clone()],
            Some(lie) => {
                self.told += 1;
                self.tell(liar, lie, to, step, &bytes, rng)
            }
        };
        self.hear(&bytes, rng);
        sent
    }

    fn tell(
        &self,
        liar: &Liar<'_>,
        lie: Lie,
        to: MemberIndex,
        step: Option<Step>,
        bytes: &Zeroizing<Vec<u8>>,
        rng: &mut ChaCha20Rng,
    ) -> Vec<Zeroizing<Vec<u8>>> {
        let changed = |change: fn(Message, &mut ChaCha20Rng) -> Message, rng: &mut ChaCha20Rng| {
            Message::decode(bytes).map_or_else(
                |_| bytes.clone(),
                |message| liar.signed(change(message, rng), rng).encode(),
            )
        };
        match lie {
            Lie::Content => vec![changed(other_content, rng)],
            Lie::Equivocation if is_broadcast(bytes) => match to.0 % 2 == liar.me.0 % 2 {
                true => vec![changed(other_content, rng)],
                false => vec![bytes.clone()],
            },
            Lie::Equivocation => vec![changed(other_content, rng), bytes.clone()],
            Lie::Replay => {
                let same =
                    |old: &&Zeroizing<Vec<u8>>| step.is_none() || liar.lens.step(liar.boot, old) == step;
                self.heard
                    .iter()
                    .filter(same)
                    .take(4)
                    .cloned()
                    .chain([bytes.clone(), bytes.clone()])
                    .collect()
            }
            Lie::WrongSession => vec![changed(other_session, rng)],
            Lie::Garbage => vec![garbage(bytes, rng)],
            Lie::Silence => Vec::new(),
        }
    }
}

impl Liar<'_> {
    /// Signs again what it signed before.
    fn signed(&self, message: Message, rng: &mut ChaCha20Rng) -> Message {
        match message {
            Message::Signed(signed) if signed.sender == self.me => Message::Signed(Signed::new(
                self.identity,
                &self.network.genesis,
                self.me,
                signed.statement,
                rng,
            )),
            other => other,
        }
    }
}
