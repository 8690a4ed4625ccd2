//! What a launch tells of its progress.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// A step of a launch. As JSON: one object with the key `event`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// What will be loaded was hashed.
    Measured {
        /// Image digest, hexadecimal.
        image_digest: String,
        /// Measurement id of the simulated platform.
        measurement: String,
        /// SHA-256 of the launch document, hexadecimal.
        launch: String,
    },
    /// What will run the guest was chosen.
    Accelerator {
        /// `kvm` or `tcg`.
        name: &'static str,
        /// Why not the other.
        reason: String,
    },
    /// The node runs, and boots.
    Started {
        /// How the host shim reaches it, in the form of its option `--transport`.
        transport: String,
        /// Process id of QEMU or of the node.
        pid: u32,
    },
    /// A line of the guest's serial line, printable ASCII only.
    Console {
        /// The line.
        text: String,
    },
    /// The node serves.
    Ready {
        /// Since it was started.
        milliseconds: u64,
    },
    /// The node gave up.
    Fatal {
        /// Number in `docs/operating.md`.
        code: u16,
        /// What it means.
        meaning: String,
    },
    /// The node was ended, and nothing is left of the launch.
    Stopped,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Measured {
                image_digest,
                measurement,
                launch,
            } => {
                write!(
                    f,
                    "image digest {image_digest}\nmeasurement  {measurement}\nlaunch       {launch}"
                )
            }
            Event::Accelerator { name, reason } => write!(f, "accelerator  {name} ({reason})"),
            Event::Started { transport, pid } => write!(f, "started      pid {pid}, transport {transport}"),
            Event::Console { text } => write!(f, "guest        {text}"),
            Event::Ready { milliseconds } => {
                write!(
                    f,
                    "ready        after {}.{:03} s",
                    milliseconds / 1000,
                    milliseconds % 1000
                )
            }
            Event::Fatal { code, meaning } => write!(f, "fatal        code {code}: {meaning}"),
            Event::Stopped => write!(f, "stopped"),
        }
    }
}

/// Where events go.
#[derive(Clone)]
pub struct EventSink(Arc<dyn Fn(Event) + Send + Sync>);

impl EventSink {
    /// Calls `hear` with each event, from any thread.
    pub fn new(hear: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hear))
    }

    /// Hears nothing.
    pub fn none() -> Self {
        Self::new(|_| {})
    }

    pub(super) fn send(&self, event: Event) {
        (self.0)(event);
    }
}

impl fmt::Debug for EventSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EventSink")
    }
}
