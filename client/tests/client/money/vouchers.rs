//! What a user promises a node, and what it doesn't.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use jeju_client::error::Class;
use jeju_client::payment::{PaymentError, Payments, PriceLimit, VOUCHER};
use jeju_client::proxy::Proxy;
use jeju_client::session::{Limits, Session, VerifiedBody};
use jeju_wallet_auth::market::SignedVoucher;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{COST, PaidNode, STREAM, Setting, account, digest, header};
use crate::node::Trick;
use crate::rental::{PROVIDER, USER};

const CHAT: &str = "/v1/chat/completions";
const PROMPT: &str = r#"{"model":"tiny","max_tokens":4,"messages":[{"role":"user","content":"hello"}]}"#;

/// Asks once, and pays. Returns what was added to the request, and the answer's body.
async fn ask(payments: &Payments, session: &mut Session) -> Result<(HeaderMap, Bytes), PaymentError> {
    let (mut headers, body) = (HeaderMap::new(), Bytes::from(PROMPT));
    headers.insert("x-payment", "a caller's own".parse().unwrap());
    let paid = payments
        .begin(session, &Method::POST, CHAT, &mut headers, &body)
        .await?
        .expect("it is paid for");
    let answer = session.request(Method::POST, CHAT, headers.clone(), body).await?;
    let VerifiedBody::Whole(body) = answer.body else {
        panic!("a stream")
    };
    paid.whole(answer.status, &answer.headers, &body)?;
    Ok((headers, body))
}

fn voucher(setting: &Setting, text: &str) -> SignedVoucher {
    let (user, provider) = (account(USER).account(), account(PROVIDER).account());
    let signed = SignedVoucher::parse(text, user, provider).unwrap();
    assert!(signed.is_signed(&setting.serving()));
    signed
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_promised_with_the_next_request_and_at_the_end() {
    let setting = Setting::with_service().await;
    let node = PaidNode::start(&setting).await;
    let payments = setting.payments("book", |_| {});
    let mut session = node.session().await;
    let (first, body) = ask(&payments, &mut session).await.unwrap();
    assert!(first.get(VOUCHER).is_none() && first.get("x-payment").is_none());
    assert!(payments.is_due(&session));
    let (second, _) = ask(&payments, &mut session).await.unwrap();
    let promised = voucher(&setting, second[VOUCHER].to_str().unwrap()).voucher;
    assert_eq!((promised.cumulative, promised.sequence), (COST, 1));
    assert_eq!(
        hex::encode(promised.request_digest),
        digest(PROMPT.as_bytes())[2..]
    );
    assert_eq!(hex::encode(promised.response_digest), digest(&body)[2..]);

    payments.flush(&mut session).await.unwrap();
    assert!(!payments.is_due(&session));
    payments.flush(&mut session).await.unwrap();
    let handed = node.books().handed.clone();
    assert_eq!(handed.len(), 1);
    assert_eq!(handed[0]["cumulative"], (2 * COST).to_string());
    assert_eq!(handed[0]["sequence"], 2);
    // Both requests are signed for this node, and each once.
    let nonces: Vec<_> = node
        .prompts()
        .iter()
        .map(|(head, _)| header(head, "x-jeju-nonce").unwrap())
        .collect();
    assert!(nonces.len() == 2 && nonces[0] != nonces[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_asks_for_more_than_its_usage_gets_no_more() {
    let setting = Setting::with_service().await;
    let node = PaidNode::start(&setting).await;
    node.books().asks = Some(1_000_000);
    node.books().owed = 5_000_000;
    let payments = setting.payments("book", |_| {});
    let mut session = node.session().await;
    ask(&payments, &mut session).await.unwrap();
    payments.flush(&mut session).await.unwrap();
    assert_eq!(node.books().handed[0]["cumulative"], COST.to_string());
    node.books().asks = Some(7);
    ask(&payments, &mut session).await.unwrap();
    payments.flush(&mut session).await.unwrap();
    assert_eq!(node.books().handed[1]["cumulative"], (COST + 7).to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_kept_before_anything_is_sent() {
    let setting = Setting::with_service().await;
    let node = PaidNode::start(&setting).await;
    // Enough for one request as it is reckoned with, not for two.
    let payments = setting.payments("book", |settings| settings.limit = Some(700));
    let mut session = node.session().await;
    ask(&payments, &mut session).await.unwrap();
    let error = ask(&payments, &mut session).await.unwrap_err();
    assert_eq!(error.code(), "spend_limit");
    assert_eq!(node.prompts().len(), 1);
    payments.flush(&mut session).await.unwrap();
    assert_eq!(node.books().handed[0]["cumulative"], COST.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn vouchers_go_on_after_a_restart_and_never_begin_anew() {
    let setting = Setting::with_service().await;
    let node = PaidNode::start(&setting).await;
    for expected in [COST, 2 * COST] {
        let payments = setting.payments("book", |_| {});
        let mut session = node.session().await;
        ask(&payments, &mut session).await.unwrap();
        payments.flush(&mut session).await.unwrap();
        assert_eq!(node.books().promised, expected);
    }
    assert_eq!(node.books().sequence, 2);
    // A machine without the book.
    let prompts = node.prompts().len();
    let payments = setting.payments("another", |_| {});
    let mut session = node.session().await;
    let error = ask(&payments, &mut session).await.unwrap_err();
    assert_eq!(error.code(), "payment_record_behind");
    assert_eq!(node.prompts().len(), prompts);
    let payments = setting.payments("another", |settings| settings.adopt = true);
    ask(&payments, &mut session).await.unwrap();
    payments.flush(&mut session).await.unwrap();
    assert_eq!(node.books().promised, 3 * COST);
    assert_eq!(node.books().sequence, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_answered_is_not_promised_unless_the_node_counts_it() {
    let setting = Setting::with_service().await;
    let node = PaidNode::start(&setting).await;
    let payments = setting.payments("book", |_| {});
    let mut session = node.session().await;
    ask(&payments, &mut session).await.unwrap();
    payments.flush(&mut session).await.unwrap();
    // The connection breaks after the request was sent.
    node.node.trick(Trick::ChangedBody);
    assert!(ask(&payments, &mut session).await.is_err());
    node.node.trick(Trick::Honest);
    let mut session = node.session().await;
    // The node counts it; were it a lie, it could be no more than the request can cost.
    assert_eq!(node.books().owed, 2 * COST);
    payments.flush(&mut session).await.unwrap();
    assert_eq!(node.books().promised, 2 * COST);
    node.books().owed = u128::MAX;
    let book = payments.book(&session).unwrap().unwrap();
    assert!(book.doubtful > 0 && book.doubtful < 10_000);
}

/// Asks for a stream, reads it to its end, and pays.
async fn ask_stream(payments: &Payments, session: &mut Session) -> Result<(), PaymentError> {
    let body = Bytes::from(PROMPT.replace("\"max_tokens\"", "\"stream\":true,\"max_tokens\""));
    let mut headers = HeaderMap::new();
    let paid = payments
        .begin(session, &Method::POST, CHAT, &mut headers, &body)
        .await?
        .expect("it is paid for");
    let answer = session.request(Method::POST, CHAT, headers, body).await?;
    let mut paid = paid.stream(answer.status, &answer.headers);
    let VerifiedBody::Stream(mut stream) = answer.body else {
        panic!("no stream")
    };
    while let Some(events) = stream.next().await.map_err(jeju_client::error::Error::from)? {
        paid.events(&events);
    }
    paid.ended(stream.end().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_promised_once_their_end_is_verified() {
    let setting = Setting::with_service().await;
    let node = PaidNode::start(&setting).await;
    let payments = setting.payments("book", |_| {});
    let mut session = node.session().await;
    ask_stream(&payments, &mut session).await.unwrap();
    payments.flush(&mut session).await.unwrap();
    let handed = node.books().handed.clone();
    assert_eq!(handed[0]["cumulative"], COST.to_string());
    assert_eq!(handed[0]["response"], digest(STREAM.as_bytes()));
    for trick in [Trick::StreamCut, Trick::StreamForged, Trick::StreamUnsigned] {
        node.node.trick(trick);
        let mut session = node.session().await;
        assert!(ask_stream(&payments, &mut session).await.is_err());
        let book = payments.book(&session).unwrap().unwrap();
        assert_eq!((book.owed, book.promised), (COST, COST), "{trick:?}");
        // The node doesn't count it either.
        node.books().owed = COST;
    }
    assert_eq!(node.books().handed.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_pays_for_its_callers_and_hands_in_the_rest_when_it_ends() {
    let setting = Setting::with_service().await;
    let node = PaidNode::start(&setting).await;
    let proxy = Proxy::bind(
        "127.0.0.1:0".parse().unwrap(),
        node.node.url().parse().unwrap(),
        node.party(),
        Limits::default(),
    );
    let proxy = proxy
        .await
        .unwrap()
        .with_payer(Arc::new(setting.payments("book", |_| {})));
    let address = proxy.address();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let task = tokio::spawn(proxy.serve(async { drop(stopped.await) }));
    let request = format!(
        "POST {CHAT} HTTP/1.1\r\nHost: {address}\r\nX-Jeju-Address: 0x00\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{PROMPT}",
        PROMPT.len()
    );
    for _ in 0..3 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    drop(stop);
    task.await.unwrap();
    let vouchers: Vec<_> = node
        .prompts()
        .iter()
        .map(|(head, _)| header(head, "jeju-voucher"))
        .map(|text| text.map(|text| voucher(&setting, &text).voucher.cumulative))
        .collect();
    assert_eq!(vouchers, [None, Some(COST), Some(2 * COST)]);
    assert_eq!(node.books().promised, 3 * COST);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_cost_nothing_and_ask_the_node_again() {
    let setting = Setting::with_service().await;
    let node = PaidNode::start(&setting).await;
    let payments = setting.payments("book", |_| {});
    let mut session = node.session().await;
    let body = r#"{"x402Version":1,"error":"Payment required","code":"payment_due","accepts":[]}"#;
    node.books().refuses = Some((StatusCode::PAYMENT_REQUIRED.as_u16(), body.to_owned()));
    ask(&payments, &mut session).await.unwrap();
    assert!(!payments.is_due(&session));
    node.books().refuses = None;
    ask(&payments, &mut session).await.unwrap();
    let asked = node.node.requests();
    let sessions = asked.iter().filter(|(path, _)| path == "/v1/payments/session");
    assert_eq!(sessions.count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_of_other_contracts_and_models_without_a_price_are_not_paid() {
    let setting = Setting::with_service().await;
    let node = PaidNode::start_for(&setting, setting.contract("computeRental")).await;
    let serving = setting.serving().contract;
    let payments = setting.payments("book", |settings| settings.serving = Some(serving));
    let mut session = node.session().await;
    let error = ask(&payments, &mut session).await.unwrap_err();
    assert_eq!(error.code(), "node_other_payments");
    let payments = setting.payments("book", |settings| settings.chain_id = 1);
    let error = ask(&payments, &mut session).await.unwrap_err();
    assert_eq!(error.code(), "node_other_payments");

    let node = PaidNode::start(&setting).await;
    let mut session = node.session().await;
    let payments = setting.payments("book", |_| {});
    let other = Bytes::from(PROMPT.replace("tiny", "huge"));
    let begun = payments
        .begin(&mut session, &Method::POST, CHAT, &mut HeaderMap::new(), &other)
        .await;
    assert_eq!(begun.err().unwrap().code(), "price_unknown");
    // Reading costs nothing, and is nobody's.
    let mut headers = HeaderMap::new();
    let begun = payments
        .begin(
            &mut session,
            &Method::GET,
            "/v1/models",
            &mut headers,
            &Bytes::new(),
        )
        .await;
    assert!(begun.unwrap().is_none() && headers.is_empty());
    assert!(node.prompts().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_to_a_provider_for_which_too_little_is_set_aside() {
    let setting = Setting::with_service().await;
    let node = PaidNode::start(&setting).await;
    let payments = setting.payments("book", |_| {});
    let mut session = node.session().await;
    ask(&payments, &mut session).await.unwrap();
    let provider = account(PROVIDER).account().to_string();
    setting.good(USER, &["refund", &provider]).await;
    let payments = setting.payments("book", |_| {});
    let error = ask(&payments, &mut session).await.unwrap_err();
    assert_eq!(
        (error.code(), error.class()),
        ("payment_insufficient", Class::Policy)
    );
    assert_eq!(node.prompts().len(), 1);
    setting.good(USER, &["refund", &provider, "--cancel"]).await;
    ask(&payments, &mut session).await.unwrap();
    // What was answered is promised, whatever is left.
    setting.good(USER, &["refund", &provider]).await;
    payments.flush(&mut session).await.unwrap();
    assert_eq!(node.books().promised, 2 * COST);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_is_paid_for_by_the_program() {
    let setting = Setting::with_service().await;
    let node = PaidNode::start(&setting).await;
    let url = node.node.url();
    let options = node.options(&url);
    let chat = ["chat", "hello", "--model", "tiny", "--max-tokens", "4", "--pay"];
    let output = setting.run(USER, &[&chat[..], &options].concat()).await;
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(String::from_utf8_lossy(&output.stdout), "hi\n");
    assert_eq!(node.books().handed[0]["cumulative"], COST.to_string());
    let limited = [&chat[..], &options, &["--max-spend", "1wei"]].concat();
    let output = setting.run(USER, &limited).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("spend_limit"));
    assert_eq!(node.prompts().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_costs_more_than_it_may_is_not_asked() {
    let setting = Setting::with_service().await;
    let node = PaidNode::start(&setting).await;
    let limited = |input, output| {
        setting.payments("book", move |settings| {
            settings.prices = PriceLimit { input, output }
        })
    };
    let mut session = node.session().await;
    for (input, output) in [(Some(0), None), (None, Some(0))] {
        let refused = ask(&limited(input, output), &mut session).await.unwrap_err();
        assert_eq!(
            (refused.code(), refused.class()),
            ("price_too_high", Class::Policy)
        );
    }
    assert!(node.prompts().is_empty());
    let enough = Some(u128::MAX);
    assert!(ask(&limited(enough, enough), &mut session).await.is_ok());
}
