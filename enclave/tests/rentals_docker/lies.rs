//! A host that speaks its protocol and lies about containers and images.

use std::sync::atomic::{AtomicUsize, Ordering};

use jeju_enclave::rentals::backend::{BackendError, ContainerBackend, ContainerState};
use serde_json::{Value, json};

use crate::fake::{AGENT, Host, ID, IMAGE_ID, RENTAL, document, failure, image, name, progress, spec};

/// A container as the host may describe it.
fn container(change: impl Fn(&mut Value)) -> Value {
    let mut container = json!({
        "Id": ID, "Name": format!("/{}", name()), "Image": IMAGE_ID, "State": {"Status": "created"},
        "Config": {"Labels": {
            "jeju.agent": hex::encode(AGENT), "jeju.rental": hex::encode(RENTAL), "jeju.image": "busybox:1",
            "jeju.cpu": "2", "jeju.memory": "1", "jeju.storage": "10", "jeju.bandwidth": "100",
        }},
        "HostConfig": {"Memory": 1u64 << 30, "NanoCpus": 2_000_000_000u64, "PidsLimit": 4096,
            "NetworkMode": name(), "StorageOpt": {}},
    });
    change(&mut container);
    container
}

/// What comes of a creation when the host describes what it made as this.
async fn described(container: Value) -> (BackendError, Vec<String>) {
    let asked = AtomicUsize::new(0);
    let host = Host::new(move |call| {
        let look = format!("GET containers/{}/json", name());
        let third = call == look && asked.fetch_add(1, Ordering::Relaxed) == 2;
        third.then(|| document(200, &container))
    });
    let error = host.backend().create(spec(), progress().0).await.unwrap_err();
    (error, host.seen())
}

#[tokio::test]
async fn a_container_that_is_not_the_one_asked_for_is_never_filled_or_started() {
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 13] = [
        ("another one", |c| {
            c["Name"] = json!(format!("/jeju-{}", "44".repeat(32)))
        }),
        ("no name", |c| c["Name"] = json!("")),
        ("another agent", |c| {
            c["Config"]["Labels"]["jeju.agent"] = json!("44".repeat(32))
        }),
        ("another rental", |c| {
            c["Config"]["Labels"]["jeju.rental"] = json!("44".repeat(32))
        }),
        ("no labels", |c| c["Config"]["Labels"] = Value::Null),
        ("other cores", |c| c["Config"]["Labels"]["jeju.cpu"] = json!("3")),
        ("another image", |c| {
            c["Image"] = json!(format!("sha256:{}", "44".repeat(32)))
        }),
        ("no limit of memory", |c| c["HostConfig"]["Memory"] = json!(0)),
        ("no limit of processes", |c| {
            c["HostConfig"]["PidsLimit"] = Value::Null
        }),
        ("no limit of cores", |c| c["HostConfig"]["NanoCpus"] = json!(0)),
        ("the host's network", |c| {
            c["HostConfig"]["NetworkMode"] = json!("host")
        }),
        ("a quota", |c| c["HostConfig"]["StorageOpt"]["size"] = json!("1")),
        ("running already", |c| c["State"]["Status"] = json!("running")),
    ];
    for (what, change) in changes {
        let (error, seen) = described(container(change)).await;
        assert!(
            matches!(error, BackendError::Refused(_) | BackendError::Unavailable(_)),
            "{what}: {error}"
        );
        assert!(
            !seen
                .iter()
                .any(|call| call.contains("archive") || call.contains("start")),
            "{what}"
        );
        assert!(seen.last().unwrap().starts_with("DELETE networks"), "{what}");
    }
}

#[tokio::test]
async fn lies_about_digests_are_refused() {
    let mut spec = spec();
    spec.image = format!("busybox@sha256:{}", "55".repeat(32));
    for digests in [
        json!([]),
        json!(["busybox@sha256:00"]),
        json!([format!("busybox@sha256:{}", "44".repeat(32)), "x"]),
    ] {
        let host = Host::new(move |call| {
            let mut image = image();
            image["RepoDigests"] = digests.clone();
            call.starts_with("GET images/").then(|| document(200, &image))
        });
        let error = host
            .backend()
            .create(spec.clone(), progress().0)
            .await
            .unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("image: image digest mismatch"), "{text}");
        assert!(!host.seen().iter().any(|call| call.starts_with("POST")));
    }
}

#[tokio::test]
async fn an_agent_that_ends_at_once_is_no_container() {
    let asked = AtomicUsize::new(0);
    let host = Host::new(move |call| {
        let look = format!("GET containers/{}/json", name());
        let last = call == look && asked.fetch_add(1, Ordering::Relaxed) == 3;
        last.then(|| {
            document(
                200,
                &container(|c| c["State"] = json!({"Status": "exited", "ExitCode": 127})),
            )
        })
    });
    let error = host.backend().create(spec(), progress().0).await.unwrap_err();
    assert_eq!(
        error,
        BackendError::Agent("it ended at once with status 127".to_owned())
    );
    assert!(host.seen().last().unwrap().starts_with("DELETE networks"));
    let host = Host::new(|call| {
        call.ends_with("/start")
            .then(|| failure(400, "exec: \"/.jeju/agent\": exec format error"))
    });
    let error = host.backend().create(spec(), progress().0).await.unwrap_err();
    assert!(matches!(error, BackendError::Agent(_)), "{error}");
}

fn listed(change: impl Fn(&mut Value)) -> Value {
    let described = container(|_| ());
    let mut listed = json!({"Id": ID, "Names": [format!("/{}", name())], "ImageID": IMAGE_ID,
        "State": "running", "Labels": described["Config"]["Labels"]});
    change(&mut listed);
    listed
}

async fn list(answer: Value) -> Result<Vec<(ContainerState, u16)>, BackendError> {
    let host = Host::new(
        move |call| match call.split_once('?').map_or(call, |(path, _)| path) {
            "GET containers/json" => Some(document(200, &answer)),
            path if path.ends_with("/json") => Some(document(
                200,
                &container(|c| c["State"] = json!({"Status": "exited", "ExitCode": 3})),
            )),
            _ => None,
        },
    );
    let found = host.backend().list().await?;
    Ok(found
        .into_iter()
        .map(|container| (container.state, container.resources.cpu_cores))
        .collect())
}

#[tokio::test]
async fn a_list_holds_this_nodes_containers_alone() {
    let others: [fn(&mut Value); 4] = [
        |c| c["Labels"]["jeju.agent"] = json!("44".repeat(32)),
        |c| c["Labels"]["jeju.rental"] = json!("44".repeat(32)),
        |c| c["Names"] = json!(["/other"]),
        |c| c["Labels"] = json!({}),
    ];
    let mut answer: Vec<Value> = others.iter().map(|change| listed(change)).collect();
    answer.push(listed(|_| ()));
    assert_eq!(list(json!(answer)).await, Ok(vec![(ContainerState::Running, 2)]));
    let ended = json!([listed(|c| c["State"] = json!("exited"))]);
    assert_eq!(
        list(ended).await,
        Ok(vec![(ContainerState::Exited { code: 3 }, 2)])
    );
}

#[tokio::test]
async fn a_list_that_is_malformed_is_an_error() {
    let changes: [fn(&mut Value); 5] = [
        |c| c["Id"] = json!("x"),
        |c| c["ImageID"] = json!(""),
        |c| c["State"] = json!("confused"),
        |c| c["Labels"]["jeju.memory"] = json!("-1"),
        |c| c["Labels"]["jeju.image"] = json!("--x"),
    ];
    for change in changes {
        let answer = json!([listed(change)]);
        assert!(matches!(list(answer).await, Err(BackendError::Unavailable(_))));
    }
    let twice = json!([listed(|_| ()), listed(|_| ())]);
    assert!(matches!(list(twice).await, Err(BackendError::Unavailable(_))));
    let many = json!(vec![json!({}); 1025]);
    assert!(matches!(list(many).await, Err(BackendError::Unavailable(_))));
}

#[tokio::test]
async fn what_is_left_is_of_this_nodes_rentals_alone() {
    let network = |change: fn(&mut Value)| {
        let mut network = json!({"Name": name(), "Labels": container(|_| ())["Config"]["Labels"]});
        change(&mut network);
        network
    };
    let remains = async |answer: Value| {
        let host = Host::new(move |call| call.starts_with("GET networks?").then(|| document(200, &answer)));
        host.backend().remains().await
    };
    let others: [fn(&mut Value); 4] = [
        |n| n["Labels"]["jeju.agent"] = json!("44".repeat(32)),
        |n| n["Labels"]["jeju.rental"] = json!("44".repeat(32)),
        |n| n["Name"] = json!("bridge"),
        |n| n["Labels"] = json!(null),
    ];
    let mut answer: Vec<Value> = others.into_iter().map(network).collect();
    answer.push(network(|_| ()));
    assert_eq!(remains(json!(answer)).await, Ok(vec![RENTAL]));
    let many = json!(vec![network(|_| ()); 1025]);
    for malformed in [json!({}), json!([{"Name": 1}]), many] {
        assert!(matches!(
            remains(malformed).await,
            Err(BackendError::Unavailable(_))
        ));
    }
}
