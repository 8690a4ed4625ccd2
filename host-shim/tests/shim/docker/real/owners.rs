//! Two nodes that share an engine.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_cannot_touch_the_containers_of_another() {
    let engine = Engine::start().await;
    engine.import_busybox("busybox:test", &[]);
    let rig = |agent| {
        let socket = engine.socket();
        Rig::new(move |config| {
            config.docker = Some(socket);
            config.docker_agent = Some(agent);
        })
    };
    let (own, other) = (rig(AGENT).await, rig([1; 32]).await);
    let network = Request::CreateNetwork(NetworkSpec {
        name: NAME,
        agent: AGENT,
        internal: true,
    });
    let create = Request::CreateContainer(Box::new(spec("busybox:test", &["/bin/sleep", "1000"])));
    let all = [
        network.clone(),
        create.clone(),
        Request::ListContainers { agent: AGENT },
        Request::ListNetworks { agent: AGENT },
        Request::StartContainer(NAME),
        Request::StopContainer {
            name: NAME,
            seconds: 1,
        },
        Request::KillContainer { name: NAME },
        Request::RemoveContainer(NAME),
        Request::InspectContainer {
            name: NAME,
            size: true,
        },
        Request::Stats(NAME),
        Request::Logs { name: NAME, tail: 1 },
        Request::CreateExec {
            name: NAME,
            spec: ExecSpec::agent(),
        },
        Request::RemoveNetwork(NAME),
    ];
    for request in &all[4..] {
        let body = expect(&own, request.clone(), None, 404).await;
        assert_eq!(code(&body), "docker_engine", "nothing is there yet");
    }
    expect(&own, network, None, 201).await;
    expect(&own, create, None, 201).await;
    let put = Request::PutArchive { name: NAME };
    for request in &all {
        let body = expect(&other, request.clone(), None, 403).await;
        assert_eq!(code(&body), "docker_agent_not_allowed", "{request:?}");
    }
    let body = expect(&other, put.clone(), Some(agent_archive()), 403).await;
    assert_eq!(code(&body), "docker_agent_not_allowed");
    expect(&own, put, Some(agent_archive()), 204).await;
    expect(&own, Request::StartContainer(NAME), None, 204).await;
    assert_eq!(shell(&own, "echo fine").await, (0, "fine\n".to_owned()));
    expect(&own, Request::RemoveContainer(NAME), None, 204).await;
    expect(&own, Request::RemoveNetwork(NAME), None, 204).await;
    // A container of the machine's owner that only has such a name is nobody's.
    engine.must(&["create", "--name", &NAME.to_string(), "busybox:test", "sh"]);
    let body = expect(&own, Request::RemoveContainer(NAME), None, 403).await;
    assert_eq!(code(&body), "docker_agent_not_allowed");
}
