use serde::Serialize;

use super::container::{check_command, encode, same};
use super::json::Value;
use super::{AGENT_PATH, Refusal};

/// A command to run in a container, as its root, never privileged and without terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecSpec {
    /// Program and arguments: 1 to 256, at most 16 KiB.
    pub command: Vec<String>,
    /// Whether standard input is attached.
    pub stdin: bool,
}

impl ExecSpec {
    /// The rental agent, whose standard input and output carry its protocol.
    pub fn agent() -> Self {
        Self {
            command: vec![AGENT_PATH.to_owned(), "serve".to_owned()],
            stdin: true,
        }
    }

    pub(super) fn check(&self) -> Result<(), Refusal> {
        if self.command.first().is_none_or(String::is_empty) {
            return Err(Refusal::value("Cmd names no program"));
        }
        check_command("Cmd", &self.command)
    }

    pub(super) fn emit(&self) -> Vec<u8> {
        encode(&Body {
            user: "0:0",
            privileged: false,
            tty: false,
            attach_stdin: self.stdin,
            attach_stderr: true,
            attach_stdout: true,
            detach: false,
            detach_keys: "",
            env: [],
            working_dir: "",
            cmd: &self.command,
        })
    }

    pub(super) fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let given = Value::read(body)?;
        let template = Self::agent().emit();
        given.only_keys_of(&Value::read(&template)?, &[])?;
        let spec = Self {
            command: given.texts("Cmd")?,
            stdin: given.boolean("AttachStdin")?,
        };
        spec.check()?;
        same(&given, body, &spec.emit())?;
        Ok(spec)
    }
}

/// Body of `containers/NAME/exec`: `ExecConfig` of the Engine API 1.41.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Body<'a> {
    user: &'static str,
    privileged: bool,
    tty: bool,
    attach_stdin: bool,
    attach_stderr: bool,
    attach_stdout: bool,
    detach: bool,
    detach_keys: &'static str,
    env: [&'static str; 0],
    working_dir: &'static str,
    cmd: &'a [String],
}

/// Body of `exec/ID/start`.
pub(super) const START: &[u8] = br#"{"Detach":false,"Tty":false}"#;

/// Refuses a body that isn't [`START`].
pub(super) fn check_start(body: &[u8]) -> Result<(), Refusal> {
    if body == START {
        return Ok(());
    }
    let given = Value::read(body)?;
    given.only_keys_of(&Value::read(START)?, &[])?;
    same(&given, body, START)
}
