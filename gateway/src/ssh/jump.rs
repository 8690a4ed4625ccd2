//! `ssh -J <route id>@gateway user@rental`: the gateway as a jump host. Whoever logs in as a route, which takes no more than its
//! id, may open connections to that route's rental and nowhere else, whatever host is asked for. The tenant's own SSH goes
//! through, to the rental's host key.

use std::borrow::Cow;
use std::io::{self, Cursor};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use russh::keys::Algorithm;
use russh::server::{Auth, ChannelOpenHandle, Config, Handler, Msg, Session as Ssh, run_stream};
use russh::{
    Channel, ChannelOpenFailure, Disconnect, Error, Limits, MethodKind, MethodSet, Preferred, SshId, cipher,
    compression, kex, mac,
};
use socket2::Socket;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::host_key::HostKey;
use super::target::{Target, Targets};
use super::within;
use crate::passthrough::{Counted, Counters};
use crate::routes::{RouteId, RouteKind, Routes, Session};

/// From the first byte until a route is known.
const LOGIN_TIME: Duration = Duration::from_secs(20);
/// Bytes that a client may send before some are taken.
const WINDOW: u32 = 256 * 1024;
/// A client that says nothing is asked each time this passes, and is gone after three without an answer.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// Bytes under one key, and time: RFC 4253 §9.
const REKEY_BYTES: usize = 1 << 30;
const REKEY_TIME: Duration = Duration::from_secs(3600);
/// Time for the last words to a client whose route has ended.
const FAREWELL: Duration = Duration::from_millis(500);
const PIECE: usize = 32 * 1024;

/// The jump host.
pub(super) struct Jump {
    config: Arc<Config>,
    routes: Arc<Routes>,
    targets: Arc<Targets>,
    counters: Arc<Counters>,
}

impl Jump {
    pub(super) fn new(
        key: HostKey,
        routes: Arc<Routes>,
        targets: Arc<Targets>,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            config: Arc::new(config(key)),
            routes,
            targets,
            counters,
        }
    }

    /// Serves a connection that said `first` already, until either end has enough or the route ends.
    pub(super) async fn serve(&self, client: TcpStream, first: Vec<u8>) -> io::Result<()> {
        client.set_nodelay(true)?;
        let _cut = CutOnDrop::new(&client)?;
        let (read, write) = client.into_split();
        let stream = tokio::io::join(Cursor::new(first).chain(read), write);
        let (login, logged_in) = oneshot::channel();
        let requests = Requests {
            routes: self.routes.clone(),
            targets: self.targets.clone(),
            counters: self.counters.clone(),
            login: Some(login),
            session: None,
            is_open: false,
        };
        let deadline = sleep(LOGIN_TIME);
        tokio::pin!(deadline);
        let greeted = tokio::select! {
            greeted = run_stream(self.config.clone(), stream, requests) => greeted,
            () = &mut deadline => return Ok(()),
        };
        let Ok(mut running) = greeted else { return Ok(()) };
        let session: Arc<Session> = tokio::select! {
            Ok(session) = logged_in => session,
            _ = &mut running => return Ok(()),
            () = deadline => return Ok(()),
        };
        let handle = running.handle();
        tokio::select! {
            _ = &mut running => return Ok(()),
            () = session.over() => {}
        }
        let farewell = async {
            let told = handle.disconnect(
                Disconnect::ByApplication,
                "the route ended".to_owned(),
                String::new(),
            );
            if told.await.is_ok() {
                let _ = running.await;
            }
        };
        let _ = timeout(FAREWELL, farewell).await;
        Ok(())
    }
}

/// russh runs a connection in a task of its own; its end is the socket's.
pub(crate) struct CutOnDrop(Socket);

impl CutOnDrop {
    pub(crate) fn new(stream: &TcpStream) -> io::Result<Self> {
        Ok(Self(socket2::SockRef::from(stream).try_clone()?))
    }
}

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// One connection's requests. What isn't here, russh refuses: passwords, keys, sessions, listening for the client, agents.
struct Requests {
    routes: Arc<Routes>,
    targets: Arc<Targets>,
    counters: Arc<Counters>,
    login: Option<oneshot::Sender<Arc<Session>>>,
    session: Option<Arc<Session>>,
    /// A jump is one connection.
    is_open: bool,
}

impl Handler for Requests {
    type Error = Error;

    async fn auth_none(&mut self, user: &str) -> Result<Auth, Error> {
        let opened = user
            .parse::<RouteId>()
            .and_then(|id| self.routes.open(&id, RouteKind::Ssh));
        let (Ok(session), Some(login)) = (opened, self.login.take()) else {
            self.counters.unknown.fetch_add(1, Relaxed);
            return Ok(Auth::reject());
        };
        let session = Arc::new(session);
        self.session = Some(session.clone());
        login.send(session).map_err(|_| Error::Disconnect)?;
        Ok(Auth::Accept)
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        _host: &str,
        _port: u32,
        _originator: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _ssh: &mut Ssh,
    ) -> Result<(), Error> {
        let Some(session) = self.session.clone() else {
            return Err(Error::Inconsistent);
        };
        if self.is_open {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        }
        let Some(Target { stream, version }) = self.targets.reach(&session).await else {
            self.counters.unreachable.fetch_add(1, Relaxed);
            reply.reject(ChannelOpenFailure::ConnectFailed).await;
            return Ok(());
        };
        self.is_open = true;
        reply.accept().await;
        let counters = self.counters.clone();
        tokio::spawn(async move {
            let joined = join(channel.into_stream(), stream, version, &counters);
            within(&session, async { drop(joined.await) }).await;
        });
        Ok(())
    }
}

/// Bytes both ways. A client that is gone ends its channel, so there is no other limit on silence.
async fn join(
    channel: impl AsyncRead + AsyncWrite,
    target: TcpStream,
    version: Vec<u8>,
    counters: &Counters,
) -> io::Result<()> {
    let counted = Counted::new(counters);
    target.set_nodelay(true)?;
    let (mut from_client, mut to_client) = tokio::io::split(channel);
    let (mut from_target, mut to_target) = target.into_split();
    to_client.write_all(&version).await?;
    counted.carried.to_client.fetch_add(version.len() as u64, Relaxed);
    let ended = tokio::try_join!(
        one_way(&mut from_client, &mut to_target, &counted.carried.to_provider),
        one_way(&mut from_target, &mut to_client, &counted.carried.to_client),
    );
    if ended.is_err() {
        counters.broken.fetch_add(1, Relaxed);
    }
    ended.map(|_| ())
}

async fn one_way(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    carried: &AtomicU64,
) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        let count = from.read(&mut piece).await?;
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(&piece[..count]).await?;
        carried.fetch_add(count as u64, Relaxed);
    }
}

fn config(key: HostKey) -> Config {
    const KEX: &[kex::Name] = &[
        kex::MLKEM768X25519_SHA256,
        kex::CURVE25519,
        kex::CURVE25519_PRE_RFC_8731,
        kex::EXTENSION_SUPPORT_AS_SERVER,
        // Against CVE-2023-48795 (Terrapin).
        kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
    ];
    const CIPHERS: &[cipher::Name] = &[
        cipher::CHACHA20_POLY1305,
        cipher::AES_256_GCM,
        cipher::AES_128_GCM,
    ];
    // Named because the protocol wants a list; the ciphers authenticate by themselves.
    const MACS: &[mac::Name] = &[mac::HMAC_SHA512_ETM, mac::HMAC_SHA256_ETM];
    Config {
        server_id: SshId::Standard(Cow::Borrowed("SSH-2.0-jeju-gateway")),
        methods: MethodSet::from(&[MethodKind::None][..]),
        auth_rejection_time: Duration::from_millis(100),
        max_auth_attempts: 2,
        keys: vec![key.into_private()],
        limits: Limits::new(REKEY_BYTES, REKEY_BYTES, REKEY_TIME),
        window_size: WINDOW,
        maximum_packet_size: PIECE as u32,
        channel_buffer_size: 4,
        event_buffer_size: 8,
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
