//! Body of the call that creates a container: every field that the API has, set.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{AGENT_LABEL, ContainerSpec, Network, RENTAL_LABEL};
use crate::docker::{CAPABILITIES, ENTRYPOINT};

/// Bytes of one log file of a container, and how many of them are kept.
const LOG_SIZE: &str = "2m";
const LOG_FILES: &str = "2";

/// Body of `containers/create`: `Config`, `HostConfig` and `NetworkingConfig` of the Engine API 1.41.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Body<'a> {
    hostname: String,
    domainname: &'static str,
    user: &'static str,
    attach_stdin: bool,
    attach_stdout: bool,
    attach_stderr: bool,
    exposed_ports: Nothing,
    tty: bool,
    open_stdin: bool,
    stdin_once: bool,
    env: [&'static str; 0],
    cmd: &'a [String],
    healthcheck: Healthcheck,
    args_escaped: bool,
    image: String,
    volumes: Nothing,
    working_dir: &'static str,
    entrypoint: [&'static str; 3],
    network_disabled: bool,
    labels: BTreeMap<&'a str, String>,
    stop_signal: &'static str,
    stop_timeout: u32,
    host_config: HostConfig<'a>,
    networking_config: NetworkingConfig,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfig<'a> {
    binds: [&'static str; 0],
    #[serde(rename = "ContainerIDFile")]
    container_id_file: &'static str,
    log_config: LogConfig,
    network_mode: String,
    port_bindings: Nothing,
    restart_policy: RestartPolicy,
    auto_remove: bool,
    volume_driver: &'static str,
    volumes_from: [&'static str; 0],
    mounts: Vec<Mount<'a>>,
    cap_add: [&'static str; CAPABILITIES.len()],
    cap_drop: [&'static str; 1],
    cgroupns_mode: &'static str,
    dns: [&'static str; 0],
    dns_options: [&'static str; 0],
    dns_search: [&'static str; 0],
    extra_hosts: [&'static str; 0],
    group_add: [&'static str; 0],
    ipc_mode: &'static str,
    cgroup: &'static str,
    links: [&'static str; 0],
    oom_score_adj: i32,
    pid_mode: &'static str,
    privileged: bool,
    publish_all_ports: bool,
    readonly_rootfs: bool,
    security_opt: [&'static str; 1],
    storage_opt: BTreeMap<&'static str, String>,
    tmpfs: Nothing,
    #[serde(rename = "UTSMode")]
    uts_mode: &'static str,
    userns_mode: &'static str,
    shm_size: u64,
    sysctls: Nothing,
    runtime: &'static str,
    isolation: &'static str,
    cpu_shares: u64,
    memory: u64,
    nano_cpus: u64,
    cgroup_parent: &'static str,
    blkio_weight: u16,
    blkio_weight_device: [&'static str; 0],
    blkio_device_read_bps: [&'static str; 0],
    blkio_device_write_bps: [&'static str; 0],
    #[serde(rename = "BlkioDeviceReadIOps")]
    blkio_device_read_iops: [&'static str; 0],
    #[serde(rename = "BlkioDeviceWriteIOps")]
    blkio_device_write_iops: [&'static str; 0],
    cpu_period: u64,
    cpu_quota: u64,
    cpu_realtime_period: u64,
    cpu_realtime_runtime: u64,
    cpuset_cpus: &'static str,
    cpuset_mems: &'static str,
    devices: [&'static str; 0],
    device_cgroup_rules: [&'static str; 0],
    device_requests: [&'static str; 0],
    kernel_memory: u64,
    #[serde(rename = "KernelMemoryTCP")]
    kernel_memory_tcp: u64,
    memory_reservation: u64,
    memory_swap: u64,
    oom_kill_disable: bool,
    init: bool,
    pids_limit: u32,
    ulimits: [&'static str; 0],
}

/// An object without keys.
#[derive(Serialize)]
struct Nothing {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Healthcheck {
    test: [&'static str; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct LogConfig {
    r#type: &'static str,
    config: LogLimits,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct LogLimits {
    max_file: &'static str,
    max_size: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RestartPolicy {
    name: &'static str,
    maximum_retry_count: u32,
}

/// Memory in place of a volume.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Mount<'a> {
    target: &'a str,
    r#type: &'static str,
    tmpfs_options: TmpfsOptions,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TmpfsOptions {
    size_bytes: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkingConfig {
    endpoints_config: Nothing,
}

impl<'a> Body<'a> {
    pub(super) fn of(spec: &'a ContainerSpec) -> Self {
        let rental = hex::encode(spec.name.id());
        let mut labels: BTreeMap<&str, String> = spec
            .labels
            .iter()
            .map(|(key, value)| (key.as_str(), value.clone()))
            .collect();
        labels.insert(AGENT_LABEL, hex::encode(spec.agent));
        labels.insert(RENTAL_LABEL, rental.clone());
        Self {
            hostname: format!("jeju-{}", &rental[..12]),
            domainname: "",
            user: "0:0",
            attach_stdin: false,
            attach_stdout: false,
            attach_stderr: false,
            exposed_ports: Nothing {},
            tty: false,
            open_stdin: false,
            stdin_once: false,
            env: [],
            cmd: &spec.command,
            // The image's own would be an exec every few seconds, outside the rental's limits.
            healthcheck: Healthcheck { test: ["NONE"] },
            args_escaped: false,
            image: spec.image.to_string(),
            volumes: Nothing {},
            working_dir: "",
            entrypoint: ENTRYPOINT,
            network_disabled: false,
            labels,
            stop_signal: "SIGTERM",
            stop_timeout: 10,
            host_config: HostConfig::of(spec),
            networking_config: NetworkingConfig {
                endpoints_config: Nothing {},
            },
        }
    }
}

impl<'a> HostConfig<'a> {
    fn of(spec: &'a ContainerSpec) -> Self {
        let mount = |path: &'a String| Mount {
            target: path,
            r#type: "tmpfs",
            tmpfs_options: TmpfsOptions {
                size_bytes: spec.memory,
            },
        };
        Self {
            binds: [],
            container_id_file: "",
            log_config: LogConfig {
                r#type: "json-file",
                config: LogLimits {
                    max_file: LOG_FILES,
                    max_size: LOG_SIZE,
                },
            },
            network_mode: match spec.network {
                Network::None => "none".to_owned(),
                Network::Own => spec.name.to_string(),
            },
            port_bindings: Nothing {},
            restart_policy: RestartPolicy {
                name: "no",
                maximum_retry_count: 0,
            },
            auto_remove: false,
            volume_driver: "",
            volumes_from: [],
            mounts: spec.memory_paths.iter().map(mount).collect(),
            cap_add: CAPABILITIES,
            cap_drop: ["ALL"],
            cgroupns_mode: "private",
            dns: [],
            dns_options: [],
            dns_search: [],
            extra_hosts: [],
            group_add: [],
            ipc_mode: "private",
            cgroup: "",
            links: [],
            oom_score_adj: 0,
            pid_mode: "",
            privileged: false,
            publish_all_ports: false,
            // The engine takes no archive, and so no agent, for a container with a read-only root.
            readonly_rootfs: false,
            // The engine's own seccomp and AppArmor profiles are on unless named here.
            security_opt: ["no-new-privileges"],
            storage_opt: spec
                .storage
                .iter()
                .map(|bytes| ("size", bytes.to_string()))
                .collect(),
            tmpfs: Nothing {},
            uts_mode: "",
            userns_mode: "",
            shm_size: 64 << 20,
            sysctls: Nothing {},
            runtime: "",
            isolation: "",
            cpu_shares: 0,
            memory: spec.memory,
            nano_cpus: spec.nano_cpus,
            cgroup_parent: "",
            blkio_weight: 0,
            blkio_weight_device: [],
            blkio_device_read_bps: [],
            blkio_device_write_bps: [],
            blkio_device_read_iops: [],
            blkio_device_write_iops: [],
            cpu_period: 0,
            cpu_quota: 0,
            cpu_realtime_period: 0,
            cpu_realtime_runtime: 0,
            cpuset_cpus: "",
            cpuset_mems: "",
            devices: [],
            device_cgroup_rules: [],
            device_requests: [],
            kernel_memory: 0,
            kernel_memory_tcp: 0,
            memory_reservation: 0,
            memory_swap: spec.memory,
            oom_kill_disable: false,
            init: false,
            pids_limit: spec.pids,
            ulimits: [],
        }
    }
}
