//! A running agent and what its channels say.

use std::process::Stdio;
use std::time::Duration;

use jeju_agent_protocol::{Agent, Channel, Event, Exit, Input, MuxError, Open, OpenCode, Output, Pty};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

/// The agent that cargo built for these tests.
pub const AGENT: &str = env!("CARGO_BIN_EXE_jeju-rental-agent");

/// An agent in a process of its own, which ends with this.
pub struct Running {
    pub agent: Agent,
    pub child: Child,
    pub driver: JoinHandle<Result<(), MuxError>>,
}

pub fn start() -> Running {
    let mut command = Command::new(AGENT);
    command.arg("serve");
    start_by(command)
}

pub fn start_by(mut command: Command) -> Running {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the agent starts");
    let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let (agent, driver) = Agent::connect(tokio::io::join(stdout, stdin));
    Running {
        agent,
        child,
        driver: tokio::spawn(driver),
    }
}

impl Running {
    pub async fn exec(&self, command: &str) -> Channel {
        self.agent.open(exec(command)).await.expect("it is started")
    }

    /// What a command says and how it ends, without input.
    pub async fn run(&self, command: &str) -> Said {
        let (mut input, output) = self.exec(command).await.split();
        // It may have ended by now.
        let _ = input.eof().await;
        Said::all(output).await
    }

    pub async fn refused(&self, open: Open) -> OpenCode {
        self.agent.open(open).await.err().expect("it is refused").code
    }
}

pub fn exec(command: &str) -> Open {
    Open::Exec {
        command: command.to_owned(),
        pty: None,
        env: Vec::new(),
    }
}

pub fn exec_on_terminal(command: &str) -> Open {
    Open::Exec {
        command: command.to_owned(),
        pty: Some(pty()),
        env: Vec::new(),
    }
}

pub fn pty() -> Pty {
    Pty {
        term: "xterm-256color".to_owned(),
        columns: 111,
        rows: 33,
        width_px: 0,
        height_px: 0,
        modes: Vec::new(),
    }
}

/// All that came on a channel.
#[derive(Debug, Default)]
pub struct Said {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub eof: bool,
    pub exit: Option<Exit>,
}

impl Said {
    pub async fn all(mut output: Output) -> Said {
        let mut said = Said::default();
        while let Some(event) = output.next().await {
            match event {
                Event::Stdout(data) => said.stdout.extend(data),
                Event::Stderr(data) => said.stderr.extend(data),
                Event::Eof => said.eof = true,
                Event::Exit(exit) => said.exit = Some(exit),
            }
        }
        said
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }
}

/// Reads until the output so far has `wanted` in it.
pub async fn until(output: &mut Output, wanted: &str) -> String {
    let mut said = String::new();
    while !said.contains(wanted) {
        match output.next().await {
            Some(Event::Stdout(data)) => said += std::str::from_utf8(&data).unwrap(),
            other => panic!("{other:?} after {said:?}, before {wanted:?}"),
        }
    }
    said
}

/// Writes a text.
pub async fn say(input: &mut Input, text: &str) {
    input.write(text.to_owned().into()).await.unwrap();
}

/// Waits for something that another process does. Panics after 30 s.
pub async fn eventually(what: &str, mut happened: impl FnMut() -> bool) {
    for _ in 0..1500 {
        if happened() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never: {what}");
}
