//! `jeju chat --save` and `jeju audit response` as processes: what an honest node answers is recomputed, and each way in
//! which an answer can be another one has its own code.

pub mod computed;
mod files;
mod hardware;
mod honest;
mod lies;
mod notary;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use serde_json::Value;

/// The model of the image, from `JEJU_MODEL`, else from `target/models`, where it is fetched to if missing.
pub static MODEL: LazyLock<PathBuf> = LazyLock::new(|| {
    let repository = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let default = repository.join("target/models/smollm2-135m-instruct-q4_1.gguf");
    let path = std::env::var_os("JEJU_MODEL").map_or(default, PathBuf::from);
    let fetched = Command::new(repository.join("bench/inference/fetch-model.sh"))
        .arg(&path)
        .status();
    assert!(fetched.expect("the fetch script runs").success());
    path
});

/// Its SHA-256.
pub const MODEL_SHA256: &str = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";
/// Its name in the API.
const MODEL_ID: &str = "smollm2";

/// Runs `jeju audit response` on a file's bytes, with more arguments.
fn audit(exchange: &[u8], more: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("exchange.json");
    std::fs::write(&path, exchange).unwrap();
    audit_file(&path, &MODEL, more)
}

fn audit_file(path: &Path, model: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_jeju"))
        .args(["audit", "response"])
        .arg(path)
        .arg("--model")
        .arg(model)
        .args(more)
        .output()
        .unwrap()
}

/// Exit code and verdict, which `--json` prints in one line.
fn verdict(exchange: &[u8], more: &[&str]) -> (i32, Value) {
    let output = audit(exchange, &[more, &["--json"]].concat());
    let line = std::str::from_utf8(&output.stdout).unwrap();
    assert_eq!(
        line.lines().count(),
        1,
        "{line}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    (output.status.code().unwrap(), serde_json::from_str(line).unwrap())
}

/// Refused with this exit code and code.
#[track_caller]
fn refused(exchange: &[u8], exit: i32, code: &str) {
    let (found, verdict) = verdict(exchange, &[]);
    assert_eq!((found, verdict["code"].as_str()), (exit, Some(code)), "{verdict}");
    assert_eq!(verdict["status"], "contraindicated");
}
