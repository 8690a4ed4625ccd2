//! The container's end of one SSH connection, on standard input and output.
//!
//! One thread moves bytes and starts what is asked for; each SFTP session has a thread of its own, because files can't be
//! waited for.

mod dial;
mod fd;
pub(crate) mod process;
mod pty;
mod pump;
mod session;
pub(crate) mod user;
mod words;

use std::env;
use std::io;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use jeju_agent_protocol::{MuxError, Open, OpenCode, OpenError, Request, serve};
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::sftp;
use fd::Fd;
use session::Line;
use user::User;

/// Time for sessions to hang up what they started, once the connection is gone.
const FAREWELL: Duration = Duration::from_secs(2);

/// Serves until standard input ends. Status 1: the peer broke the protocol; 2: it can't be served on this input or output.
pub(crate) fn run() -> ExitCode {
    let user = User::current();
    // Files and commands are named from here, as with any SSH server.
    let _ = env::set_current_dir(&user.home);
    let outcome = Builder::new_current_thread()
        .enable_all()
        .build()
        .and_then(|runtime| runtime.block_on(connection(user)));
    match outcome {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            eprintln!("jeju-rental-agent: {error}");
            ExitCode::from(1)
        }
        Err(error) => {
            eprintln!("jeju-rental-agent: standard input or output can't be used: {error}");
            ExitCode::from(2)
        }
    }
}

async fn connection(user: User) -> io::Result<Result<(), MuxError>> {
    let stdin = Fd::new(io::stdin().as_fd().try_clone_to_owned()?)?.widened();
    let stdout = Fd::new(io::stdout().as_fd().try_clone_to_owned()?)?.widened();
    let (mut requests, driver) = serve(tokio::io::join(stdin, stdout));
    let user = Arc::new(user);
    let mut sessions = JoinSet::new();
    let serving = async {
        while let Some(request) = requests.next().await {
            sessions.spawn(answer(request, user.clone()));
            while sessions.try_join_next().is_some() {}
        }
    };
    let (outcome, ()) = tokio::join!(driver, serving);
    let _ = timeout(FAREWELL, async { while sessions.join_next().await.is_some() {} }).await;
    Ok(outcome)
}

async fn answer(request: Request, user: Arc<User>) {
    match &request.open {
        Open::Shell { pty, env } => {
            let started = process::start(&user, Line::Login, pty.as_ref(), env);
            session::serve(request, started).await;
        }
        Open::Exec { command, pty, env } => {
            let started = process::start(&user, Line::Command(command), pty.as_ref(), env);
            session::serve(request, started).await;
        }
        Open::Sftp => sftp::start(request),
        Open::Dial { host, port } => match dial::connect(host, *port).await {
            Ok(stream) => dial::serve(request.accept(), stream).await,
            Err(error) => request.refuse(error),
        },
    }
}

/// What an error of the system means to who asked.
fn refusal(what: &str, error: &io::Error) -> OpenError {
    let code = match error.kind() {
        io::ErrorKind::NotFound => OpenCode::NotFound,
        io::ErrorKind::PermissionDenied => OpenCode::PermissionDenied,
        io::ErrorKind::ConnectionRefused => OpenCode::Refused,
        io::ErrorKind::TimedOut => OpenCode::TimedOut,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => OpenCode::Unreachable,
        _ => OpenCode::Failed,
    };
    OpenError::new(code, format!("{what}: {error}"))
}
