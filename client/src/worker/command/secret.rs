//! `jeju worker secret`: values that are sealed to the enclave's key, which is verified first.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use http::Method;
use jeju_session::hpke;
use jeju_worker_protocol::api::{self, MAX_VALUE, SealedSecret, Secrets, Success};
use serde_json::json;
use zeroize::Zeroizing;

use super::super::WorkerError;
use super::super::node::Asked;
use super::manage::WorkerArguments;
use super::shown;
use crate::rental::command::Printed;
use crate::wallet;

/// Values that only the enclave reads.
#[derive(Debug, Clone, Subcommand)]
pub enum SecretCommand {
    /// Put a secret, or another value in its place: from a file, standard input, or the terminal
    Put(Box<PutArguments>),
    /// List the names of a worker's secrets
    List(Box<WorkerArguments>),
    /// Delete a secret
    Delete(Box<NamedArguments>),
}

/// A secret of a worker.
#[derive(Debug, Clone, Args)]
pub struct NamedArguments {
    #[command(flatten)]
    worker: WorkerArguments,
    /// Name: the member of `env`
    #[arg(value_name = "NAME", value_parser = name)]
    name: String,
}

/// Options of `jeju worker secret put`.
#[derive(Debug, Clone, Args)]
pub struct PutArguments {
    #[command(flatten)]
    named: NamedArguments,
    /// File with the value, readable by its owner only [default: standard input; a prompt, if that is a terminal]
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
}

impl SecretCommand {
    pub(super) fn json(&self) -> bool {
        match self {
            SecretCommand::Put(arguments) => arguments.named.worker.node.json,
            SecretCommand::List(arguments) => arguments.node.json,
            SecretCommand::Delete(arguments) => arguments.worker.node.json,
        }
    }

    pub(super) async fn run(&self) -> Result<Printed, WorkerError> {
        match self {
            SecretCommand::Put(arguments) => put(arguments).await,
            SecretCommand::List(arguments) => list(arguments).await,
            SecretCommand::Delete(arguments) => delete(arguments).await,
        }
    }
}

async fn put(arguments: &PutArguments) -> Result<Printed, WorkerError> {
    let NamedArguments { worker, name } = &arguments.named;
    let value = value(arguments)?;
    let (mut node, found) = worker.find().await?;
    let aad = api::secret_aad(&node.account()?.0, &found.worker_id, name);
    let sealed = hpke::seal(&node.sealing_key()?, api::secret_info(), &aad, &value)
        .map_err(|_| WorkerError::Seal("the node's key is none"))?;
    let document = SealedSecret {
        encapsulated: api::hex(&sealed.encapsulated),
        ciphertext: STANDARD.encode(&sealed.ciphertext),
    };
    let path = api::worker_path(&found.worker_id, &format!("secrets/{name}"));
    let _: Success = node
        .document(&Asked::owner(Method::PUT, path).with(&document))
        .await?;
    let lines = vec![
        shown::line("worker", &found.worker_id),
        shown::line("secret", name),
    ];
    Ok(Printed::report(
        lines,
        json!({ "workerId": found.worker_id, "secret": name }),
    ))
}

async fn list(arguments: &WorkerArguments) -> Result<Printed, WorkerError> {
    let (mut node, found) = arguments.find().await?;
    let path = api::worker_path(&found.worker_id, "secrets");
    let secrets: Secrets = node.document(&Asked::owner(Method::GET, path)).await?;
    let row = |secret: &api::SecretName| format!("{:<32} {}", secret.name, shown::time(secret.updated_at));
    let lines = secrets.secrets.iter().map(row).collect();
    Ok(Printed::report(lines, json!(secrets)))
}

async fn delete(arguments: &NamedArguments) -> Result<Printed, WorkerError> {
    let (mut node, found) = arguments.worker.find().await?;
    let path = api::worker_path(&found.worker_id, &format!("secrets/{}", arguments.name));
    let _: Success = node.document(&Asked::owner(Method::DELETE, path)).await?;
    let lines = vec![
        shown::line("worker", &found.worker_id),
        shown::line("deleted", &arguments.name),
    ];
    Ok(Printed::report(
        lines,
        json!({ "workerId": found.worker_id, "deleted": arguments.name }),
    ))
}

/// The value; never an argument, which every process of the machine can read. The end of line of a file or a pipe isn't
/// its.
fn value(arguments: &PutArguments) -> Result<Zeroizing<Vec<u8>>, WorkerError> {
    let name = &arguments.named.name;
    let value = match &arguments.from {
        Some(path) => wallet::read_secret(path, MAX_VALUE + 1)?,
        None if io::stdin().is_terminal() => {
            let typed = wallet::ask(&format!("Value of {name}: "))?;
            return Ok(Zeroizing::new(typed.bytes().to_vec()));
        }
        None => piped(File::from(
            std::os::fd::AsFd::as_fd(&io::stdin()).try_clone_to_owned()?,
        ))?,
    };
    fitting(value)
}

/// Standard input, read past the buffer that the standard library would keep a copy in.
fn piped(mut input: File) -> Result<Zeroizing<Vec<u8>>, WorkerError> {
    let mut value = Zeroizing::new(vec![0; MAX_VALUE + 2]);
    let mut length = 0;
    while length < value.len() {
        match input.read(&mut value[length..])? {
            0 => break,
            read => length += read,
        }
    }
    value.truncate(length);
    Ok(value)
}

fn fitting(mut value: Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>, WorkerError> {
    if value.ends_with(b"\n") {
        value.pop();
    }
    if value.len() > MAX_VALUE {
        return Err(WorkerError::Usage("the secret is longer than 8192 bytes"));
    }
    if std::str::from_utf8(&value).is_err() {
        return Err(WorkerError::Usage("the secret is no UTF-8 text"));
    }
    Ok(value)
}

fn name(text: &str) -> Result<String, String> {
    match api::is_variable(text, "") {
        true => Ok(text.to_owned()),
        false => Err("letters, digits and _ are expected, at most 64, no digit first".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_loses_one_end_of_line_and_is_bounded_text() {
        let fits = |bytes: &[u8]| fitting(Zeroizing::new(bytes.to_vec())).map(|value| value.to_vec());
        assert_eq!(fits(b"a\nb\n").unwrap(), b"a\nb");
        assert_eq!(fits(b"a\n\n").unwrap(), b"a\n");
        assert_eq!(fits(b"").unwrap(), b"");
        let longest = [b'a'; MAX_VALUE];
        assert!(fits(&longest).is_ok() && fits(&[&longest[..], b"\n"].concat()).is_ok());
        assert!(fits(&[&longest[..], b"a"].concat()).is_err());
        assert!(fits(b"\xff").is_err());
    }

    #[test]
    fn names_are_those_of_variables() {
        assert!(name("API_KEY2").is_ok());
        for wrong in ["", "2A", "A-B", "A/B", "A?", "É"] {
            assert!(name(wrong).is_err(), "{wrong}");
        }
    }
}
