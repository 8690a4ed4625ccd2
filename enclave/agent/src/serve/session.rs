//! A process and its channel.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jeju_agent_protocol::{Control, Controls, Exit, OpenError, Reply, Request, Signal};
use tokio::time::timeout;

use super::fd::Fd;
use super::process::Started;
use super::pty;
use super::pump::{Progress, feed, forward};

/// How long the exit waits for what the process said before: a process in the background may hold its output.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// What a session runs.
#[derive(Clone, Copy)]
pub(crate) enum Line<'a> {
    /// The user's shell, as a login shell.
    Login,
    /// One command line.
    Command(&'a str),
}

/// Answers the request, then serves the process until its channel or all of its output ends.
pub(crate) async fn serve(request: Request, started: Result<Started, OpenError>) {
    let started = match started {
        Ok(started) => started,
        Err(error) => return request.refuse(error),
    };
    let served = request.accept();
    let Started {
        mut child,
        pid,
        stdin,
        stdout,
        stderr,
    } = started;
    let terminal = stderr.is_none().then(|| stdin.clone());
    let reply = &served.reply;

    let progress = Progress::default();
    let output = async {
        tokio::join!(forward(stdout, reply, false, &progress), async {
            if let Some(stderr) = stderr {
                forward(stderr, reply, true, &Progress::default()).await;
            }
        },);
        reply.eof();
    };
    // Once it is waited for, its number may be another's.
    let reaped = AtomicBool::new(false);
    let ended = async {
        let mut output = std::pin::pin!(output);
        let exit = async {
            let status = child.wait().await;
            reaped.store(true, Ordering::Relaxed);
            status
        };
        let mut exit = std::pin::pin!(exit);
        tokio::select! {
            status = &mut exit => {
                if terminal.is_some() {
                    // It ends with its leader, whoever else holds it.
                    tokio::select! {
                        biased;
                        () = &mut output => {}
                        () = progress.idle(LAST_WORDS) => reply.eof(),
                    }
                    return say_exit(reply, status);
                }
                let drained = timeout(LAST_WORDS, &mut output).await.is_ok();
                say_exit(reply, status);
                if !drained {
                    output.await;
                }
            }
            () = &mut output => say_exit(reply, exit.await),
        }
    };
    let feeding = async {
        feed(served.stdin, stdin).await;
        std::future::pending::<()>().await;
    };
    let closed = control(served.controls, pid, terminal.as_ref(), &reaped);
    tokio::select! {
        () = ended => {}
        () = feeding => {}
        () = closed => {}
    }
}

/// Does what the peer asks for, until it closes the channel. The process is hung up then, as by a modem.
async fn control(mut controls: Controls, pid: i32, terminal: Option<&Fd>, reaped: &AtomicBool) {
    let kill = |group: i32, signal: i32| {
        if !reaped.load(Ordering::Relaxed) {
            // SAFETY: kill touches no memory.
            unsafe { libc::kill(-group, signal) };
        }
    };
    while let Some(control) = controls.next().await {
        match (control, terminal) {
            (Control::Resize(size), Some(terminal)) => {
                let _ = pty::resize(terminal.raw(), size);
            }
            (Control::Resize(_), None) => {}
            (Control::Signal(signal), terminal) => {
                let foreground = terminal.and_then(|fd| pty::foreground(fd.raw()));
                kill(foreground.unwrap_or(pid), number(signal));
            }
        }
    }
    kill(pid, libc::SIGHUP);
    // A stopped process can't take it otherwise.
    kill(pid, libc::SIGCONT);
}

fn say_exit(reply: &Reply, status: io::Result<ExitStatus>) {
    let exit = match status {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => Exit::Code(code as u32),
            (None, Some(signal)) => Exit::Signal {
                name: name(signal),
                core: status.core_dumped(),
            },
            (None, None) => return,
        },
        Err(_) => return,
    };
    reply.exit(exit);
}

const NUMBERS: [(Signal, i32); 13] = [
    (Signal::Abrt, libc::SIGABRT),
    (Signal::Alrm, libc::SIGALRM),
    (Signal::Fpe, libc::SIGFPE),
    (Signal::Hup, libc::SIGHUP),
    (Signal::Ill, libc::SIGILL),
    (Signal::Int, libc::SIGINT),
    (Signal::Kill, libc::SIGKILL),
    (Signal::Pipe, libc::SIGPIPE),
    (Signal::Quit, libc::SIGQUIT),
    (Signal::Segv, libc::SIGSEGV),
    (Signal::Term, libc::SIGTERM),
    (Signal::Usr1, libc::SIGUSR1),
    (Signal::Usr2, libc::SIGUSR2),
];

fn number(signal: Signal) -> i32 {
    let found = NUMBERS.iter().find(|(known, _)| *known == signal);
    found.map_or(libc::SIGTERM, |(_, number)| *number)
}

fn name(number: i32) -> String {
    match NUMBERS.iter().find(|(_, known)| *known == number) {
        Some((signal, _)) => signal.as_str().to_owned(),
        None => format!("SIG@{number}"),
    }
}
