//! Fetches against servers on loopback, under the names that a map gives them.

mod flows;
mod hostile;
mod peers;
mod room;
mod servers;
mod streams;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Mutex;

use futures_util::future::BoxFuture as Boxed;
use jeju_attestation::launch::workers::Reach;
use jeju_chain::Io;
use jeju_shim_protocol::ExchangeError;
use jeju_shim_protocol::egress::EgressLine;
use jeju_shim_protocol::line::ErrorCode;
use jeju_worker_protocol::Headers;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;
use servers::Trust;

/// No wait of these tests is longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where names lead, and what was asked for.
#[derive(Default)]
struct Map {
    names: Mutex<HashMap<String, SocketAddr>>,
    asked: Mutex<Vec<String>>,
}

impl TargetDial for Map {
    fn dial<'a>(&'a self, line: &'a EgressLine) -> Boxed<'a, Result<Box<dyn Io>, ExchangeError>> {
        let target = line.target.to_string();
        let line = String::from_utf8(line.encode()).unwrap();
        self.asked.lock().unwrap().push(line.trim_end().to_owned());
        let address = self.names.lock().unwrap().get(&target).copied();
        Box::pin(async move {
            match address {
                Some(address) => Ok(Box::new(TcpStream::connect(address).await?) as Box<dyn Io>),
                None => Err(ExchangeError::Refused(ErrorCode::Unreachable)),
            }
        })
    }
}

/// What stands between workers and servers.
struct World {
    map: Arc<Map>,
    fetcher: Fetcher,
}

impl World {
    fn new(trust: &Trust) -> Self {
        Self::with(trust, LIMITS)
    }

    fn with(trust: &Trust, limits: Limits) -> Self {
        let map = Arc::new(Map::default());
        let names = ["node.example".to_owned()];
        let rules = Rules::new(&reaching(Reach::Public, &[]), &names);
        Self {
            fetcher: Fetcher::with(rules, map.clone(), &trust.client, limits),
            map,
        }
    }

    fn lead(&self, target: &str, address: SocketAddr) {
        self.map.names.lock().unwrap().insert(target.to_owned(), address);
    }

    fn asked(&self) -> Vec<String> {
        self.map.asked.lock().unwrap().clone()
    }

    /// A fetch whose answer is read to its end.
    async fn fetch(&self, request: FetchRequest) -> Result<(FetchResponse, Vec<u8>), String> {
        self.fetch_with(request, None).await
    }

    async fn fetch_with(
        &self,
        request: FetchRequest,
        body: Option<Body>,
    ) -> Result<(FetchResponse, Vec<u8>), String> {
        let (head, body) = soon(self.fetcher.fetch(of(1, "w"), request, body))
            .await
            .map_err(shown)?;
        soon(whole(body)).await.map(|body| (head, body))
    }
}

fn reaching(reach: Reach, fetch: &[&str]) -> Workers {
    let listed = fetch
        .iter()
        .map(|entry| format!("{entry:?}"))
        .collect::<Vec<_>>()
        .join(",");
    let fetch = if fetch.is_empty() {
        String::new()
    } else {
        format!(",\"fetch\":[{listed}]")
    };
    serde_json::from_str(&format!("{{\"reach\":\"{}\"{fetch}}}", reach.name())).unwrap()
}

fn of(owner: u8, worker: &str) -> Arc<CallContext> {
    Arc::new(CallContext {
        owner: [owner; 20],
        worker: worker.to_owned(),
        version: 1,
    })
}

fn get(url: &str) -> FetchRequest {
    request("GET", url, &[])
}

fn request(method: &str, url: &str, headers: &[(&str, &str)]) -> FetchRequest {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    FetchRequest {
        method: method.to_owned(),
        url: url.to_owned(),
        headers: headers.iter().map(owned).collect(),
        has_body: false,
        redirect: Redirect::Follow,
    }
}

/// A body that is there at once.
fn body(pieces: &[&[u8]]) -> Option<Body> {
    let (sender, body) = mpsc::channel(pieces.len().max(1));
    for piece in pieces {
        sender.try_send(Ok(piece.to_vec())).ok().unwrap();
    }
    Some(body)
}

async fn whole(mut body: Body) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    while let Some(piece) = body.recv().await {
        let piece = piece.map_err(shown)?;
        assert!((1..=64 * 1024).contains(&piece.len()));
        bytes.extend(piece);
    }
    Ok(bytes)
}

fn shown(failure: Failure) -> String {
    format!("{}: {}", failure.code, failure.message)
}

fn value<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

async fn soon<F: Future>(future: F) -> F::Output {
    timeout(PATIENCE, future).await.expect("no answer in time")
}
