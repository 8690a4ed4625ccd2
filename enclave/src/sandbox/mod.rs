//! What a role may ask of the kernel. Entered by the role itself before it reads its first byte of input, while it has
//! one thread, and never left: [`seccomp`] lists the system calls, [`landlock`] the files.
//!
//! Both assume the role taken over. No role can then start a program, open a file that isn't listed, make memory
//! executable, reach TCP, or trace or signal another process; but for the front of a node with upstreams on loopback,
//! which reaches their ports. The signer can't even make a socket: all that it can reach is the front's end of the one
//! that it was given. A process that runs workers has a list of its own, the shortest: memory, threads, time, and reading
//! and writing the one channel that it has.

pub mod landlock;
pub mod seccomp;

use std::path::PathBuf;

use jeju_attestation::tee::Tee;

use crate::supervise::Role;

/// What a role needs beyond its sockets; decides the lists.
#[derive(Debug, Clone)]
pub struct Needs {
    /// Which role.
    pub role: Role,
    /// The platform, for the quoting devices.
    pub tee: Tee,
    /// Directory of the Unix-socket transport; `None` over vsock.
    pub sockets: Option<PathBuf>,
    /// Directory that the front keeps state in (process mode).
    pub state: Option<PathBuf>,
    /// TCP ports on loopback that the front may connect to: where upstreams listen. Empty for all other roles.
    pub upstreams: Vec<u16>,
}

impl Needs {
    /// TCP ports that the role may connect to.
    fn loopback_ports(&self) -> &[u16] {
        match self.role {
            Role::Front => &self.upstreams,
            _ => &[],
        }
    }

    /// What a process that runs workers needs: nothing.
    pub fn of_worker() -> Needs {
        Needs {
            role: Role::Worker,
            tee: Tee::Simulated,
            sockets: None,
            state: None,
            upstreams: Vec::new(),
        }
    }
}

/// Why a role can't be confined.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A seccomp list can't be compiled.
    #[error("seccomp list: {0}")]
    List(#[from] seccompiler::BackendError),
    /// The kernel refused the seccomp filter.
    #[error("seccomp: {0}")]
    Seccomp(#[from] seccompiler::Error),
    /// The kernel refused the Landlock rules.
    #[error("Landlock: {0}")]
    Landlock(#[from] ::landlock::RulesetError),
    /// A path that a role needs can't be opened.
    #[error("Landlock path: {0}")]
    Path(#[from] ::landlock::PathFdError),
    /// The kernel of a measured image always has Landlock with all that is asked of it.
    #[error("Landlock isn't enforced by this kernel")]
    NotEnforced,
}

/// Whether Landlock holds, beside seccomp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Files {
    /// The kernel enforces all rules.
    Enforced,
    /// The kernel lacks Landlock or parts of it: seccomp stands alone.
    Partial,
}

/// Confines this process for good. Must be called while it has one thread.
///
/// # Errors
/// See [`SandboxError`]; the process must not go on then.
pub fn enter(needs: &Needs) -> Result<Files, SandboxError> {
    // Compiled first: Landlock and seccomp take away what compiling needs.
    let filters = seccomp::filters(needs)?;
    let files = landlock::restrict(needs)?;
    seccomp::apply(&filters)?;
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;

    type Call = fn() -> libc::c_long;

    /// How a child process ended.
    #[derive(Debug, PartialEq, Eq)]
    enum End {
        Status(i32),
        Signal(i32),
    }

    /// Runs `act` in a forked child that has entered the sandbox; its answer is the exit status.
    ///
    /// `act` may make system calls only: the test harness has other threads, whose locks the child has copies of.
    fn confined(needs: &Needs, act: impl FnOnce() -> i32) -> End {
        let filters = seccomp::filters(needs).unwrap();
        // SAFETY: the child makes system calls only, and leaves by _exit.
        unsafe {
            match libc::fork() {
                -1 => panic!("{}", std::io::Error::last_os_error()),
                0 => libc::_exit(if seccomp::apply(&filters).is_ok() {
                    act()
                } else {
                    99
                }),
                child => {
                    let mut status = 0;
                    assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
                    if libc::WIFSIGNALED(status) {
                        End::Signal(libc::WTERMSIG(status))
                    } else {
                        End::Status(libc::WEXITSTATUS(status))
                    }
                }
            }
        }
    }

    fn front() -> Needs {
        Needs {
            role: Role::Front,
            tee: Tee::Simulated,
            sockets: None,
            state: None,
            upstreams: Vec::new(),
        }
    }

    fn front_with_upstreams(upstreams: &[u16]) -> Needs {
        Needs {
            upstreams: upstreams.to_vec(),
            ..front()
        }
    }

    fn quote(tee: Tee) -> Needs {
        Needs {
            role: Role::Quote,
            tee,
            sockets: None,
            state: None,
            upstreams: Vec::new(),
        }
    }

    /// As in process mode, where the handover names directories: the signer gets neither.
    fn signer() -> Needs {
        Needs {
            role: Role::Signer,
            tee: Tee::Simulated,
            sockets: Some("/".into()),
            state: Some("/".into()),
            upstreams: Vec::new(),
        }
    }

    /// As in an image, and as in process mode.
    fn rentals() -> [Needs; 2] {
        [None, Some("/".into())].map(|sockets| Needs {
            role: Role::Rentals,
            tee: Tee::Simulated,
            sockets,
            state: Some("/".into()),
            upstreams: Vec::new(),
        })
    }

    fn every_role() -> Vec<Needs> {
        let mut needs: Vec<Needs> = Tee::ALL.map(quote).into();
        needs.push(front());
        needs.push(signer());
        needs.push(Needs::of_worker());
        needs.extend(rentals());
        needs.push(Needs {
            sockets: Some("/".into()),
            ..front()
        });
        needs.push(Needs {
            sockets: Some("/".into()),
            state: Some("/".into()),
            ..front()
        });
        // Only the front has upstreams, whatever it is told.
        needs.extend([quote(Tee::Simulated), signer()].map(|needs| Needs {
            upstreams: vec![8000],
            ..needs
        }));
        needs
    }

    fn errno() -> i32 {
        // SAFETY: the location is this thread's own.
        unsafe { *libc::__errno_location() }
    }

    fn open(path: &CStr) -> i32 {
        // SAFETY: the path is NUL-terminated.
        unsafe { libc::open(path.as_ptr(), libc::O_RDONLY) }
    }

    #[test]
    fn a_confined_process_can_still_live() {
        for needs in every_role() {
            let end = confined(&needs, || {
                // SAFETY: plain system calls; the mapping isn't used.
                unsafe {
                    let memory = libc::mmap(
                        std::ptr::null_mut(),
                        4096,
                        libc::PROT_READ | libc::PROT_WRITE,
                        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                        -1,
                        0,
                    );
                    // What a runtime wakes itself with. Workers have none.
                    let mut pair = [0; 2];
                    let has_runtime = needs.role != Role::Worker;
                    let paired = has_runtime
                        && libc::socketpair(libc::AF_UNIX, libc::SOCK_STREAM, 0, pair.as_mut_ptr()) != 0;
                    i32::from(memory == libc::MAP_FAILED) + i32::from(paired)
                }
            });
            assert_eq!(end, End::Status(0), "{needs:?}");
        }
    }

    #[test]
    fn starting_a_program_kills() {
        for needs in every_role() {
            let end = confined(&needs, || {
                let arguments = [c"/bin/true".as_ptr(), std::ptr::null()];
                // SAFETY: NUL-terminated strings and NULL-terminated lists.
                unsafe { libc::execve(arguments[0], arguments.as_ptr(), arguments[1..].as_ptr()) }
            });
            assert_eq!(end, End::Signal(libc::SIGSYS), "{needs:?}");
        }
    }

    #[test]
    fn forbidden_calls_kill() {
        // SAFETY: plain system calls; each is stopped before it reads an argument.
        let calls: [(&str, Call); 9] = [
            ("fork", || unsafe {
                libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0)
            }),
            ("ptrace", || unsafe {
                libc::syscall(libc::SYS_ptrace, libc::PTRACE_TRACEME, 0, 0, 0)
            }),
            ("mount", || unsafe {
                libc::syscall(libc::SYS_mount, 0, 0, 0, 0, 0)
            }),
            ("setuid", || unsafe { libc::syscall(libc::SYS_setuid, 0) }),
            ("kill", || unsafe { libc::syscall(libc::SYS_kill, 1, 0) }),
            ("seccomp", || unsafe { libc::syscall(libc::SYS_seccomp, 0, 0, 0) }),
            ("io_uring_setup", || unsafe {
                libc::syscall(libc::SYS_io_uring_setup, 1, 0)
            }),
            ("TCP socket", || unsafe {
                libc::syscall(libc::SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0)
            }),
            ("executable memory", || unsafe {
                let protection = libc::PROT_READ | libc::PROT_EXEC;
                libc::syscall(
                    libc::SYS_mmap,
                    0,
                    4096,
                    protection,
                    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                    -1,
                    0,
                )
            }),
        ];
        for needs in every_role() {
            for (name, call) in &calls {
                let end = confined(&needs, || call() as i32);
                assert_eq!(end, End::Signal(libc::SIGSYS), "{name} as {needs:?}");
            }
        }
    }

    #[test]
    fn the_signer_reaches_nothing() {
        // SAFETY: plain system calls; each is stopped before it reads an argument.
        let calls: [(&str, Call); 6] = [
            ("vsock", || unsafe {
                libc::syscall(libc::SYS_socket, libc::AF_VSOCK, libc::SOCK_STREAM, 0)
            }),
            ("Unix socket", || unsafe {
                libc::syscall(libc::SYS_socket, libc::AF_UNIX, libc::SOCK_STREAM, 0)
            }),
            ("connect", || unsafe {
                libc::syscall(libc::SYS_connect, -1, 0, 0)
            }),
            ("bind", || unsafe { libc::syscall(libc::SYS_bind, -1, 0, 0) }),
            ("accept", || unsafe {
                libc::syscall(libc::SYS_accept4, -1, 0, 0, 0)
            }),
            ("unlink", || unsafe {
                libc::syscall(libc::SYS_unlinkat, -1, 0, 0)
            }),
        ];
        for (name, call) in &calls {
            assert_eq!(
                confined(&signer(), || call() as i32),
                End::Signal(libc::SIGSYS),
                "{name}"
            );
        }
        // What the others may: else the calls above would prove nothing.
        let socket: Call =
            || unsafe { libc::syscall(libc::SYS_socket, libc::AF_VSOCK, libc::SOCK_STREAM, 0) };
        assert!(matches!(
            confined(&front(), || i32::from(socket() < -1)),
            End::Status(0)
        ));
    }

    #[test]
    fn workers_reach_nothing_but_what_they_hold() {
        // SAFETY: plain system calls; each is stopped before it reads an argument.
        let calls: [(&str, Call); 33] = [
            ("Unix socket", || unsafe {
                libc::syscall(libc::SYS_socket, libc::AF_UNIX, libc::SOCK_STREAM, 0)
            }),
            ("vsock", || unsafe {
                libc::syscall(libc::SYS_socket, libc::AF_VSOCK, libc::SOCK_STREAM, 0)
            }),
            ("UDP", || unsafe {
                libc::syscall(libc::SYS_socket, libc::AF_INET, libc::SOCK_DGRAM, 0)
            }),
            ("netlink", || unsafe {
                libc::syscall(libc::SYS_socket, libc::AF_NETLINK, libc::SOCK_RAW, 0)
            }),
            ("socketpair", || unsafe {
                libc::syscall(libc::SYS_socketpair, libc::AF_UNIX, libc::SOCK_STREAM, 0, 0)
            }),
            ("connect", || unsafe {
                libc::syscall(libc::SYS_connect, -1, 0, 0)
            }),
            ("bind", || unsafe { libc::syscall(libc::SYS_bind, -1, 0, 0) }),
            ("listen", || unsafe { libc::syscall(libc::SYS_listen, -1, 1) }),
            ("accept", || unsafe {
                libc::syscall(libc::SYS_accept4, -1, 0, 0, 0)
            }),
            ("sendmsg", || unsafe {
                libc::syscall(libc::SYS_sendmsg, -1, 0, 0)
            }),
            ("recvmsg", || unsafe {
                libc::syscall(libc::SYS_recvmsg, -1, 0, 0)
            }),
            ("unlinkat", || unsafe {
                libc::syscall(libc::SYS_unlinkat, -1, 0, 0)
            }),
            ("mkdirat", || unsafe {
                libc::syscall(libc::SYS_mkdirat, -1, 0, 0)
            }),
            ("renameat2", || unsafe {
                libc::syscall(libc::SYS_renameat2, -1, 0, -1, 0, 0)
            }),
            ("pread", || unsafe {
                libc::syscall(libc::SYS_pread64, -1, 0, 0, 0)
            }),
            ("getdents", || unsafe {
                libc::syscall(libc::SYS_getdents64, -1, 0, 0)
            }),
            ("ioctl", || unsafe {
                libc::syscall(libc::SYS_ioctl, 0, libc::TIOCSTI, 0)
            }),
            ("dup", || unsafe { libc::syscall(libc::SYS_dup, 0) }),
            ("fcntl", || unsafe {
                libc::syscall(libc::SYS_fcntl, 0, libc::F_SETFL, 0)
            }),
            ("memfd_create", || unsafe {
                libc::syscall(libc::SYS_memfd_create, 0, 0)
            }),
            ("pidfd_open", || unsafe {
                libc::syscall(libc::SYS_pidfd_open, 1, 0)
            }),
            ("process_vm_readv", || unsafe {
                libc::syscall(libc::SYS_process_vm_readv, 1, 0, 0, 0, 0, 0)
            }),
            ("tgkill of another process", || unsafe {
                libc::syscall(libc::SYS_tgkill, 1, 1, 0)
            }),
            ("tkill", || unsafe { libc::syscall(libc::SYS_tkill, 1, 0) }),
            ("rt_sigqueueinfo", || unsafe {
                libc::syscall(libc::SYS_rt_sigqueueinfo, 1, 0, 0)
            }),
            ("setrlimit", || unsafe {
                libc::syscall(libc::SYS_prlimit64, 0, 0, 0, 0)
            }),
            ("setpriority", || unsafe {
                libc::syscall(libc::SYS_setpriority, 0, 0, 0)
            }),
            ("sched_setaffinity", || unsafe {
                libc::syscall(libc::SYS_sched_setaffinity, 0, 0, 0)
            }),
            ("dumpable", || unsafe {
                libc::syscall(libc::SYS_prctl, libc::PR_SET_DUMPABLE, 1, 0, 0, 0)
            }),
            ("unshare", || unsafe {
                libc::syscall(libc::SYS_unshare, libc::CLONE_NEWUSER)
            }),
            ("bpf", || unsafe { libc::syscall(libc::SYS_bpf, 0, 0, 0) }),
            ("perf_event_open", || unsafe {
                libc::syscall(libc::SYS_perf_event_open, 0, 0, 0, 0, 0)
            }),
            ("epoll", || unsafe { libc::syscall(libc::SYS_epoll_create1, 0) }),
        ];
        for (name, call) in &calls {
            let end = confined(&Needs::of_worker(), || call() as i32);
            assert_eq!(end, End::Signal(libc::SIGSYS), "{name}");
        }
    }

    #[test]
    fn only_the_quote_role_opens_files() {
        let on_sockets = Needs {
            sockets: Some("/".into()),
            ..front()
        };
        let others = [signer(), front(), on_sockets, Needs::of_worker()];
        for needs in others.into_iter().chain(rentals()) {
            let end = confined(&needs, || if open(c"/dev/null") < 0 { errno() } else { 0 });
            assert_eq!(end, End::Status(libc::ENOSYS), "{needs:?}");
        }
    }

    #[test]
    fn only_front_and_rentals_listen() {
        // SAFETY: a plain system call on no socket.
        let listen = || {
            if unsafe { libc::listen(-1, 1) } < 0 {
                errno()
            } else {
                0
            }
        };
        for needs in rentals().into_iter().chain([front()]) {
            assert_eq!(confined(&needs, listen), End::Status(libc::EBADF), "{needs:?}");
        }
        for needs in [quote(Tee::Simulated), signer()] {
            assert_eq!(confined(&needs, listen), End::Signal(libc::SIGSYS), "{needs:?}");
        }
    }

    #[test]
    fn landlock_leaves_only_the_listed_directories() {
        let state = tempfile::tempdir().unwrap();
        std::fs::write(state.path().join("kept"), "x").unwrap();
        let needs = Needs {
            state: Some(state.path().into()),
            ..front()
        };
        // On a thread of its own, which alone is restricted.
        let restricted = std::thread::spawn(move || {
            let files = landlock::restrict(&needs).unwrap();
            let inside = std::fs::read(state.path().join("kept")).map_err(|error| error.kind());
            let outside = std::fs::read("/proc/self/status").map_err(|error| error.kind());
            let tcp = std::net::TcpListener::bind("127.0.0.1:0").map_err(|error| error.kind());
            (files, inside, outside.is_ok(), tcp.is_ok())
        });
        let (files, inside, outside, tcp) = restricted.join().unwrap();
        assert_eq!(inside, Ok(b"x".to_vec()));
        match files {
            Files::Enforced => assert!(!outside && !tcp),
            Files::Partial => eprintln!("this kernel has no or an old Landlock: nothing was checked"),
        }
    }

    #[test]
    fn only_a_front_with_upstreams_makes_tcp_sockets() {
        let socket = |kind: i32, protocol: i32| {
            // SAFETY: a plain system call.
            move || i32::from(unsafe { libc::socket(libc::AF_INET, kind, protocol) } < 0)
        };
        let needs = front_with_upstreams(&[8000]);
        let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        for (kind, protocol) in [
            (libc::SOCK_STREAM, 0),
            (libc::SOCK_STREAM | flags, 0),
            (libc::SOCK_STREAM, libc::IPPROTO_TCP),
        ] {
            assert_eq!(confined(&needs, socket(kind, protocol)), End::Status(0));
            assert_eq!(
                confined(&front(), socket(kind, protocol)),
                End::Signal(libc::SIGSYS)
            );
        }
        // Landlock's rules on TCP know nothing of these.
        for (kind, protocol) in [
            (libc::SOCK_DGRAM, 0),
            (libc::SOCK_RAW, libc::IPPROTO_TCP),
            (libc::SOCK_STREAM, libc::IPPROTO_MPTCP),
            (libc::SOCK_STREAM, libc::IPPROTO_SCTP),
        ] {
            let end = confined(&needs, socket(kind, protocol));
            assert_eq!(end, End::Signal(libc::SIGSYS), "{kind} {protocol}");
        }
        // SAFETY: a plain system call.
        let six = || i32::from(unsafe { libc::socket(libc::AF_INET6, libc::SOCK_STREAM, 0) } < 0);
        assert_eq!(confined(&needs, six), End::Signal(libc::SIGSYS));
    }

    #[test]
    fn sending_never_connects() {
        for needs in [front(), front_with_upstreams(&[8000])] {
            let flags = [libc::MSG_FASTOPEN, libc::MSG_FASTOPEN | libc::MSG_NOSIGNAL];
            for flags in flags {
                // SAFETY: plain system calls on no socket, stopped before they read an argument.
                let end = confined(&needs, || unsafe {
                    libc::sendto(-1, std::ptr::null(), 0, flags, std::ptr::null(), 0) as i32
                });
                assert_eq!(end, End::Signal(libc::SIGSYS));
                // SAFETY: as above.
                let end = confined(&needs, || unsafe {
                    libc::sendmsg(-1, std::ptr::null(), flags) as i32
                });
                assert_eq!(end, End::Signal(libc::SIGSYS));
            }
            // SAFETY: as above, but it fails on the socket that is none.
            let end = confined(&needs, || unsafe {
                libc::sendto(-1, std::ptr::null(), 0, libc::MSG_NOSIGNAL, std::ptr::null(), 0);
                errno()
            });
            assert_eq!(end, End::Status(libc::EBADF));
        }
    }

    #[test]
    fn landlock_leaves_only_the_ports_of_upstreams() {
        let listen = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (named, other) = (listen(), listen());
        let ports = [&named, &other].map(|listener| listener.local_addr().unwrap().port());
        let connect = |port: u16| {
            let outcome = std::net::TcpStream::connect(("127.0.0.1", port));
            outcome.map(drop).map_err(|error| error.kind())
        };
        for (needs, expected) in [
            (
                front_with_upstreams(&ports[..1]),
                [Ok(()), Err(std::io::ErrorKind::PermissionDenied)],
            ),
            (front(), [Err(std::io::ErrorKind::PermissionDenied); 2]),
        ] {
            // On a thread of its own, which alone is restricted.
            let restricted = std::thread::spawn(move || {
                let files = landlock::restrict(&needs).unwrap();
                let bind = std::net::TcpListener::bind("127.0.0.1:0").map_err(|error| error.kind());
                (files, ports.map(connect), bind.is_ok())
            });
            match restricted.join().unwrap() {
                (Files::Enforced, connected, binds) => {
                    assert_eq!(connected, expected);
                    assert!(!binds);
                }
                (Files::Partial, ..) => {
                    eprintln!("this kernel has no or an old Landlock: nothing was checked");
                }
            }
        }
    }

    #[test]
    fn a_missing_directory_is_an_error() {
        let needs = Needs {
            state: Some("/no/such/directory".into()),
            ..front()
        };
        assert!(landlock::restrict(&needs).is_err());
        let needs = quote(Tee::Tdx);
        if !std::path::Path::new("/sys/kernel/config/tsm/report").exists() {
            assert!(landlock::restrict(&needs).is_err());
        }
    }
}
