//! Whether a Docker engine can hold rentals.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use jeju_shim_protocol::docker::answer::{Failure, Info, MAX_ANSWER, read};
use jeju_shim_protocol::docker::{API_VERSION, Request};

use super::{Check, Status};

const WAIT: Duration = Duration::from_secs(30);

pub(super) fn check(socket: &Path) -> Check {
    let failed = |why: String| Check::new("docker", Status::Fail, why);
    let answer = match ask(socket) {
        Ok(answer) => answer,
        Err(error) => return failed(format!("{}: {error}", socket.display())),
    };
    let (head, body) = match answer.windows(4).position(|four| four == b"\r\n\r\n") {
        Some(end) => (&answer[..end], &answer[end + 4..]),
        None => return failed("the engine's answer is no HTTP".to_owned()),
    };
    if head.get(9..12) != Some(b"200") {
        let said = Failure::of_engine(body).message;
        return failed(format!("the engine doesn't speak API {API_VERSION}: {said}"));
    }
    match read::<Info>(body) {
        Ok(info) => judge(&info),
        Err(error) => failed(error.to_string()),
    }
}

fn judge(info: &Info) -> Check {
    let seccomp = info
        .security_options
        .iter()
        .any(|option| option.starts_with("name=seccomp") && !option.contains("unconfined"));
    let missing: Vec<&str> = [
        (info.memory_limit, "memory limits"),
        (info.cpu_cfs_quota, "processor limits"),
        (info.pids_limit, "process limits"),
        (seccomp, "a seccomp profile"),
    ]
    .into_iter()
    .filter_map(|(there, what)| (!there).then_some(what))
    .collect();
    let engine = format!("engine {}, storage driver {}", info.server_version, info.driver);
    if !missing.is_empty() {
        return Check::new(
            "docker",
            Status::Fail,
            format!("{engine}: no {}", missing.join(", no ")),
        );
    }
    // Whether the file system was mounted with project quotas shows only when a container is created.
    let xfs = info
        .driver_status
        .iter()
        .any(|[key, value]| key == "Backing Filesystem" && value == "xfs");
    match (&info.driver[..], xfs) {
        ("btrfs" | "zfs", _) | ("overlay2", true) => Check::new("docker", Status::Ok, engine),
        _ => Check::new(
            "docker",
            Status::Warn,
            format!("{engine}: no disk quotas here, so what a rental writes is measured and not limited"),
        ),
    }
}

fn ask(socket: &Path) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(WAIT))?;
    stream.set_write_timeout(Some(WAIT))?;
    let target = Request::Info.emit().target;
    stream.write_all(format!("GET {target} HTTP/1.0\r\nHost: docker\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER as u64).read_to_end(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> Info {
        Info {
            driver: "overlay2".to_owned(),
            driver_status: vec![["Backing Filesystem".to_owned(), "xfs".to_owned()]],
            memory_limit: true,
            pids_limit: true,
            cpu_cfs_quota: true,
            security_options: vec!["name=seccomp,profile=default".to_owned()],
            ..Info::default()
        }
    }

    #[test]
    fn an_engine_without_limits_is_refused_and_one_without_quotas_named() {
        assert_eq!(judge(&info()).status as u8, Status::Ok as u8);
        type Change = fn(&mut Info);
        let cases: [(Change, Status); 6] = [
            (|info| info.memory_limit = false, Status::Fail),
            (|info| info.pids_limit = false, Status::Fail),
            (|info| info.cpu_cfs_quota = false, Status::Fail),
            (|info| info.security_options.clear(), Status::Fail),
            (|info| info.driver_status.clear(), Status::Warn),
            (|info| info.driver = "vfs".to_owned(), Status::Warn),
        ];
        for (change, status) in cases {
            let mut info = info();
            change(&mut info);
            let check = judge(&info);
            assert_eq!(check.status as u8, status as u8, "{}", check.detail);
        }
    }
}
