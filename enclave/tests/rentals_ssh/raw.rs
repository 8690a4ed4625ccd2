//! What OpenSSH's client doesn't do on its own: russh's client, which asks for anything.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jeju_shim_protocol::Port;
use jeju_shim_protocol::transport::HostTransport;
use russh::client::{AuthResult, Config, DisconnectReason, Handle, Handler, Msg, Session, connect_stream};
use russh::keys::{
    Certificate, PrivateKeyWithHashAlg, PublicKeyOrCertificate, load_openssh_certificate, load_secret_key,
};
use russh::{Channel, ChannelMsg, ChannelOpenFailure, Error, Names, Preferred, Sig, kex};

use crate::fixture::Node;

/// What a client saw.
#[derive(Default)]
pub struct Seen {
    pub exchange: Mutex<Option<kex::Name>>,
    pub goodbye: Mutex<Option<String>>,
}

struct Client {
    host_key: [u8; 32],
    seen: Arc<Seen>,
}

impl Handler for Client {
    type Error = Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Error> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = key else {
            return Ok(false);
        };
        Ok(key.key_data().ed25519().is_some_and(|key| key.0 == self.host_key))
    }

    async fn kex_done(&mut self, _: Option<&[u8]>, names: &Names, _: &mut Session) -> Result<(), Error> {
        *self.seen.exchange.lock().unwrap() = Some(names.kex);
        Ok(())
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Error>) -> Result<(), Error> {
        if let DisconnectReason::ReceivedDisconnect(told) = reason {
            *self.seen.goodbye.lock().unwrap() = Some(told.message);
        }
        Ok(())
    }
}

/// A connection without a user.
pub async fn connect(node: &Node) -> (Handle<impl Handler>, Arc<Seen>) {
    let stream = HostTransport::Unix(node.path("")).dial(Port::Ssh).await.unwrap();
    let seen = Arc::<Seen>::default();
    let client = Client {
        host_key: node.host_key,
        seen: seen.clone(),
    };
    let config = Arc::new(Config::default());
    (connect_stream(config, stream, client).await.unwrap(), seen)
}

pub fn private(key: &Path) -> PrivateKeyWithHashAlg {
    PrivateKeyWithHashAlg::new(Arc::new(load_secret_key(key, None).unwrap()), None)
}

/// A connection with the user of a key.
pub async fn login(node: &Node, key: &Path) -> Result<(Handle<impl Handler>, Arc<Seen>), String> {
    let (mut handle, seen) = connect(node).await;
    let outcome = handle.authenticate_publickey("root", private(key)).await;
    match outcome.map(|result| result.success()) {
        Ok(true) => Ok((handle, seen)),
        outcome => Err(format!("{outcome:?}")),
    }
}

/// A connection with the user of a certificate.
pub async fn login_certified(
    node: &Node,
    key: &Path,
    certificate: &Path,
) -> Result<(Handle<impl Handler>, Arc<Seen>), String> {
    let (mut handle, seen) = connect(node).await;
    let certificate: Certificate = load_openssh_certificate(certificate).unwrap();
    let key = Arc::new(load_secret_key(key, None).unwrap());
    let outcome = handle.authenticate_openssh_cert("root", key, certificate).await;
    match outcome.map(|result| result.success()) {
        Ok(true) => Ok((handle, seen)),
        outcome => Err(format!("{outcome:?}")),
    }
}

/// All that a session says.
async fn all(channel: &mut Channel<Msg>) -> Vec<ChannelMsg> {
    let mut all = Vec::new();
    while let Some(message) = channel.wait().await {
        all.push(message);
    }
    all
}

#[test]
fn the_key_exchange_resists_quantum_computers_where_the_client_can() {
    let (node, key) = Node::rented();
    node.runtime.block_on(async {
        let (_handle, seen) = login(&node, &key).await.unwrap();
        assert_eq!(*seen.exchange.lock().unwrap(), Some(kex::MLKEM768X25519_SHA256));
        let preferred = Preferred::DEFAULT;
        assert!(
            preferred
                .kex
                .contains(&kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT)
        );
    });
}

#[test]
fn there_is_no_way_in_but_a_key() {
    let (node, key) = Node::rented();
    node.runtime.block_on(async {
        let only_keys = |result: AuthResult| match result {
            AuthResult::Success => panic!("let in"),
            AuthResult::Failure {
                remaining_methods,
                partial_success,
            } => {
                assert!(!partial_success);
                assert_eq!(remaining_methods[..], [russh::MethodKind::PublicKey]);
            }
        };
        let (mut handle, _) = connect(&node).await;
        only_keys(handle.authenticate_none("root").await.unwrap());
        only_keys(handle.authenticate_password("root", "").await.unwrap());
        only_keys(handle.authenticate_password("root", "root").await.unwrap());
        let interactive = handle.authenticate_keyboard_interactive_start("root", None).await;
        assert!(format!("{interactive:?}").contains("Failure"), "{interactive:?}");
        // All of that closes nothing.
        let result = handle
            .authenticate_publickey("root", private(&key))
            .await
            .unwrap();
        assert!(result.success());
    });
}

#[test]
fn nothing_runs_before_the_login() {
    let (node, _) = Node::rented();
    node.runtime.block_on(async {
        let (handle, _) = connect(&node).await;
        let opened = tokio::time::timeout(Duration::from_secs(1), handle.channel_open_session()).await;
        assert!(!matches!(opened, Ok(Ok(_))));
    });
}

#[test]
fn signals_reach_the_command_and_how_it_ended_is_told() {
    let (node, key) = Node::rented();
    node.runtime.block_on(async {
        let (handle, _) = login(&node, &key).await.unwrap();
        for (signal, expected) in [(Sig::TERM, "TERM"), (Sig::Custom("USR2".to_owned()), "USR2")] {
            let mut channel = handle.channel_open_session().await.unwrap();
            channel.exec(true, "echo ready; exec sleep 1000").await.unwrap();
            while !matches!(channel.wait().await.unwrap(), ChannelMsg::Data { .. }) {}
            channel.signal(Sig::Custom("NOSUCH".to_owned())).await.unwrap();
            channel.signal(signal).await.unwrap();
            let said = all(&mut channel).await;
            let ended = said.iter().find_map(|message| match message {
                ChannelMsg::ExitSignal {
                    signal_name,
                    core_dumped,
                    ..
                } => Some((format!("{signal_name:?}"), *core_dumped)),
                _ => None,
            });
            let (name, core) = ended.unwrap_or_else(|| panic!("{said:?}"));
            assert!(name.contains(expected) && !core, "{name}");
        }
    });
}

#[test]
fn what_there_is_not_is_refused_and_nothing_else_suffers() {
    let (node, key) = Node::rented();
    node.runtime.block_on(async {
        let (handle, _) = login(&node, &key).await.unwrap();
        // Requests of a session.
        let mut channel = handle.channel_open_session().await.unwrap();
        channel
            .request_x11(true, false, "MIT-MAGIC-COOKIE-1", "00", 0)
            .await
            .unwrap();
        channel.agent_forward(true).await.unwrap();
        channel.request_subsystem(true, "netconf").await.unwrap();
        channel.set_env(true, "NOT-A-NAME", "x").await.unwrap();
        channel
            .set_env(true, "LARGE", "x".repeat(17 * 1024))
            .await
            .unwrap();
        channel.set_env(true, "NUL", "\0").await.unwrap();
        channel.exec(true, &b"\xff\xfe"[..]).await.unwrap();
        channel
            .request_pty(true, &"t".repeat(129), 80, 24, 0, 0, &[])
            .await
            .unwrap();
        for _ in 0..8 {
            let answer = channel.wait().await.unwrap();
            assert!(matches!(answer, ChannelMsg::Failure), "{answer:?}");
        }
        for i in 0..64 {
            channel.set_env(true, format!("V{i}"), "x").await.unwrap();
            assert!(matches!(channel.wait().await.unwrap(), ChannelMsg::Success));
        }
        channel.set_env(true, "ONE_TOO_MANY", "x").await.unwrap();
        assert!(matches!(channel.wait().await.unwrap(), ChannelMsg::Failure));
        // The session is as good as ever, but runs one command only.
        channel.exec(true, "echo $V63; read line").await.unwrap();
        assert!(matches!(channel.wait().await.unwrap(), ChannelMsg::Success));
        channel.request_shell(true).await.unwrap();
        channel
            .request_pty(true, "xterm", 80, 24, 0, 0, &[])
            .await
            .unwrap();
        channel.set_env(true, "LATE", "x").await.unwrap();
        let (mut failures, mut said) = (0, Vec::new());
        while failures < 3 || said.is_empty() {
            match channel.wait().await.unwrap() {
                ChannelMsg::Failure => failures += 1,
                ChannelMsg::Data { data } => said.extend_from_slice(&data),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(said, b"x\n");
        // Channels and requests of the connection.
        let prohibited = |refused: Result<Channel<Msg>, Error>| {
            let error = refused.map(|_| ()).unwrap_err();
            let why = ChannelOpenFailure::AdministrativelyProhibited;
            assert!(
                matches!(&error, Error::ChannelOpenFailure(reason) if *reason == why),
                "{error:?}"
            );
        };
        prohibited(handle.channel_open_x11("127.0.0.1", 1).await);
        prohibited(handle.channel_open_direct_streamlocal("/run/docker.sock").await);
        assert!(handle.tcpip_forward("127.0.0.1", 0).await.is_err());
        assert!(handle.streamlocal_forward("/tmp/socket").await.is_err());
        drop(channel);
        let mut channel = handle.channel_open_session().await.unwrap();
        channel.exec(true, "exit 4").await.unwrap();
        let said = all(&mut channel).await;
        assert!(
            said.iter()
                .any(|m| matches!(m, ChannelMsg::ExitStatus { exit_status: 4 })),
            "{said:?}"
        );
    });
}

#[test]
fn a_connection_has_64_channels_and_a_rental_32_connections() {
    let (node, key) = Node::rented();
    let other = node.key("ed25519");
    node.rent(2, &other);
    node.runtime.block_on(async {
        let (handle, _) = login(&node, &key).await.unwrap();
        let mut channels = Vec::new();
        for _ in 0..64 {
            channels.push(handle.channel_open_session().await.unwrap());
        }
        let refused = handle.channel_open_session().await.map(|_| ()).unwrap_err();
        let full = ChannelOpenFailure::ResourceShortage;
        assert!(
            matches!(&refused, Error::ChannelOpenFailure(why) if *why == full),
            "{refused:?}"
        );
        let refused = handle
            .channel_open_direct_tcpip("127.0.0.1", 80, "", 0)
            .await
            .map(|_| ())
            .unwrap_err();
        assert!(
            matches!(&refused, Error::ChannelOpenFailure(why) if *why == full),
            "{refused:?}"
        );
        // One that has ended makes room, whether the client closes it or not.
        let mut ended = channels.pop().unwrap();
        ended.exec(true, "true").await.unwrap();
        all(&mut ended).await;
        channels.push(handle.channel_open_session().await.unwrap());

        let mut connections = vec![handle];
        for _ in 1..32 {
            connections.push(login(&node, &key).await.unwrap().0);
        }
        let (handle, seen) = login(&node, &key).await.unwrap();
        assert!(handle.channel_open_session().await.is_err());
        // Its handler is told when all else of the connection has ended.
        let _ = handle.await;
        let told = seen.goodbye.lock().unwrap().clone();
        assert_eq!(told.as_deref(), Some("too many connections to this rental"));
        // Other rentals have places of their own.
        let (handle, _) = login(&node, &other).await.unwrap();
        handle.channel_open_session().await.unwrap();
    });
}

#[test]
fn hundreds_of_channels_after_one_another_are_no_burden() {
    let (node, key) = Node::rented();
    node.runtime.block_on(async {
        let (handle, _) = login(&node, &key).await.unwrap();
        for i in 0..500u32 {
            let mut channel = handle.channel_open_session().await.unwrap();
            channel.exec(true, format!("exit {}", i % 100)).await.unwrap();
            let said = all(&mut channel).await;
            let status = i % 100;
            let ended = |m: &ChannelMsg| matches!(m, ChannelMsg::ExitStatus { exit_status } if *exit_status == status);
            assert!(said.iter().any(ended), "{i}: {said:?}");
        }
    });
}
