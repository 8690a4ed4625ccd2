//! Real TLS through the gateway, to providers that it can't read.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use jeju_gateway::passthrough::{
    Addresses, Admission, Counters, Directory, Drain, Limits, Passthrough, Sockets,
};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

struct Names(HashMap<String, Vec<SocketAddr>>);

impl Directory for Names {
    async fn find(&self, name: &str) -> Vec<SocketAddr> {
        self.0.get(name).cloned().unwrap_or_default()
    }
}

/// A provider that says its name and then returns what it gets.
struct Provider {
    address: SocketAddr,
    connector: TlsConnector,
}

impl Provider {
    async fn start(name: &'static str) -> Self {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let certificate = made.cert.der().clone();
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![certificate.clone()], key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let mut tls = acceptor.accept(stream).await?;
                    tls.write_all(name.as_bytes()).await?;
                    let (mut read, mut write) = tokio::io::split(tls);
                    tokio::io::copy(&mut read, &mut write).await?;
                    write.shutdown().await
                });
            }
        });
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        let config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            address,
            connector: TlsConnector::from(Arc::new(config)),
        }
    }

    async fn connect(
        &self,
        gateway: SocketAddr,
        name: &'static str,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(gateway).await?;
        self.connector
            .connect(ServerName::try_from(name).unwrap(), stream)
            .await
    }
}

struct Gateway {
    address: SocketAddr,
    counters: Arc<Counters>,
    drain: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl Gateway {
    async fn start(names: &[(&str, &[SocketAddr])], limits: Limits) -> Self {
        Self::of_addresses(names, limits, 1000).await
    }

    /// With so many connections of each address.
    async fn of_addresses(names: &[(&str, &[SocketAddr])], limits: Limits, most: usize) -> Self {
        let names = names
            .iter()
            .map(|(name, to)| ((*name).to_owned(), to.to_vec()))
            .collect();
        let passthrough = Passthrough::new(Arc::new(Names(names)), limits);
        let sockets = Sockets::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = sockets.address().unwrap();
        let (drain, asked) = watch::channel(false);
        let admission = Admission::new(1000, Arc::new(Addresses::new(most)));
        let until = Drain {
            asked,
            patience: Duration::from_secs(60),
        };
        Self {
            address,
            counters: passthrough.counters(),
            drain,
            serving: tokio::spawn(passthrough.serve(sockets, admission, until).unwrap()),
        }
    }

    /// What a client gets that says these bytes and no more.
    async fn says(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        // A reset is an end, too: what the gateway didn't read is lost then.
        let _ = stream.read_to_end(&mut answer).await;
        answer
    }
}

async fn exchange(tls: &mut TlsStream<TcpStream>, name: &str) {
    let mut said = vec![0; name.len()];
    tls.read_exact(&mut said).await.unwrap();
    assert_eq!(said, name.as_bytes());
    tls.write_all(b"prompt").await.unwrap();
    let mut answer = [0; 6];
    tls.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"prompt");
}

#[tokio::test]
async fn each_name_leads_to_its_provider_and_tls_ends_there() {
    let (one, other) = (
        Provider::start("one.example").await,
        Provider::start("other.example").await,
    );
    let names = [
        ("one.example", &[one.address][..]),
        ("other.example", &[other.address][..]),
    ];
    let gateway = Gateway::start(&names, Limits::default()).await;
    let mut tls = one.connect(gateway.address, "one.example").await.unwrap();
    exchange(&mut tls, "one.example").await;
    let mut tls = other.connect(gateway.address, "other.example").await.unwrap();
    exchange(&mut tls, "other.example").await;
    // A gateway that leads to another provider gets no further than its certificate.
    let swapped = Gateway::start(&[("one.example", &[other.address])], Limits::default()).await;
    assert!(one.connect(swapped.address, "one.example").await.is_err());
}

#[tokio::test]
async fn megabytes_pass_both_ways_while_neither_end_waits() {
    let provider = Provider::start("p.example").await;
    let gateway = Gateway::start(&[("p.example", &[provider.address])], Limits::default()).await;
    let mut tls = provider.connect(gateway.address, "p.example").await.unwrap();
    tls.read_exact(&mut [0; 9]).await.unwrap();
    let sent: Vec<u8> = (0..8 << 20).map(|i: u32| ((i * 31) >> 3) as u8).collect();
    let (mut read, mut write) = tokio::io::split(tls);
    let all = sent.clone();
    let writing = tokio::spawn(async move {
        write.write_all(&all).await.unwrap();
        write.shutdown().await.unwrap();
    });
    let mut got = Vec::new();
    read.read_to_end(&mut got).await.unwrap();
    writing.await.unwrap();
    assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
}

#[tokio::test]
async fn the_next_address_is_tried_where_one_does_not_answer() {
    let provider = Provider::start("p.example").await;
    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let gateway = Gateway::start(&[("p.example", &[closed, provider.address])], Limits::default()).await;
    let mut tls = provider.connect(gateway.address, "p.example").await.unwrap();
    exchange(&mut tls, "p.example").await;
    let nowhere = Gateway::start(&[("p.example", &[closed])], Limits::default()).await;
    assert!(provider.connect(nowhere.address, "p.example").await.is_err());
    assert_eq!(nowhere.counters.unreachable.load(Relaxed), 1);
}

#[tokio::test]
async fn what_names_nobody_is_closed() {
    let provider = Provider::start("p.example").await;
    let limits = Limits {
        hello: Duration::from_secs(5),
        ..Limits::default()
    };
    let gateway = Gateway::start(&[("p.example", &[provider.address])], limits).await;
    assert!(provider.connect(gateway.address, "q.example").await.is_err());
    assert_eq!(gateway.counters.unknown.load(Relaxed), 1);
    // An address is no server name (RFC 6066 §3): the client sends none.
    assert!(provider.connect(gateway.address, "127.0.0.1").await.is_err());
    let endless = [&[22, 3, 1, 0x40, 0][..], &[1, 0, 0xff, 0xff], &[0; 64 * 1024]].concat();
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[], &[22, 3, 1], &endless] {
        assert_eq!(gateway.says(bytes).await, b"", "{} bytes", bytes.len());
    }
    assert_eq!(gateway.counters.no_hello.load(Relaxed), 5);
    let mut tls = provider.connect(gateway.address, "p.example").await.unwrap();
    exchange(&mut tls, "p.example").await;
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_no_more() {
    let provider = Provider::start("p.example").await;
    let gateway = Gateway::of_addresses(&[("p.example", &[provider.address])], Limits::default(), 2).await;
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut tls = provider.connect(gateway.address, "p.example").await.unwrap();
        exchange(&mut tls, "p.example").await;
        kept.push(tls);
    }
    assert!(provider.connect(gateway.address, "p.example").await.is_err());
    assert_eq!(gateway.counters.refused.load(Relaxed), 1);
    let mut tls = kept.pop().unwrap();
    tls.shutdown().await.unwrap();
    while gateway.counters.active.load(Relaxed) > 1 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Its place is free a moment after it was counted.
    let again = async {
        while provider.connect(gateway.address, "p.example").await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), again)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_connection_without_traffic_is_closed() {
    let provider = Provider::start("p.example").await;
    let limits = Limits {
        idle: Duration::from_secs(3),
        ..Limits::default()
    };
    let gateway = Gateway::start(&[("p.example", &[provider.address])], limits).await;
    let mut tls = provider.connect(gateway.address, "p.example").await.unwrap();
    exchange(&mut tls, "p.example").await;
    // Without the provider's farewell, which is a broken end for the client.
    assert!(tls.read(&mut [0; 1]).await.is_err());
    assert_eq!(gateway.counters.idle.load(Relaxed), 1);
}

#[tokio::test]
async fn a_gateway_that_drains_takes_no_more_and_cuts_nobody_off() {
    let provider = Provider::start("p.example").await;
    let gateway = Gateway::start(&[("p.example", &[provider.address])], Limits::default()).await;
    let mut tls = provider.connect(gateway.address, "p.example").await.unwrap();
    exchange(&mut tls, "p.example").await;
    gateway.drain.send(true).unwrap();
    while TcpStream::connect(gateway.address).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!gateway.serving.is_finished());
    tls.write_all(b"more").await.unwrap();
    let mut answer = [0; 4];
    tls.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"more");
    tls.shutdown().await.unwrap();
    drop(tls);
    gateway.serving.await.unwrap();
    assert_eq!(gateway.counters.active.load(Relaxed), 0);
}
