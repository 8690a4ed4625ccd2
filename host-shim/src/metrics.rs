//! Counters, and the Prometheus endpoint that shows them (text exposition format 0.0.4).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use jeju_shim_protocol::Port;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Connections of the endpoint at once.
pub(crate) const MAX_SCRAPES: usize = 4;
const SCRAPE_TIME: Duration = Duration::from_secs(5);
const MAX_REQUEST: usize = 4096;

/// Counters of one port.
#[derive(Debug, Default)]
pub(crate) struct PortMetrics {
    pub(crate) connections: Counter,
    pub(crate) active: Gauge,
    /// Connections closed because of the connection limit.
    pub(crate) over_limit: Counter,
    /// Bytes that went into the guest.
    pub(crate) to_guest: Counter,
    /// Bytes that came out of the guest.
    pub(crate) from_guest: Counter,
    /// Connections to the guest that failed.
    pub(crate) dial_failures: Counter,
    /// Connections closed for lack of traffic.
    pub(crate) idle_timeouts: Counter,
    /// Requests that weren't valid, or came too slowly.
    pub(crate) bad_requests: Counter,
    /// Requests that a rule refused: egress not listed or not public, documents not there.
    pub(crate) denied: Counter,
    /// Egress targets that couldn't be reached.
    pub(crate) unreachable: Counter,
    /// Log bytes that went nowhere.
    pub(crate) log_dropped: Counter,
    /// Bytes of blobs that are kept.
    pub(crate) stored_bytes: Level,
    /// Blobs that are kept.
    pub(crate) stored_blobs: Level,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Relaxed);
    }

    pub(crate) fn one(&self) {
        self.add(1);
    }
}

/// A number that is set.
#[derive(Debug, Default)]
pub(crate) struct Level(AtomicU64);

impl Level {
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }
}

/// How many of something there are now.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicU64);

impl Gauge {
    pub(crate) fn get(&self) -> usize {
        self.0.load(Relaxed) as usize
    }

    /// Counts one until the guard is dropped, also when its task is aborted.
    pub(crate) fn enter(metrics: Arc<PortMetrics>) -> Entered {
        metrics.active.0.fetch_add(1, Relaxed);
        Entered(metrics)
    }
}

/// See [`Gauge::enter`].
pub(crate) struct Entered(Arc<PortMetrics>);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.active.0.fetch_sub(1, Relaxed);
    }
}

/// Counters of every port that is served.
pub(crate) type Metrics = BTreeMap<Port, Arc<PortMetrics>>;

/// Answers one scrape and closes.
pub(crate) async fn answer_scrape(mut stream: TcpStream, metrics: Arc<Metrics>) {
    let _ = timeout(SCRAPE_TIME, async {
        let request = read_head(&mut stream).await?;
        let response = match request.as_deref().map(request_target) {
            Some(Some("/metrics")) => {
                let body = render(&metrics);
                let head = "HTTP/1.0 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n";
                format!(
                    "{head}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                )
            }
            Some(Some(_)) => empty_response("404 Not Found"),
            _ => empty_response("400 Bad Request"),
        };
        stream.write_all(response.as_bytes()).await?;
        stream.shutdown().await
    })
    .await;
}

/// The request's head, or `None` when it is too long or ends early.
async fn read_head(stream: &mut TcpStream) -> std::io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    let mut chunk = [0; 512];
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        let count = stream.read(&mut chunk).await?;
        if count == 0 || head.len() + count > MAX_REQUEST {
            return Ok(None);
        }
        head.extend_from_slice(&chunk[..count]);
    }
    Ok(Some(head))
}

/// Path of a GET request.
fn request_target(head: &[u8]) -> Option<&str> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let (target, version) = std::str::from_utf8(line)
        .ok()?
        .strip_prefix("GET ")?
        .split_once(' ')?;
    version.starts_with("HTTP/1.").then_some(target)
}

fn empty_response(status: &str) -> String {
    format!("HTTP/1.0 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

fn render(metrics: &Metrics) -> String {
    type Read = fn(&PortMetrics) -> &AtomicU64;
    let series: [(&str, &str, &str, &str, Read); 13] = [
        ("connections_total", "counter", "Connections accepted.", "", |m| {
            &m.connections.0
        }),
        ("connections_active", "gauge", "Connections open now.", "", |m| {
            &m.active.0
        }),
        (
            "connections_over_limit_total",
            "counter",
            "Connections closed because of the limit.",
            "",
            |m| &m.over_limit.0,
        ),
        (
            "bytes_total",
            "counter",
            "Payload bytes forwarded.",
            ",direction=\"to_guest\"",
            |m| &m.to_guest.0,
        ),
        ("bytes_total", "", "", ",direction=\"from_guest\"", |m| {
            &m.from_guest.0
        }),
        (
            "dial_failures_total",
            "counter",
            "Connections to the guest that failed.",
            "",
            |m| &m.dial_failures.0,
        ),
        (
            "idle_timeouts_total",
            "counter",
            "Connections closed for lack of traffic.",
            "",
            |m| &m.idle_timeouts.0,
        ),
        (
            "bad_requests_total",
            "counter",
            "Requests of the guest that were invalid or late.",
            "",
            |m| &m.bad_requests.0,
        ),
        (
            "denied_total",
            "counter",
            "Requests of the guest that a rule refused.",
            "",
            |m| &m.denied.0,
        ),
        (
            "unreachable_total",
            "counter",
            "Egress targets that could not be reached.",
            "",
            |m| &m.unreachable.0,
        ),
        (
            "log_dropped_bytes_total",
            "counter",
            "Log bytes of the guest that were dropped.",
            "",
            |m| &m.log_dropped.0,
        ),
        (
            "stored_bytes",
            "gauge",
            "Bytes of blobs kept for the guest.",
            "",
            |m| &m.stored_bytes.0,
        ),
        ("stored_blobs", "gauge", "Blobs kept for the guest.", "", |m| {
            &m.stored_blobs.0
        }),
    ];
    let mut text = String::new();
    for (name, kind, help, labels, read) in series {
        if !kind.is_empty() {
            let _ = writeln!(
                text,
                "# HELP jeju_shim_{name} {help}\n# TYPE jeju_shim_{name} {kind}"
            );
        }
        for (port, counters) in metrics {
            let value = read(counters).load(Relaxed);
            let _ = writeln!(text, "jeju_shim_{name}{{port=\"{port}\"{labels}}} {value}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_rendered_by_port() {
        let node = Arc::new(PortMetrics::default());
        let metrics = Metrics::from([(Port::Node, node.clone()), (Port::Egress, Arc::default())]);
        node.to_guest.add(7);
        let entered = Gauge::enter(node);
        let text = render(&metrics);
        assert!(text.contains("\njeju_shim_bytes_total{port=\"4007\",direction=\"to_guest\"} 7\n"));
        assert!(text.contains("\njeju_shim_connections_active{port=\"4007\"} 1\n"));
        assert!(text.contains("\njeju_shim_denied_total{port=\"5000\"} 0\n"));
        assert_eq!(text.matches("# TYPE jeju_shim_bytes_total counter").count(), 1);
        drop(entered);
        assert!(render(&metrics).contains("\njeju_shim_connections_active{port=\"4007\"} 0\n"));
    }

    #[test]
    fn only_get_is_understood() {
        assert_eq!(
            request_target(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"),
            Some("/metrics")
        );
        for bad in [
            &b"POST /metrics HTTP/1.1\r\n\r\n"[..],
            b"GET /metrics\r\n\r\n",
            b"\xff\r\n\r\n",
            b"",
            b"GET",
        ] {
            assert_eq!(request_target(bad), None);
        }
    }
}
