//! Every step of the protocol with every fault, once.

use std::fmt::Write;

use crate::byzantine::Lie;
use crate::lens::Step;
use crate::trace::Trace;
use crate::watch::Violation;

mod pair;

use pair::Pair;

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The sender is killed before the message is sent.
    KillBefore,
    /// The sender is killed after it was sent.
    KillAfter,
    /// The sender is killed and restarts from an old state of its disk.
    OldDisk,
    /// A second process of the sender runs from a copy of its disk.
    Clone,
    /// The message comes late.
    Delay,
    /// It comes three times.
    Duplicate,
    /// It is overtaken by those after it.
    Reorder,
    /// Its sender is cut off.
    Partition,
    /// A byzantine sender.
    Byzantine(Lie),
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 14] = [
        Fault::KillBefore,
        Fault::KillAfter,
        Fault::OldDisk,
        Fault::Clone,
        Fault::Delay,
        Fault::Duplicate,
        Fault::Reorder,
        Fault::Partition,
        Fault::Byzantine(Lie::Content),
        Fault::Byzantine(Lie::Equivocation),
        Fault::Byzantine(Lie::Replay),
        Fault::Byzantine(Lie::WrongSession),
        Fault::Byzantine(Lie::Garbage),
        Fault::Byzantine(Lie::Silence),
    ];

    /// Head of its column.
    pub fn name(self) -> &'static str {
        match self {
            Fault::KillBefore => "kill -9 before",
            Fault::KillAfter => "kill -9 after",
            Fault::OldDisk => "old disk",
            Fault::Clone => "clone",
            Fault::Delay => "delay",
            Fault::Duplicate => "duplicate",
            Fault::Reorder => "reorder",
            Fault::Partition => "partition",
            Fault::Byzantine(Lie::Content) => "bad content",
            Fault::Byzantine(Lie::Equivocation) => "equivocation",
            Fault::Byzantine(Lie::Replay) => "replay",
            Fault::Byzantine(Lie::WrongSession) => "wrong session",
            Fault::Byzantine(Lie::Garbage) => "garbage",
            Fault::Byzantine(Lie::Silence) => "silence",
        }
    }
}

/// One pair.
pub struct Cell {
    /// Of this step.
    pub step: Step,
    /// With this fault.
    pub fault: Fault,
    /// What came of it: a word for the table.
    pub result: Result<String, Violation>,
}

impl Cell {
    /// Text that names it.
    pub fn name(&self) -> String {
        name(self.step, self.fault)
    }
}

fn name(step: Step, fault: Fault) -> String {
    format!("{} / {}", step.name(), fault.name())
}

/// All pairs. Those whose name contains `trace` print what happens.
pub fn all(trace: Option<&str>) -> Vec<Cell> {
    let pairs = Step::all()
        .into_iter()
        .flat_map(|step| Fault::ALL.map(|fault| (step, fault)));
    let traced = |step, fault| trace.is_some_and(|text| name(step, fault).contains(text));
    let pairs =
        pairs.filter(|(step, fault)| trace.is_none_or(|text| text.is_empty() || traced(*step, *fault)));
    pairs
        .map(|(step, fault)| {
            let trace = if traced(step, fault) {
                Trace::Print
            } else {
                Trace::Off
            };
            Cell {
                step,
                fault,
                result: pair(step, fault, trace),
            }
        })
        .collect()
}

/// Markdown.
pub fn print(cells: &[Cell]) -> String {
    let mut out = String::from("| step |");
    for fault in Fault::ALL {
        let _ = write!(out, " {} |", fault.name());
    }
    let _ = write!(out, "\n|---|{}\n", "---|".repeat(Fault::ALL.len()));
    for step in Step::all() {
        let row: Vec<&Cell> = cells.iter().filter(|cell| cell.step == step).collect();
        if row.is_empty() {
            continue;
        }
        let _ = write!(out, "| {} |", step.name());
        for fault in Fault::ALL {
            let cell = row.iter().find(|cell| cell.fault == fault);
            let text = match cell.map(|cell| &cell.result) {
                Some(Ok(text)) => text.as_str(),
                Some(Err(_)) => "**fails**",
                None => "-",
            };
            let _ = write!(out, " {text} |");
        }
        out.push('\n');
    }
    out
}

/// Runs one pair.
///
/// # Errors
/// When something happens that must not, or the fault doesn't come to pass.
pub fn pair(step: Step, fault: Fault, trace: Trace) -> Result<String, Violation> {
    Pair::new(step, fault, trace).run()
}
