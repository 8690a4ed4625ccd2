//! The last look at a request before it leaves the enclave: the shim's own filter, on this side of the boundary too.

use bytes::Bytes;
use jeju_shim_protocol::docker::{Emitted, Refusal, Request};

/// A request that the filter took, as it goes out. Nothing else is ever sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    method: &'static str,
    target: String,
    content_type: Option<&'static str>,
    body: Bytes,
}

impl Admitted {
    /// A request, with the archive that it carries if it carries one.
    ///
    /// # Errors
    /// [`Refusal`] for values out of range, and for an archive that isn't one of ours.
    pub fn of(request: &Request, archive: Option<Bytes>) -> Result<Self, Refusal> {
        let Emitted {
            method,
            target,
            content_type,
            body,
        } = request.emit();
        let body = archive.or(body.map(Bytes::from)).unwrap_or_default();
        admit(method, &target, content_type, body)
    }

    pub(super) fn method(&self) -> &'static str {
        self.method
    }

    pub(super) fn target(&self) -> &str {
        &self.target
    }

    pub(super) fn content_type(&self) -> Option<&'static str> {
        self.content_type
    }

    pub(super) fn body(&self) -> Bytes {
        self.body.clone()
    }
}

/// Reads a request as the shim would, and writes it anew.
///
/// # Errors
/// [`Refusal`] for all that isn't, byte by byte, a request of ours.
pub fn admit(
    method: &str,
    target: &str,
    content_type: Option<&str>,
    body: Bytes,
) -> Result<Admitted, Refusal> {
    let emitted = Request::parse(method, target, content_type, &body)?.emit();
    Ok(Admitted {
        method: emitted.method,
        target: emitted.target,
        content_type: emitted.content_type,
        // An archive is carried beside its request, and was walked.
        body: emitted.body.map_or(body, Bytes::from),
    })
}

#[cfg(test)]
mod tests {
    use jeju_shim_protocol::docker::{ContainerName, ContainerSpec, ExecSpec, Network, archive};
    use serde_json::{Value, json};

    use super::*;

    const NAME: ContainerName = ContainerName::from_id([7; 32]);
    const JSON: Option<&str> = Some("application/json");

    fn create() -> (String, String) {
        let request = Request::CreateContainer(Box::new(ContainerSpec {
            name: NAME,
            agent: [1; 32],
            image: "busybox".parse().unwrap(),
            command: vec!["sh".to_owned()],
            labels: [("jeju.cpu".to_owned(), "1".to_owned())].into(),
            memory: 1 << 30,
            nano_cpus: 1_000_000_000,
            pids: 4096,
            network: Network::None,
            storage: None,
            memory_paths: Vec::new(),
        }));
        let emitted = request.emit();
        (emitted.target, String::from_utf8(emitted.body.unwrap()).unwrap())
    }

    fn refused(method: &str, target: &str, content_type: Option<&str>, body: &str) -> &'static str {
        admit(method, target, content_type, Bytes::from(body.to_owned()))
            .unwrap_err()
            .code
    }

    #[test]
    fn our_own_requests_pass_unchanged() {
        let (target, body) = create();
        let admitted = admit("POST", &target, JSON, Bytes::from(body.clone())).unwrap();
        assert_eq!((admitted.method(), admitted.target()), ("POST", target.as_str()));
        assert_eq!(
            (admitted.content_type(), admitted.body()),
            (JSON, Bytes::from(body))
        );
        let exec = Request::CreateExec {
            name: NAME,
            spec: ExecSpec::agent(),
        };
        let admitted = Admitted::of(&exec, None).unwrap();
        assert_eq!(admitted.body(), exec.emit().body.unwrap());
    }

    #[test]
    fn what_a_container_may_not_have_is_refused_here_too() {
        let (target, body) = create();
        for (from, to) in [
            (r#""Privileged":false"#, r#""Privileged":true"#),
            (r#""Binds":[]"#, r#""Binds":["/:/host"]"#),
            (r#""Devices":[]"#, r#""Devices":["/dev/tdx_guest"]"#),
            (r#""PidMode":"""#, r#""PidMode":"host""#),
            (r#""IpcMode":"private""#, r#""IpcMode":"host""#),
            (r#""UTSMode":"""#, r#""UTSMode":"host""#),
            (r#""UsernsMode":"""#, r#""UsernsMode":"host""#),
            (r#""NetworkMode":"none""#, r#""NetworkMode":"host""#),
            (r#""NetworkMode":"none""#, r#""NetworkMode":"container:other""#),
            (r#""CapDrop":["ALL"]"#, r#""CapDrop":[]"#),
            (r#""CAP_CHOWN","#, r#""CAP_SYS_ADMIN","#),
            (r#"["no-new-privileges"]"#, r#"["seccomp=unconfined"]"#),
            (r#""CgroupParent":"""#, r#""CgroupParent":"/""#),
            (r#""Runtime":"""#, r#""Runtime":"other""#),
            (r#""VolumesFrom":[]"#, r#""VolumesFrom":["other"]"#),
            (r#""PidsLimit":4096"#, r#""PidsLimit":-1"#),
            (r#""Memory":1073741824,"#, r#""Memory":0,"#),
            (r#""User":"0:0""#, r#""User":"1:1""#),
            (
                r#""Mounts":[]"#,
                r#""Mounts":[{"Type":"bind","Source":"/","Target":"/h"}]"#,
            ),
            // Smuggling that the engine would take.
            (
                r#"{"Hostname""#,
                r#"{"hostconfig":{"privileged":true},"Hostname""#,
            ),
            (r#"{"Hostname""#, r#"{"Ho\u017ftConfig":{},"Hostname""#),
            (r#""Privileged":false"#, r#""Privileged":false,"Privileged":true"#),
            (r#""Privileged":false"#, r#""privileged":true"#),
        ] {
            assert!(body.contains(from), "{from}");
            let code = refused("POST", &target, JSON, &body.replacen(from, to, 1));
            let codes = [
                "docker_body_malformed",
                "docker_field_not_allowed",
                "docker_value_not_allowed",
            ];
            assert!(codes.contains(&code), "{to}: {code}");
        }
        assert_eq!(
            refused("POST", &target, JSON, &(body.clone() + "{}")),
            "docker_body_malformed"
        );
        assert_eq!(
            refused("POST", &target, None, &body),
            "docker_content_type_not_allowed"
        );
    }

    #[test]
    fn no_field_of_a_container_takes_a_value_that_is_not_ours() {
        let (target, body) = create();
        for (what, body) in changed(&body) {
            let code = refused("POST", &target, JSON, &body);
            // Not for the order of its keys.
            assert_ne!(code, "docker_body_malformed", "{what}");
        }
    }

    /// Of each field of a body, the body with another value of the same kind in it, and with one field more beside it.
    fn changed(body: &str) -> Vec<(String, String)> {
        fn walk(at: &str, value: &Value, found: &mut Vec<String>) {
            for (key, inner) in value.as_object().into_iter().flatten() {
                let at = format!("{at}/{key}");
                walk(&at, inner, found);
                found.push(at);
            }
        }
        let whole: Value = serde_json::from_str(body).unwrap();
        let mut pointers = Vec::new();
        walk("", &whole, &mut pointers);
        // What it says is the node's.
        pointers.retain(|pointer| pointer != "/Labels/jeju.cpu");
        assert!(pointers.len() > 80, "{}", pointers.len());
        let mut bodies = Vec::new();
        for pointer in pointers {
            let mut other = whole.clone();
            let value = other.pointer_mut(&pointer).unwrap();
            *value = match &*value {
                Value::Bool(is) => json!(!*is),
                Value::Number(_) => json!(5),
                Value::String(_) => json!("--x y"),
                Value::Array(_) if pointer == "/HostConfig/Mounts" => {
                    json!([{ "Type": "bind", "Source": "/", "Target": "/x" }])
                }
                Value::Array(_) => json!(["x\u{0}"]),
                _ => json!({ "x": "y" }),
            };
            bodies.push((pointer.clone(), other.to_string()));
            let mut more = whole.clone();
            let (folder, _) = pointer.rsplit_once('/').unwrap();
            let folder = more.pointer_mut(folder).unwrap();
            folder
                .as_object_mut()
                .unwrap()
                .insert("Other".to_owned(), json!(true));
            bodies.push((format!("{pointer} and another"), more.to_string()));
        }
        bodies
    }

    #[test]
    fn calls_and_paths_that_are_not_ours_are_refused_here_too() {
        let name = NAME.to_string();
        for (method, target, code) in [
            ("POST", "/v1.41/build".to_owned(), "docker_call_not_allowed"),
            (
                "POST",
                "/v1.41/volumes/create".to_owned(),
                "docker_call_not_allowed",
            ),
            ("POST", "/v1.41/swarm/init".to_owned(), "docker_call_not_allowed"),
            ("GET", "/v1.41/events".to_owned(), "docker_call_not_allowed"),
            ("HEAD", "/v1.41/_ping".to_owned(), "docker_call_not_allowed"),
            ("GET", "/v1.23/_ping".to_owned(), "docker_version_not_allowed"),
            ("GET", "/_ping".to_owned(), "docker_version_not_allowed"),
            ("GET", "/v1.41/%5fping".to_owned(), "docker_call_not_allowed"),
            (
                "GET",
                "/v1.41/../v1.41/_ping".to_owned(),
                "docker_call_not_allowed",
            ),
            (
                "GET",
                "/v1.41/containers/json".to_owned(),
                "docker_query_not_allowed",
            ),
            (
                "GET",
                "/v1.41/containers/other/json".to_owned(),
                "docker_name_not_allowed",
            ),
            (
                "POST",
                format!("/v1.41/containers/{name}/start?x=1"),
                "docker_query_not_allowed",
            ),
            (
                "GET",
                "/v1.41/images/-x/json".to_owned(),
                "docker_image_malformed",
            ),
        ] {
            assert_eq!(refused(method, &target, None, ""), code, "{method} {target}");
        }
        let exec = format!("/v1.41/containers/{name}/exec");
        let emitted = Request::CreateExec {
            name: NAME,
            spec: ExecSpec::agent(),
        }
        .emit();
        let body = String::from_utf8(emitted.body.unwrap()).unwrap();
        for (from, to) in [
            (r#""Privileged":false"#, r#""Privileged":true"#),
            (r#""Tty":false"#, r#""Tty":true"#),
            (r#""User":"0:0""#, r#""User":"1""#),
        ] {
            assert!(body.contains(from), "{body}");
            let code = refused("POST", &exec, JSON, &body.replacen(from, to, 1));
            assert_eq!(code, "docker_value_not_allowed");
        }
    }

    #[test]
    fn archives_hold_our_own_files_only() {
        let put = Request::PutArchive { name: NAME };
        let entry = archive::Entry {
            path: ".jeju/agent",
            mode: 0o755,
            content: Some(b"\x7fELF"),
        };
        let good = Bytes::from(archive::encode(&[entry]).unwrap());
        assert_eq!(Admitted::of(&put, Some(good.clone())).unwrap().body(), good);
        let code = |archive| Admitted::of(&put, archive).unwrap_err().code;
        assert_eq!(code(None), "docker_archive_not_allowed");
        for (at, to) in [(0, b"etc//".as_slice()), (156, b"2"), (108, b"0001000")] {
            let mut bad = good.to_vec();
            bad[at..at + to.len()].copy_from_slice(to);
            assert_eq!(code(Some(bad.into())), "docker_archive_not_allowed");
        }
        // And no other request carries one.
        assert!(Admitted::of(&Request::Ping, Some(good)).is_err());
    }
}
