//! What a client asks for, and whether it gets it.

use std::sync::Arc;

use jeju_agent_protocol::{Open, Pty, Size};
use russh::keys::ssh_key::Signature;
use russh::keys::{Algorithm, PublicKey};
use russh::server::{Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelOpenFailure, Disconnect, Error, Sig};
use tokio::sync::oneshot;

use super::attach::Attach;
use super::channels::{Channels, Program};
use super::config::{RENTAL_CONNECTIONS, TRIES, takes};
use crate::rentals::backend::ContainerBackend;
use crate::rentals::lease::{self, Leases};

/// One connection's requests.
pub(super) struct Requests {
    leases: Arc<Leases>,
    backend: Arc<dyn ContainerBackend>,
    tries: u32,
    /// The user, until the connection is told by `login`.
    user: Option<lease::Session>,
    login: Option<oneshot::Sender<lease::Session>>,
    channels: Option<Channels>,
}

impl Requests {
    /// `login` gets the user's session.
    pub(super) fn new(
        leases: Arc<Leases>,
        backend: Arc<dyn ContainerBackend>,
        login: oneshot::Sender<lease::Session>,
    ) -> Self {
        Self {
            leases,
            backend,
            tries: 0,
            user: None,
            login: Some(login),
            channels: None,
        }
    }

    /// The rental that a key opens. Whether the key is unknown or its lease has ended can't be told apart.
    fn find(&self, key: &PublicKey, user: &str) -> Option<lease::Session> {
        let blob = key.to_bytes().ok().filter(|_| takes(&key.algorithm()))?;
        self.leases.find(&blob, user)
    }

    fn channels(&mut self) -> Result<&mut Channels, Error> {
        // russh asks for nothing of this before the login.
        self.channels.as_mut().ok_or(Error::Inconsistent)
    }

    fn run(&mut self, id: ChannelId, program: Program, session: &mut Session) -> Result<(), Error> {
        let runs = self.channels()?.run(id, program, session.handle());
        answer(id, runs, session)
    }
}

/// Whether somebody was at the security key, where it is one: by itself, a signature of it is no more than the machine's that it is
/// plugged into. Its last five bytes are flags, of which bit 0 says so, and a counter (OpenSSH's PROTOCOL.u2f).
fn is_touched(signature: &Signature) -> bool {
    match signature.algorithm() {
        Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256 => {
            matches!(signature.as_bytes(), [.., flags, _, _, _, _] if flags & 1 == 1)
        }
        _ => true,
    }
}

fn answer(id: ChannelId, granted: bool, session: &mut Session) -> Result<(), Error> {
    match granted {
        true => session.channel_success(id),
        false => session.channel_failure(id),
    }
}

/// Sizes beyond what a terminal can have become its largest.
fn size(columns: u32, rows: u32, width_px: u32, height_px: u32) -> Size {
    let [columns, rows, width_px, height_px] =
        [columns, rows, width_px, height_px].map(|length| u16::try_from(length).unwrap_or(u16::MAX));
    Size {
        columns,
        rows,
        width_px,
        height_px,
    }
}

/// What isn't here, russh refuses: passwords, certificates, `none`; X11, forwarded agents, listening for the client
/// (`-R`), Unix sockets.
impl Handler for Requests {
    type Error = Error;

    async fn auth_publickey_offered(&mut self, user: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, Error> {
        self.tries += 1;
        if self.tries > TRIES {
            return Err(Error::NoAuthMethod);
        }
        Ok(match self.find(offer.public_key, user) {
            Some(_) => Auth::Accept,
            None => Auth::reject(),
        })
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Error> {
        self.user = self
            .find(key.public_key, user)
            .filter(|_| is_touched(key.signature));
        Ok(match self.user {
            Some(_) => Auth::Accept,
            None => Auth::reject(),
        })
    }

    async fn auth_succeeded(&mut self, session: &mut Session) -> Result<(), Error> {
        let (Some(user), Some(login)) = (self.user.take(), self.login.take()) else {
            return Err(Error::Inconsistent);
        };
        let lease = user.lease();
        if self.leases.sessions(&lease.rental) > RENTAL_CONNECTIONS {
            let why = "too many connections to this rental";
            return session.disconnect(Disconnect::TooManyConnections, why, "");
        }
        let attach = Attach::new(self.backend.clone(), lease.rental);
        self.channels = Some(Channels::new(attach, lease.notice.clone(), user.pace()));
        login.send(user).map_err(|_| Error::Disconnect)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Error> {
        let channels = self.channels()?;
        if !channels.has_room() {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        }
        channels.open(channel);
        reply.accept().await;
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host_to_connect: &str,
        port_to_connect: u32,
        _originator_address: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Error> {
        let channels = self.channels()?;
        if !channels.has_room() {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        }
        let Ok(port) = u16::try_from(port_to_connect) else {
            reply.reject(ChannelOpenFailure::ConnectFailed).await;
            return Ok(());
        };
        let host = host_to_connect.to_owned();
        channels.dial(channel, Open::Dial { host, port }, reply, session.handle());
        Ok(())
    }

    async fn pty_request(
        &mut self,
        id: ChannelId,
        term: &str,
        columns: u32,
        rows: u32,
        width_px: u32,
        height_px: u32,
        modes: &[(russh::Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Error> {
        let size = size(columns, rows, width_px, height_px);
        let modes = modes
            .iter()
            .filter(|(code, _)| *code != russh::Pty::TTY_OP_END)
            .map(|(code, argument)| (*code as u8, *argument))
            .collect();
        let pty = Pty {
            term: term.to_owned(),
            columns: size.columns,
            rows: size.rows,
            width_px: size.width_px,
            height_px: size.height_px,
            modes,
        };
        let granted = self.channels()?.set_terminal(id, pty);
        answer(id, granted, session)
    }

    async fn window_change_request(
        &mut self,
        id: ChannelId,
        columns: u32,
        rows: u32,
        width_px: u32,
        height_px: u32,
        session: &mut Session,
    ) -> Result<(), Error> {
        let granted = self
            .channels()?
            .resize(id, size(columns, rows, width_px, height_px));
        answer(id, granted, session)
    }

    async fn env_request(
        &mut self,
        id: ChannelId,
        name: &str,
        value: &str,
        session: &mut Session,
    ) -> Result<(), Error> {
        let granted = self.channels()?.set_variable(id, name, value);
        answer(id, granted, session)
    }

    async fn shell_request(&mut self, id: ChannelId, session: &mut Session) -> Result<(), Error> {
        self.run(id, Program::Shell, session)
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), Error> {
        match String::from_utf8(command.to_vec()) {
            Ok(command) => self.run(id, Program::Exec(command), session),
            Err(_) => session.channel_failure(id),
        }
    }

    async fn subsystem_request(
        &mut self,
        id: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), Error> {
        match name {
            "sftp" => self.run(id, Program::Sftp, session),
            _ => session.channel_failure(id),
        }
    }

    async fn x11_request(
        &mut self,
        id: ChannelId,
        _single_connection: bool,
        _protocol: &str,
        _cookie: &str,
        _screen: u32,
        session: &mut Session,
    ) -> Result<(), Error> {
        session.channel_failure(id)
    }

    async fn signal(&mut self, id: ChannelId, signal: Sig, _session: &mut Session) -> Result<(), Error> {
        if let Some(inbox) = self.channels()?.inbox(id) {
            inbox.signal(name(&signal));
        }
        Ok(())
    }

    async fn data(&mut self, id: ChannelId, data: &[u8], _session: &mut Session) -> Result<(), Error> {
        if let Some(inbox) = self.channels()?.inbox(id) {
            inbox.push(data);
        }
        Ok(())
    }

    async fn extended_data(
        &mut self,
        _id: ChannelId,
        _kind: u32,
        _data: &[u8],
        _session: &mut Session,
    ) -> Result<(), Error> {
        // Nothing in the protocol has a client send this, and nothing here could take it.
        Err(Error::Inconsistent)
    }

    async fn channel_eof(&mut self, id: ChannelId, _session: &mut Session) -> Result<(), Error> {
        if let Some(inbox) = self.channels()?.inbox(id) {
            inbox.end();
        }
        Ok(())
    }

    async fn channel_close(&mut self, id: ChannelId, _session: &mut Session) -> Result<(), Error> {
        self.channels()?.close(id);
        Ok(())
    }
}

/// As RFC 4254 §6.10 has it.
fn name(signal: &Sig) -> &str {
    match signal {
        Sig::ABRT => "ABRT",
        Sig::ALRM => "ALRM",
        Sig::FPE => "FPE",
        Sig::HUP => "HUP",
        Sig::ILL => "ILL",
        Sig::INT => "INT",
        Sig::KILL => "KILL",
        Sig::PIPE => "PIPE",
        Sig::QUIT => "QUIT",
        Sig::SEGV => "SEGV",
        Sig::TERM => "TERM",
        Sig::USR1 => "USR1",
        Sig::Custom(name) => name,
    }
}
