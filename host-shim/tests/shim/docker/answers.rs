//! What an engine says, and what of it gets to the guest.

use super::*;

#[tokio::test]
async fn an_engine_that_is_not_there_is_a_bad_gateway() {
    let rig = Rig::new(|config| config.docker = Some("/nonexistent/docker.sock".into())).await;
    let (status, body) = call(&rig, &Request::Ping, None).await;
    assert_eq!((status.as_u16(), &code(&body)[..]), (502, "docker_unreachable"));
    assert_eq!(rig.metric("jeju_shim_unreachable_total{port=\"5002\"}").await, 1);
}

#[tokio::test]
async fn an_engine_that_misbehaves_fails_its_call_only() {
    let info = Request::Info;
    let exec_id = "ab".repeat(32);
    let id: ExecId = exec_id.parse().unwrap();
    let prepare = Request::CreateExec {
        name: NAME,
        spec: ExecSpec::agent(),
    };
    let endless = [b"HTTP/1.1 200 OK\r\n".to_vec(), b"X: y\r\n".repeat(60_000)].concat();
    let huge = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n".to_vec(),
        vec![b' '; 5_000_000],
    ]
    .concat();
    let cases: Vec<(Request, Vec<u8>, u16, &str)> = vec![
        (info.clone(), Vec::new(), 502, "docker_unreachable"),
        (info.clone(), b"SSH-2.0-x\r\n".to_vec(), 502, "docker_unreachable"),
        (info.clone(), endless, 502, "docker_unreachable"),
        (info.clone(), huge, 502, "docker_answer_malformed"),
        (
            info.clone(),
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".to_vec(),
            502,
            "docker_unreachable",
        ),
        (info.clone(), ok("200 OK", "{"), 502, "docker_answer_malformed"),
        (
            info.clone(),
            ok("200 OK", r#"{"NCPU":"x"}"#),
            502,
            "docker_answer_malformed",
        ),
        (
            info.clone(),
            ok("200 OK", &"[".repeat(200_000)),
            502,
            "docker_answer_malformed",
        ),
        (
            info.clone(),
            ok("500 X", r#"{"message":"disk\nfull"}"#),
            500,
            "docker_engine",
        ),
        (info.clone(), ok("404 X", "page not found"), 404, "docker_engine"),
        (
            Request::StartContainer(NAME),
            ok("301 X", ""),
            502,
            "docker_answer_malformed",
        ),
        (Request::StartContainer(NAME), ok("304 Not Modified", ""), 304, ""),
        (
            prepare.clone(),
            ok("201 X", r#"{"Id":"../x"}"#),
            502,
            "docker_answer_malformed",
        ),
        (prepare, ok("201 X", &format!(r#"{{"Id":"{exec_id}"}}"#)), 201, ""),
        (
            Request::StartExec { id },
            ok("200 OK", "raw"),
            502,
            "docker_answer_malformed",
        ),
        (
            Request::StartExec { id },
            ok("409 X", r#"{"message":"stopped"}"#),
            409,
            "docker_engine",
        ),
        (
            info,
            ok(
                "200 OK",
                r#"{"NCPU":2,"Containers":99,"Name":"secret","Swarm":{"NodeID":"x"}}"#,
            ),
            200,
            "",
        ),
    ];
    let answers = cases.iter().map(|case| case.1.clone()).collect();
    let (rig, engine) = with_engine(answers).await;
    let mut last = Bytes::new();
    for (request, said, status, refused) in &cases {
        let (seen, body) = call(&rig, request, None).await;
        let failure = if seen.as_u16() >= 400 {
            code(&body)
        } else {
            String::new()
        };
        let said = String::from_utf8_lossy(&said[..said.len().min(60)]).into_owned();
        assert_eq!((seen.as_u16(), &failure[..]), (*status, *refused), "{said:?}");
        last = body;
    }
    assert_eq!(engine.seen().len(), cases.len());
    let info: serde_json::Value = serde_json::from_slice(&last).unwrap();
    assert_eq!(info["NCPU"], 2);
    assert!(info.get("Name").is_none() && info.get("Containers").is_none() && info.get("Swarm").is_none());
}

#[tokio::test]
async fn nothing_of_other_containers_gets_to_the_guest() {
    let label = |agent: &str| json!({"jeju.agent": agent, "jeju.rental": "ab".repeat(32), "other": "x"});
    let (own, other) = (hex::encode(AGENT), "ee".repeat(32));
    let list = json!([
        {"Id": "1", "Names": [format!("/{NAME}")], "Labels": label(&own), "Command": "secret", "Mounts": [{"Source": "/"}]},
        {"Id": "2", "Names": [format!("/{NAME}")], "Labels": label(&other)},
        {"Id": "3", "Names": ["/postgres"], "Labels": label(&own)},
        {"Id": "4", "Names": ["/postgres"], "Labels": null},
    ]);
    let networks = json!([
        {"Name": NAME.to_string(), "Id": "1", "Labels": label(&own), "IPAM": {"Config": [{"Subnet": "10.9.0.0/16"}]}},
        {"Name": NAME.to_string(), "Id": "2", "Labels": label(&other)},
        {"Name": "postgres", "Id": "3", "Labels": label(&own)},
        {"Name": "bridge", "Id": "4", "Labels": null},
    ]);
    let image = json!({
        "Id": "sha256:1", "RepoTags": ["secret:1"], "RepoDigests": ["busybox@sha256:2", "secret@sha256:3"],
        "Config": {"Env": ["TOKEN=x"], "Cmd": ["sh"]}, "GraphDriver": {"Data": {"UpperDir": "/var/lib"}},
    });
    let answers = [&list, &networks, &image]
        .map(|answer| ok("200 OK", &answer.to_string()))
        .into();
    let (rig, _engine) = with_engine(answers).await;
    let (_, body) = call(&rig, &Request::ListContainers { agent: AGENT }, None).await;
    let shown: Vec<answer::ListedContainer> = answer::read(&body).unwrap();
    assert_eq!(shown.iter().map(|one| &one.id[..]).collect::<Vec<_>>(), ["1"]);
    let (_, networks) = call(&rig, &Request::ListNetworks { agent: AGENT }, None).await;
    let shown: Vec<answer::ListedNetwork> = answer::read(&networks).unwrap();
    assert_eq!(
        shown.iter().map(|one| one.of(AGENT)).collect::<Vec<_>>(),
        [Some(NAME)]
    );
    let (_, image) = call(
        &rig,
        &Request::InspectImage("busybox:test".parse().unwrap()),
        None,
    )
    .await;
    for body in [body, networks, image] {
        let body = String::from_utf8(body.to_vec()).unwrap();
        for hidden in [
            "secret", "postgres", "other", "TOKEN", "/var/lib", "Source", "10.9.0.0",
        ] {
            assert!(!body.contains(hidden), "{hidden}: {body}");
        }
    }
}

#[tokio::test]
async fn an_image_with_volumes_or_of_another_meaning_makes_no_container() {
    let image = |id: &str, volumes: serde_json::Value| {
        ok(
            "200 OK",
            &json!({"Id": id, "Config": {"Volumes": volumes}}).to_string(),
        )
    };
    let created = || ok("201 Created", r#"{"Id":"c","Warnings":null}"#);
    let container = |id: &str| ok("200 OK", &json!({"Id": "c", "Image": id}).to_string());
    let data = || json!({"/data": {}});
    let (rig, engine) = with_engine(vec![
        image("a", data()),
        image("a", json!({"/data/sub": {}})),
        image("a", json!({"/data/": {}})),
        created(),
        container("a"),
        // Whether it was fetched for rentals.
        image("a", json!(null)),
        image("a", json!(null)),
        created(),
        container("b"),
        ok("204 No Content", ""),
    ])
    .await;
    let mut spec = spec("busybox:test", &["sh"]);
    let plain = Request::CreateContainer(Box::new(spec.clone()));
    spec.memory_paths = vec!["/data".to_owned()];
    let in_memory = Request::CreateContainer(Box::new(spec));
    for (request, status, refused) in [
        (&plain, 403, "docker_image_volumes"),
        (&in_memory, 403, "docker_image_volumes"),
        (&in_memory, 201, ""),
        (&plain, 409, "docker_image_changed"),
    ] {
        let (seen, body) = call(&rig, request, None).await;
        assert_eq!(seen.as_u16(), status);
        assert!(status == 201 || code(&body) == refused);
    }
    let lines: Vec<String> = engine
        .seen()
        .iter()
        .map(|request| request[..request.len().min(18)].to_owned())
        .collect();
    let (inspect, create) = ("GET /v1.41/images/", "POST /v1.41/contai");
    let (look, remove) = ("GET /v1.41/contain", "DELETE /v1.41/cont");
    assert_eq!(
        lines,
        [
            inspect, inspect, inspect, create, look, inspect, inspect, create, look, remove
        ]
    );
}

#[tokio::test]
async fn streams_end_where_the_engine_breaks_off() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let line = chunk("{\"status\":\"Pulling\",\"aux\":1}\r\n");
    let pulls = [
        format!("{head}{line}0\r\n\r\n"),
        format!("{head}{line}"),
        format!("{head}{line}{}", chunk("<html>\n")),
        format!("{head}{line}{}", chunk(&"x".repeat(100_000))),
    ];
    // The image isn't there before.
    let missing = || ok("404 Not Found", r#"{"message":"no such image"}"#);
    let answers = pulls.into_iter().flat_map(|pull| [missing(), pull.into_bytes()]);
    let (rig, _engine) = with_engine(answers.collect()).await;
    let pull = Request::PullImage("busybox:test".parse().unwrap());
    let mut ends = Vec::new();
    for _ in 0..4 {
        let (_sender, response) = begin(&rig, &pull, None).await;
        assert_eq!(response.status(), 200);
        let mut body = response.into_body();
        let first = soon(body.frame()).await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, "{\"status\":\"Pulling\"}\n");
        ends.push(soon(body.collect()).await.is_ok());
    }
    assert_eq!(ends, [true, false, false, false]);
}
