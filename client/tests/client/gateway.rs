//! A gateway that can be told to misbehave: it reads the server name of each ClientHello, leads where it likes, and keeps
//! every byte that it sees.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rustls::server::Acceptor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What a gateway does with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Carries it.
    Honest,
    /// Closes it at once.
    Closes,
    /// Takes it, and says nothing.
    Silent,
    /// Breaks off after so many bytes of the node.
    Truncates(usize),
    /// Changes one bit of the node's byte at this place.
    Changes(usize),
    /// Puts a forged HTTP response in front of the node's byte at this place.
    Injects(usize),
    /// Answers as a web server of its own, in plain text.
    AnswersItself,
}

/// A running gateway.
pub struct Gateway {
    pub port: u16,
    state: Arc<State>,
    task: tokio::task::JoinHandle<()>,
}

struct State {
    to: Mutex<u16>,
    manner: Mutex<Manner>,
    names: Mutex<Vec<String>>,
    /// What clients said, one entry for each connection.
    heard: Mutex<Vec<Vec<u8>>>,
}

impl Gateway {
    /// That leads every name to this port of this machine.
    pub async fn start(to: u16, manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            to: Mutex::new(to),
            manner: Mutex::new(manner),
            names: Mutex::default(),
            heard: Mutex::default(),
        });
        let serving = state.clone();
        let task = tokio::spawn(async move {
            // With the gateway, its connections end.
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let state = serving.clone();
                connections.spawn(async move { drop(carry(&state, client).await) });
            }
        });
        Self { port, state, task }
    }

    /// How clients name it: with a domain of its own, below which accounts are names.
    pub fn named(&self) -> jeju_client::via::Gateway {
        format!("gw.example@127.0.0.1:{}", self.port).parse().unwrap()
    }

    pub fn manner(&self, manner: Manner) {
        *self.state.manner.lock().unwrap() = manner;
    }

    /// Leads to another port from now on.
    pub fn leads_to(&self, port: u16) {
        *self.state.to.lock().unwrap() = port;
    }

    /// Server names that clients said.
    pub fn names(&self) -> Vec<String> {
        self.state.names.lock().unwrap().clone()
    }

    /// Every byte that clients said, connection by connection.
    pub fn heard(&self) -> Vec<Vec<u8>> {
        self.state.heard.lock().unwrap().clone()
    }

    /// Says to the node what a client said before, and returns what the node answers.
    pub async fn replay(&self, connection: usize) -> Vec<u8> {
        let heard = self.heard().swap_remove(connection);
        let to = *self.state.to.lock().unwrap();
        let mut node = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
        node.write_all(&heard).await.unwrap();
        node.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = node.read_to_end(&mut answer).await;
        answer
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(state: &State, mut client: TcpStream) -> std::io::Result<()> {
    let manner = *state.manner.lock().unwrap();
    let place = {
        let mut heard = state.heard.lock().unwrap();
        heard.push(Vec::new());
        heard.len() - 1
    };
    let hear = |bytes: &[u8]| state.heard.lock().unwrap()[place].extend_from_slice(bytes);
    if manner == Manner::Closes {
        return Ok(());
    }
    let hello = hello(&mut client, state).await?;
    hear(&hello);
    match manner {
        Manner::Silent => {
            let mut piece = [0; 4096];
            while client.read(&mut piece).await? > 0 {}
            return Ok(());
        }
        Manner::AnswersItself => {
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
            return client.write_all(answer).await;
        }
        _ => {}
    }
    let to: SocketAddr = ([127, 0, 0, 1], *state.to.lock().unwrap()).into();
    let mut node = TcpStream::connect(to).await?;
    node.write_all(&hello).await?;
    let (mut from_client, mut to_client) = client.split();
    let (mut from_node, mut to_node) = node.split();
    let up = async {
        let mut piece = [0; 16 * 1024];
        loop {
            let count = from_client.read(&mut piece).await?;
            if count == 0 {
                return to_node.shutdown().await;
            }
            hear(&piece[..count]);
            to_node.write_all(&piece[..count]).await?;
        }
    };
    let down = async {
        let mut piece = [0; 16 * 1024];
        let mut at = 0;
        loop {
            let count = from_node.read(&mut piece).await?;
            if count == 0 {
                return to_client.shutdown().await;
            }
            let here = |place: usize| (at..at + count).contains(&place).then(|| place - at);
            match manner {
                Manner::Truncates(limit) if at + count > limit => {
                    to_client.write_all(&piece[..limit.saturating_sub(at)]).await?;
                    return Err(std::io::ErrorKind::ConnectionAborted.into());
                }
                Manner::Changes(place) if here(place).is_some() => piece[here(place).unwrap()] ^= 1,
                Manner::Injects(place) if here(place).is_some() => {
                    let (before, _) = piece.split_at(here(place).unwrap());
                    to_client.write_all(before).await?;
                    to_client
                        .write_all(b"HTTP/1.1 200 OK\r\nJeju-Verified: ?1\r\nContent-Length: 0\r\n\r\n")
                        .await?;
                }
                _ => {}
            }
            to_client.write_all(&piece[..count]).await?;
            at += count;
        }
    };
    tokio::try_join!(up, down).map(|_| ())
}

/// Reads a ClientHello and keeps its bytes.
async fn hello(client: &mut TcpStream, state: &State) -> std::io::Result<Vec<u8>> {
    let (mut bytes, mut acceptor) = (Vec::new(), Acceptor::default());
    loop {
        let before = bytes.len();
        if client.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let mut new = &bytes[before..];
        while !new.is_empty() {
            acceptor.read_tls(&mut new)?;
        }
        if let Ok(Some(accepted)) = acceptor.accept() {
            let hello = accepted.client_hello();
            let name = hello.server_name().unwrap_or_default().to_owned();
            state.names.lock().unwrap().push(name);
            return Ok(bytes);
        }
    }
}
