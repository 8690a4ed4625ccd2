//! Calls, versions, spellings and names that are refused.

use super::*;

/// Targets of calls that aren't offered, and other spellings of those that are.
#[test]
fn other_calls_and_spellings_are_refused() {
    let (own, id) = (name(0xab), "ab".repeat(32));
    let call = "docker_call_not_allowed";
    let version = "docker_version_not_allowed";
    let bad_name = "docker_name_not_allowed";
    let query = "docker_query_not_allowed";
    for (method, target, code) in [
        // Versions.
        ("GET", "/info", version),
        ("GET", "/_ping", version),
        ("GET", "/v1.40/info", version),
        ("GET", "/v1.12/info", version),
        ("GET", "/v1.42/info", version),
        ("GET", "/v1.410/info", version),
        ("GET", "/V1.41/info", version),
        ("GET", "/v1.41", version),
        ("GET", "//v1.41/info", version),
        ("GET", "/v1.41info", version),
        ("GET", "/./v1.41/info", version),
        ("GET", "/x/../v1.41/info", version),
        ("GET", "http://docker/v1.41/info", version),
        ("GET", "*", version),
        ("GET", "", version),
        ("POST", &format!("/v1.23/containers/{own}/start"), version),
        // Spellings of paths.
        ("GET", "/v1.41//info", call),
        ("GET", "/v1.41/info/", call),
        ("GET", "/v1.41/INFO", call),
        ("GET", "/v1.41/%69nfo", call),
        ("GET", "/v1.41/./info", call),
        ("GET", "/v1.41/x/../info", call),
        ("GET", "/v1.41/info#x", call),
        ("GET", "/v1.41/info;x", call),
        ("GET", "/v1.41/info?", query),
        ("GET", "/v1.41/info?x=1", query),
        ("GET", "/v1.41/inf\u{17f}o", call),
        ("POST", "/v1.41/%63ontainers/create", call),
        (
            "POST",
            &format!("/v1.41/containers/%6a{}/start", &own.to_string()[1..]),
            bad_name,
        ),
        ("POST", &format!("/v1.41/containers/{own}/../{own}/start"), call),
        ("POST", &format!("/v1.41/containers/{own}//start"), call),
        ("POST", &format!("/v1.41/containers/{own}/start?"), query),
        (
            "POST",
            &format!("/v1.41/containers/{own}/start?checkpoint=x"),
            query,
        ),
        (
            "POST",
            &format!("/v1.41/containers/{own}/start?detachKeys=x"),
            query,
        ),
        ("GET", &format!("/v1.41/containers/{own}/json?size=0"), query),
        ("GET", &format!("/v1.41/containers/{own}/json?size=true"), query),
        ("GET", &format!("/v1.41/containers/{own}/stats"), query),
        ("GET", &format!("/v1.41/containers/{own}/stats?stream=1"), query),
        ("GET", &format!("/v1.41/containers/{own}/logs"), query),
        (
            "GET",
            &format!("/v1.41/containers/{own}/logs?stdout=1&stderr=1&tail=all"),
            query,
        ),
        (
            "GET",
            &format!("/v1.41/containers/{own}/logs?stdout=1&stderr=1&tail=5&follow=1"),
            query,
        ),
        (
            "GET",
            &format!("/v1.41/containers/{own}/logs?stdout=1&stderr=1&tail=05"),
            query,
        ),
        (
            "GET",
            &format!("/v1.41/containers/{own}/logs?stdout=1&stderr=1&tail=10001"),
            "docker_value_not_allowed",
        ),
        (
            "GET",
            &format!("/v1.41/containers/{own}/logs?stdout=1&stderr=1&tail=0"),
            "docker_value_not_allowed",
        ),
        ("POST", &format!("/v1.41/containers/{own}/stop"), query),
        ("POST", &format!("/v1.41/containers/{own}/stop?t=-1"), query),
        ("POST", &format!("/v1.41/containers/{own}/stop?t=+1"), query),
        (
            "POST",
            &format!("/v1.41/containers/{own}/stop?t=301"),
            "docker_value_not_allowed",
        ),
        (
            "POST",
            &format!("/v1.41/containers/{own}/stop?t=99999999999"),
            query,
        ),
        (
            "POST",
            &format!("/v1.41/containers/{own}/kill?signal=SIGSTOP"),
            query,
        ),
        ("POST", &format!("/v1.41/containers/{own}/kill"), query),
        ("DELETE", &format!("/v1.41/containers/{own}"), query),
        (
            "DELETE",
            &format!("/v1.41/containers/{own}?force=1&v=1&link=1"),
            query,
        ),
        (
            "PUT",
            &format!("/v1.41/containers/{own}/archive?path=/etc"),
            query,
        ),
        ("PUT", &format!("/v1.41/containers/{own}/archive?path=%2F"), query),
        (
            "PUT",
            &format!("/v1.41/containers/{own}/archive?path=/&path=/etc"),
            query,
        ),
        (
            "PUT",
            &format!("/v1.41/containers/{own}/archive?path=/&copyUIDGID=1"),
            query,
        ),
        ("POST", "/v1.41/containers/create", query),
        ("POST", "/v1.41/containers/create?platform=linux", query),
        ("POST", &format!("/v1.41/containers/create?Name={own}"), query),
        ("GET", "/v1.41/containers/json", query),
        ("GET", "/v1.41/containers/json?all=1", query),
        (
            "GET",
            "/v1.41/containers/json?all=1&filters={\"label\":[\"jeju.agent=x\"]}",
            query,
        ),
        (
            "GET",
            &format!(
                "/v1.41/containers/json?all=1&filters=%7b%22label%22%3a%5b%22jeju.agent%3d{id}%22%5d%7d"
            ),
            query,
        ),
        (
            "GET",
            "/v1.41/containers/json?all=1&filters=%7B%22label%22%3A%5B%22jeju.agent%3Dabc%22%5D%7D",
            query,
        ),
        ("GET", "/v1.41/networks", query),
        (
            "GET",
            "/v1.41/networks?filters=%7B%22label%22%3A%5B%22jeju.agent%3Dabc%22%5D%7D",
            query,
        ),
        (
            "GET",
            &format!("/v1.41/networks?filters=%7B%22driver%22%3A%5B%22jeju.agent%3D{id}%22%5D%7D"),
            query,
        ),
        (
            "GET",
            &format!("/v1.41/networks?all=1&filters=%7B%22label%22%3A%5B%22jeju.agent%3D{id}%22%5D%7D"),
            query,
        ),
        ("POST", "/v1.41/images/create?fromSrc=http://x/y.tar", query),
        ("POST", "/v1.41/images/create?fromImage=a", query),
        (
            "POST",
            "/v1.41/images/create?fromImage=a&tag=",
            "docker_image_malformed",
        ),
        (
            "POST",
            "/v1.41/images/create?fromImage=a&tag=b&platform=x",
            "docker_image_malformed",
        ),
        (
            "POST",
            "/v1.41/images/create?fromImage=a&tag=b&fromSrc=-",
            "docker_image_malformed",
        ),
        ("POST", "/v1.41/images/create?tag=b&fromImage=a", query),
        (
            "POST",
            "/v1.41/images/create?fromImage=--privileged&tag=x",
            "docker_image_malformed",
        ),
        (
            "POST",
            "/v1.41/images/create?fromImage=a%2Fb&tag=x",
            "docker_image_malformed",
        ),
        ("GET", "/v1.41/images/a:b/json?x=1", query),
        ("GET", "/v1.41/images/a/json", query),
        ("GET", "/v1.41/images/a/../b/json", "docker_image_malformed"),
        ("GET", "/v1.41/images//json", "docker_image_malformed"),
        // Names and ids of others.
        ("POST", "/v1.41/containers/other/start", bad_name),
        ("POST", &format!("/v1.41/containers/{id}/start"), bad_name),
        (
            "POST",
            &format!("/v1.41/containers/{}/start", &id[..12]),
            bad_name,
        ),
        ("POST", &format!("/v1.41/containers/JEJU-{id}/start"), bad_name),
        (
            "POST",
            &format!("/v1.41/containers/jeju-{}/start", id.to_uppercase()),
            bad_name,
        ),
        (
            "POST",
            &format!("/v1.41/containers/jeju-{}/start", &id[1..]),
            bad_name,
        ),
        ("POST", &format!("/v1.41/containers/jeju-{id}0/start"), bad_name),
        ("POST", &format!("/v1.41/containers/jeju-{id}%00/start"), bad_name),
        ("DELETE", "/v1.41/networks/bridge", bad_name),
        ("DELETE", "/v1.41/networks/host", bad_name),
        ("POST", "/v1.41/containers/create?name=x", bad_name),
        ("POST", "/v1.41/exec/x/start", bad_name),
        (
            "GET",
            &format!("/v1.41/exec/{}/json", id.to_uppercase()),
            bad_name,
        ),
        // Methods.
        ("HEAD", "/v1.41/_ping", call),
        ("get", "/v1.41/info", call),
        ("POST", "/v1.41/info", call),
        ("GET", &format!("/v1.41/containers/{own}/start"), call),
        ("GET", &format!("/v1.41/containers/{own}/archive?path=/"), call),
        ("HEAD", &format!("/v1.41/containers/{own}/archive?path=/"), call),
        ("OPTIONS", "/v1.41/info", call),
        ("DELETE", "/v1.41/images/a:b/json", call),
    ] {
        let refused = [&b""[..], &create_body_bytes()].map(|body| {
            let content_type = (!body.is_empty()).then_some("application/json");
            Request::parse(method, target, content_type, body)
                .unwrap_err()
                .code
        });
        assert!(refused.contains(&code), "{method} {target}: {refused:?}");
    }
}

#[test]
fn calls_that_no_rental_needs_are_refused() {
    let own = name(0xab);
    let targets = [
        ("GET", "events"),
        ("GET", "version"),
        ("GET", "system/df"),
        ("GET", "images/json"),
        ("GET", "images/search?term=x"),
        ("GET", "images/a/history"),
        ("GET", "images/a/get"),
        ("GET", "images/get?names=a"),
        ("DELETE", "images/a"),
        ("POST", "images/a/tag?repo=b"),
        ("POST", "images/a/push"),
        ("POST", "images/load"),
        ("POST", "images/prune"),
        ("POST", "build"),
        ("POST", "build/prune"),
        ("POST", "commit?container=x"),
        ("POST", "auth"),
        ("POST", "session"),
        ("POST", "grpc"),
        ("GET", "volumes"),
        ("POST", "volumes/create"),
        ("DELETE", "volumes/x"),
        ("POST", "volumes/prune"),
        ("POST", "networks"),
        ("GET", "networks/bridge"),
        ("POST", "networks/prune"),
        ("GET", "plugins"),
        ("POST", "plugins/pull?remote=x"),
        ("POST", "plugins/x/enable"),
        ("GET", "swarm"),
        ("POST", "swarm/init"),
        ("POST", "swarm/join"),
        ("GET", "nodes"),
        ("GET", "services"),
        ("POST", "services/create"),
        ("GET", "tasks"),
        ("GET", "secrets"),
        ("POST", "secrets/create"),
        ("GET", "configs"),
        ("GET", "distribution/a/json"),
        ("GET", "debug/pprof/"),
        ("GET", "metrics"),
        ("POST", "containers/prune"),
    ];
    let own_targets = [
        ("POST", "attach?stream=1"),
        ("GET", "attach/ws"),
        ("GET", "export"),
        ("GET", "changes"),
        ("GET", "top"),
        ("POST", "update"),
        ("POST", "rename?name=x"),
        ("POST", "restart"),
        ("POST", "pause"),
        ("POST", "unpause"),
        ("POST", "wait"),
        ("POST", "resize?h=1&w=1"),
        ("GET", "checkpoints"),
        ("POST", "checkpoints"),
        ("POST", "copy"),
    ];
    let all = targets
        .map(|(method, path)| (method, format!("/v1.41/{path}")))
        .into_iter()
        .chain(own_targets.map(|(method, path)| (method, format!("/v1.41/containers/{own}/{path}"))));
    for (method, target) in all.chain([
        ("POST", format!("/v1.41/exec/{}/resize?h=1&w=1", "ab".repeat(32))),
        ("POST", format!("/v1.41/networks/{own}/connect")),
        ("POST", format!("/v1.41/networks/{own}/disconnect")),
        ("GET", format!("/v1.41/networks/{own}")),
    ]) {
        let refused = Request::parse(method, &target, None, b"").unwrap_err();
        assert_eq!(refused.code, "docker_call_not_allowed", "{method} {target}");
        assert_eq!(Request::body_limit(method, &target), Err(refused));
    }
}
