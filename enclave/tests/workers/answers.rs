use std::time::Duration;

use serde_json::json;
use tokio::time::{sleep, timeout};

use super::owner::{Owner, anybody, send, text, value};
use super::{deploy, deploy_with, node};

#[tokio::test(flavor = "multi_thread")]
async fn a_request_reaches_the_worker_as_it_was_sent() {
    let host = node().await;
    let owner = Owner::new(1);
    let code = "export default { async fetch(request) {
        return Response.json({method: request.method, url: request.url, text: await request.text(),
            fields: Object.fromEntries(request.headers)}, {status: 201, headers: {'x-mine': 'yes'}});
    } };";
    deploy_with(
        &host,
        &owner,
        json!({"name": "echo", "code": code, "routes": ["/echo/*"]}),
    )
    .await;
    let fields = [
        ("x-custom", "1"),
        ("cookie", "a=b"),
        ("connection", "keep-alive"),
        ("jeju-channel", "x"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let answered = send(&host, "POST", "/w/echo/a%20b?c=d&c=e", &fields, "höhe".as_bytes()).await;
    assert_eq!(
        (answered.status, &answered.headers["x-mine"]),
        (201, &"yes".parse().unwrap())
    );
    assert_eq!(answered.headers["content-type"], "application/json");
    let seen = value(&answered);
    assert_eq!(seen["method"], "POST");
    assert_eq!(seen["url"], "https://localhost/w/echo/a%20b?c=d&c=e");
    assert_eq!(seen["text"], "höhe");
    assert_eq!(
        (&seen["fields"]["x-custom"], &seen["fields"]["cookie"]),
        (&json!("1"), &json!("a=b"))
    );
    for ours in ["connection", "jeju-channel", "jeju-nonce", "content-length"] {
        assert_eq!(seen["fields"][ours], json!(null), "{ours}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_says_nothing_in_the_nodes_name() {
    let host = node().await;
    let owner = Owner::new(1);
    let code = "export default { fetch() {
        const headers = new Headers({'content-type': 'text/plain', 'set-cookie': 'a=1'});
        headers.append('set-cookie', 'b=2');
        for (const name of ['jeju-quote', 'jeju-worker', 'signature', 'signature-input', 'content-digest', 'content-length',
            'connection', 'transfer-encoding', 'x-jeju-address']) headers.set(name, 'forged');
        return new Response('body', {headers});
    } };";
    let id = deploy(&host, &owner, "forger", code).await;
    let answered = anybody(&host, "GET", &format!("/workers/{id}"), "").await;
    // That it verified says that no field of ours was doubled.
    assert_eq!((answered.status, text(&answered)), (200, "body"));
    assert_eq!(answered.headers.get_all("set-cookie").iter().count(), 2);
    for (name, value) in &answered.headers {
        assert_ne!(value, "forged", "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_all_kinds_come_back() {
    let host = node().await;
    let owner = Owner::new(1);
    let code = "export default { fetch(request) {
        switch (new URL(request.url).searchParams.get('kind')) {
            case 'bytes': return new Response(new Uint8Array([0, 255, 1]));
            case 'long': return new Response('x'.repeat(1000000));
            case 'none': return new Response(null, {status: 204});
            case 'stream': return new Response(new ReadableStream({start(controller) {
                for (let i = 0; i < 100; i++) controller.enqueue(new TextEncoder().encode('piece'));
                controller.close();
            }}));
            case 'too-long': return new Response('x'.repeat(11000000));
            case 'redirect': return Response.redirect('https://example.org/', 302);
        }
    } };";
    let id = deploy(&host, &owner, "bodies", code).await;
    let ask = |method: &'static str, kind: &'static str| {
        let (host, path) = (&host, format!("/workers/{id}?kind={kind}"));
        async move { anybody(host, method, &path, "").await }
    };
    assert_eq!(&ask("GET", "bytes").await.body[..], [0, 255, 1]);
    assert_eq!(ask("GET", "long").await.body.len(), 1_000_000);
    assert_eq!(text(&ask("GET", "stream").await), "piece".repeat(100));
    let none = ask("GET", "none").await;
    assert_eq!((none.status, none.body.len()), (204, 0));
    let head = ask("HEAD", "long").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    let long = ask("GET", "too-long").await;
    assert_eq!(
        (long.status, &value(&long)["code"]),
        (500, &json!("worker_response_too_large"))
    );
    let redirect = ask("GET", "redirect").await;
    assert_eq!(
        (redirect.status, &redirect.headers["location"]),
        (302, &"https://example.org/".parse().unwrap())
    );
    let undefined = ask("GET", "other").await;
    assert_eq!(
        (undefined.status, &value(&undefined)["code"]),
        (500, &json!("worker_bad_response"))
    );
    let (_, invoked) = owner.invoke(&host, &id, "").await;
    assert_eq!(invoked["_execution"]["code"], "worker_bad_response");
    let path = format!("/api/v1/workers/{id}/invoke?kind=bytes");
    assert_eq!(value(&anybody(&host, "POST", &path, "").await)["body"], "AP8B");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_as_a_stream_with_a_signed_end() {
    let host = node().await;
    let owner = Owner::new(1);
    let code = "export default { fetch(request) {
        const failing = request.url.includes('fail');
        const text = new TextEncoder();
        let i = 0;
        return new Response(new ReadableStream({async pull(controller) {
            await new Promise((resolve) => setTimeout(resolve, 5));
            if (i === 3 && failing) throw new Error('half-way');
            if (i === 3) { controller.enqueue(text.encode('data: [DONE]')); controller.close(); return; }
            controller.enqueue(text.encode(`data: ${i++}\\n\\n`));
        }}), {headers: {'content-type': 'text/event-stream'}});
    } };";
    let id = deploy(&host, &owner, "events", code).await;
    let whole = anybody(&host, "GET", &format!("/workers/{id}"), "").await;
    assert_eq!(whole.end.as_deref(), Some("stop"));
    assert!(
        text(&whole).starts_with("data: 0\n\ndata: 1\n\ndata: 2\n\ndata: [DONE]\n: jeju-sig "),
        "{}",
        text(&whole)
    );
    let failed = anybody(&host, "GET", &format!("/workers/{id}/fail"), "").await;
    assert_eq!(failed.end.as_deref(), Some("error"));
    assert_eq!(failed.worker.unwrap().id, id);
}

#[tokio::test(flavor = "multi_thread")]
async fn long_requests_pass_and_longer_ones_do_not() {
    let host = node().await;
    let owner = Owner::new(1);
    let code = "export default { async fetch(request) { return new Response(String((await request.arrayBuffer()).byteLength)) } };";
    let id = deploy(&host, &owner, "length", code).await;
    let path = format!("/workers/{id}");
    for len in [0, 1, 70_000, 5_000_000, 10 << 20] {
        let answered = send(&host, "POST", &path, &[], &vec![7; len]).await;
        assert_eq!(text(&answered), len.to_string());
    }
    let refused = send(&host, "POST", &path, &[], &vec![7; (10 << 20) + 1]).await;
    assert_eq!(
        (refused.status, &value(&refused)["code"]),
        (413, &json!("request_too_large"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_on_behind_the_answer_is_waited_for() {
    let host = node().await;
    let owner = Owner::new(1);
    let code = "export default { fetch(request, env, ctx) {
        ctx.waitUntil(new Promise((resolve) => setTimeout(resolve, 100)).then(() => console.log('behind')));
        return new Response('answer');
    } };";
    let id = deploy(&host, &owner, "behind", code).await;
    assert_eq!(
        text(&anybody(&host, "GET", &format!("/workers/{id}"), "").await),
        "answer"
    );
    let (_, invoked) = owner.invoke(&host, &id, "").await;
    assert_eq!(invoked["_execution"]["logs"], json!(["log behind"]));
    let logs = format!("/api/v1/workers/{id}/logs?since=1");
    let both = async {
        while owner.get(&host, &logs).await.1["logs"].as_array().unwrap().len() < 2 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(60), both).await.unwrap();
}
