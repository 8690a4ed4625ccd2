//! A connection with a rental's SSH server, logged in by a certificate, and the channels through it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Cursor;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use russh::client::{
    AuthResult, ChannelOpenHandle, Config, Handle, Handler, Msg, Session as Ssh, connect_stream,
};
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, PublicKeyOrCertificate};
use russh::{
    Channel as SshChannel, ChannelId, ChannelOpenFailure, Error, Limits, Preferred, SshId, cipher,
    compression, kex, mac,
};
use tokio::io::AsyncReadExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::channel::Channel;
use super::grant::principal;
use super::queue::Queue;
use super::{Grant, Inside, InsideError};
use crate::ssh::{CutOnDrop, Target};

/// Channels of one connection at a time: a node allows 64.
pub(super) const CHANNELS: usize = 48;
/// From the connection until the login is over.
const LOGIN_TIME: Duration = Duration::from_secs(20);
/// How long a channel may take to open.
const OPEN_TIME: Duration = Duration::from_secs(10);
/// Bytes that may come on a channel before somebody reads them.
pub(super) const WINDOW: u32 = 512 * 1024;
/// A server that says nothing is asked each time this passes, and is gone after three without an answer.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// New keys, beyond what servers ask for themselves. Numbers of packets, which have 32 bits, don't come round before.
const REKEY_BYTES: usize = 8 << 30;
const REKEY_TIME: Duration = Duration::from_secs(4 * 3600);
const PIECE: u32 = 32 * 1024;
/// What may come before the other end knows that keys are renewed: all windows, and messages that have none.
const REKEY_BACKLOG: u32 = CHANNELS as u32 * WINDOW + (1 << 20);

/// A connection.
pub(super) struct Link {
    handle: Handle<Client>,
    /// What it logged in with.
    grant: Arc<Grant>,
    slots: Arc<Semaphore>,
    shared: Arc<Shared>,
    /// When the last channel was closed.
    used: Mutex<Instant>,
    _cut: CutOnDrop,
}

/// What the connection's own task sees of it.
pub(super) struct Shared {
    queues: Mutex<HashMap<ChannelId, Arc<Queue>>>,
    has_ended: AtomicBool,
}

impl Link {
    /// Dials a rental's SSH server, and logs in.
    pub(super) async fn open(
        inside: &Inside,
        rental: &[u8; 32],
        (host, port): (&str, u16),
        grant: Arc<Grant>,
    ) -> Result<Self, InsideError> {
        let target = inside.targets.reach_at(host, port).await;
        let Target { stream, version } = target.ok_or(InsideError::Unreachable)?;
        let failed = |_| InsideError::Unreachable;
        stream.set_nodelay(true).map_err(failed)?;
        let cut = CutOnDrop::new(&stream).map_err(failed)?;
        let (read, write) = stream.into_split();
        let stream = tokio::io::join(Cursor::new(version).chain(read), write);
        let shared = Arc::new(Shared {
            queues: Mutex::default(),
            has_ended: AtomicBool::new(false),
        });
        let client = Client {
            host_key: grant.host_key().clone(),
            shared: shared.clone(),
        };
        let login = async {
            let connected = connect_stream(Arc::new(config()), stream, client).await;
            let mut handle = connected.map_err(|error| match error {
                Error::UnknownKey => InsideError::HostKeyChanged,
                _ => InsideError::Unreachable,
            })?;
            let (user, key) = (principal(rental), inside.key.private());
            let answer = handle
                .authenticate_openssh_cert(user, key, grant.certificate().clone())
                .await;
            match answer {
                Ok(AuthResult::Success) => Ok(handle),
                Ok(AuthResult::Failure { .. }) => Err(InsideError::LoginRefused),
                Err(_) => Err(InsideError::Unreachable),
            }
        };
        let handle = timeout(LOGIN_TIME, login)
            .await
            .unwrap_or(Err(InsideError::TimedOut))?;
        Ok(Self {
            handle,
            grant,
            slots: Arc::new(Semaphore::new(CHANNELS)),
            shared,
            used: Mutex::new(Instant::now()),
            _cut: cut,
        })
    }

    /// A place for a channel, if there is one.
    pub(super) fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.slots.clone().try_acquire_owned().ok()
    }

    /// Opens a channel to the port of the container. None where the connection is of no use any more.
    pub(super) async fn channel(
        self: &Arc<Self>,
        place: OwnedSemaphorePermit,
    ) -> Option<Result<Channel, InsideError>> {
        let link = self.clone();
        // By itself: a channel that opens after its asker has left must be closed.
        let opening = tokio::spawn(async move {
            let port = link.grant.port().into();
            let opened = link
                .handle
                .channel_open_direct_tcpip("localhost", port, "127.0.0.1", 0)
                .await?;
            let queue = link.shared.queue(opened.id()).ok_or(Error::Inconsistent)?;
            Ok(Channel::new(opened, queue, link, place))
        });
        let opened: Result<Result<Channel, Error>, _> = match timeout(OPEN_TIME, opening).await {
            Ok(opened) => opened,
            Err(_) => return None,
        };
        match opened.ok()? {
            Ok(channel) => Some(Ok(channel)),
            Err(Error::ChannelOpenFailure(reason)) => Some(Err(match reason {
                ChannelOpenFailure::AdministrativelyProhibited => InsideError::NotPermitted,
                ChannelOpenFailure::ResourceShortage => InsideError::Busy,
                _ => InsideError::PortClosed,
            })),
            Err(_) => None,
        }
    }

    /// Whether it logged in with this, and goes on.
    pub(super) fn serves(&self, grant: &Arc<Grant>) -> bool {
        !self.shared.has_ended.load(Relaxed) && !self.handle.is_closed() && Arc::ptr_eq(&self.grant, grant)
    }

    /// Whether it has had no channel for so long. Nobody may be given a place meanwhile.
    pub(super) fn is_idle(&self, time: Duration) -> bool {
        self.slots.available_permits() == CHANNELS && self.used().elapsed() >= time
    }

    /// Lets a channel's server send as many bytes more.
    pub(super) fn grant(&self, channel: ChannelId, bytes: u32) {
        // Without a connection there is nobody to tell.
        let _ = self.handle.grant_window(channel, bytes);
    }

    /// A channel is closed.
    pub(super) fn closed(&self, channel: ChannelId) {
        self.shared.queues().remove(&channel);
        *self.used() = Instant::now();
    }

    fn used(&self) -> MutexGuard<'_, Instant> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// A channel's queue: made by whoever sees the channel first. None where a server opens more than it was asked for.
    fn queue(&self, channel: ChannelId) -> Option<Arc<Queue>> {
        let mut queues = self.queues();
        if queues.len() > 2 * CHANNELS && !queues.contains_key(&channel) {
            return None;
        }
        Some(queues.entry(channel).or_default().clone())
    }

    fn known(&self, channel: ChannelId) -> Option<Arc<Queue>> {
        self.queues().get(&channel).cloned()
    }

    fn queues(&self) -> MutexGuard<'_, HashMap<ChannelId, Arc<Queue>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the server says. It may open nothing itself: a handle that is dropped refuses.
struct Client {
    host_key: KeyData,
    shared: Arc<Shared>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.shared.has_ended.store(true, Relaxed);
        for queue in self.shared.queues().values() {
            queue.close();
        }
    }
}

impl Handler for Client {
    type Error = Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Error> {
        Ok(match key {
            PublicKeyOrCertificate::PublicKey { key, .. } => *key.key_data() == self.host_key,
            PublicKeyOrCertificate::Certificate(_) => false,
        })
    }

    async fn channel_open_confirmation(
        &mut self,
        id: ChannelId,
        _max_packet_size: u32,
        _window_size: u32,
        _ssh: &mut Ssh,
    ) -> Result<(), Error> {
        self.shared.queue(id).map(drop).ok_or(Error::Inconsistent)
    }

    async fn data(&mut self, channel: ChannelId, data: &[u8], _ssh: &mut Ssh) -> Result<(), Error> {
        if let Some(queue) = self.shared.known(channel) {
            queue.push(data);
        }
        Ok(())
    }

    async fn channel_eof(&mut self, channel: ChannelId, _ssh: &mut Ssh) -> Result<(), Error> {
        if let Some(queue) = self.shared.known(channel) {
            queue.said_all();
        }
        Ok(())
    }

    async fn channel_close(&mut self, channel: ChannelId, _ssh: &mut Ssh) -> Result<(), Error> {
        if let Some(queue) = self.shared.known(channel) {
            queue.close();
        }
        Ok(())
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        _channel: SshChannel<Msg>,
        _connected_address: &str,
        _connected_port: u32,
        _originator_address: &str,
        _originator_port: u32,
        _reply: ChannelOpenHandle,
        _ssh: &mut Ssh,
    ) -> Result<(), Error> {
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _channel: SshChannel<Msg>,
        _path: &str,
        _reply: ChannelOpenHandle,
        _ssh: &mut Ssh,
    ) -> Result<(), Error> {
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        _channel: SshChannel<Msg>,
        _reply: ChannelOpenHandle,
        _ssh: &mut Ssh,
    ) -> Result<(), Error> {
        Ok(())
    }

    async fn server_channel_open_session(
        &mut self,
        _channel: SshChannel<Msg>,
        _reply: ChannelOpenHandle,
        _ssh: &mut Ssh,
    ) -> Result<(), Error> {
        Ok(())
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _channel: SshChannel<Msg>,
        _host: &str,
        _port: u32,
        _originator_address: &str,
        _originator_port: u32,
        _reply: ChannelOpenHandle,
        _ssh: &mut Ssh,
    ) -> Result<(), Error> {
        Ok(())
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _channel: SshChannel<Msg>,
        _path: &str,
        _reply: ChannelOpenHandle,
        _ssh: &mut Ssh,
    ) -> Result<(), Error> {
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        _channel: SshChannel<Msg>,
        _originator_address: &str,
        _originator_port: u32,
        _reply: ChannelOpenHandle,
        _ssh: &mut Ssh,
    ) -> Result<(), Error> {
        Ok(())
    }
}

fn config() -> Config {
    const KEX: &[kex::Name] = &[
        kex::MLKEM768X25519_SHA256,
        kex::CURVE25519,
        kex::CURVE25519_PRE_RFC_8731,
        kex::EXTENSION_SUPPORT_AS_CLIENT,
        // Against CVE-2023-48795 (Terrapin).
        kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
    ];
    const CIPHERS: &[cipher::Name] = &[
        cipher::CHACHA20_POLY1305,
        cipher::AES_256_GCM,
        cipher::AES_128_GCM,
    ];
    // Named because the protocol wants a list; the ciphers authenticate by themselves.
    const MACS: &[mac::Name] = &[mac::HMAC_SHA512_ETM, mac::HMAC_SHA256_ETM];
    Config {
        client_id: SshId::Standard(Cow::Borrowed("SSH-2.0-jeju-gateway")),
        limits: Limits {
            rekey_write_limit: REKEY_BYTES,
            rekey_read_limit: REKEY_BYTES,
            rekey_time_limit: REKEY_TIME,
        },
        window_size: WINDOW,
        windows_by_reader: true,
        rekey_backlog: REKEY_BACKLOG,
        maximum_packet_size: PIECE,
        channel_buffer_size: 4,
        preferred: Preferred {
            kex: Cow::Borrowed(KEX),
            key: Cow::Borrowed(&[Algorithm::Ed25519]),
            host_key_certificates: Cow::Borrowed(&[]),
            cipher: Cow::Borrowed(CIPHERS),
            mac: Cow::Borrowed(MACS),
            compression: Cow::Borrowed(&[compression::NONE]),
        },
        inactivity_timeout: None,
        keepalive_interval: Some(KEEPALIVE),
        keepalive_max: 3,
        ..Config::default()
    }
}
