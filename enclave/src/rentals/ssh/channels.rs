//! The channels of one connection.

use std::collections::HashMap;
use std::sync::Arc;

use jeju_agent_protocol::{Open, Pty, Size};
use russh::server::{ChannelOpenHandle, Handle, Msg};
use russh::{Channel, ChannelId, ChannelWriteHalf};

use super::attach::{Attach, Task};
use super::channel::Pump;
use super::config::CHANNELS;
use super::inbox::Inbox;
use super::window::{Spare, Window};
use crate::rentals::pace::Pace;

/// Variables of a session, and the bytes of their names and values.
const VARIABLES: usize = 64;
const VARIABLES_LEN: usize = 16 * 1024;
/// Longest name of a terminal, in bytes.
const TERM_LEN: usize = 128;

pub(super) struct Channels {
    attach: Arc<Attach>,
    notice: String,
    pace: Arc<Pace>,
    spare: Arc<Spare>,
    table: HashMap<ChannelId, Entry>,
}

struct Entry {
    inbox: Arc<Inbox>,
    state: State,
}

enum State {
    /// A session on which nothing runs yet.
    Waiting(Waiting),
    Running(Task),
}

/// What a session will run with.
struct Waiting {
    client: ChannelWriteHalf<Msg>,
    pty: Option<Pty>,
    env: Vec<(String, String)>,
}

/// What a session is to run.
pub(super) enum Program {
    Shell,
    Exec(String),
    Sftp,
}

impl Channels {
    pub(super) fn new(attach: Attach, notice: String, pace: Arc<Pace>) -> Self {
        Self {
            attach: Arc::new(attach),
            notice,
            pace,
            spare: Spare::new(),
            table: HashMap::new(),
        }
    }

    /// Whether one more may be opened.
    pub(super) fn has_room(&mut self) -> bool {
        // The client isn't asked whether it closed those that have ended.
        self.table.retain(|_, entry| match &entry.state {
            State::Waiting(_) => true,
            State::Running(task) => !task.is_finished(),
        });
        self.table.len() < CHANNELS
    }

    /// A new session.
    pub(super) fn open(&mut self, channel: Channel<Msg>) {
        // What the client sends comes by the handler.
        let (_, client) = channel.split();
        let id = client.id();
        let waiting = Waiting {
            client,
            pty: None,
            env: Vec::new(),
        };
        let entry = Entry {
            inbox: Arc::default(),
            state: State::Waiting(waiting),
        };
        self.table.insert(id, entry);
    }

    /// A connection to a service in the container.
    pub(super) fn dial(
        &mut self,
        channel: Channel<Msg>,
        open: Open,
        reply: ChannelOpenHandle,
        handle: Handle,
    ) {
        let (_, client) = channel.split();
        let id = client.id();
        let inbox = Arc::<Inbox>::default();
        let pump = self.pump(client, inbox.clone(), handle);
        let task = Task::spawn(async move {
            // Its only error is a connection that is gone.
            let _ = pump.dial(open, reply).await;
        });
        let state = State::Running(task);
        self.table.insert(id, Entry { inbox, state });
    }

    /// Runs something on a session. False where something runs already.
    pub(super) fn run(&mut self, id: ChannelId, program: Program, handle: Handle) -> bool {
        let Some(entry) = self.table.remove(&id) else {
            return false;
        };
        let Entry { inbox, state } = entry;
        let State::Waiting(Waiting { client, pty, env }) = state else {
            self.table.insert(id, Entry { inbox, state });
            return false;
        };
        // Only people at a terminal are told: what programs read stays as it is.
        let greeting = match (&program, &pty) {
            (Program::Shell, Some(_)) if !self.notice.is_empty() => {
                Some(self.notice.replace('\n', "\r\n") + "\r\n")
            }
            _ => None,
        };
        let request = match program {
            Program::Shell => Open::Shell { pty, env },
            Program::Exec(command) => Open::Exec { command, pty, env },
            Program::Sftp => Open::Sftp,
        };
        let pump = self.pump(client, inbox.clone(), handle);
        let task = Task::spawn(async move {
            let _ = pump.session(request, greeting).await;
        });
        let state = State::Running(task);
        self.table.insert(id, Entry { inbox, state });
        true
    }

    fn pump(&self, client: ChannelWriteHalf<Msg>, inbox: Arc<Inbox>, handle: Handle) -> Pump {
        Pump {
            attach: self.attach.clone(),
            pace: self.pace.clone(),
            inbox,
            window: Window::new(handle.clone(), client.id(), self.spare.clone()),
            client,
            handle,
        }
    }

    /// Gives a session a terminal, before something runs on it.
    pub(super) fn set_terminal(&mut self, id: ChannelId, pty: Pty) -> bool {
        match self.waiting(id) {
            Some(waiting) if pty.term.len() <= TERM_LEN && !pty.term.contains('\0') => {
                waiting.pty = Some(pty);
                true
            }
            _ => false,
        }
    }

    /// Sets a variable of a session, before something runs on it. Any variable: who may log in may run anything.
    pub(super) fn set_variable(&mut self, id: ChannelId, name: &str, value: &str) -> bool {
        let Some(waiting) = self.waiting(id) else {
            return false;
        };
        let kept: usize = waiting
            .env
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        let fits = waiting.env.len() < VARIABLES && kept + name.len() + value.len() <= VARIABLES_LEN;
        if !fits || !is_name(name) || value.contains('\0') {
            return false;
        }
        waiting.env.push((name.to_owned(), value.to_owned()));
        true
    }

    /// The terminal's new size.
    pub(super) fn resize(&mut self, id: ChannelId, size: Size) -> bool {
        match self.table.get_mut(&id) {
            Some(Entry {
                state: State::Waiting(Waiting { pty: Some(pty), .. }),
                ..
            }) => {
                (pty.columns, pty.rows) = (size.columns, size.rows);
                (pty.width_px, pty.height_px) = (size.width_px, size.height_px);
                true
            }
            Some(Entry {
                state: State::Running(_),
                inbox,
            }) => {
                inbox.resize(size);
                true
            }
            _ => false,
        }
    }

    /// What the client sent on a channel goes here.
    pub(super) fn inbox(&self, id: ChannelId) -> Option<&Inbox> {
        self.table.get(&id).map(|entry| &*entry.inbox)
    }

    /// The client closed a channel: what runs on it is hung up.
    pub(super) fn close(&mut self, id: ChannelId) {
        self.table.remove(&id);
    }

    fn waiting(&mut self, id: ChannelId) -> Option<&mut Waiting> {
        match &mut self.table.get_mut(&id)?.state {
            State::Waiting(waiting) => Some(waiting),
            State::Running(_) => None,
        }
    }
}

/// A name as shells know them (POSIX 3.216).
fn is_name(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_variables_are_names() {
        assert!(["LANG", "LC_ALL", "_", "a1"].into_iter().all(is_name));
        let not = ["", "1A", "A-B", "A=B", "A B", "É", "A\0"];
        assert!(!not.into_iter().any(is_name));
    }
}
