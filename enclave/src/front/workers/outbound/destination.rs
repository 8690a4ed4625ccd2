//! Where a worker may go: what the launch document lists, or every public address, and never the node itself.
//!
//! An address in a URL is judged here. What a name leads to only the host sees, so a name is asked for with the demand that
//! its address be public; the host that lies about that reaches nothing that it couldn't reach itself.

use std::collections::HashSet;
use std::net::IpAddr;
use std::num::NonZeroU16;

use jeju_attestation::launch::split_authority;
use jeju_attestation::launch::workers::{Reach, Workers};
use jeju_shim_protocol::egress::{Addresses, DnsName, EgressLine, EgressRequest, Host};
use jeju_shim_protocol::public::is_public;
use jeju_worker_protocol::Failure;
use url::Url;

use super::{invalid, refused};

/// Ports of services that can be made to do something by an HTTP request's bytes (the Fetch standard, "bad ports").
const BAD_PORTS: [u16; 82] = [
    1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104,
    109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515,
    526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049,
    3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
];
/// Last labels of names that lead into a network of somebody's own.
const OWN_NETWORKS: [&str; 11] = [
    "localhost",
    "local",
    "localdomain",
    "internal",
    "intranet",
    "private",
    "corp",
    "home",
    "lan",
    "onion",
    "arpa",
];

/// Where a request goes, and what its connection is kept under.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Destination {
    /// What the host is asked for.
    pub(super) line: EgressLine,
    /// Whether TLS runs on it.
    pub(super) is_secure: bool,
}

/// Where workers may go.
pub(super) struct Rules {
    reach: Reach,
    exact: HashSet<EgressRequest>,
    /// Names that end so, with the port; the dot before is there.
    below: Vec<(String, NonZeroU16)>,
    /// The node's own names and addresses.
    own: HashSet<Host>,
}

impl Rules {
    pub(super) fn new(workers: &Workers, names: &[String]) -> Self {
        let port = |port| NonZeroU16::new(port);
        let mut exact = HashSet::new();
        let mut below = Vec::new();
        for entry in &workers.fetch {
            match (entry.strip_prefix('*'), split_authority(entry)) {
                (Some(rest), _) => {
                    if let Some((suffix, at)) = rest.rsplit_once(':') {
                        below.extend(at.parse().ok().and_then(port).map(|at| (suffix.to_owned(), at)));
                    }
                }
                (None, Some((name, at))) => {
                    exact.extend(
                        host(name)
                            .zip(port(at))
                            .map(|(host, port)| EgressRequest { host, port }),
                    );
                }
                (None, None) => {}
            }
        }
        Self {
            reach: workers.reach,
            exact,
            below,
            own: names.iter().filter_map(|name| host(name)).collect(),
        }
    }

    /// Where this URL leads, if a worker may go there.
    pub(super) fn check(&self, url: &Url) -> Result<Destination, Failure> {
        let is_secure = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(invalid("only http: and https: URLs are fetched")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("a URL with a user or a password in it isn't fetched"));
        }
        let host = match url.host() {
            Some(url::Host::Ipv4(v4)) => Host::Ip(v4.into()),
            Some(url::Host::Ipv6(v6)) => Host::Ip(v6.into()),
            Some(url::Host::Domain(name)) => DnsName::new(name.strip_suffix('.').unwrap_or(name))
                .map(Host::Name)
                .map_err(|_| invalid("the URL's host is no DNS name"))?,
            None => return Err(invalid("the URL has no host")),
        };
        let port = url.port_or_known_default().and_then(NonZeroU16::new);
        let port = port.ok_or_else(|| invalid("the URL's port is none"))?;
        let target = EgressRequest { host, port };
        let addresses = self.addresses(&target)?;
        Ok(Destination {
            line: EgressLine { target, addresses },
            is_secure,
        })
    }

    /// Which addresses of a target will do; an error where none will.
    fn addresses(&self, target: &EgressRequest) -> Result<Addresses, Failure> {
        let no = |why: &str| Err(refused(format!("{target} may not be fetched: {why}")));
        if self.own.contains(&target.host) {
            return no("it is the node itself");
        }
        match self.reach {
            Reach::None => return no("workers on this node have no way out"),
            // What the operator names may be a service of his own, which then the host's list must have too.
            Reach::Listed if self.exact.contains(target) => return Ok(Addresses::Any),
            Reach::Listed if !self.is_below(target) => return no("the launch document doesn't list it"),
            Reach::Listed | Reach::Public => {}
        }
        match &target.host {
            Host::Ip(address) if !is_public(*address) => no("its address isn't public"),
            Host::Name(name) if leads_home(name.as_str()) => no("its name is one of local networks"),
            _ if BAD_PORTS.contains(&target.port.get()) => no("its port is one of other protocols"),
            _ => Ok(Addresses::Public),
        }
    }

    fn is_below(&self, target: &EgressRequest) -> bool {
        let Host::Name(name) = &target.host else {
            return false;
        };
        let matches = |(suffix, port): &(String, NonZeroU16)| {
            *port == target.port && name.as_str().len() > suffix.len() && name.as_str().ends_with(suffix)
        };
        self.below.iter().any(matches)
    }
}

/// Whether a name is none of the public DNS. Without a dot it would be looked up below the host's own domain.
fn leads_home(name: &str) -> bool {
    match name.rsplit_once('.') {
        None => true,
        Some((_, last)) => OWN_NETWORKS.contains(&last),
    }
}

/// A host as launch documents write it.
fn host(text: &str) -> Option<Host> {
    let bare = text.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
    match bare.unwrap_or(text).parse::<IpAddr>() {
        Ok(address) => Some(Host::Ip(address)),
        Err(_) => DnsName::new(text).ok().map(Host::Name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(reach: Reach, fetch: &[&str]) -> Rules {
        let workers = Workers {
            reach,
            fetch: fetch.iter().map(|entry| (*entry).to_owned()).collect(),
            owners: Vec::new(),
            max: 1,
            max_per_owner: 1,
            processes: 1,
            timeout_ms: 1,
            memory_mb: 1,
            registry: None,
        };
        let own = ["node.example", "203.0.113.7", "[2606:4700::7]"].map(str::to_owned);
        Rules::new(&workers, &own)
    }

    fn check(rules: &Rules, url: &str) -> Result<String, (String, String)> {
        match rules.check(&Url::parse(url).unwrap_or_else(|_| panic!("{url}"))) {
            Ok(destination) => Ok(String::from_utf8(destination.line.encode()).unwrap()),
            Err(failure) => Err((failure.code, failure.message)),
        }
    }

    fn refused_for(rules: &Rules, url: &str) -> String {
        match check(rules, url) {
            Err((code, text)) => {
                assert_eq!(code, "fetch_not_allowed", "{url}: {text}");
                text.split_once("fetched: ").unwrap().1.to_owned()
            }
            Ok(line) => panic!("{url}: {line}"),
        }
    }

    #[test]
    fn public_servers_are_asked_for_by_their_names() {
        let rules = rules(Reach::Public, &[]);
        for (url, line) in [
            ("https://api.example/x?y#z", "CONNECT-PUBLIC api.example:443\n"),
            ("http://API.example.:8080/", "CONNECT-PUBLIC api.example:8080\n"),
            (
                "https://b\u{fc}cher.example",
                "CONNECT-PUBLIC xn--bcher-kva.example:443\n",
            ),
            ("http://8.8.8.8", "CONNECT-PUBLIC 8.8.8.8:80\n"),
            (
                "https://[2606:4700::1]:4443",
                "CONNECT-PUBLIC [2606:4700::1]:4443\n",
            ),
            // In one of the spellings that URLs have for addresses.
            ("http://0x8.8.8.010", "CONNECT-PUBLIC 8.8.8.8:80\n"),
        ] {
            assert_eq!(check(&rules, url).as_deref(), Ok(line), "{url}");
        }
    }

    #[test]
    fn no_spelling_leads_to_an_address_that_is_not_public() {
        let rules = rules(Reach::Public, &[]);
        for url in [
            "http://127.0.0.1",
            "http://127.1",
            "http://2130706433",
            "http://0x7f000001",
            "http://0177.0.0.1",
            "http://127.0.0.1.",
            "http://%31%32%37.0.0.1",
            "http://\u{ff11}\u{ff12}\u{ff17}.0.0.1",
            "http://0",
            "http://169.254.169.254/latest/meta-data/",
            "http://100.100.100.200",
            "http://168.63.129.16",
            "http://10.0.0.1",
            "http://192.168.1.1",
            "http://172.31.0.1",
            "http://224.0.0.1",
            "http://255.255.255.255",
            "http://[::1]",
            "http://[::]",
            "http://[::ffff:127.0.0.1]",
            "http://[::ffff:7f00:1]",
            "http://[::127.0.0.1]",
            "http://[64:ff9b::169.254.169.254]",
            "http://[2002:7f00:1::]",
            "http://[fd00:ec2::254]",
            "http://[fe80::1]",
            "http://[ff02::1]",
        ] {
            assert_eq!(refused_for(&rules, url), "its address isn't public", "{url}");
        }
    }

    #[test]
    fn names_of_local_networks_lead_nowhere() {
        let rules = rules(Reach::Public, &[]);
        for url in [
            "http://localhost",
            "http://LOCALHOST.",
            "http://a.localhost",
            "http://metadata",
            "http://metadata.google.internal/computeMetadata/v1/",
            "http://printer.local",
            "http://1.0.0.127.in-addr.arpa",
            "http://router.home.arpa",
            "http://x.corp",
            "http://kubernetes.default.svc.cluster.local",
        ] {
            assert_eq!(
                refused_for(&rules, url),
                "its name is one of local networks",
                "{url}"
            );
        }
    }

    #[test]
    fn ports_of_other_protocols_are_refused() {
        let rules = rules(Reach::Public, &[]);
        for port in [22, 25, 53, 465, 587, 6667, 10080] {
            let why = refused_for(&rules, &format!("http://api.example:{port}"));
            assert_eq!(why, "its port is one of other protocols");
        }
        assert!(BAD_PORTS.is_sorted());
        assert!(check(&rules, "http://api.example:8443").is_ok());
    }

    #[test]
    fn the_node_itself_is_out_of_reach() {
        for rules in [
            rules(Reach::Public, &[]),
            rules(Reach::Listed, &["node.example:4020", "*.example:443"]),
        ] {
            for url in [
                "https://node.example:4020/api/v1/workers",
                "https://NODE.example.:4020",
                "https://node.example",
                "http://203.0.113.7:4020",
                "http://[2606:4700:0:0::7]:4020",
            ] {
                assert_eq!(refused_for(&rules, url), "it is the node itself", "{url}");
            }
        }
    }

    #[test]
    fn lists_let_through_what_they_name_and_nothing_else() {
        let listed = rules(
            Reach::Listed,
            &[
                "api.example:443",
                "127.0.0.1:8080",
                "[::1]:25",
                "db.internal:80",
                "*.example.org:443",
            ],
        );
        for (url, line) in [
            ("https://api.example", "CONNECT api.example:443\n"),
            ("http://127.0.0.1:8080", "CONNECT 127.0.0.1:8080\n"),
            ("http://[::1]:25", "CONNECT [::1]:25\n"),
            ("http://db.internal", "CONNECT db.internal:80\n"),
            ("https://a.example.org", "CONNECT-PUBLIC a.example.org:443\n"),
            ("https://b.a.example.org", "CONNECT-PUBLIC b.a.example.org:443\n"),
        ] {
            assert_eq!(check(&listed, url).as_deref(), Ok(line), "{url}");
        }
        for url in [
            "http://api.example",
            "https://api.example:444",
            "https://www.api.example",
            "https://example.org",
            "https://evilexample.org",
            "https://a.example.org:8443",
            "https://8.8.8.8",
            "http://127.0.0.1:8081",
        ] {
            assert_eq!(
                refused_for(&listed, url),
                "the launch document doesn't list it",
                "{url}"
            );
        }
        let none = rules(Reach::None, &[]);
        assert_eq!(
            refused_for(&none, "https://api.example"),
            "workers on this node have no way out"
        );
    }

    #[test]
    fn what_is_no_web_address_is_invalid() {
        let rules = rules(Reach::Public, &[]);
        for url in [
            "ftp://api.example/",
            "file:///etc/passwd",
            "data:text/plain,hi",
            "ws://api.example/",
            "https://user@api.example/",
            "https://:password@api.example/",
            "http://a_b.example/",
            "http://-a.example/",
            "http://api.example:0/",
        ] {
            let (code, _) = check(&rules, url).unwrap_err();
            assert_eq!(code, "fetch_invalid", "{url}");
        }
    }
}
