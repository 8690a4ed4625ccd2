//! The system calls that a role may make. Any other kills the process, and so ends the node.
//!
//! A few calls that libraries try and can do without are answered with `ENOSYS` instead: `clone3`, whose flags lie in
//! memory where a filter can't see them (glibc then takes `clone`, where it can), and for all but `quote` the opening of
//! files, which the allocator and the standard library try for tuning values.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen::Dword, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

use super::{Needs, SandboxError};
use crate::supervise::Role;

/// Two filters: the kernel takes the stricter answer of both, and one filter has only one answer for its list.
pub type Filters = [BpfProgram; 2];

/// Compiles the filters of a role. Those of a worker's process are for the very process that compiles them.
///
/// # Errors
/// When the machine's architecture is unknown to the compiler.
pub fn filters(needs: &Needs) -> Result<Filters, SandboxError> {
    let absent = absent(needs);
    let mut allowed = rules(needs)?;
    allowed.extend(absent.iter().map(|call| (*call, Vec::new())));
    let arch = std::env::consts::ARCH.try_into()?;
    let allow = SeccompFilter::new(allowed, SeccompAction::KillProcess, SeccompAction::Allow, arch)?;
    let refuse = SeccompFilter::new(
        absent.into_iter().map(|call| (call, Vec::new())).collect(),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::ENOSYS as u32),
        arch,
    )?;
    // The refusing one comes first: applying the second needs calls that it leaves alone.
    Ok([refuse.try_into()?, allow.try_into()?])
}

/// Applies the filters to all threads of this process, for good.
///
/// # Errors
/// When the kernel refuses them.
pub fn apply(filters: &Filters) -> Result<(), SandboxError> {
    // The last filter forbids `seccomp` itself, so the order of the array is the order of application.
    for filter in filters {
        seccompiler::apply_filter_all_threads(filter)?;
    }
    Ok(())
}

/// Calls answered with `ENOSYS`.
fn absent(needs: &Needs) -> Vec<c_long> {
    let mut calls = vec![libc::SYS_clone3];
    if needs.role == Role::Rentals {
        // Asked for by the SSH library's buffers. A guest swaps nothing out.
        calls.extend([libc::SYS_mlock, libc::SYS_munlock]);
    }
    if needs.role == Role::Worker {
        // The cryptographic library looks for a device of virtual machines.
        calls.extend([libc::SYS_newfstatat, libc::SYS_statx]);
        #[cfg(target_arch = "x86_64")]
        calls.extend([libc::SYS_stat, libc::SYS_lstat]);
    }
    if !opens_files(needs) {
        calls.extend([
            libc::SYS_openat,
            libc::SYS_openat2,
            libc::SYS_readlinkat,
            libc::SYS_faccessat,
        ]);
        #[cfg(target_arch = "x86_64")]
        calls.extend([libc::SYS_open, libc::SYS_readlink, libc::SYS_access]);
    }
    calls
}

fn opens_files(needs: &Needs) -> bool {
    match needs.role {
        Role::Quote => true,
        Role::Signer | Role::Rentals | Role::Worker => false,
        Role::Front => needs.state.is_some(),
    }
}

/// Whether the role makes the entries of its directories, and removes them.
fn changes_directories(needs: &Needs) -> bool {
    match needs.role {
        Role::Quote => true,
        Role::Signer | Role::Worker => false,
        Role::Rentals => needs.sockets.is_some(),
        Role::Front => needs.state.is_some() || needs.sockets.is_some(),
    }
}

/// Memory, threads, time, randomness, and I/O on descriptors that are open: what every role needs.
const EVERY_ROLE: &[c_long] = &[
    // Memory (mmap and mprotect: see `rules`).
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_mremap,
    libc::SYS_munmap,
    // Threads and signals.
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_membarrier,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
    libc::SYS_tgkill,
    // Time, randomness, what the machine is.
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_getrandom,
    libc::SYS_getrusage,
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
    libc::SYS_sysinfo,
    libc::SYS_uname,
    // Open descriptors.
    libc::SYS_close,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_fcntl,
    libc::SYS_fstat,
    libc::SYS_lseek,
    libc::SYS_newfstatat,
    libc::SYS_ppoll,
    libc::SYS_pread64,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_statx,
    libc::SYS_write,
    libc::SYS_writev,
    // Open sockets (socketpair, sendmsg and sendto: see `rules`).
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
];

/// Older spellings of the same, which only this architecture has.
#[cfg(target_arch = "x86_64")]
const EVERY_ROLE_X86: &[c_long] = &[libc::SYS_epoll_wait, libc::SYS_poll, libc::SYS_time];

/// Only a role that has someone to reach makes sockets (socket: see `rules`).
const DIALLING: &[c_long] = &[libc::SYS_connect];

/// Only front and rentals listen.
const LISTENING: &[c_long] = &[libc::SYS_accept4, libc::SYS_bind, libc::SYS_listen];

/// Making and removing entries in the directories that Landlock leaves open.
const DIRECTORIES: &[c_long] = &[
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
];

#[cfg(target_arch = "x86_64")]
const DIRECTORIES_X86: &[c_long] = &[
    libc::SYS_chmod,
    libc::SYS_lstat,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_stat,
    libc::SYS_unlink,
];

/// Opening, listing and durably writing files.
const FILES: &[c_long] = &[
    libc::SYS_fdatasync,
    libc::SYS_flock,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_getdents64,
    libc::SYS_openat,
    libc::SYS_pwrite64,
    libc::SYS_readlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
];

#[cfg(target_arch = "x86_64")]
const FILES_X86: &[c_long] = &[libc::SYS_open, libc::SYS_readlink, libc::SYS_rename];

/// All that a process that runs workers may do, beside memory and threads (see [`shared_rules`]): it computes, reads and
/// writes its one channel, and waits.
const WORKER: &[c_long] = &[
    // Memory.
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_mremap,
    libc::SYS_munmap,
    // Threads, and signals to itself (tgkill: see `worker_rules`).
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
    // Time and randomness.
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_getrandom,
    libc::SYS_getrusage,
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
    // The channel (sendto: see `worker_rules`).
    libc::SYS_close,
    libc::SYS_ppoll,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_recvfrom,
    libc::SYS_shutdown,
    libc::SYS_write,
    libc::SYS_writev,
];

/// Older spellings of the same, which only this architecture has.
#[cfg(target_arch = "x86_64")]
const WORKER_X86: &[c_long] = &[libc::SYS_poll, libc::SYS_time];

fn rules(needs: &Needs) -> Result<Rules, SandboxError> {
    match needs.role {
        Role::Worker => worker_rules(),
        Role::Quote | Role::Signer | Role::Rentals | Role::Front => role_rules(needs),
    }
}

type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

fn worker_rules() -> Result<Rules, SandboxError> {
    let mut rules = shared_rules()?;
    let mut allow = |calls: &[c_long]| rules.extend(calls.iter().map(|call| (*call, Vec::new())));
    allow(WORKER);
    #[cfg(target_arch = "x86_64")]
    allow(WORKER_X86);
    // A panic or a failed assertion ends this process, and none but this.
    rules.insert(libc::SYS_tgkill, vec![equals(0, std::process::id().into())?]);
    // One thread reads the channel, others write to it; a development build looks whether what it closes is open.
    let requests = [libc::F_DUPFD_CLOEXEC, libc::F_GETFD];
    let requests = requests.map(|request| equals(1, request as u64));
    rules.insert(libc::SYS_fcntl, requests.into_iter().collect::<Result<_, _>>()?);
    Ok(rules)
}

/// Memory and threads, of every process.
fn shared_rules() -> Result<Rules, SandboxError> {
    let mut rules = BTreeMap::new();
    // No memory is both written and run: what isn't in the measured binary never becomes code.
    let not_executable = || only_when(2, SeccompCmpOp::MaskedEq(libc::PROT_EXEC as u64), 0);
    rules.insert(libc::SYS_mmap, vec![not_executable()?]);
    rules.insert(libc::SYS_mprotect, vec![not_executable()?]);
    // Threads, but no processes.
    let thread = libc::CLONE_THREAD as u64;
    rules.insert(
        libc::SYS_clone,
        vec![only_when(0, SeccompCmpOp::MaskedEq(thread), thread)?],
    );
    // Names for threads, and glibc's names for its memory.
    rules.insert(
        libc::SYS_prctl,
        vec![
            equals(0, libc::PR_SET_NAME as u64)?,
            equals(0, libc::PR_SET_VMA as u64)?,
        ],
    );
    // Sending on a socket that isn't connected can connect it, past Landlock's rules on connecting.
    rules.insert(libc::SYS_sendto, vec![not_connecting(3)?]);
    Ok(rules)
}

fn not_connecting(flags: u8) -> Result<SeccompRule, SandboxError> {
    only_when(flags, SeccompCmpOp::MaskedEq(libc::MSG_FASTOPEN as u64), 0)
}

fn role_rules(needs: &Needs) -> Result<Rules, SandboxError> {
    let mut rules = shared_rules()?;
    let mut allow = |calls: &[c_long]| rules.extend(calls.iter().map(|call| (*call, Vec::new())));
    allow(EVERY_ROLE);
    #[cfg(target_arch = "x86_64")]
    allow(EVERY_ROLE_X86);
    if needs.role != Role::Signer {
        allow(DIALLING);
    }
    if matches!(needs.role, Role::Front | Role::Rentals) {
        allow(LISTENING);
    }
    if changes_directories(needs) {
        allow(DIRECTORIES);
        #[cfg(target_arch = "x86_64")]
        allow(DIRECTORIES_X86);
    }
    if opens_files(needs) {
        allow(FILES);
        #[cfg(target_arch = "x86_64")]
        allow(FILES_X86);
    }

    rules.insert(libc::SYS_sendmsg, vec![not_connecting(2)?]);
    if needs.role != Role::Signer {
        let mut families = vec![equals(0, libc::AF_VSOCK as u64)?];
        if needs.sockets.is_some() {
            families.push(equals(0, libc::AF_UNIX as u64)?);
        }
        if !needs.loopback_ports().is_empty() {
            families.extend(tcp()?);
        }
        rules.insert(libc::SYS_socket, families);
    }
    rules.insert(libc::SYS_socketpair, vec![equals(0, libc::AF_UNIX as u64)?]);
    rules.insert(libc::SYS_ioctl, ioctls(needs)?);
    Ok(rules)
}

/// Sockets of TCP over IPv4, and no others of that family: where they lead is Landlock's to say, which knows nothing of
/// datagrams and of MPTCP.
fn tcp() -> Result<[SeccompRule; 2], SandboxError> {
    let flags = (libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK) as u64;
    let socket = |protocol: i32| {
        let conditions = [
            (0, SeccompCmpOp::Eq, libc::AF_INET as u64),
            (1, SeccompCmpOp::MaskedEq(!flags), libc::SOCK_STREAM as u64),
            (2, SeccompCmpOp::Eq, protocol as u64),
        ];
        let conditions = conditions
            .map(|(argument, operator, value)| SeccompCondition::new(argument, Dword, operator, value));
        Ok::<_, SandboxError>(SeccompRule::new(
            conditions.into_iter().collect::<Result<_, _>>()?,
        )?)
    };
    Ok([socket(0)?, socket(libc::IPPROTO_TCP)?])
}

fn ioctls(needs: &Needs) -> Result<Vec<SeccompRule>, SandboxError> {
    let mut requests = vec![equals(1, libc::FIONBIO)?];
    if needs.role == Role::Quote && needs.tee == jeju_attestation::tee::Tee::Nitro {
        requests.push(equals(1, NSM_IOCTL_RAW)?);
    }
    Ok(requests)
}

/// `NSM_IOCTL_RAW`: `_IOWR(0x0A, 0x0, struct nsm_raw)`, 32 bytes (Linux `include/uapi/linux/nsm.h`).
const NSM_IOCTL_RAW: u64 = 0xc020_0a00;

fn equals(argument: u8, value: u64) -> Result<SeccompRule, SandboxError> {
    only_when(argument, SeccompCmpOp::Eq, value)
}

fn only_when(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompRule, SandboxError> {
    Ok(SeccompRule::new(vec![SeccompCondition::new(
        argument, Dword, operator, value,
    )?])?)
}
