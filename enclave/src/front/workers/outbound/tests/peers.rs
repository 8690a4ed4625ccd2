//! Servers that others wrote, and the host's own end of egress.

use std::process::Stdio;

use jeju_host_shim::{Config, HostShim};
use jeju_shim_protocol::egress::Addresses;
use jeju_shim_protocol::transport::{GuestTransport, HostTransport};
use tokio::process::{Child, Command};

use super::servers::*;
use super::*;
use crate::egress::TargetEgress;

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

async fn listening(port: u16) -> SocketAddr {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let up = async {
        while TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon(up).await;
    address
}

fn program(name: &str, arguments: &[&str]) -> Child {
    Command::new(name)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[tokio::test]
async fn a_server_of_python_answers() {
    let directory = tempfile::tempdir().unwrap();
    let text = "0123456789".repeat(100_000);
    std::fs::write(directory.path().join("text.txt"), &text).unwrap();
    std::fs::create_dir(directory.path().join("folder")).unwrap();
    let port = free_port();
    let path = directory.path().to_str().unwrap();
    let arguments = [
        "-m",
        "http.server",
        "-b",
        "127.0.0.1",
        "-d",
        path,
        &port.to_string(),
    ];
    let _server = program("python3", &arguments);
    let world = World::new(&Trust::new(&["x.example"]));
    world.lead("files.example:80", listening(port).await);
    let (head, body) = world.fetch(get("http://files.example/text.txt")).await.unwrap();
    assert_eq!(
        (head.status, value(&head.headers, "content-type")),
        (200, Some("text/plain"))
    );
    assert!(body == text.as_bytes());
    // It sends folders to their name with a slash.
    let (head, _) = world.fetch(get("http://files.example/folder")).await.unwrap();
    assert_eq!(
        (head.url.as_str(), head.redirected),
        ("http://files.example/folder/", true)
    );
    let (head, body) = world
        .fetch(request("HEAD", "http://files.example/text.txt", &[]))
        .await
        .unwrap();
    assert_eq!(value(&head.headers, "content-length"), Some("1000000"));
    assert!(body.is_empty());
    let (head, _) = world.fetch(get("http://files.example/none")).await.unwrap();
    assert_eq!((head.status, head.status_text.as_str()), (404, "File not found"));
}

#[tokio::test]
async fn a_server_of_openssl_speaks_either_version_and_no_older_one() {
    let trust = Trust::new(&["tls.example"]);
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        std::fs::write(directory.path().join(name), text).unwrap();
        directory.path().join(name).to_str().unwrap().to_owned()
    };
    let (cert, key) = (file("cert", &trust.certificate_pem), file("key", &trust.key_pem));
    for (versions, answers) in [
        (&["-tls1_2"][..], true),
        (&["-tls1_3"], true),
        (&["-tls1_1"], false),
    ] {
        let port = free_port().to_string();
        let old = ["-cipher", "ALL:@SECLEVEL=0"];
        let mut arguments = vec!["s_server", "-www", "-accept", &port, "-cert", &cert, "-key", &key];
        arguments.extend(versions);
        if !answers {
            arguments.extend(old);
        }
        let _server = program("openssl", &arguments);
        let world = World::new(&trust);
        world.lead("tls.example:443", listening(port.parse().unwrap()).await);
        match world.fetch(get("https://tls.example/")).await {
            Ok((head, body)) => {
                assert!(answers && head.status == 200);
                assert!(String::from_utf8_lossy(&body).contains("s_server"));
            }
            Err(error) => {
                assert!(!answers, "{error}");
                assert_eq!(
                    error,
                    "fetch_failed: tls.example:443 and this node don't agree on TLS"
                );
            }
        }
    }
}

#[tokio::test]
async fn the_hosts_shim_lets_out_what_both_lists_have() {
    let server = Server::start(None, echo).await;
    let directory = tempfile::tempdir().unwrap();
    let launch = directory.path().join("launch.toml");
    std::fs::write(&launch, "version = 1\n").unwrap();
    let mut config = Config::new(HostTransport::Unix(directory.path().into()), launch);
    let listed = server.address.to_string();
    config.egress_allow.insert(listed.parse().unwrap());
    config.egress_public = true;
    let shim = HostShim::start(config).await.unwrap();
    let egress = || Arc::new(TargetEgress(GuestTransport::Unix(directory.path().into())));
    let tls = Trust::new(&["x.example"]).client;
    let fetcher = |reach, list: &[&str]| Fetcher::new(&reaching(reach, list), &[], egress(), &tls);
    let fetch = async |fetcher: &Fetcher, url: &str| {
        let (head, body) = soon(fetcher.fetch(of(1, "w"), get(url), None))
            .await
            .map_err(shown)?;
        whole(body).await.map(|body| (head, body))
    };
    let listing = fetcher(Reach::Listed, &[&listed, "127.0.0.1:9"]);
    let (head, body) = fetch(&listing, &format!("http://{listed}/x")).await.unwrap();
    assert_eq!((head.status, said(&body)["target"].as_str()), (200, Some("/x")));
    // Not in the host's list.
    let error = fetch(&listing, "http://127.0.0.1:9/").await.err().unwrap();
    assert_eq!(
        error,
        "fetch_not_allowed: 127.0.0.1:9 may not be fetched: the node's host doesn't let it out"
    );
    // By the enclave's rules the address would never be asked for as a public one. The host refuses it all the same.
    let connector = Connector::new(egress(), &tls, PATIENCE);
    let public = destination::Destination {
        line: EgressLine {
            target: listed.parse().unwrap(),
            addresses: Addresses::Public,
        },
        is_secure: false,
    };
    let refused = soon(connector.open(&public)).await.err().map(shown).unwrap();
    assert_eq!(
        refused,
        format!("fetch_not_allowed: {listed} may not be fetched: its address isn't public")
    );
    shim.shutdown().await;
}
