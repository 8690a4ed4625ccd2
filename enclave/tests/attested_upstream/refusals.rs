//! The other node isn't the one that it should be: no prompt reaches it, and users are told why.

use std::time::{Duration, Instant};

use http::StatusCode;
use jeju_attestation::measurement::MeasurementId;
use serde_json::Value;

use crate::chain::{ACTIVE, REVOKED};
use crate::host::PATIENCE;
use crate::nodes::{Far, Near, PASSED_ON, Setup};

async fn told(near: &Near, code: &str) {
    let (status, error) = near.refused().await;
    assert_eq!(status, StatusCode::BAD_GATEWAY, "{error}");
    assert_eq!(error["code"], "upstream_not_verified", "{error}");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains(code), "{message}, not {code}");
    let models = near.user().await.get("/v1/models").await.document;
    assert_eq!(models["data"][0]["status"], "unavailable", "{models}");
}

/// Requests for inference that the other node has counted.
async fn prompts(far: &Far) -> u64 {
    let metrics: Value = far.user().await.get("/v1/metrics").await.document;
    metrics["totalInferences"].as_u64().expect("a count")
}

/// A node waits for its upstreams before it says that it is ready, so all of these wait together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_the_launch_document_does_not_mean_is_asked_nothing() {
    let (far, with_external) = tokio::join!(Far::start(false), Far::start(true));
    let agent = Setup {
        agent: Some([3; 32]),
        ..Setup::default()
    };
    let image = Setup {
        measurement: Some(MeasurementId::simulated(&[4; 32])),
        ..Setup::default()
    };
    let machine = Setup {
        other_root: true,
        ..Setup::default()
    };
    let weights = Setup {
        weights: Some([5; 32]),
        ..Setup::default()
    };
    let (agent, image, machine, weights, external) = tokio::join!(
        far.near(agent),
        far.near(image),
        far.near(machine),
        far.near(weights),
        with_external.near(Setup::default()),
    );
    told(&agent, "agent_not_accepted").await;
    told(&image, "measurement_unknown").await;
    told(&machine, "root_not_trusted").await;
    told(&weights, "upstream_model_mismatch").await;
    told(&external, "upstream_not_accepted").await;
    assert_eq!((prompts(&far).await, prompts(&with_external).await), (0, 0));
}

/// With a connection open, and a new one. That silence does the same in time, the unit tests show.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_stops_requests_until_it_is_taken_back() {
    let far = Far::start(false).await;
    let near = far.near(Setup::default()).await;
    until_answered(&near, true).await;
    far.registry.say(REVOKED);
    until_answered(&near, false).await;
    told(&near, "measurement_revoked").await;
    let before = prompts(&far).await;
    near.refused().await;
    assert_eq!(prompts(&far).await, before);
    far.registry.say(ACTIVE);
    until_answered(&near, true).await;
}

async fn until_answered(near: &Near, wanted: bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = near.user().await.chat(PASSED_ON, 1).await;
        if (answer.status == StatusCode::OK) == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{}", answer.document);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
