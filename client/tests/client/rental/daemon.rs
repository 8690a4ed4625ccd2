//! `jeju provider run` with a verified node in this process and a real chain.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jeju_chain::RentalStatus;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStderr, ChildStdout};

use super::{OTHER, PROVIDER, RentingNode, Setting, USER, complete, start, text};

const LIMIT: Duration = Duration::from_secs(60);

struct Daemon {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    errors: Lines<BufReader<ChildStderr>>,
}

fn arguments<'a>(url: &'a str, node: &'a RentingNode) -> Vec<&'a str> {
    let policy = node.policy.to_str().unwrap();
    vec![
        "provider",
        "run",
        "--node",
        url,
        "--policy",
        policy,
        "--development",
        "--interval",
        "1",
        "--json",
    ]
}

/// A way to the chain that can be closed.
struct Gate {
    url: String,
    open: Arc<AtomicBool>,
}

impl Gate {
    async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let open = Arc::new(AtomicBool::new(true));
        let is_open = open.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                if is_open.load(Ordering::SeqCst) {
                    tokio::spawn(async move {
                        let mut node = TcpStream::connect(("127.0.0.1", port)).await?;
                        tokio::io::copy_bidirectional(&mut stream, &mut node).await
                    });
                }
            }
        });
        Self { url, open }
    }
}

impl Daemon {
    fn start(setting: &Setting, account: &str, node: &RentingNode) -> Self {
        Self::start_through(setting, account, node, &setting.anvil.url())
    }

    fn start_through(setting: &Setting, account: &str, node: &RentingNode, rpc: &str) -> Self {
        let url = node.node.url();
        let mut command = setting.command(account, &arguments(&url, node));
        command.env("RPC_URL", rpc);
        // From the node's launch document.
        command.env_remove("COMPUTE_RENTAL_ADDRESS");
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let errors = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, lines, errors }
    }

    async fn line(&mut self) -> Value {
        let line = tokio::time::timeout(LIMIT, self.lines.next_line()).await;
        serde_json::from_str(&line.expect("a line in time").unwrap().expect("a line")).unwrap()
    }

    /// Waits for a line on standard error that has these words.
    async fn complains(&mut self, words: &str) {
        let found = async {
            while let Some(line) = self.errors.next_line().await.unwrap() {
                if line.contains(words) {
                    return;
                }
            }
            panic!("ended without {words}");
        };
        tokio::time::timeout(LIMIT, found).await.expect(words);
    }
}

async fn until(what: &str, reached: impl AsyncFn() -> bool) {
    let started = Instant::now();
    while !reached().await {
        assert!(started.elapsed() < LIMIT, "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_sends_what_the_node_asks_for_and_goes_on_after_outages() {
    let setting = Setting::with_offer().await;
    let id = setting.create(USER, &[]).await;
    let mut node = RentingNode::start(&setting, setting.contract, PROVIDER).await;
    node.asks(&[]);
    let before = setting.sent(PROVIDER, "latest").await;
    let mut daemon = Daemon::start(&setting, PROVIDER, &node);
    daemon.complains("sends what the rentals").await;
    node.asks(&[(id, start())]);
    let line = daemon.line().await;
    assert_eq!(
        (&line["operation"], &line["rentalId"]),
        (&json!("start"), &json!(id))
    );
    assert!(
        line["transaction"].is_string() && line["time"].is_string(),
        "{line}"
    );
    assert_eq!(setting.record(id).await.status, RentalStatus::Active);

    // The node is gone for a while, and goes on asking: it lags behind the chain.
    node = node
        .restart(&setting, async || daemon.complains("again in").await)
        .await;
    until("the node was asked", async || !node.node.requests().is_empty()).await;
    node.answer(
        "/v1/rentals",
        503,
        &json!({ "error": { "code": "rental_chain_unavailable", "message": "no" } }),
    );
    daemon.complains("rental_chain_unavailable").await;
    node.answer(
        "/v1/rentals",
        200,
        &json!({ "rentals": [{ "rentalId": 5, "next": complete() }] }),
    );
    daemon.complains("answer_malformed").await;
    node.asks(&[(id, complete())]);
    let line = daemon.line().await;
    assert_eq!(
        (&line["operation"], &line["rentalId"]),
        (&json!("complete"), &json!(id))
    );
    assert_eq!(setting.record(id).await.status, RentalStatus::Completed);
    assert_eq!(setting.sent(PROVIDER, "pending").await, before + 2);

    // A service manager stops it.
    let pid = i32::try_from(daemon.child.id().unwrap()).unwrap();
    // SAFETY: a signal to a child that wasn't waited for yet.
    unsafe { libc::kill(pid, libc::SIGTERM) };
    let status = tokio::time::timeout(LIMIT, daemon.child.wait())
        .await
        .unwrap()
        .unwrap();
    assert!(status.success(), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_outlives_a_chain_that_can_not_be_reached() {
    let setting = Setting::with_offer().await;
    let id = setting.create(USER, &[]).await;
    let node = RentingNode::start(&setting, setting.contract, PROVIDER).await;
    node.asks(&[(id, start())]);
    let gate = Gate::to(setting.anvil.port()).await;
    gate.open.store(false, Ordering::SeqCst);
    let mut daemon = Daemon::start_through(&setting, PROVIDER, &node, &gate.url);
    daemon.complains("chain_unreadable").await;
    daemon.complains("again in 2 s").await;
    gate.open.store(true, Ordering::SeqCst);
    assert_eq!(daemon.line().await["operation"], "start");
    gate.open.store(false, Ordering::SeqCst);
    node.asks(&[(id, complete())]);
    daemon.complains("again in 1 s").await;
    assert_eq!(setting.record(id).await.status, RentalStatus::Active);
    gate.open.store(true, Ordering::SeqCst);
    assert_eq!(daemon.line().await["operation"], "complete");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_killed_with_a_transaction_on_its_way_sends_no_second_one() {
    let setting = Setting::with_offer().await;
    let id = setting.create(USER, &[]).await;
    let node = RentingNode::start(&setting, setting.contract, PROVIDER).await;
    node.asks(&[(id, start())]);
    let before = setting.sent(PROVIDER, "latest").await;
    setting.mines_by_itself(false).await;
    let mut daemon = Daemon::start(&setting, PROVIDER, &node);
    until("the transaction waits", async || {
        setting.sent(PROVIDER, "pending").await == before + 1
    })
    .await;
    daemon.child.kill().await.unwrap();

    let asked = node.node.requests().len();
    let mut daemon = Daemon::start(&setting, PROVIDER, &node);
    until("the node was asked again", async || {
        node.node.requests().len() > asked
    })
    .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(setting.sent(PROVIDER, "pending").await, before + 1);
    setting.mines_by_itself(true).await;
    setting.anvil.mine(1).await.unwrap();
    assert_eq!(setting.record(id).await.status, RentalStatus::Active);
    node.asks(&[(id, complete())]);
    assert_eq!(
        daemon.line().await["operation"],
        "complete",
        "and no start before it"
    );
    assert_eq!(setting.sent(PROVIDER, "pending").await, before + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_sends_nothing_for_others_and_says_what_is_refused() {
    let setting = Setting::with_offer().await;
    let ids = [setting.create(USER, &[]).await, setting.create(USER, &[]).await];
    setting.offer(PROVIDER, "1").await;
    // Another provider's node, which asks for rentals that aren't its own.
    let other = RentingNode::start(&setting, setting.contract, OTHER).await;
    other.asks(&[(ids[0], start()), (ids[0], complete())]);
    let url = other.node.url();
    let once = [&arguments(&url, &other)[..], &["--once"]].concat();
    let output = setting.run(OTHER, &once).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let line: Value = serde_json::from_str(text(&output.stdout).lines().next().unwrap()).unwrap();
    assert_eq!(
        (&line["code"], &line["rentalId"]),
        (&json!("rental_not_ours"), &json!(ids[0]))
    );
    assert_eq!(setting.sent(OTHER, "pending").await, 0);

    // The wrong wallet for a node, and a node of another contract.
    let (code, exit) = setting.bad(PROVIDER, &once[..once.len() - 2]).await;
    assert_eq!((code.as_str(), exit), ("node_other_provider", 2));
    let elsewhere = RentingNode::start(&setting, [9; 20], PROVIDER).await;
    let url = elsewhere.node.url();
    let (code, _) = setting.bad(PROVIDER, &arguments(&url, &elsewhere)[..7]).await;
    assert_eq!(code, "node_other_contract");

    let node = RentingNode::start(&setting, setting.contract, PROVIDER).await;
    node.asks(&[(ids[0], start()), (ids[1], start())]);
    let url = node.node.url();
    let once = [&arguments(&url, &node)[..9], &["--once"]].concat();
    let output = setting.run(PROVIDER, &once).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let lines: Vec<_> = text(&output.stdout).lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines[0].contains(" start ") && lines[0].contains(" transaction 0x"),
        "{lines:?}"
    );
    assert!(lines[1].contains("ProviderAtCapacity"), "{lines:?}");
}
