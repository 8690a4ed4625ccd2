//! What happened in a run, a line for each thing.

use crate::queue::Millis;

/// Where the lines go.
#[derive(Debug, Default)]
pub enum Trace {
    /// Nowhere.
    #[default]
    Off,
    /// To standard output.
    Print,
    /// Into memory, to compare two runs.
    Keep(Vec<String>),
}

impl Trace {
    /// Notes a line, which is made only if it goes anywhere.
    pub fn note(&mut self, now: Millis, line: impl FnOnce() -> String) {
        match self {
            Trace::Off => {}
            Trace::Print => println!("{} {}", stamp(now), line()),
            Trace::Keep(lines) => lines.push(format!("{} {}", stamp(now), line())),
        }
    }
}

fn stamp(now: Millis) -> String {
    format!("{:>5}.{:03}", now / 1000, now % 1000)
}
