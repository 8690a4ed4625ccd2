//! Bodies that are refused, each for what it is.

use super::*;

#[test]
fn the_body_that_creates_a_container_says_everything() {
    let body = create_body();
    let host = &body["HostConfig"];
    for (field, value) in [
        ("Privileged", json!(false)),
        ("Binds", json!([])),
        ("Devices", json!([])),
        ("DeviceRequests", json!([])),
        ("CapDrop", json!(["ALL"])),
        ("SecurityOpt", json!(["no-new-privileges"])),
        ("IpcMode", json!("private")),
        ("CgroupnsMode", json!("private")),
        ("PidMode", json!("")),
        ("UsernsMode", json!("")),
        ("NetworkMode", json!(name(0xab).to_string())),
        ("Memory", json!(1 << 30)),
        ("MemorySwap", json!(1 << 30)),
        ("NanoCpus", json!(2_000_000_000u64)),
        ("PidsLimit", json!(4096)),
        ("StorageOpt", json!({"size": "10000000000"})),
        ("PortBindings", json!({})),
    ] {
        assert_eq!(host[field], value, "{field}");
    }
    let added: Vec<&str> = host["CapAdd"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cap| cap.as_str().unwrap())
        .collect();
    for capability in [
        "NET_RAW",
        "MKNOD",
        "AUDIT_WRITE",
        "SYS_ADMIN",
        "NET_ADMIN",
        "SYS_PTRACE",
        "ALL",
    ] {
        assert!(!added.iter().any(|cap| cap.contains(capability)), "{capability}");
    }
    assert_eq!(body["Entrypoint"], json!(["/.jeju/agent", "init", "--"]));
    assert_eq!(body["User"], "0:0");
    assert_eq!(body["Labels"]["jeju.rental"], hex::encode([0xab; 32]));
}

/// Fields that a hostile caller would set, each with a value that the engine would take.
#[test]
fn forbidden_values_of_a_container_are_refused() {
    let other = name(0xee).to_string();
    for (pointer, value) in [
        ("/HostConfig/Privileged", json!(true)),
        ("/HostConfig/Binds", json!(["/:/h"])),
        ("/HostConfig/Binds", json!(["/var/run/docker.sock:/d"])),
        ("/HostConfig/Binds", json!(["vol:/h"])),
        ("/HostConfig/Binds", Value::Null),
        (
            "/HostConfig/Devices",
            json!([{"PathOnHost": "/dev/sev-guest", "PathInContainer": "/d", "CgroupPermissions": "rwm"}]),
        ),
        ("/HostConfig/DeviceCgroupRules", json!(["a *:* rwm"])),
        (
            "/HostConfig/DeviceRequests",
            json!([{"Driver": "nvidia", "Count": -1, "Capabilities": [["gpu"]]}]),
        ),
        ("/HostConfig/PidMode", json!("host")),
        ("/HostConfig/PidMode", json!(format!("container:{other}"))),
        ("/HostConfig/IpcMode", json!("host")),
        ("/HostConfig/IpcMode", json!(format!("container:{other}"))),
        ("/HostConfig/IpcMode", json!("shareable")),
        ("/HostConfig/NetworkMode", json!("host")),
        ("/HostConfig/NetworkMode", json!("bridge")),
        ("/HostConfig/NetworkMode", json!("default")),
        ("/HostConfig/NetworkMode", json!("")),
        ("/HostConfig/NetworkMode", json!(other.clone())),
        ("/HostConfig/NetworkMode", json!(format!("container:{other}"))),
        ("/HostConfig/UTSMode", json!("host")),
        ("/HostConfig/UsernsMode", json!("host")),
        ("/HostConfig/CgroupnsMode", json!("host")),
        ("/HostConfig/Cgroup", json!(format!("container:{other}"))),
        ("/HostConfig/CgroupParent", json!("/")),
        ("/HostConfig/CapAdd", json!(["ALL"])),
        ("/HostConfig/CapAdd/0", json!("CAP_SYS_ADMIN")),
        ("/HostConfig/CapDrop", json!([])),
        ("/HostConfig/SecurityOpt", json!([])),
        (
            "/HostConfig/SecurityOpt",
            json!(["no-new-privileges", "seccomp=unconfined"]),
        ),
        (
            "/HostConfig/SecurityOpt",
            json!(["no-new-privileges", "apparmor=unconfined"]),
        ),
        ("/HostConfig/SecurityOpt", json!(["systempaths=unconfined"])),
        ("/HostConfig/SecurityOpt", json!(["no-new-privileges:false"])),
        ("/HostConfig/Runtime", json!("evil")),
        ("/HostConfig/Sysctls", json!({"kernel.core_pattern": "|/x"})),
        ("/HostConfig/VolumesFrom", json!([other])),
        ("/HostConfig/VolumeDriver", json!("local")),
        ("/HostConfig/LogConfig/Type", json!("syslog")),
        ("/HostConfig/LogConfig/Config/max-size", json!("100g")),
        ("/HostConfig/LogConfig/Config", json!({"path": "/etc"})),
        (
            "/HostConfig/PortBindings",
            json!({"22/tcp": [{"HostPort": "22"}]}),
        ),
        ("/HostConfig/PublishAllPorts", json!(true)),
        ("/HostConfig/RestartPolicy/Name", json!("always")),
        ("/HostConfig/AutoRemove", json!(true)),
        ("/HostConfig/ContainerIDFile", json!("/etc/x")),
        ("/HostConfig/ExtraHosts", json!(["a:1.2.3.4"])),
        ("/HostConfig/Dns", json!(["1.2.3.4"])),
        ("/HostConfig/GroupAdd", json!(["docker"])),
        ("/HostConfig/Links", json!(["db"])),
        ("/HostConfig/OomScoreAdj", json!(-1000)),
        ("/HostConfig/OomKillDisable", json!(true)),
        ("/HostConfig/Tmpfs", json!({"/x": "size=100g"})),
        ("/HostConfig/ShmSize", json!(1u64 << 40)),
        ("/HostConfig/CpusetCpus", json!("0-63")),
        ("/HostConfig/CpuRealtimeRuntime", json!(950_000)),
        ("/HostConfig/BlkioWeight", json!(1000)),
        (
            "/HostConfig/Ulimits",
            json!([{"Name": "nofile", "Hard": 1, "Soft": 1}]),
        ),
        ("/HostConfig/Init", json!(true)),
        ("/HostConfig/Isolation", json!("process")),
        ("/HostConfig/ReadonlyRootfs", json!(true)),
        ("/HostConfig/KernelMemory", json!(1)),
        ("/HostConfig/MemorySwap", json!(-1)),
        ("/HostConfig/Memory", json!(0)),
        ("/HostConfig/Memory", json!(-1)),
        ("/HostConfig/Memory", json!("1g")),
        ("/HostConfig/Memory", json!(1u64 << 51)),
        ("/HostConfig/NanoCpus", json!(0)),
        ("/HostConfig/PidsLimit", json!(0)),
        ("/HostConfig/PidsLimit", json!(-1)),
        ("/HostConfig/PidsLimit", Value::Null),
        ("/HostConfig/PidsLimit", json!(1u64 << 33)),
        ("/HostConfig/StorageOpt/size", json!("0")),
        ("/HostConfig/StorageOpt/size", json!("10G")),
        ("/HostConfig/StorageOpt/size", json!(" 10000000000")),
        ("/HostConfig/Mounts/0/Type", json!("bind")),
        ("/HostConfig/Mounts/0/Type", json!("volume")),
        ("/HostConfig/Mounts/0/Target", json!("/")),
        ("/HostConfig/Mounts/0/Target", json!("/.jeju")),
        ("/HostConfig/Mounts/0/Target", json!("/.jeju/x")),
        ("/HostConfig/Mounts/0/Target", json!("/proc/sys")),
        ("/HostConfig/Mounts/0/Target", json!("/dev")),
        ("/HostConfig/Mounts/0/Target", json!("/sys/fs/cgroup")),
        ("/HostConfig/Mounts/0/Target", json!("/a/../.jeju")),
        ("/HostConfig/Mounts/0/Target", json!("a")),
        ("/HostConfig/Mounts/0/Target", json!("/a//b")),
        ("/HostConfig/Mounts/0/TmpfsOptions/SizeBytes", json!(0)),
        ("/Image", json!("--privileged")),
        ("/Image", json!("Debian")),
        ("/Image", json!("debian")),
        ("/Image", json!("")),
        ("/Entrypoint", json!(["/bin/sh"])),
        ("/Entrypoint", Value::Null),
        ("/Cmd", json!("sh")),
        ("/Cmd", json!([1])),
        ("/Cmd", json!(["a\u{0}b"])),
        ("/Cmd", json!(vec!["a"; 257])),
        ("/Cmd", json!(["a".repeat(16 * 1024)])),
        ("/User", json!("1000")),
        ("/Env", json!(["LD_PRELOAD=/x"])),
        ("/Tty", json!(true)),
        ("/OpenStdin", json!(true)),
        ("/Hostname", json!("host")),
        ("/Domainname", json!("x")),
        ("/WorkingDir", json!("/x")),
        ("/StopSignal", json!("SIGKILL")),
        ("/StopTimeout", json!(-1)),
        ("/NetworkDisabled", json!(true)),
        ("/Healthcheck/Test", json!(["CMD", "x"])),
        ("/Labels/jeju.agent", json!("CD".repeat(32))),
        ("/Labels/jeju.agent", json!("cd")),
        ("/Labels/jeju.rental", json!("ee".repeat(32))),
        ("/Labels/jeju.image", json!("a\nb")),
        ("/Labels/jeju.image", json!("a".repeat(257))),
        ("/Labels/jeju.image", json!(1)),
    ] {
        let mut body = create_body();
        assert_ne!(value, *body.pointer(pointer).unwrap(), "{pointer}");
        *body.pointer_mut(pointer).unwrap() = value.clone();
        let refused = create(&serde_json::to_vec(&body).unwrap());
        let codes = [
            "docker_value_not_allowed",
            "docker_field_not_allowed",
            "docker_image_malformed",
            "docker_body_malformed",
        ];
        assert!(codes.contains(&refused.code), "{pointer} {value}: {refused:?}");
        let order = refused.message.contains("another way");
        assert!(
            !order || pointer == "/Image",
            "{pointer} {value}: refused for the order of keys only"
        );
    }
}

#[test]
fn fields_that_are_not_ours_are_refused() {
    for (pointer, key, value) in [
        ("", "Privileged", json!(true)),
        ("", "MacAddress", json!("02:42:ac:11:00:02")),
        ("", "OnBuild", json!([])),
        ("", "Shell", json!(["x"])),
        ("", "HostConfig ", json!({})),
        ("/HostConfig", "MaskedPaths", json!([])),
        ("/HostConfig", "ReadonlyPaths", json!([])),
        ("/HostConfig", "ConsoleSize", json!([1, 1])),
        ("/HostConfig", "CpuCount", json!(1)),
        ("/HostConfig", "Annotations", json!({"run.oci.x": "y"})),
        ("/HostConfig", "Capabilities", json!(["ALL"])),
        ("/HostConfig", "Mounts2", json!([])),
        (
            "/HostConfig/LogConfig/Config",
            "syslog-address",
            json!("tcp://1.2.3.4"),
        ),
        ("/HostConfig/StorageOpt", "dm.x", json!("1")),
        ("/HostConfig/Sysctls", "net.ipv4.ip_forward", json!("1")),
        ("/HostConfig/PortBindings", "22/tcp", json!([])),
        ("/HostConfig/Tmpfs", "/x", json!("")),
        ("/NetworkingConfig/EndpointsConfig", "host", json!({})),
        (
            "/NetworkingConfig/EndpointsConfig",
            "jeju-other",
            json!({"Aliases": ["x"]}),
        ),
        ("/Volumes", "/data", json!({})),
        ("/ExposedPorts", "22/tcp", json!({})),
        ("/Healthcheck", "Interval", json!(1)),
        ("/Labels", "com.docker.compose.project", json!("x")),
        ("/Labels", "jeju.", json!("x")),
        ("/Labels", "jeju.X", json!("x")),
        ("/Labels", "Jeju.agent", json!("x")),
        // Other spellings of keys that the engine folds to ours.
        ("", "hostconfig", json!({"Privileged": true})),
        ("", "HOSTCONFIG", json!({"Privileged": true})),
        ("", "HostCon\u{fb01}g", json!({"Privileged": true})),
        ("", "Ho\u{17f}tConfig", json!({"Privileged": true})),
        ("/HostConfig", "privileged", json!(true)),
        ("/HostConfig", "bind\u{17f}", json!(["/:/h"])),
        ("/HostConfig", "Networ\u{212a}Mode", json!("host")),
        ("/HostConfig", "CapAdd\u{0}", json!(["ALL"])),
    ] {
        let mut body = create_body();
        let object = body.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
        object.insert(key.to_owned(), value);
        let refused = create(&serde_json::to_vec(&body).unwrap());
        assert_eq!(
            refused.code, "docker_field_not_allowed",
            "{pointer} {key}: {refused:?}"
        );
        assert!(
            refused.message.is_ascii() && refused.message.len() < 120,
            "{refused:?}"
        );
    }
    // Within an item of a list, where the template's keys are compared as values.
    let mut body = create_body();
    body["HostConfig"]["Mounts"][0]["Source"] = json!("/");
    assert_eq!(
        create(&serde_json::to_vec(&body).unwrap()).code,
        "docker_value_not_allowed"
    );
    body = create_body();
    body["HostConfig"]["Mounts"][0]["VolumeOptions"] =
        json!({"DriverConfig": {"Name": "local", "Options": {"type": "none", "o": "bind", "device": "/"}}});
    assert_eq!(
        create(&serde_json::to_vec(&body).unwrap()).code,
        "docker_body_malformed"
    );
}

/// A key that is left out would be the engine's default, or whatever it is in another spelling.
#[test]
fn no_field_can_be_left_out() {
    let whole = create_body();
    let mut pointers = Vec::new();
    for (key, value) in whole.as_object().unwrap() {
        pointers.push((String::new(), key.clone()));
        if let (true, Some(inner)) = (key == "HostConfig", value.as_object()) {
            pointers.extend(inner.keys().map(|inner| (format!("/{key}"), inner.clone())));
        }
    }
    assert!(pointers.len() > 80, "{}", pointers.len());
    for (pointer, key) in pointers {
        let mut body = create_body();
        body.pointer_mut(&pointer)
            .unwrap()
            .as_object_mut()
            .unwrap()
            .remove(&key)
            .unwrap();
        let refused = create(&serde_json::to_vec(&body).unwrap());
        assert!(
            ["docker_body_malformed", "docker_value_not_allowed"].contains(&refused.code),
            "{key}: {refused:?}"
        );
        assert!(!refused.message.contains("another way"), "{key}: {refused:?}");
    }
}

#[test]
fn other_writings_of_an_allowed_body_are_refused() {
    let body = String::from_utf8(Request::CreateContainer(Box::new(spec())).emit().body.unwrap()).unwrap();
    let privileged = r#""HostConfig":{"Privileged":true},"#;
    for (other, what) in [
        (format!("{body}{body}"), "second document"),
        (
            format!("{body}\n{{\"HostConfig\":{{\"Privileged\":true}}}}"),
            "second document on a line",
        ),
        (format!("{body} "), "space behind"),
        (format!("\n{body}"), "space in front"),
        (format!("\u{feff}{body}"), "byte order mark"),
        (body.replacen("\"Cmd\"", "\"\\u0043md\"", 1), "escaped key"),
        (body.replacen("/bin/sh", "\\/bin\\/sh", 1), "escaped value"),
        (body.replacen(":4096", ":4096.0", 1), "float"),
        (body.replacen(":4096", ":4.096e3", 1), "exponent"),
        (body.replacen(":4096", ": 4096", 1), "space within"),
        (
            body.replacen('{', &format!("{{{privileged}"), 1),
            "key twice, first",
        ),
        (
            format!(
                "{},{}}}",
                &body[..body.len() - 1],
                privileged.trim_end_matches(',')
            ),
            "key twice, last",
        ),
        (
            body.replacen(
                "\"Privileged\":false",
                "\"Privileged\":false,\"Privileged\":true",
                1,
            ),
            "inner key twice",
        ),
        (
            body.replacen("\"Privileged\":false", "\"privileged\":true", 1),
            "lower-case key",
        ),
        (body.replacen("\"Cmd\"", "\"CMD\"", 1), "upper-case key"),
        (
            body.replacen(
                "\"jeju.image\":\"x\"",
                "\"jeju.image\":\"x\",\"jeju.image\":\"y\"",
                1,
            ),
            "label twice",
        ),
        (
            body.replacen("\"Domainname\":\"\",", "", 1)
                .replacen('{', "{\"Domainname\":\"\",", 1),
            "other order",
        ),
        (body[..body.len() - 1].to_owned(), "cut short"),
        (String::new(), "empty"),
        ("null".to_owned(), "null"),
        ("[]".to_owned(), "list"),
        (format!("[{body}]"), "in a list"),
        ("{".repeat(5000), "deep"),
    ] {
        assert_ne!(other, body, "{what}");
        let refused = create(other.as_bytes());
        assert!(
            ["docker_body_malformed", "docker_field_not_allowed"].contains(&refused.code),
            "{what}: {refused:?}"
        );
    }
    let huge = format!("{body}{}", " ".repeat(128 * 1024));
    assert_eq!(create(huge.as_bytes()).code, "docker_body_too_large");
}

#[test]
fn a_start_takes_no_configuration() {
    let target = format!("/v1.41/containers/{}/start", name(0xab));
    for (content_type, body, code) in [
        (
            None,
            &br#"{"Privileged":true,"Binds":["/:/x"]}"#[..],
            "docker_body_malformed",
        ),
        (
            Some("application/json"),
            br#"{"Privileged":true}"#,
            "docker_content_type_not_allowed",
        ),
        (Some("application/json"), b"", "docker_content_type_not_allowed"),
        (None, b"{}", "docker_body_malformed"),
        (None, b" ", "docker_body_malformed"),
    ] {
        let refused = Request::parse("POST", &target, content_type, body).unwrap_err();
        assert_eq!(refused.code, code);
    }
    assert_eq!(Request::body_limit("POST", &target), Ok(0));
}

#[test]
fn forbidden_execs_and_networks_are_refused() {
    let exec = |request: &Request, pointer: &str, key: &str, value: Value| {
        let emitted = request.emit();
        let mut body: Value = serde_json::from_slice(&emitted.body.unwrap()).unwrap();
        body.pointer_mut(pointer).unwrap()[key] = value;
        let body = serde_json::to_vec(&body).unwrap();
        Request::parse(emitted.method, &emitted.target, emitted.content_type, &body).unwrap_err()
    };
    let requests = requests();
    let find = |kind: fn(&Request) -> bool| requests.iter().find(|request| kind(request)).unwrap();
    let created = find(|request| matches!(request, Request::CreateExec { .. }));
    let started = find(|request| matches!(request, Request::StartExec { .. }));
    let network = find(|request| matches!(request, Request::CreateNetwork(_)));
    let (field, value) = ("docker_field_not_allowed", "docker_value_not_allowed");
    for (request, pointer, key, given, code) in [
        (created, "", "Privileged", json!(true), value),
        (created, "", "privileged", json!(true), field),
        (created, "", "PRIVILEGED", json!(true), field),
        (created, "", "Tty", json!(true), value),
        (created, "", "User", json!("1000"), value),
        (created, "", "Env", json!(["A=b"]), value),
        (created, "", "WorkingDir", json!("/proc/1/root"), value),
        (created, "", "DetachKeys", json!("a"), value),
        (created, "", "Detach", json!(true), value),
        (created, "", "AttachStdout", json!(false), value),
        (created, "", "AttachStdin", json!(1), value),
        (created, "", "Cmd", json!([]), value),
        (created, "", "Cmd", json!([""]), value),
        (created, "", "Cmd", json!(["a\u{0}"]), value),
        (created, "", "Cmd", Value::Null, value),
        (created, "", "ConsoleSize", json!([1, 1]), field),
        (created, "", "Container", json!("x"), field),
        (started, "", "Detach", json!(true), value),
        (started, "", "Tty", json!(true), value),
        (started, "", "detach", json!(true), field),
        (started, "", "ConsoleSize", json!([1, 1]), field),
        (network, "", "Name", json!("host"), "docker_name_not_allowed"),
        (network, "", "Name", json!(name(1).to_string()), value),
        (network, "", "Driver", json!("host"), value),
        (network, "", "Driver", json!("macvlan"), value),
        (network, "", "Driver", json!("ipvlan"), value),
        (network, "", "Scope", json!("swarm"), value),
        (network, "", "Attachable", json!(true), value),
        (network, "", "Ingress", json!(true), value),
        (network, "", "ConfigOnly", json!(true), value),
        (network, "", "ConfigFrom", json!({"Network": "x"}), field),
        (network, "", "EnableIPv6", json!(true), value),
        (network, "", "CheckDuplicate", json!(false), value),
        (
            network,
            "/Options",
            "com.docker.network.bridge.name",
            json!("eth0"),
            field,
        ),
        (network, "/Options", "parent", json!("eth0"), field),
        (network, "/IPAM", "Driver", json!("x"), value),
        (
            network,
            "/IPAM",
            "Config",
            json!([{"Subnet": "0.0.0.0/0"}]),
            value,
        ),
        (network, "/Labels", "x", json!("y"), field),
        (network, "/Labels", "jeju.agent", json!("zz"), value),
        (network, "/Labels", "jeju.rental", json!("00".repeat(32)), value),
    ] {
        let refused = exec(request, pointer, key, given.clone());
        assert_eq!(refused.code, code, "{pointer}/{key} {given}: {refused:?}");
        assert!(!refused.message.contains("another way"), "{key}: {refused:?}");
    }
}

#[test]
fn only_the_archive_of_ours_is_taken() {
    let target = format!("/v1.41/containers/{}/archive?path=/", name(0xab));
    let archive = tar();
    let put = |content_type, body: &[u8]| Request::parse("PUT", &target, content_type, body);
    assert!(put(Some("application/x-tar"), &archive).is_ok());
    for (content_type, body, code) in [
        (None, &archive[..], "docker_content_type_not_allowed"),
        (
            Some("application/json"),
            &archive,
            "docker_content_type_not_allowed",
        ),
        (Some("application/x-tar"), b"", "docker_archive_not_allowed"),
        (
            Some("application/x-tar"),
            &archive[1..],
            "docker_archive_not_allowed",
        ),
        (
            Some("application/x-tar"),
            b"\x1f\x8b\x08\0",
            "docker_archive_not_allowed",
        ),
    ] {
        assert_eq!(put(content_type, body).unwrap_err().code, code);
    }
    assert_eq!(Request::body_limit("PUT", &target), Ok(archive::MAX_ARCHIVE));
}
