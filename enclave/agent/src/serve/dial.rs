//! TCP connections from inside the container.
//!
//! Names are those of `/etc/hosts`, which Docker fills. The C library's resolver isn't asked: it would load code from the
//! image.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use jeju_agent_protocol::{OpenCode, OpenError, Served};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::pump::{Progress, feed, forward};
use super::refusal;
use super::user::read_text;

/// Time for all addresses of a name.
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// Time for what the peer said before it closed the channel.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// Most addresses of one name.
const MAX_ADDRESSES: usize = 8;

/// Connects to the first address that takes it.
pub(crate) async fn connect(host: &str, port: u16) -> Result<TcpStream, OpenError> {
    let addresses = resolve(host, &read_text("/etc/hosts"));
    if addresses.is_empty() {
        return Err(OpenError::new(
            OpenCode::UnknownHost,
            format!("{host} is no address and isn't in the container's /etc/hosts"),
        ));
    }
    let attempts = async {
        let mut first = None;
        for address in addresses {
            match TcpStream::connect(SocketAddr::new(address, port)).await {
                Ok(stream) => return Ok(stream),
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(first.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
    };
    let outcome = timeout(CONNECT_TIME, attempts).await;
    let outcome = outcome.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut)));
    let stream = outcome.map_err(|error| refusal("the connection failed", &error))?;
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

fn resolve(host: &str, hosts: &str) -> Vec<IpAddr> {
    if let Ok(address) = host.parse() {
        return vec![address];
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    let mut found: Vec<IpAddr> = hosts
        .lines()
        .filter_map(|line| {
            let mut words = line.split('#').next()?.split_whitespace();
            let address = words.next()?.parse().ok()?;
            words
                .any(|name| name.eq_ignore_ascii_case(host))
                .then_some(address)
        })
        .take(MAX_ADDRESSES)
        .collect();
    // An image may have no such file.
    if found.is_empty() && host.eq_ignore_ascii_case("localhost") {
        found = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    }
    found
}

/// Moves bytes both ways until both ends have ended, or the peer closes the channel.
pub(crate) async fn serve(served: Served, stream: TcpStream) {
    let Served {
        stdin,
        mut controls,
        reply,
    } = served;
    let (from, to) = stream.into_split();
    let mut feeding = tokio::spawn(feed(stdin, to));
    let forwarding = async {
        forward(from, &reply, false, &Progress::default()).await;
        reply.eof();
        // The other half may go on.
        while !feeding.is_finished() {
            let _ = (&mut feeding).await;
        }
    };
    let closed = async { while controls.next().await.is_some() {} };
    tokio::select! {
        () = forwarding => {}
        () = closed => {}
    }
    if !feeding.is_finished() {
        let _ = timeout(LAST_WORDS, &mut feeding).await;
    }
    feeding.abort();
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTS: &str =
        "127.0.0.1 localhost # db\n::1\tlocalhost ip6-localhost\n\n172.17.0.2 web Web2\nnonsense web\n";

    #[test]
    fn names_are_those_of_the_hosts_file() {
        let of = |host| resolve(host, HOSTS);
        assert_eq!(
            of("localhost"),
            [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()]
        );
        assert_eq!(of("WEB2."), ["172.17.0.2".parse::<IpAddr>().unwrap()]);
        assert_eq!(of("10.0.0.1"), ["10.0.0.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(of("fe80::1"), ["fe80::1".parse::<IpAddr>().unwrap()]);
        for unknown in ["db", "example.org", "", ".", "#"] {
            assert!(of(unknown).is_empty(), "{unknown}");
        }
        assert_eq!(resolve("localhost", "").len(), 2);
    }
}
