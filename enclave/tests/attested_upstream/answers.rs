//! What the other node answers passes, whole and in pieces; what it doesn't finish ends as an error.

use std::time::{Duration, Instant};

use http::StatusCode;
use jeju_attestation::response::EndReason;
use serde_json::json;
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::host::PATIENCE;
use crate::nodes::{Far, MODEL, PASSED_ON, Setup, prompt};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_nodes_answers_pass_and_its_end_is_an_error() {
    let mut far = Far::start(false).await;
    let near = far.near(Setup::default()).await;
    let mut user = near.user().await;

    let models = user.get("/v1/models").await.document;
    let model = &models["data"][0];
    assert_eq!(
        (&model["id"], &model["confidential"]),
        (&json!(PASSED_ON), &json!(true))
    );

    // What the other node says to whoever asks it itself.
    let direct = far.user().await.chat(MODEL, 12).await;
    assert_eq!(direct.status, StatusCode::OK, "{}", direct.document);
    let whole = user.chat(PASSED_ON, 12).await;
    assert_eq!(whole.status, StatusCode::OK, "{}", whole.document);
    assert!(!whole.text().is_empty());
    assert_eq!(whole.text(), direct.text());
    assert_eq!(whole.document["model"], PASSED_ON);
    assert_ne!(whole.document["id"], direct.document["id"]);
    for count in ["prompt_tokens", "completion_tokens"] {
        assert_eq!(whole.document["usage"][count], direct.document["usage"][count]);
    }

    let streamed = user.stream(PASSED_ON, 12).await;
    assert_eq!(streamed.text(), direct.text());
    assert_eq!(streamed.end, Some(EndReason::Length));
    let usage = streamed.events.last().unwrap();
    assert_eq!(usage["usage"]["completion_tokens"], 12);
    assert!(streamed.events.iter().all(|event| event["model"] == PASSED_ON));

    // It goes down in the middle of an answer.
    let (began, begun) = oneshot::channel();
    let ending = tokio::spawn(async move {
        let body = prompt(PASSED_ON, 1500, true);
        user.post_and_say(&body, || began.send(()).unwrap()).await
    });
    begun.await.unwrap();
    let machine = far.host.take().unwrap().kill().await;
    let broken = ending.await.unwrap();
    assert_eq!(broken.end, Some(EndReason::Error), "{}", broken.document);
    let error = broken.events.last().unwrap();
    assert!(error["error"]["code"].is_string(), "{error}");
    let (status, error) = near.refused().await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{error}");

    // Another boot, with other keys: it is attested anew.
    far.host = Some(machine.start(far.document.clone()).await);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = near.user().await.chat(PASSED_ON, 12).await;
        if answer.status == StatusCode::OK {
            assert_eq!(answer.text(), direct.text());
            break;
        }
        assert!(Instant::now() < deadline, "{}", answer.document);
        sleep(Duration::from_millis(200)).await;
    }
}
