//! `jeju worker invoke`: a request to a worker, and whose signature its answer has.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use jeju_attestation::response::WorkerVersion;
use jeju_worker_protocol::api::{self, DIRECT, Execution, Invoked};
use serde_json::{Value, json};

use super::super::WorkerError;
use super::super::node::{Asked, WorkersNode, node_error, words};
use super::{NodeArguments, nothing, shown};
use crate::files;
use crate::rental::command::Printed;
use crate::session::{VerifiedBody, VerifiedResponse};

/// Longest body that is sent, in bytes.
const MAX_BODY: usize = 10 << 20;

/// Options of `jeju worker invoke`.
#[derive(Debug, Clone, Args)]
pub struct InvokeArguments {
    /// The worker's id or, of one of the account's, its name; or a path below /w, as /w/hello
    #[arg(value_name = "WORKER|PATH")]
    target: String,
    #[command(flatten)]
    pub(super) node: NodeArguments,
    /// Path and query below the worker
    #[arg(long, value_name = "PATH", default_value = "/", value_parser = path)]
    path: String,
    /// HTTP method [default: GET, or POST with a body]
    #[arg(long, short = 'X', value_name = "METHOD")]
    method: Option<Method>,
    /// A header field; may be given several times
    #[arg(long, short = 'H', value_name = "NAME: VALUE", value_parser = header)]
    header: Vec<(HeaderName, HeaderValue)>,
    /// The body
    #[arg(long, short = 'd', value_name = "TEXT", conflicts_with = "data_file")]
    data: Option<String>,
    /// File with the body
    #[arg(long, value_name = "FILE")]
    data_file: Option<PathBuf>,
    /// As the owner: also what it wrote to its log, and what it used
    #[arg(long, conflicts_with_all = ["path", "method", "header"])]
    trace: bool,
}

pub(super) async fn run(arguments: &InvokeArguments) -> Result<Printed, WorkerError> {
    let body = body(arguments)?;
    let mut node = match arguments.trace {
        true => arguments.node.as_owner().await?,
        false => arguments.node.as_anybody().await?,
    };
    let id = id(&mut node, arguments).await?;
    let asked = match (&id, arguments.trace) {
        (Some(id), true) => Asked {
            body: body.unwrap_or_default(),
            ..Asked::owner(Method::POST, api::worker_path(id, "invoke"))
        },
        (None, true) => return Err(WorkerError::Usage("--trace needs a worker, not a path")),
        (id, false) => Asked {
            method: arguments.method.clone().unwrap_or(match body {
                Some(_) => Method::POST,
                None => Method::GET,
            }),
            path: match id {
                Some(id) => format!("{DIRECT}/{id}{}", arguments.path),
                None => arguments.target.clone(),
            },
            headers: arguments.header.iter().cloned().collect(),
            body: body.unwrap_or_default(),
            signed: false,
        },
    };
    let response = node.ask(&asked).await?;
    let Some(worker) = response.worker.clone() else {
        return Err(nobody(&node, response));
    };
    if id.is_some_and(|id| id != worker.id) {
        return Err(node.malformed("another worker's than was asked"));
    }
    match arguments.trace {
        true => traced(arguments, &node, &worker, response),
        false => plain(arguments, &node, &worker, response).await,
    }
}

/// The worker's id; `None` where a route leads to whoever has it.
async fn id(node: &mut WorkersNode, arguments: &InvokeArguments) -> Result<Option<String>, WorkerError> {
    let target = &arguments.target;
    if target.starts_with('/') {
        return match target.starts_with("/w/") && arguments.path == "/" {
            true => Ok(None),
            false => Err(WorkerError::Usage(
                "a path begins with /w/ and stands alone, without --path",
            )),
        };
    }
    // Whoever has no account here can only know an id.
    if node.account().is_ok() {
        match node.worker(target).await {
            Ok(worker) => return Ok(Some(worker.worker_id)),
            Err(WorkerError::Unknown(_)) => {}
            Err(error) => return Err(error),
        }
    }
    match jeju_attestation::response::is_worker_id(target) {
        true => Ok(Some(target.clone())),
        false => Err(WorkerError::Unknown(words(target))),
    }
}

fn body(arguments: &InvokeArguments) -> Result<Option<Bytes>, WorkerError> {
    let body = match (&arguments.data, &arguments.data_file) {
        (Some(text), _) => Some(Bytes::from(text.clone())),
        (None, Some(path)) => Some(Bytes::from(files::read(path, MAX_BODY)?)),
        (None, None) => None,
    };
    match body.as_ref().is_some_and(|body| body.len() > MAX_BODY) {
        true => Err(WorkerError::Usage("the body is longer than 10 MiB")),
        false => Ok(body),
    }
}

/// What the node itself says, where a worker should have answered.
fn nobody(node: &WorkersNode, response: VerifiedResponse) -> WorkerError {
    match response.body {
        VerifiedBody::Whole(body) if !response.status.is_success() => node.refused(response.status, &body),
        _ => node.malformed("the node's own, where a worker was asked"),
    }
}

async fn plain(
    arguments: &InvokeArguments,
    node: &WorkersNode,
    worker: &WorkerVersion,
    response: VerifiedResponse,
) -> Result<Printed, WorkerError> {
    let VerifiedResponse {
        status,
        headers,
        body,
        ..
    } = response;
    let json = arguments.node.json;
    if !json {
        eprintln!("{status}\n{}", proof(worker).join("\n"));
    }
    let whole = match body {
        VerifiedBody::Whole(body) => body.to_vec(),
        VerifiedBody::Stream(mut stream) => {
            let mut whole = Vec::new();
            while let Some(piece) = stream
                .next()
                .await
                .map_err(|source| node_error(node.url(), source.into()))?
            {
                match json {
                    true => whole.extend_from_slice(&piece),
                    false => show(&piece)?,
                }
            }
            whole
        }
    };
    if !json {
        show(&whole)?;
        return Ok(nothing());
    }
    let (body, encoding) = match String::from_utf8(whole) {
        Ok(text) => (text, None),
        Err(error) => (STANDARD.encode(error.as_bytes()), Some("base64")),
    };
    let mut document = json!({ "status": status.as_u16(), "headers": fields(&headers), "body": body, "worker": proof_json(worker) });
    if let Some(encoding) = encoding {
        document["bodyEncoding"] = json!(encoding);
    }
    Ok(Printed::report(Vec::new(), document))
}

fn traced(
    arguments: &InvokeArguments,
    node: &WorkersNode,
    worker: &WorkerVersion,
    response: VerifiedResponse,
) -> Result<Printed, WorkerError> {
    let VerifiedBody::Whole(body) = response.body else {
        return Err(node.malformed("a stream, which nobody asked for"));
    };
    let invoked: Invoked =
        serde_json::from_slice(&body).map_err(|_| node.malformed("another document than was asked for"))?;
    if arguments.node.json {
        let mut document = json!(invoked);
        document["worker"] = proof_json(worker);
        return Ok(Printed::report(Vec::new(), document));
    }
    let mut lines = vec![
        format!("{} {}", invoked.status, words(&invoked.status_text))
            .trim_end()
            .to_owned(),
    ];
    lines.extend(proof(worker));
    lines.extend(execution(&invoked.execution));
    eprintln!("{}", lines.join("\n"));
    match invoked.body_encoding.as_deref() {
        Some("base64") => {
            let body = STANDARD
                .decode(&invoked.body)
                .map_err(|_| node.malformed("a body that is no base64"))?;
            show(&body)?;
        }
        _ => show(invoked.body.as_bytes())?,
    }
    Ok(nothing())
}

/// Who is proved to have answered.
fn proof(worker: &WorkerVersion) -> [String; 3] {
    [
        shown::line("worker", &worker.id),
        shown::line("version", &worker.version.to_string()),
        shown::line("code hash", &api::hex(&worker.code_hash)),
    ]
}

fn proof_json(worker: &WorkerVersion) -> Value {
    json!({ "id": worker.id, "version": worker.version, "codeHash": api::hex(&worker.code_hash) })
}

/// How an event went.
pub(super) fn execution(execution: &Execution) -> Vec<String> {
    let cold = if execution.cold_start {
        ", a new isolate"
    } else {
        ""
    };
    let mut lines = vec![
        shown::line("execution", &execution.execution_id),
        shown::line(
            "used",
            &format!(
                "{:.1} ms, {:.1} ms on a CPU, {:.1} MiB{cold}",
                execution.duration_ms, execution.cpu_ms, execution.memory_used_mb
            ),
        ),
    ];
    if let Some(error) = &execution.error {
        let code = execution.code.as_deref().unwrap_or_default();
        lines.push(shown::line("error", &format!("{error} ({code})")));
    }
    lines.extend(execution.stack.iter().map(|stack| words(stack)));
    lines.extend(execution.logs.iter().map(|log| shown::line("log", log)));
    lines
}

fn fields(headers: &HeaderMap) -> Value {
    let mut fields = serde_json::Map::new();
    for name in headers.keys() {
        let values: Vec<_> = headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        fields.insert(name.as_str().to_owned(), json!(values.join(", ")));
    }
    Value::Object(fields)
}

/// Writes a body: as it is into files and pipes, without what plays tricks on terminals.
fn show(bytes: &[u8]) -> io::Result<()> {
    let mut output = io::stdout().lock();
    match output.is_terminal() {
        true => {
            let text = String::from_utf8_lossy(bytes);
            let text: String = text
                .chars()
                .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
                .collect();
            write!(output, "{text}")?;
            if !text.is_empty() && !text.ends_with('\n') {
                writeln!(output)?;
            }
        }
        false => output.write_all(bytes)?,
    }
    output.flush()
}

fn path(text: &str) -> Result<String, String> {
    match text.starts_with('/') && text.parse::<http::uri::PathAndQuery>().is_ok() {
        true => Ok(text.to_owned()),
        false => Err("a path that begins with / is expected".to_owned()),
    }
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("NAME: VALUE is expected")?;
    let name = HeaderName::try_from(name.trim()).map_err(|_| "that is no name of a header field")?;
    let value = HeaderValue::try_from(value.trim()).map_err(|_| "that is no value of a header field")?;
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_fields_and_paths() {
        let (name, value) = header("X-One:  a: b ").unwrap();
        assert_eq!((name.as_str(), value.to_str().unwrap()), ("x-one", "a: b"));
        for wrong in ["", "a", "a b: c", ": c", "a: b\nc"] {
            assert!(header(wrong).is_err(), "{wrong}");
        }
        assert!(path("/a?b=c").is_ok());
        for wrong in ["", "a", "/a b"] {
            assert!(path(wrong).is_err(), "{wrong}");
        }
    }
}
