//! The gateway's way of bytes alone, and load for it and for others of its kind (bench/gateway).
//!
//!   carry gateway NAME PROVIDER              listens, says where, carries connections for NAME to PROVIDER until it is killed
//!   carry provider                           listens, says where, and answers each ClientHello with as many bytes as it asks for
//!   carry bytes ADDRESS NAME COUNT STREAMS   so many streams at a time, each gets COUNT bytes; prints bytes a second
//!   carry connects ADDRESS NAME COUNT STREAMS     new connections, one byte each; prints connections a second
//!   carry idle ADDRESS NAME COUNT            so many connections that wait; says when they are there, ends with its input

use std::env;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jeju_gateway::passthrough::{Addresses, Admission, Directory, Drain, Limits, Passthrough, Sockets};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

struct One(String, SocketAddr);

impl Directory for One {
    async fn find(&self, name: &str) -> Vec<SocketAddr> {
        if name == self.0 { vec![self.1] } else { Vec::new() }
    }
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["gateway", name, provider] => gateway(name, provider.parse().unwrap()).await,
        ["provider"] => provider().await,
        ["bytes", address, name, count, streams] => {
            let (count, streams) = (count.parse().unwrap(), streams.parse().unwrap());
            let seconds = load(address.parse().unwrap(), name, count, streams, streams).await;
            println!("{}", count as f64 * streams as f64 / seconds);
        }
        ["connects", address, name, count, streams] => {
            let (count, streams) = (count.parse().unwrap(), streams.parse().unwrap());
            let seconds = load(address.parse().unwrap(), name, 1, count, streams).await;
            println!("{}", count as f64 / seconds);
        }
        ["idle", address, name, count] => idle(address.parse().unwrap(), name, count.parse().unwrap()).await,
        _ => panic!("see the first lines of this file"),
    }
}

async fn listen() -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    std::io::stdout().flush().unwrap();
    listener
}

async fn gateway(name: &str, provider: SocketAddr) {
    let directory = Arc::new(One(name.to_owned(), provider));
    let (_drain, asked) = watch::channel(false);
    let (admission, drain) = (
        Admission::new(10_000, Arc::new(Addresses::new(10_000))),
        Drain {
            asked,
            patience: Duration::ZERO,
        },
    );
    let passthrough = Passthrough::new(directory, Limits::default());
    let sockets = Sockets::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    println!("{}", sockets.address().unwrap());
    std::io::stdout().flush().unwrap();
    passthrough.serve(sockets, admission, drain).unwrap().await;
}

/// After the ClientHello comes the count of bytes that is wanted, eight bytes, big-endian.
async fn provider() {
    let listener = listen().await;
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            let mut hello = vec![0; 5];
            stream.read_exact(&mut hello).await?;
            let len = usize::from(u16::from_be_bytes([hello[3], hello[4]]));
            hello.resize(5 + len, 0);
            stream.read_exact(&mut hello[5..]).await?;
            let mut wanted = stream.read_u64().await?;
            let piece = vec![7; 64 * 1024];
            while wanted > 0 {
                let count = piece.len().min(usize::try_from(wanted).unwrap_or(usize::MAX));
                stream.write_all(&piece[..count]).await?;
                wanted -= count as u64;
            }
            // The client goes first, so that ports that wait are its own.
            stream.read_u8().await.map(|_| ())
        });
    }
}

fn hello(name: &str) -> Vec<u8> {
    let config = rustls::ClientConfig::builder()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let name = name.to_owned().try_into().unwrap();
    let mut connection = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut hello = Vec::new();
    connection.write_tls(&mut hello).unwrap();
    hello
}

/// `connections` of `count` bytes each, `streams` at a time. Seconds.
async fn load(address: SocketAddr, name: &str, count: u64, connections: u64, streams: u64) -> f64 {
    let request: Arc<[u8]> = [hello(name), count.to_be_bytes().to_vec()].concat().into();
    let started = Instant::now();
    let mut all = JoinSet::new();
    for stream in 0..streams {
        let request = request.clone();
        let turns = connections / streams + u64::from(stream < connections % streams);
        all.spawn(async move {
            let mut buffer = vec![0; 64 * 1024];
            for _ in 0..turns {
                let mut stream = TcpStream::connect(address).await.unwrap();
                stream.write_all(&request).await.unwrap();
                let mut left = count;
                while left > 0 {
                    let read = stream.read(&mut buffer).await.unwrap();
                    assert!(read > 0, "the connection ended {left} bytes early");
                    left -= read as u64;
                }
            }
        });
    }
    while let Some(done) = all.join_next().await {
        done.unwrap();
    }
    started.elapsed().as_secs_f64()
}

async fn idle(address: SocketAddr, name: &str, count: usize) {
    let request = [hello(name), 1u64.to_be_bytes().to_vec()].concat();
    let mut kept = Vec::new();
    for _ in 0..count {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&request).await.unwrap();
        stream.read_u8().await.unwrap();
        kept.push(stream);
    }
    println!("{count}");
    std::io::stdout().flush().unwrap();
    let _ = std::io::stdin().read(&mut [0]);
}
