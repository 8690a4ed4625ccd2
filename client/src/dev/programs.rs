//! Where the other programs are, and calls of those that end by themselves.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use super::DevError;

/// What of a failed program's output is shown, in bytes.
const LAST_WORDS: usize = 2000;
const LAST_LINES: usize = 5;

/// A program of this workspace: next to this one, or in the search path.
pub(super) fn program(name: &'static str) -> Result<PathBuf, DevError> {
    let beside = std::env::current_exe()
        .ok()
        .and_then(|path| Some(path.parent()?.join(name)));
    find(beside, name).ok_or_else(|| DevError::Missing {
        program: name,
        hint: format!("build it (cargo build --release -p {name}) and put it next to jeju"),
    })
}

/// The local chain's program.
pub(super) fn anvil(given: Option<&Path>) -> Result<PathBuf, DevError> {
    if let Some(path) = given {
        return Ok(path.to_owned());
    }
    if let Some(path) = std::env::var_os("JEJU_ANVIL") {
        return Ok(path.into());
    }
    let installed = PathBuf::from("contracts/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil");
    find(Some(installed), "anvil").ok_or_else(|| DevError::Missing {
        program: "anvil",
        hint: "run `npm ci --ignore-scripts` in contracts/, or give --anvil FILE".to_owned(),
    })
}

fn find(first: Option<PathBuf>, name: &str) -> Option<PathBuf> {
    let search = std::env::var_os("PATH").unwrap_or_default();
    first
        .into_iter()
        .chain(std::env::split_paths(&search).map(|folder| folder.join(name)))
        .find(|path| path.is_file())
}

/// Runs a program that prints JSON, and reads it.
pub(super) async fn json(
    name: &'static str,
    mut command: Command,
    limit: Duration,
) -> Result<Value, DevError> {
    let output = output(name, &mut command, limit).await?;
    serde_json::from_slice(&output.stdout).map_err(|_| DevError::Output {
        program: name,
        expected: "JSON",
    })
}

/// Runs a program to its end, which must be a good one.
pub(super) async fn output(
    name: &'static str,
    command: &mut Command,
    limit: Duration,
) -> Result<Output, DevError> {
    let running = command
        .stdin(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .output();
    let output = match tokio::time::timeout(limit, running).await {
        Ok(output) => output.map_err(|source| DevError::Start {
            program: name.into(),
            source,
        })?,
        Err(_) => {
            return Err(DevError::Late {
                what: name,
                seconds: limit.as_secs(),
            });
        }
    };
    if output.status.success() {
        return Ok(output);
    }
    Err(DevError::Ended {
        program: name.into(),
        words: last_words(&output.stderr),
        missing: output.status.code() == Some(3),
    })
}

/// The end of what a program wrote, in printable characters.
pub(super) fn last_words(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(LAST_WORDS)..]);
    let text: String = text
        .chars()
        .map(|c| if c.is_control() && c != '\n' { ' ' } else { c })
        .collect();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    match &lines[lines.len().saturating_sub(LAST_LINES)..] {
        [] => "without a word".to_owned(),
        last => last.join("\n").trim().to_owned(),
    }
}

/// The state folder, absolute, readable by its owner only.
pub(super) fn state_folder(path: &Path) -> Result<PathBuf, DevError> {
    let make = |path: &Path| DirBuilder::new().recursive(true).mode(0o700).create(path);
    make(path).map_err(DevError::file(path))?;
    let state = path.canonicalize().map_err(DevError::file(path))?;
    let logs = state.join("logs");
    make(&logs).map_err(DevError::file(&logs))?;
    Ok(state)
}

/// Writes a document whole.
pub(super) fn write(path: &Path, text: &str) -> Result<(), DevError> {
    let new = path.with_extension("new");
    fs::write(&new, text).map_err(DevError::file(&new))?;
    fs::rename(&new, path).map_err(DevError::file(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn failures_carry_the_last_words() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo why >&2; exit 3"]);
        let error = output("sh", &mut command, Duration::from_secs(60))
            .await
            .unwrap_err();
        assert_eq!(
            (error.to_string().as_str(), error.exit_code()),
            ("sh ended: why", 3)
        );
        let mut command = Command::new("/bin/sleep");
        command.arg("30");
        let error = output("sleep", &mut command, Duration::from_millis(50))
            .await
            .unwrap_err();
        assert_eq!(error.code(), "timeout");
        assert_eq!(last_words(b"\x1b[2J\0"), "[2J");
        assert_eq!(last_words(b" \n"), "without a word");
    }

    #[test]
    fn what_is_missing_is_told_with_the_way_to_get_it() {
        let error = program("jeju-no-such-program").unwrap_err();
        assert_eq!((error.code(), error.exit_code()), ("program_missing", 3));
    }
}
