//! Starting a session's process.

use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::process::{Command, Stdio};
use std::ptr;

use jeju_agent_protocol::{OpenCode, OpenError, Pty};
use tokio::process::Child;

use super::fd::Fd;
use super::session::Line;
use super::user::User;
use super::words::split;
use super::{pty, refusal};

/// A process that was started for a session, with its ends of ours.
pub(crate) struct Started {
    pub(crate) child: Child,
    /// The leader of its group and session.
    pub(crate) pid: i32,
    pub(crate) stdin: Fd,
    pub(crate) stdout: Fd,
    /// `None`: it has a terminal, which [`Started::stdin`] and [`Started::stdout`] are.
    pub(crate) stderr: Option<Fd>,
}

/// Starts a shell or a command as the leader of a new session.
pub(crate) fn start(
    user: &User,
    line: Line<'_>,
    pty: Option<&Pty>,
    env: &[(String, String)],
) -> Result<Started, OpenError> {
    let mut command = command(user, line)?;
    command.envs(user.environment());
    command.envs(
        env.iter()
            .map(|(name, value)| (OsStr::new(name), OsStr::new(value))),
    );
    let started = match pty {
        Some(pty) => on_terminal(command, pty),
        None => on_pipes(command),
    };
    started.map_err(|error| {
        let what = match line {
            Line::Login => "the shell can't be started",
            Line::Command(_) => "the command can't be started",
        };
        refusal(what, &error)
    })
}

fn command(user: &User, line: Line<'_>) -> Result<Command, OpenError> {
    match (line, &user.shell) {
        (Line::Login, Some(shell)) => Ok(shell.login()),
        (Line::Login, None) => Err(OpenError::new(
            OpenCode::NoShell,
            "this container's image has no shell; name a command, or use sftp",
        )),
        (Line::Command(line), Some(shell)) => {
            let mut command = shell.command();
            command.arg("-c").arg(line);
            Ok(command)
        }
        (Line::Command(line), None) => {
            let invalid = |text| OpenError::new(OpenCode::InvalidRequest, text);
            let words = split(line).ok_or_else(|| invalid("the command has a quote that isn't closed"))?;
            let (program, arguments) = words
                .split_first()
                .ok_or_else(|| invalid("the command is empty"))?;
            let mut command = Command::new(program);
            command.args(arguments);
            Ok(command)
        }
    }
}

fn on_pipes(command: Command) -> io::Result<Started> {
    let mut command = tokio::process::Command::from(command);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // SAFETY: the function makes calls that are async-signal-safe and touch no memory.
    unsafe { command.pre_exec(|| lead_session().and_then(|()| hang_up_with_parent())) };
    let mut child = command.spawn()?;
    let pid = pid(&child)?;
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
        return Err(io::Error::other("a pipe is missing"));
    };
    Ok(Started {
        child,
        pid,
        stdin: Fd::new(stdin.into_owned_fd()?)?,
        stdout: Fd::new(stdout.into_owned_fd()?)?.widened(),
        stderr: Some(Fd::new(stderr.into_owned_fd()?)?),
    })
}

fn on_terminal(mut command: Command, pty: &Pty) -> io::Result<Started> {
    let terminal = pty::Terminal::open(pty)?;
    command.env("TERM", if pty.term.is_empty() { "dumb" } else { &pty.term });
    command.env("SSH_TTY", &terminal.name);
    command
        .stdin(terminal.theirs.try_clone()?)
        .stdout(terminal.theirs.try_clone()?)
        .stderr(terminal.theirs);
    let mut command = tokio::process::Command::from(command);
    // SAFETY: the functions make calls that are async-signal-safe and touch no memory.
    unsafe {
        command.pre_exec(|| {
            lead_session()?;
            hang_up_with_parent()?;
            pty::control_by_stdin()
        })
    };
    let child = command.spawn()?;
    // Our copies of the other end go with the command: the terminal ends with the last process that holds it.
    drop(command);
    let ours = Fd::new(terminal.ours)?;
    Ok(Started {
        pid: pid(&child)?,
        child,
        stdin: ours.clone(),
        stdout: ours,
        stderr: None,
    })
}

/// Makes this process the leader of a new session, without what its parent ignored or blocked. For a child, before its
/// program.
pub(crate) fn lead_session() -> io::Result<()> {
    let mut none = MaybeUninit::uninit();
    // SAFETY: the calls are async-signal-safe; the set is ours, and initialised before it is read. Some numbers are of no
    // signal that can be set, which changes nothing.
    unsafe {
        for signal in 1..=libc::SIGRTMAX() {
            libc::signal(signal, libc::SIG_DFL);
        }
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut());
        match libc::setsid() {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }
}

/// Has this process hung up if the agent is killed before it can do so. For a child of the agent's one thread that starts
/// processes, before its program.
fn hang_up_with_parent() -> io::Result<()> {
    // SAFETY: the call is async-signal-safe and touches no memory.
    match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGHUP) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn pid(child: &Child) -> io::Result<i32> {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
    pid.ok_or_else(|| io::Error::other("the process ended at once"))
}
