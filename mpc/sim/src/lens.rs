//! Reads messages on their way, as no host could: which step of the protocol they belong to, and what must hold for them.

use std::collections::{HashMap, HashSet};

use jeju_mpc::member::Output;
use jeju_mpc::message::{CeremonyKind, Commitments, Level, Message, SessionId, Statement};
use sha2::{Digest, Sha256};

use crate::canary::Canary;
use crate::process::Boot;
use crate::watch::{Violation, Watch};
use jeju_mpc::network::MemberIndex;

/// A step of the protocol: one kind of message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Of a key generation.
    Keygen(Stage),
    /// Of a refresh.
    Refresh(Stage),
    /// Asks a signer for commitments.
    SignInit,
    /// First round of signing.
    SignCommit,
    /// What is signed.
    SignPackage,
    /// Second round of signing.
    SignShare,
    /// The signature.
    SignDone,
    /// A lost share is asked for.
    RepairQuery,
    /// A helper offers.
    RepairOffer,
    /// Helpers are chosen.
    RepairBegin,
    /// From helper to helper.
    RepairDelta,
    /// From helper to the one who lost its share.
    RepairSigma,
    /// The share is back.
    RepairDone,
}

/// A stage of a ceremony of all members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// The leader opens it.
    Begin,
    /// First-round packages.
    Round1,
    /// Digest of all first-round packages.
    Echo,
    /// Second-round shares.
    Round2,
    /// The share is kept.
    Commit,
    /// Share of the test signature.
    TestShare,
    /// The sharing is active.
    Activated,
}

impl Stage {
    /// All of them.
    pub const ALL: [Stage; 7] = [
        Stage::Begin,
        Stage::Round1,
        Stage::Echo,
        Stage::Round2,
        Stage::Commit,
        Stage::TestShare,
        Stage::Activated,
    ];
}

impl Step {
    /// All of them.
    pub fn all() -> Vec<Step> {
        let ceremonies = [Step::Keygen as fn(Stage) -> Step, Step::Refresh];
        let ceremonies = ceremonies
            .into_iter()
            .flat_map(|ceremony| Stage::ALL.map(ceremony));
        let rest = [
            Step::SignInit,
            Step::SignCommit,
            Step::SignPackage,
            Step::SignShare,
            Step::SignDone,
            Step::RepairQuery,
            Step::RepairOffer,
            Step::RepairBegin,
            Step::RepairDelta,
            Step::RepairSigma,
            Step::RepairDone,
        ];
        ceremonies.chain(rest).collect()
    }

    /// Name in tables.
    pub fn name(self) -> String {
        let words = |text: String| {
            let mut out = String::new();
            for c in text.chars() {
                if c.is_ascii_uppercase() && !out.is_empty() {
                    out.push(' ');
                }
                out.push(c.to_ascii_lowercase());
            }
            out
        };
        match self {
            Step::Keygen(stage) => format!("keygen {}", words(format!("{stage:?}"))),
            Step::Refresh(stage) => format!("refresh {}", words(format!("{stage:?}"))),
            other => words(format!("{other:?}")),
        }
    }
}

/// What was learned from earlier messages.
#[derive(Default)]
pub struct Lens {
    ceremonies: HashMap<SessionId, CeremonyKind>,
    /// Commitments of a boot in a ceremony or in a signing session.
    commitments: HashMap<(Boot, Vec<u8>), Vec<u8>>,
    /// Boots that asked for a repair.
    repairing: HashSet<Boot>,
}

impl Lens {
    /// The step that a message of a boot belongs to; none for what belongs to no step.
    pub fn step(&self, from: Boot, bytes: &[u8]) -> Option<Step> {
        match Message::decode(bytes).ok()? {
            Message::Start(start) => Some(stage(start.kind, Stage::Begin)),
            Message::Signed(signed) => {
                let kind = *self.ceremonies.get(signed.statement.session())?;
                Some(stage(kind, statement_stage(&signed.statement)))
            }
            Message::TestShare { session, .. } => {
                Some(stage(*self.ceremonies.get(&session)?, Stage::TestShare))
            }
            Message::SignInit { .. } => Some(Step::SignInit),
            Message::SignCommit { .. } => Some(Step::SignCommit),
            Message::SignPackage { .. } => Some(Step::SignPackage),
            Message::SignShare { .. } => Some(Step::SignShare),
            Message::SignDone { .. } => Some(Step::SignDone),
            Message::RepairQuery { .. } => Some(Step::RepairQuery),
            Message::RepairOffer { .. } => Some(Step::RepairOffer),
            Message::RepairBegin { .. } => Some(Step::RepairBegin),
            Message::RepairDelta { .. } => Some(Step::RepairDelta),
            Message::RepairSigma { .. } => Some(Step::RepairSigma),
            Message::Evidence(evidence) => Some(activated(evidence.generation)),
            Message::Status {
                all: false, roots, ..
            } => {
                let mark = roots
                    .iter()
                    .flat_map(|standing| &standing.marks)
                    .max_by_key(|mark| mark.level)?;
                match mark.level {
                    Level::Pending => None,
                    _ if self.repairing.contains(&from) => Some(Step::RepairDone),
                    _ => Some(activated(mark.generation)),
                }
            }
            _ => None,
        }
    }

    /// Learns from a message before anything else is done with it.
    pub fn learn(&mut self, from: Boot, bytes: &[u8]) {
        match Message::decode(bytes) {
            Ok(Message::Start(start)) => {
                self.ceremonies.insert(start.session, start.kind);
            }
            Ok(Message::RepairQuery { .. }) => {
                self.repairing.insert(from);
            }
            _ => {}
        }
    }

    /// Short text for the trace.
    pub fn name(&self, from: Boot, bytes: &[u8]) -> String {
        match (self.step(from, bytes), Message::decode(bytes)) {
            (Some(step), _) => step.name(),
            (None, Ok(message)) => {
                let text = format!("{message:?}");
                text.split(|c: char| !c.is_alphanumeric())
                    .next()
                    .unwrap_or_default()
                    .to_owned()
            }
            (None, Err(_)) => format!("{} bytes of nonsense", bytes.len()),
        }
    }

    /// Looks at a message of an honest member.
    pub fn observe(
        &mut self,
        place: MemberIndex,
        boot: Boot,
        bytes: &[u8],
        watch: &mut Watch,
    ) -> Result<(), Violation> {
        let Ok(message) = Message::decode(bytes) else {
            return Err(Violation::Interface {
                by: place,
                what: "a message without encoding".to_owned(),
            });
        };
        match &message {
            Message::Signed(signed) => match &signed.statement {
                Statement::Commit {
                    session, commitments, ..
                } => self.committed(place, boot, session, commitments, watch),
                _ => Ok(()),
            },
            Message::TestShare { session, share, .. } => self.shared(place, boot, session, share, watch),
            Message::SignCommit {
                exchange,
                commitments,
            } => self.committed(place, boot, exchange, commitments, watch),
            Message::SignShare { exchange, share } => self.shared(place, boot, exchange, share, watch),
            Message::SignPackage {
                exchange,
                commitments,
                ..
            } => {
                // The coordinator's own share never travels: its nonces are used for the package.
                let own = commitments.iter().find(|(member, _)| *member == place);
                let Some((_, own)) = own else { return Ok(()) };
                self.committed(place, boot, exchange, own, watch)?;
                self.shared(place, boot, exchange, &Sha256::digest(bytes), watch)
            }
            Message::SignNo { refusal, .. } => {
                watch.refusals.push((place, refusal.code()));
                Ok(())
            }
            Message::Status { roots, .. } => {
                let marks = roots
                    .iter()
                    .flat_map(|standing| standing.marks.iter().map(|mark| (standing.root, mark)));
                // What is active only may be given up as long as no client was told.
                for (root, mark) in marks.filter(|(_, mark)| mark.level >= Level::Confirmed) {
                    watch.package(root, mark.generation, &mark.session)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The commitments of a boot in a signing session.
    pub fn commitments_in(&self, boot: Boot, exchange: &[u8; 16]) -> Option<Commitments> {
        let commitments = self.commitments.get(&(boot, exchange.to_vec()))?;
        let (hiding, binding) = commitments.split_at(33);
        Some(Commitments {
            hiding: hiding.try_into().ok()?,
            binding: binding.try_into().ok()?,
        })
    }

    /// Remembers the secrets that an output carries.
    pub fn hide(&self, output: &Output, canary: &mut Canary) {
        match output {
            Output::Send { bytes, .. } => match Message::decode(bytes) {
                Ok(Message::Signed(signed)) => {
                    if let Statement::Round2 { share, .. } = &signed.statement {
                        canary.hide(share.expose());
                    }
                }
                Ok(Message::RepairDelta { delta, .. }) => canary.hide(delta.expose()),
                Ok(Message::RepairSigma { sigma, .. }) => canary.hide(sigma.expose()),
                _ => {}
            },
            Output::Persist { name, record } if name.starts_with("root-") => {
                shares_of_record(record)
                    .iter()
                    .for_each(|share| canary.hide(share));
            }
            _ => {}
        }
    }

    fn committed(
        &mut self,
        place: MemberIndex,
        boot: Boot,
        session: &[u8],
        commitments: &Commitments,
        watch: &mut Watch,
    ) -> Result<(), Violation> {
        let commitments = [commitments.hiding, commitments.binding].concat();
        self.commitments
            .insert((boot, session.to_vec()), commitments.clone());
        watch.commitments(place, &[&boot.0.to_be_bytes(), session].concat(), &commitments)
    }

    fn shared(
        &mut self,
        place: MemberIndex,
        boot: Boot,
        session: &[u8],
        share: &[u8],
        watch: &mut Watch,
    ) -> Result<(), Violation> {
        match self.commitments.get(&(boot, session.to_vec())) {
            Some(commitments) => watch.share(place, commitments, share),
            None => Err(Violation::Interface {
                by: place,
                what: "a share without commitments".to_owned(),
            }),
        }
    }
}

/// Signing shares in a record of a key. The crate keeps its records to itself, but they hold key packages as FROST's library
/// serialises them: version 0, four bytes that name the suite, the identifier, the share, and a compressed point.
fn shares_of_record(record: &[u8]) -> Vec<[u8; 32]> {
    let is_package = |window: &&[u8]| {
        window[0] == 0 && window[5..36] == [0; 31] && window[36] != 0 && matches!(window[69], 2 | 3)
    };
    let share = |window: &[u8]| std::array::from_fn(|at| window[37 + at]);
    record.windows(70).filter(is_package).map(share).collect()
}

fn stage(kind: CeremonyKind, stage: Stage) -> Step {
    match kind {
        CeremonyKind::KeyGeneration => Step::Keygen(stage),
        CeremonyKind::Refresh => Step::Refresh(stage),
    }
}

fn activated(generation: u32) -> Step {
    match generation {
        0 => Step::Keygen(Stage::Activated),
        _ => Step::Refresh(Stage::Activated),
    }
}

fn statement_stage(statement: &Statement) -> Stage {
    match statement {
        Statement::Round1 { .. } => Stage::Round1,
        Statement::Echo { .. } => Stage::Echo,
        Statement::Round2 { .. } => Stage::Round2,
        Statement::Commit { .. } => Stage::Commit,
    }
}
