//! One channel: what goes between the client and what runs for it in the container.

use std::convert::Infallible;
use std::sync::Arc;

use jeju_agent_protocol::{Channel, Event, Exit, Input, Open, Output};
use russh::server::{ChannelOpenHandle, Handle, Msg};
use russh::{ChannelOpenFailure, ChannelWriteHalf, Sig};

use super::attach::Attach;
use super::inbox::{Inbox, Item};
use super::window::Window;
use crate::rentals::pace::Pace;

/// Status of a command that couldn't be started, or whose end can't be told; 255 is the client's own.
const NOT_RUN: u32 = 254;
/// Type of extended data: standard error (RFC 4254 §5.2).
const STDERR: u32 = 1;
/// `SSH_OPEN_CONNECT_FAILED` (RFC 4254 §5.1).
const CONNECT_FAILED: u32 = 2;

/// A channel's ends.
pub(super) struct Pump {
    pub(super) attach: Arc<Attach>,
    pub(super) pace: Arc<Pace>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) window: Window,
    pub(super) client: ChannelWriteHalf<Msg>,
    pub(super) handle: Handle,
}

/// The connection is gone.
type Gone = russh::Error;

impl Pump {
    /// Runs a shell, command or subsystem. `greeting` comes before all that it writes.
    pub(super) async fn session(mut self, request: Open, greeting: Option<String>) -> Result<(), Gone> {
        let ended = match self.attach.open(request).await {
            Ok(channel) => {
                if let Some(greeting) = greeting {
                    self.client.data_bytes(greeting).await?;
                }
                self.pump(channel, Eof::WithItsEnd).await?
            }
            Err(unreachable) => {
                self.complain(&unreachable.to_string()).await?;
                Some(Exit::Code(NOT_RUN))
            }
        };
        match ended {
            Some(Exit::Code(status)) => self.client.exit_status(status).await?,
            Some(Exit::Signal { name, core }) => self.exit_signal(name, core).await?,
            None => {
                self.complain("the container is gone, or stopped").await?;
                self.client.exit_status(NOT_RUN).await?;
            }
        }
        self.client.eof().await?;
        self.client.close().await
    }

    /// Connects to a service in the container, and accepts the channel where that can be had.
    pub(super) async fn dial(mut self, open: Open, reply: ChannelOpenHandle) -> Result<(), Gone> {
        match self.attach.open(open).await {
            Ok(channel) => {
                reply.accept().await;
                self.pump(channel, Eof::AtOnce).await?;
                self.client.close().await
            }
            Err(unreachable) => {
                let (code, reason) = (CONNECT_FAILED, unreachable.to_string());
                reply.reject(ChannelOpenFailure::Other { code, reason }).await;
                Ok(())
            }
        }
    }

    /// Moves everything, until the container has nothing more to say. Its end, where it told it.
    async fn pump(&mut self, channel: Channel, eof: Eof) -> Result<Option<Exit>, Gone> {
        let (input, output) = channel.split();
        tokio::select! {
            ended = outward(output, &self.client, eof, &self.pace) => ended,
            never = inward(&self.inbox, input, &mut self.window, &self.pace) => match never {},
        }
    }

    async fn complain(&self, what: &str) -> Result<(), Gone> {
        let line = format!("jeju: {what}\r\n");
        self.client.extended_data_bytes(STDERR, line).await
    }

    async fn exit_signal(&self, name: String, core: bool) -> Result<(), Gone> {
        let (id, signal) = (self.client.id(), Sig::Custom(name));
        self.handle
            .exit_signal_request(id, signal, core, String::new(), String::new())
            .await
            .map_err(|()| Gone::SendError)
    }
}

/// When a client is told that no more output comes.
enum Eof {
    AtOnce,
    /// After how it ended: a client that has no more to say either closes the channel at this, and takes nothing after it.
    WithItsEnd,
}

async fn outward(
    mut output: Output,
    client: &ChannelWriteHalf<Msg>,
    told: Eof,
    pace: &Pace,
) -> Result<Option<Exit>, Gone> {
    let (mut exit, mut eof) = (None, false);
    while !(eof && exit.is_some()) {
        match output.next().await {
            Some(Event::Stdout(data)) => {
                pace.to_client(data.len()).await;
                client.data_bytes(data).await?;
            }
            Some(Event::Stderr(data)) => {
                pace.to_client(data.len()).await;
                client.extended_data_bytes(STDERR, data).await?;
            }
            Some(Event::Exit(how)) => exit = Some(how),
            Some(Event::Eof) => {
                eof = true;
                if let Eof::AtOnce = told {
                    client.eof().await?;
                }
            }
            None => break,
        }
    }
    Ok(exit)
}

/// A process that doesn't take its input any more is nothing to complain about: the rest is dropped.
async fn inward(inbox: &Inbox, mut input: Input, window: &mut Window, pace: &Pace) -> Infallible {
    let mut open = true;
    loop {
        let item = match open {
            true => inbox.next().await,
            false => inbox.next_control().await,
        };
        match item {
            Item::Data(data) => {
                let len = data.len();
                pace.to_container(len).await;
                let _ = input.write(data).await;
                window.took(len);
            }
            Item::Eof => {
                let _ = input.eof().await;
                open = false;
            }
            Item::Resize(size) => drop(input.resize(size).await),
            Item::Signal(name) => drop(input.signal(&name).await),
        }
    }
}
