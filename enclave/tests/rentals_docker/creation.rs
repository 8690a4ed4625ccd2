//! What a creation asks for, step by step, and what is left when a step fails.

use std::sync::atomic::{AtomicUsize, Ordering};

use jeju_enclave::rentals::backend::{BackendError, ContainerBackend, ContainerState, DiskLimit};
use serde_json::json;

use crate::fake::{Answer, Host, ID, document, failure, image, name, progress, spec};

const REMOVED: [&str; 2] = ["DELETE containers/NAME?force=1&v=1", "DELETE networks/NAME"];
/// The calls of a creation whose image is there.
const CALLS: [&str; 15] = [
    "GET containers/NAME/json",
    "GET images/busybox:1/json",
    "GET containers/NAME/json",
    REMOVED[0],
    REMOVED[1],
    "POST networks/create",
    "GET info",
    "POST containers/create?name=NAME",
    "GET containers/NAME/json",
    "PUT containers/NAME/archive?path=/",
    "POST containers/NAME/start",
    "POST containers/NAME/exec",
    "POST exec/ID/start",
    "GET containers/NAME/json",
    "GET containers/NAME/json",
];

#[tokio::test]
async fn a_creation_makes_these_calls_and_a_second_one_makes_no_container() {
    let host = Host::honest();
    let backend = host.backend();
    let made = backend.create(spec(), progress().0).await.unwrap();
    assert_eq!(made.state, ContainerState::Running);
    assert_eq!(
        (made.resources, made.image.as_str()),
        (spec().resources, "busybox:1")
    );
    assert_eq!(host.seen(), CALLS[..14]);
    let again = backend.create(spec(), progress().0).await.unwrap();
    assert_eq!(again, made);
    assert_eq!(host.seen(), CALLS);
    // Not with other limits, either.
    let mut other = spec();
    other.resources.memory_gib = 2;
    let refused = backend.create(other, progress().0).await.unwrap_err();
    assert!(matches!(refused, BackendError::Refused(_)), "{refused}");
    assert_eq!(backend.disk_limit().await.unwrap(), DiskLimit::Measured);
    assert_eq!(backend.usage([0x22; 32]).await.unwrap().disk_bytes, 5);
    backend.stop([0x22; 32]).await.unwrap();
    backend.start([0x22; 32]).await.unwrap();
    for _ in 0..2 {
        backend.remove([0x22; 32]).await.unwrap();
    }
    assert_eq!(backend.start([0x22; 32]).await, Err(BackendError::NotFound));
    assert_eq!(backend.usage([0x22; 32]).await, Err(BackendError::NotFound));
}

#[tokio::test]
async fn creations_of_one_rental_at_once_make_one_container() {
    let host = Host::honest();
    let backend = host.backend();
    let (one, two) = tokio::join!(
        backend.create(spec(), progress().0),
        backend.create(spec(), progress().0)
    );
    assert_eq!(one.unwrap(), two.unwrap());
    let made = host
        .seen()
        .iter()
        .filter(|call| call.starts_with("POST containers/create"))
        .count();
    assert_eq!(made, 1);
}

#[tokio::test]
async fn a_step_that_fails_leaves_nothing_and_says_why() {
    for (at, step) in CALLS.iter().enumerate().take(14).skip(5) {
        let step = step.replace("NAME", &name()).replace("ID", ID);
        let before = CALLS[..at].iter().filter(|call| **call == CALLS[at]).count();
        let seen = AtomicUsize::new(0);
        let host = Host::new(move |call| {
            let this = call == step && seen.fetch_add(1, Ordering::Relaxed) == before;
            this.then(|| failure(500, "no more\x1b[2J"))
        });
        let error = host.backend().create(spec(), progress().0).await.unwrap_err();
        assert_eq!(error, BackendError::Refused("no more [2J".to_owned()), "{at}");
        let seen = host.seen();
        assert_eq!(seen[..=at], CALLS[..=at]);
        assert_eq!(seen[seen.len() - 2..], REMOVED);
    }
}

#[tokio::test]
async fn a_container_that_is_not_ours_is_not_touched() {
    let host = Host::new(|call| {
        let other =
            json!({"Name": format!("/{}", name()), "State": {"Status": "created"}, "Config": {"Labels": {}}});
        call.ends_with("/json").then(|| document(200, &other))
    });
    let error = host.backend().create(spec(), progress().0).await.unwrap_err();
    assert!(matches!(error, BackendError::Unavailable(_)), "{error}");
    assert_eq!(host.seen(), CALLS[..1]);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_taken_is_tried_again_for_a_while() {
    for last in [3, usize::MAX] {
        let tries = AtomicUsize::new(0);
        let host = Host::new(move |call| {
            let create = call.starts_with("POST containers/create");
            let taken = create && tries.fetch_add(1, Ordering::Relaxed) < last;
            taken.then(|| failure(409, "name is in use"))
        });
        let outcome = host.backend().create(spec(), progress().0).await;
        let calls = host
            .seen()
            .iter()
            .filter(|call| call.starts_with("POST containers/create"))
            .count();
        match last {
            3 => assert!(outcome.is_ok() && calls == 4, "{outcome:?}"),
            _ => assert!(
                matches!(outcome, Err(BackendError::Refused(_))) && calls == 100,
                "{outcome:?}"
            ),
        }
    }
}

#[tokio::test]
async fn an_image_that_is_not_there_is_fetched_and_its_progress_told() {
    let lines = concat!(
        r#"{"status":"Pulling from library/busybox","id":"1"}"#,
        "\r\n",
        r#"{"status":"Pulling fs layer","id":"abc"}"#,
        "\r\n",
        r#"{"status":"Downloading","id":"abc","progressDetail":{"current":1000000,"total":2000000}}"#,
        "\r\n",
        r#"{"status":"Pull complete","id":"abc"}"#,
        "\r\n"
    );
    let asked = AtomicUsize::new(0);
    let host = Host::new(move |call| match call {
        "GET images/busybox:1/json" if asked.fetch_add(1, Ordering::Relaxed) == 0 => {
            Some(failure(404, "no such image"))
        }
        "POST images/create?fromImage=busybox&tag=1" => Some(Answer::Bytes(
            format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{lines}").into_bytes(),
        )),
        _ => None,
    });
    let (progress, told) = progress();
    host.backend().create(spec(), progress).await.unwrap();
    let told = told.lock().unwrap();
    assert_eq!(told[0], "fetching image busybox:1");
    assert_eq!(told[1], "fetched image busybox:1: 1 of 1 layers, 2.0 of 2.0 MB");
}

#[tokio::test]
async fn images_that_cannot_be_had_are_errors_of_the_image() {
    let missing = || failure(404, "no such image");
    let stream = |lines: &str| Answer::Bytes(format!("HTTP/1.1 200 OK\r\n\r\n{lines}").into_bytes());
    for (answer, why) in [
        (failure(404, "pull access denied"), "pull access denied"),
        (failure(500, "dial tcp: refused"), "dial tcp: refused"),
        (stream("{\"error\":\"manifest unknown\"}"), "manifest unknown"),
        (
            stream("{\"status\":\"fine\"}\n"),
            "it was fetched, and isn't there",
        ),
    ] {
        let host = Host::new(
            move |call| match call.split_once('?').map_or(call, |(path, _)| path) {
                "GET images/busybox:1/json" => Some(missing()),
                "POST images/create" => Some(answer.clone()),
                _ => None,
            },
        );
        let error = host.backend().create(spec(), progress().0).await.unwrap_err();
        assert_eq!(error, BackendError::Image(why.to_owned()));
        let changes = |call: &String| call.contains("containers/create") || call.contains("networks");
        assert!(!host.seen().iter().any(changes));
    }
    for reference in ["", "--privileged", "a b", "http://x/y", "a@sha256:00"] {
        let mut spec = spec();
        spec.image = reference.to_owned();
        let host = Host::honest();
        let error = host.backend().create(spec, progress().0).await.unwrap_err();
        assert!(matches!(error, BackendError::Image(_)), "{error}");
        assert_eq!(host.seen(), [""; 0]);
    }
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_refused_before_anything_is_made() {
    let mut long = spec();
    long.script = Some(vec![b'x'; 9 << 20].into());
    let mut none = spec();
    none.resources.memory_gib = 0;
    let mut much = spec();
    much.resources.cpu_cores = 5000;
    for spec in [long, none, much] {
        let host = Host::honest();
        let error = host.backend().create(spec, progress().0).await.unwrap_err();
        assert!(matches!(error, BackendError::Refused(_)), "{error}");
        assert!(!host.seen().iter().any(|call| call.contains("containers/create")));
    }
    let host = Host::new(|call| {
        let mut image = image();
        image["Config"]["Volumes"] = json!({"/proc/x": {}});
        (call == "GET images/busybox:1/json").then(|| document(200, &image))
    });
    let error = host.backend().create(spec(), progress().0).await.unwrap_err();
    assert!(matches!(error, BackendError::Refused(_)), "{error}");
}

#[tokio::test]
async fn a_quota_is_asked_for_where_there_may_be_one_and_done_without_where_there_is_none() {
    let info = json!({"Driver": "overlay2", "DriverStatus": [["Backing Filesystem", "xfs"]]});
    let host = |quota: bool| {
        let (info, tries) = (info.clone(), AtomicUsize::new(0));
        Host::new(move |call| match call {
            "GET info" => Some(document(200, &info)),
            call if call.starts_with("POST containers/create") && !quota => {
                let message =
                    "--storage-opt is supported only for overlay over xfs with 'pquota' mount option";
                (tries.fetch_add(1, Ordering::Relaxed) == 0).then(|| failure(500, message))
            }
            _ => None,
        })
    };
    for (quota, limit) in [(true, DiskLimit::Quota), (false, DiskLimit::Measured)] {
        let host = host(quota);
        let backend = host.backend();
        assert_eq!(backend.disk_limit().await.unwrap(), DiskLimit::Measured);
        backend.create(spec(), progress().0).await.unwrap();
        assert_eq!(backend.disk_limit().await.unwrap(), limit);
    }
}
