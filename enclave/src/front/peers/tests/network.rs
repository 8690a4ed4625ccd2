//! Members in one process: their signers, quotes, certificates, TLS and IPC are the real ones, the wires between them are
//! pipes that can be cut or handed to somebody else.

use std::collections::HashMap;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use jeju_attestation::bundle::Bundle;
use jeju_attestation::certificate::CertificateEvidence;
use jeju_attestation::claims::{Mode, Role};
use jeju_attestation::keys::MpcKeys;
use jeju_attested_tls::{CertificateFields, NodeKey, RotatingCertificate, peer_server_config};
use jeju_chain::{ChainReader, Dial, Io, ReaderConfig};
use jeju_mpc::network::MemberIndex;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use super::super::{Closed, Parts, PeerQuotes, Peers};
use crate::ipc::signer::{FromSigner, FrontSocket, SignerClient, ToSigner};
use crate::signer::admission::tests::{Node, TIME, document};
use crate::signer::channel::ChannelKey;
use crate::signer::peers::{PeerEvent, Peers as SignerPeers};

/// Longest wait of a test for something to happen.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The wires: who answers at which address.
#[derive(Default)]
pub struct Wires {
    listeners: Mutex<HashMap<String, mpsc::UnboundedSender<DuplexStream>>>,
    cut: AtomicBool,
    /// Wires that were laid, so that they can be cut.
    laid: Mutex<Vec<tokio::task::AbortHandle>>,
    pub dialled: AtomicU32,
    /// Stage of the record that the chain's registry shows: 0 for unreadable.
    pub stage: AtomicU8,
}

impl Wires {
    /// Who connects to `address` comes out here, instead of where it came out before.
    pub fn listen(&self, address: &str) -> mpsc::UnboundedReceiver<DuplexStream> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.listeners.lock().unwrap().insert(address.to_owned(), sender);
        receiver
    }

    pub fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::Relaxed);
        if cut {
            self.laid.lock().unwrap().drain(..).for_each(|wire| wire.abort());
        }
    }

    pub fn connect(&self, address: &str) -> io::Result<DuplexStream> {
        self.dialled.fetch_add(1, Ordering::Relaxed);
        if self.cut.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let listeners = self.listeners.lock().unwrap();
        let listener = listeners.get(address).ok_or(io::ErrorKind::ConnectionRefused)?;
        let ((near, mut middle), (mut end, far)) = (duplex(1 << 16), duplex(1 << 16));
        listener.send(far).map_err(|_| io::ErrorKind::ConnectionRefused)?;
        let wire = tokio::spawn(async move {
            let _ = tokio::io::copy_bidirectional(&mut middle, &mut end).await;
        });
        self.laid.lock().unwrap().push(wire.abort_handle());
        Ok(near)
    }
}

/// The egress of all members.
pub struct Egress(pub Arc<Wires>);

impl Dial for Egress {
    fn dial<'a>(&'a self, authority: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Io>>> {
        Box::pin(async move {
            if authority != "127.0.0.1:8545" {
                return self
                    .0
                    .connect(authority)
                    .map(|wire| Box::new(wire) as Box<dyn Io>);
            }
            let (near, far) = duplex(1 << 16);
            match self.0.stage.load(Ordering::Relaxed) {
                0 => Err(io::ErrorKind::ConnectionRefused.into()),
                stage => {
                    tokio::spawn(registry(far, stage));
                    Ok(Box::new(near) as Box<dyn Io>)
                }
            }
        })
    }
}

/// A node's quoting, on simulated silicon.
pub struct Quotes {
    pub node: Mutex<Node>,
    pub made: AtomicU32,
}

impl PeerQuotes for Quotes {
    fn bundle(
        &self,
        end: Role,
        nonce: [u8; 32],
        channel: [u8; 32],
    ) -> BoxFuture<'_, Result<Bytes, &'static str>> {
        self.made.fetch_add(1, Ordering::Relaxed);
        let node = self.node.lock().unwrap().clone().with(|node| node.role = end);
        Box::pin(async move { Ok(node.bundle(nonce, channel).into()) })
    }

    fn now(&self) -> u64 {
        TIME.upper
    }
}

/// What a signer saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    Admitted(u16),
    Refused(&'static str),
    Left(u16),
    Text(u16, Vec<u8>),
}

/// A member of the network.
pub struct Member {
    pub peers: Arc<Peers>,
    pub quotes: Arc<Quotes>,
    pub certificate: Arc<RotatingCertificate>,
    pub seen: Arc<Mutex<Vec<Seen>>>,
    pub closed: Arc<Mutex<Vec<Closed>>>,
    say: mpsc::UnboundedSender<(u16, Vec<u8>)>,
    /// Seconds by which this signer's monotonic clock is ahead.
    pub ahead: Arc<AtomicU64>,
}

impl Member {
    /// Starts a member; it serves its address and dials nobody yet. `epoch`: how often it attests again.
    pub async fn start(index: u8, wires: &Arc<Wires>, epoch: Duration) -> Self {
        let tls = NodeKey::generate().unwrap();
        let key = ChannelKey::generate().unwrap();
        let node = Node::new(index).with(|node| {
            let identity = node.keys.mpc.unwrap().identity;
            node.keys.mpc = Some(MpcKeys {
                identity,
                channel: key.public(),
            });
            node.boot = key.public()[..16].try_into().unwrap();
            node.pubkey_hash = tls.spki_sha256();
        });
        let certificate = certificate(&tls, &node);
        let (seen, closed) = <(Arc<Mutex<Vec<Seen>>>, Arc<Mutex<Vec<Closed>>>)>::default();
        let (say, said) = mpsc::unbounded_channel();
        let ahead = Arc::new(AtomicU64::new(0));
        let (front, signer) = UnixStream::pair().unwrap();
        let socket = FrontSocket::new(signer.into()).unwrap();
        tokio::spawn(serve_signer(
            index,
            key,
            socket,
            said,
            seen.clone(),
            ahead.clone(),
        ));
        let (client, keys, _streams) = SignerClient::connect(front.into()).await.unwrap();
        assert_eq!(Some(keys), node.keys.mpc);

        let quotes = Arc::new(Quotes {
            node: Mutex::new(node),
            made: AtomicU32::new(0),
        });
        let egress = Arc::new(Egress(wires.clone()));
        let config = ReaderConfig::localnet("http://127.0.0.1:8545");
        let parts = Parts {
            signer: client,
            quotes: quotes.clone(),
            certificate: certificate.clone(),
            egress: egress.clone(),
            chain: Arc::new(ChainReader::new(config, egress).unwrap()),
        };
        let mut peers = Peers::new(&document(index), parts).unwrap();
        Arc::get_mut(&mut peers).unwrap().epoch = epoch;

        let mut incoming = wires.listen(&format!("127.0.0.1:411{index}"));
        let acceptor = TlsAcceptor::from(Arc::new(peer_server_config(certificate.clone()).unwrap()));
        let (accepting, ended) = (peers.clone(), closed.clone());
        tokio::spawn(async move {
            while let Some(stream) = incoming.recv().await {
                let (accepting, acceptor, ended) = (accepting.clone(), acceptor.clone(), ended.clone());
                tokio::spawn(async move {
                    let why = match acceptor.accept(stream).await {
                        Ok(tls) => accepting.accept(tls).await,
                        Err(_) => Closed::Handshake,
                    };
                    ended.lock().unwrap().push(why);
                });
            }
        });
        Self {
            peers,
            quotes,
            certificate,
            seen,
            closed,
            say,
            ahead,
        }
    }

    /// Has this signer send a text.
    pub fn say(&self, to: u16, text: &[u8]) {
        self.say.send((to, text.to_vec())).unwrap();
    }

    pub fn sees(&self, what: &Seen) -> bool {
        self.seen.lock().unwrap().contains(what)
    }

    /// Who is connected, as the front tells it.
    pub fn connected(&self) -> Vec<u16> {
        let states = self.peers.states().into_iter();
        states
            .filter(|state| state.connected)
            .map(|state| state.member)
            .collect()
    }

    /// How the last connection with a member ended.
    pub fn last(&self, member: u16) -> Option<String> {
        let mut states = self.peers.states().into_iter();
        states.find(|state| state.member == member).unwrap().last
    }
}

/// Waits until something holds.
pub async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The certificate of a node with this TLS key.
pub fn certificate(tls: &NodeKey, node: &Node) -> Arc<RotatingCertificate> {
    let node = node.clone().with(|node| node.mode = Mode::Epoch);
    let bundle = Bundle::parse(&node.bundle([0; 32], [0; 32])).unwrap();
    let evidence = CertificateEvidence {
        tee: bundle.tee,
        quote: bundle.cpu,
        claims: bundle.claims,
    };
    let fields = CertificateFields {
        common_name: "peer".to_owned(),
        names: &["localhost".to_owned()],
        // Dates are no matter between nodes: a node's clock is its host's.
        not_before: 0,
        not_after: 1,
        evidence: &evidence,
    };
    Arc::new(RotatingCertificate::new(tls, &fields).unwrap())
}

/// The signer's side of its socket, around the engine of admissions and channels.
async fn serve_signer(
    index: u8,
    key: ChannelKey,
    mut socket: FrontSocket,
    mut said: mpsc::UnboundedReceiver<(u16, Vec<u8>)>,
    seen: Arc<Mutex<Vec<Seen>>>,
    ahead: Arc<AtomicU64>,
) {
    let mut identity = [index; 33];
    identity[0] = 2;
    let channel = key.public();
    let mut peers = SignerPeers::new(document(index), key).unwrap();
    let hello = FromSigner::Keys { identity, channel };
    socket.writer.send(&hello).await.unwrap();
    loop {
        let now = || Instant::now() + Duration::from_secs(ahead.load(Ordering::Relaxed));
        tokio::select! {
            message = socket.next() => match message {
                None => return,
                Some(ToSigner::PeerOpened { connection }) => {
                    if let Ok(nonce) = peers.challenge(connection, now()) {
                        let nonce = FromSigner::Nonce { connection, nonce };
                        socket.writer.send(&nonce).await.unwrap();
                    }
                }
                Some(ToSigner::PeerEvidence { connection, evidence }) => {
                    peers.evidence(connection, &evidence, TIME, now());
                }
                Some(ToSigner::PeerBytes { connection, bytes }) => {
                    if let Ok((from, text)) = peers.open(connection, &bytes, now()) {
                        seen.lock().unwrap().push(Seen::Text(from.0, text.to_vec()));
                    }
                }
                Some(ToSigner::PeerClosed { connection }) => peers.closed(connection),
                Some(_) => {}
            },
            Some((to, text)) = said.recv() => {
                if let Ok((connection, bytes)) = peers.seal(MemberIndex(to), &text, now()) {
                    let message = FromSigner::PeerSend { connection, bytes };
                    socket.writer.send(&message).await.unwrap();
                }
            }
            () = tokio::time::sleep(Duration::from_millis(50)) => peers.expire(now()),
        }
        while let Some(event) = peers.next_event() {
            let (happened, message) = match event {
                PeerEvent::Admitted {
                    connection, member, ..
                } => (
                    Seen::Admitted(member.0),
                    Some(FromSigner::Admitted {
                        connection,
                        member: member.0,
                    }),
                ),
                PeerEvent::Refused { connection, reason } => (
                    Seen::Refused(reason.code()),
                    Some(FromSigner::NotAdmitted {
                        connection,
                        code: reason.code().to_owned(),
                    }),
                ),
                PeerEvent::Left { member } => (Seen::Left(member.0), None),
            };
            seen.lock().unwrap().push(happened);
            if let Some(message) = message {
                socket.writer.send(&message).await.unwrap();
            }
        }
    }
}

/// A chain endpoint whose registry has a record in this stage, whatever is asked for.
async fn registry(mut stream: DuplexStream, stage: u8) {
    let mut record = [0; 32];
    record[5] = stage;
    record[9] = 255;
    record[31] = 1;
    if stage == 3 {
        record[23] = 2;
    }
    let words = hex::encode([record, [7; 32], [0; 32]].concat());
    let mut received = Vec::new();
    while let Ok(1..) = stream.read_buf(&mut received).await {
        let Some(at) = received.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let Ok(request) = serde_json::from_slice::<serde_json::Value>(&received[at + 4..]) else {
            continue;
        };
        received.clear();
        let result = match request["method"].as_str().unwrap() {
            "eth_chainId" => serde_json::json!("0x7a69"),
            "eth_call" => serde_json::json!(format!("0x{words}")),
            // No end of validity.
            "eth_getStorageAt" => serde_json::json!(format!("0x{}", "00".repeat(32))),
            _ => serde_json::json!({
                "number": "0x10",
                "hash": format!("0x{}", "10".repeat(32)),
                "timestamp": "0x6b49d200",
            }),
        };
        let answer = serde_json::json!({"jsonrpc": "2.0", "id": request["id"], "result": result}).to_string();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length:";
        let answer = format!("{head} {}\r\n\r\n{answer}", answer.len());
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}
