//! What a client asks for, and whether it gets it.

use std::sync::Arc;

use jeju_agent_protocol::{Open, Pty, Size};
use russh::keys::ssh_key::Signature;
use russh::keys::{Certificate, PublicKey};
use russh::server::{Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelOpenFailure, Disconnect, Error, Sig};
use tokio::sync::oneshot;

use super::attach::Attach;
use super::certificate::Grant;
use super::channels::{Channels, Program};
use super::config::{GUEST_CONNECTIONS, RENTAL_CONNECTIONS, TRIES, takes};
use super::rights::Rights;
use super::touch::is_touched;
use crate::rentals::backend::ContainerBackend;
use crate::rentals::lease::{self, Certified, Leases};

/// One connection's requests.
pub(super) struct Requests {
    leases: Arc<Leases>,
    backend: Arc<dyn ContainerBackend>,
    tries: u32,
    /// The user, until the connection is told by `login`.
    user: Option<User>,
    login: Option<oneshot::Sender<lease::Session>>,
    /// The user's.
    rights: Rights,
    channels: Option<Channels>,
}

/// Who logs in.
struct User {
    session: lease::Session,
    rights: Rights,
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
            rights: Rights::NONE,
            channels: None,
        }
    }

    /// Who has a key. Whether it is unknown or its lease has ended can't be told apart.
    fn renter(&self, key: &PublicKey, user: &str) -> Option<User> {
        let blob = key.to_bytes().ok().filter(|_| takes(&key.algorithm()))?;
        Some(User {
            session: self.leases.find(&blob, user)?,
            rights: Rights::ALL,
        })
    }

    /// Who has a certificate. Why it opens nothing can't be told apart either.
    fn guest(&self, certificate: &Certificate, user: &str) -> Option<User> {
        let grant = Grant::read(certificate).ok()?;
        let certified = Certified {
            rentals: &grant.rentals,
            valid: &grant.valid,
        };
        Some(User {
            session: self.leases.find_certified(&grant.authority, user, certified)?,
            rights: grant.rights,
        })
    }

    /// Whether a user may have one more connection, which is counted already.
    fn has_place(&self, session: &lease::Session) -> bool {
        let rental = &session.lease().rental;
        let guests = self.leases.guests(rental);
        let renters = self.leases.sessions(rental).saturating_sub(guests);
        // Guests who are about to be turned away take nothing from the renter.
        let fit = renters + guests.min(GUEST_CONNECTIONS) <= RENTAL_CONNECTIONS;
        fit && !(session.is_guest() && guests > GUEST_CONNECTIONS)
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

fn verdict(known: bool) -> Auth {
    match known {
        true => Auth::Accept,
        false => Auth::reject(),
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

/// What isn't here, russh refuses: passwords, `none`; X11, forwarded agents, listening for the client (`-R`), Unix sockets. Of
/// certificates it has verified the signature.
impl Handler for Requests {
    type Error = Error;

    async fn auth_publickey_offered(&mut self, user: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, Error> {
        self.tries += 1;
        if self.tries > TRIES {
            return Err(Error::NoAuthMethod);
        }
        let user = match offer.certificate {
            Some(certificate) => self.guest(certificate, user),
            None => self.renter(offer.public_key, user),
        };
        Ok(verdict(user.is_some()))
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Error> {
        let touched = is_touched(&key.public_key.algorithm(), key.signature);
        self.user = self.renter(key.public_key, user).filter(|_| touched);
        Ok(verdict(self.user.is_some()))
    }

    async fn auth_openssh_certificate(
        &mut self,
        user: &str,
        certificate: &Certificate,
        signature: &Signature,
    ) -> Result<Auth, Error> {
        let touched = is_touched(&certificate.algorithm(), signature);
        self.user = self.guest(certificate, user).filter(|_| touched);
        Ok(verdict(self.user.is_some()))
    }

    async fn auth_succeeded(&mut self, session: &mut Session) -> Result<(), Error> {
        let (Some(user), Some(login)) = (self.user.take(), self.login.take()) else {
            return Err(Error::Inconsistent);
        };
        if !self.has_place(&user.session) {
            let why = "too many connections to this rental";
            return session.disconnect(Disconnect::TooManyConnections, why, "");
        }
        let lease = user.session.lease();
        let attach = Attach::new(self.backend.clone(), lease.rental);
        self.channels = Some(Channels::new(attach, lease.notice.clone(), user.session.pace()));
        self.rights = user.rights;
        login.send(user.session).map_err(|_| Error::Disconnect)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Error> {
        if !self.rights.sessions {
            reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
            return Ok(());
        }
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
        if !self.rights.may_dial(host_to_connect, port_to_connect) {
            reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
            return Ok(());
        }
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
        let granted = self.rights.terminals && self.channels()?.set_terminal(id, pty);
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
