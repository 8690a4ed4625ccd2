//! Everything on one machine: a local chain, the node with simulated silicon, the host shim and the proxy, from nothing
//! to a verified answer.
//!
//! Each part is the program that a provider or user runs too, started as a child process; this module only puts them in
//! order. What it makes lies in one folder, and all processes end with it.

mod arguments;
mod chain;
mod children;
mod documents;
mod guest;
mod ports;
mod programs;
mod progress;
pub mod signers;

use std::borrow::Cow;
use std::future::pending;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jeju_attestation::policy::Policy;
use serde_json::json;
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};

pub use arguments::DevArguments;

use crate::chat::{self, Answer, ChatError, Prompt};
use crate::error::{self, Class};
use crate::mpc::MpcError;
use crate::node_url::NodeUrl;
use crate::proxy::{Proxy, ProxyError};
use crate::relying_party::RelyingParty;
use crate::session::{Limits, Session};
use crate::verify;
use chain::LocalChain;
use children::Children;
use guest::Guest;
use ports::Ports;
use progress::Progress;

/// Tokens that are asked for: emulation is slow.
const MAX_TOKENS: u32 = 24;

/// Why it doesn't run.
#[derive(Debug, Error)]
pub enum DevError {
    /// A file or folder can't be used.
    #[error("{}: {source}", path.display())]
    File {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// `JEJU_PORT_BASE` isn't a port.
    #[error("JEJU_PORT_BASE={0:?} is not a port from 1024 to 65533")]
    PortBase(String),
    /// A port is in use.
    #[error("port {port}, for the {purpose}, is in use by {holder}; end that, or set JEJU_PORT_BASE=N")]
    PortInUse {
        /// The port.
        port: u16,
        /// What it is for.
        purpose: &'static str,
        /// Who has it.
        holder: String,
    },
    /// A program isn't there.
    #[error("{program} is not there: {hint}")]
    Missing {
        /// Its name.
        program: &'static str,
        /// How to get it.
        hint: String,
    },
    /// A program can't be started.
    #[error("starting {program}: {source}")]
    Start {
        /// Its name.
        program: Cow<'static, str>,
        /// What the system said.
        source: io::Error,
    },
    /// A program ended that should have gone on, or failed.
    #[error("{program} ended: {words}")]
    Ended {
        /// Its name.
        program: Cow<'static, str>,
        /// The last it wrote.
        words: String,
        /// Whether it ended because something isn't installed.
        missing: bool,
    },
    /// A program wrote something else than expected.
    #[error("{program} wrote no {expected}")]
    Output {
        /// Its name.
        program: &'static str,
        /// What was expected.
        expected: &'static str,
    },
    /// A step took too long.
    #[error("{what} took more than {seconds} s")]
    Late {
        /// The step.
        what: &'static str,
        /// The limit.
        seconds: u64,
    },
    /// Interrupted before the answer that was asked for.
    #[error("interrupted before the verified answer")]
    Interrupted,
    /// A variable of the environment.
    #[error(transparent)]
    Environment(#[from] signers::EnvironmentError),
    /// This machine's simulated silicon.
    #[error(transparent)]
    Silicon(#[from] jeju_simulated::SiliconError),
    /// No key or no signature of the local network.
    #[error(transparent)]
    Mpc(Box<MpcError>),
    /// The node wasn't verified.
    #[error(transparent)]
    Refused(#[from] error::Error),
    /// The prompt wasn't answered.
    #[error(transparent)]
    Chat(#[from] ChatError),
    /// No proxy.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
}

impl From<MpcError> for DevError {
    fn from(error: MpcError) -> Self {
        DevError::Mpc(Box::new(error))
    }
}

impl DevError {
    /// Stable code.
    pub fn code(&self) -> &str {
        match self {
            DevError::File { .. } => "file_unusable",
            DevError::PortBase(_) => "port_base_invalid",
            DevError::PortInUse { .. } => "port_in_use",
            DevError::Missing { .. } => "program_missing",
            DevError::Start { .. } => "program_not_started",
            DevError::Ended { .. } => "program_ended",
            DevError::Output { .. } => "program_output",
            DevError::Late { .. } => "timeout",
            DevError::Interrupted => "interrupted",
            DevError::Environment(_) => "environment_invalid",
            DevError::Silicon(_) => "silicon_unusable",
            DevError::Mpc(error) => error.code(),
            DevError::Refused(error) => error.code(),
            DevError::Chat(error) => error.code(),
            DevError::Proxy(_) => "proxy_not_started",
        }
    }

    /// Class; what keeps this machine from running everything is no verdict on a node.
    pub fn class(&self) -> Class {
        match self {
            DevError::Refused(error) => error.class(),
            DevError::Chat(error) => error.class(),
            DevError::Mpc(error) => error.class(),
            _ => Class::Usage,
        }
    }

    /// Exit code: 3 where something isn't installed, 130 after an interrupt, that of `verify` where the node was refused, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            DevError::Missing { .. } | DevError::Ended { missing: true, .. } => 3,
            // As shells report it.
            DevError::Interrupted => 130,
            _ => self.class().exit_code(),
        }
    }

    /// A document that can't be written as TOML, which no input makes happen.
    fn document(error: toml::ser::Error) -> Self {
        DevError::File {
            path: "launch.toml".into(),
            source: io::Error::other(error),
        }
    }

    fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| DevError::File { path, source }
    }
}

/// Runs until Ctrl-C, or until the verified answer with `--once`. All that was started has ended when this returns.
pub async fn run(arguments: DevArguments) -> Result<(), DevError> {
    let mut children = Children::default();
    let outcome = until_interrupted(arguments.once, stay(&arguments, &mut children)).await;
    if children.end().await {
        eprintln!("jeju dev: ended, nothing is left running");
    }
    outcome
}

/// Runs until done or interrupted; an interrupt is an error only where an outcome was asked for.
async fn until_interrupted(
    outcome_wanted: bool,
    work: impl Future<Output = Result<(), DevError>>,
) -> Result<(), DevError> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(DevError::file("signals"))?;
    let mut terminate = signal(SignalKind::terminate()).map_err(DevError::file("signals"))?;
    let interrupted = if outcome_wanted {
        Err(DevError::Interrupted)
    } else {
        Ok(())
    };
    tokio::select! {
        outcome = work => outcome,
        _ = interrupt.recv() => interrupted,
        _ = terminate.recv() => interrupted,
    }
}

async fn stay(arguments: &DevArguments, children: &mut Children) -> Result<(), DevError> {
    let ports = Ports::from_environment()?;
    ports.check()?;
    let ssh = arguments.ssh();
    if arguments.docker.is_some() {
        ports::check(&[(ssh.port(), "logins to rentals")])?;
    }
    let state = programs::state_folder(&arguments.state)?;
    if let Some(address) = arguments.workers {
        ports::check(&[(address.port(), "workers")])?;
    }
    let mut progress = Progress::new();

    let boot = guest::Boot::prepare(arguments, &state, &mut progress).await?;
    let starting = LocalChain::start(arguments.anvil.as_deref(), ports.chain, &state, children);
    let chain = progress.step("chain", "starting a local chain", starting).await?;
    let rented = arguments.docker.is_some();
    let deploying = async {
        match rented {
            false => chain.deploy_registry().await.map(|registry| (registry, None)),
            true => chain
                .deploy_all()
                .await
                .map(|contracts| (contracts.registry, Some(contracts.compute_rental))),
        }
    };
    let what = match rented {
        false => "deploying the measurement registry",
        true => "deploying the contracts",
    };
    let (registry, rentals) = progress.step("deploy", what, deploying).await?;

    let node = documents::NodeDocuments {
        registry,
        rpc: chain.url(),
        chain_authority: chain.authority(),
        model_id: arguments.model_id.clone(),
        model: boot.model,
        rentals: rentals.map(|contract| documents::Rentals {
            contract,
            provider: arguments.provider(),
            address: ssh,
        }),
        workers: arguments.workers.is_some(),
    };
    let blobs = state.join("blobs");
    if node.workers {
        std::fs::create_dir_all(&blobs).map_err(DevError::file(&blobs))?;
    }
    let launch = state.join("launch.toml");
    programs::write(&launch, &node.launch())?;
    let place = guest::Place {
        name: "",
        launch: &launch,
        state: &state.join("node"),
        silicon: &state.join("silicon"),
        logs: &state,
        listen: (4007, ports.node),
        ssh: rented.then_some(ssh),
        docker: arguments
            .docker
            .as_deref()
            .map(|engine| (engine, documents::agent())),
        workers: arguments.workers,
        blobs: node.workers.then_some(blobs.as_path()),
        egress: vec![chain.authority()],
    };
    let starting = Guest::start(&boot, &place, children);
    let mut guest = progress
        .step("start", "measuring and starting the node", starting)
        .await?;
    let registering = chain.register(&registry, &boot.measurement, &boot.release);
    progress
        .step("register", "registering the measurement", registering)
        .await?;
    let policy_path = state.join("policy.toml");
    let policy_text = node.policy(&guest::root_public(&state.join("silicon"))?);
    programs::write(&policy_path, &policy_text)?;
    let limit = Duration::from_secs(arguments.ready_within);
    let ready = async {
        tokio::select! {
            ready = guest.ready(limit) => ready,
            error = children.first_to_end() => Err(error),
        }
    };
    let ready_after = progress
        .step("boot", "waiting for the node to serve", ready)
        .await?;

    let url: NodeUrl = format!("https://127.0.0.1:{}", ports.node).parse()?;
    let policy = Policy::parse(&policy_text, true).map_err(error::Error::from)?;
    let party = Arc::new(RelyingParty::new(policy)?);
    let limits = Limits::default();
    let proxy = Proxy::bind(ports.proxy_address(), url.clone(), party.clone(), limits).await?;
    let connecting = async { Ok(Session::connect(&url, party, limits).await?) };
    let mut session = progress.step("verify", "verifying the node", connecting).await?;
    eprintln!("{}", verify::lines(&url, session.verdict()).join("\n"));
    let asking = ask(&mut session, arguments);
    let answer = progress.step("prompt", "sending a prompt", asking).await?;
    eprintln!("{}", described(&answer, guest.emulated));

    if arguments.once {
        let line = json!({
            "verdict": verify::json(&url, session.verdict()),
            "answer": answer.text,
            "completion_tokens": answer.completion_tokens,
            "tokens_per_second": rate(&answer),
            "milliseconds": progress.milliseconds(),
            "milliseconds_from_start_to_ready": ready_after,
        });
        println!("{line}");
        return Ok(());
    }
    drop(session);
    if arguments.json {
        let policy = policy_path.display().to_string();
        let proxy = format!("http://{}/v1", ports.proxy_address());
        println!(
            "{}",
            json!({ "status": "ready", "node": url.to_string(), "proxy": proxy, "policy": policy })
        );
    }
    eprintln!(
        "{}",
        what_next(&ports, arguments, &policy_path.display().to_string())
    );
    tokio::select! {
        () = proxy.serve(pending()) => Ok(()),
        error = guest.gave_up() => Err(error),
        error = children.first_to_end() => Err(error),
    }
}

async fn ask(session: &mut Session, arguments: &DevArguments) -> Result<Answer, DevError> {
    let prompt = Prompt {
        text: arguments.prompt.clone(),
        model: Some(arguments.model_id.clone()),
        max_tokens: Some(MAX_TOKENS),
        stream: true,
    };
    Ok(chat::ask(session, &prompt, &mut io::sink()).await?)
}

fn described(answer: &Answer, emulated: bool) -> String {
    let slow = if emulated {
        " (this guest is emulated, which is slow)"
    } else {
        ""
    };
    let tokens = answer
        .completion_tokens
        .map_or_else(|| "an unknown number of".to_owned(), |tokens| tokens.to_string());
    let rate = rate(answer).map_or_else(String::new, |rate| format!(", {rate:.1} tokens/s"));
    format!(
        "answer: {}\n{tokens} tokens in {:.1} s{rate}, the first after {:.1} s{slow}",
        answer.text.trim(),
        answer.total.as_secs_f64(),
        answer.first.as_secs_f64(),
    )
}

/// Tokens a second after the first one, which waits for the prompt to be read.
fn rate(answer: &Answer) -> Option<f64> {
    let tokens = answer.completion_tokens.filter(|tokens| *tokens > 1)?;
    let seconds = answer.total.saturating_sub(answer.first).as_secs_f64();
    (seconds > 0.0).then(|| f64::from(tokens - 1) / seconds)
}

fn what_next(ports: &Ports, arguments: &DevArguments, policy: &str) -> String {
    let model = &arguments.model_id;
    let workers = arguments.workers.map_or_else(String::new, |address| {
        format!(
            "\n  jeju worker init hello\n  jeju worker deploy hello --node https://{address} --policy {policy} --development --key FILE\n"
        )
    });
    let base = format!("http://127.0.0.1:{}/v1", ports.proxy);
    let node = ports.node;
    format!(
        r#"
Ready. Simulated silicon shows how everything works, and proves nothing about this machine.
In another terminal:

  curl {base}/chat/completions -H 'Content-Type: application/json' \
    -d '{{"model":"{model}","max_tokens":{MAX_TOKENS},"messages":[{{"role":"user","content":"Hello"}}]}}'

  python3 -c 'from openai import OpenAI; print(OpenAI(base_url="{base}", api_key="none").chat.completions.create(model="{model}", max_tokens={MAX_TOKENS}, messages=[{{"role": "user", "content": "Hello"}}]).choices[0].message.content)'

  jeju verify https://127.0.0.1:{node} --policy {policy} --development
{workers}
Ctrl-C ends everything."#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_leave_the_prompt_out() {
        let answer = |tokens| Answer {
            text: " hi ".into(),
            prompt_tokens: None,
            completion_tokens: tokens,
            first: Duration::from_secs(10),
            total: Duration::from_secs(14),
        };
        assert_eq!(rate(&answer(Some(9))), Some(2.0));
        assert_eq!(rate(&answer(Some(1))), None);
        assert_eq!(rate(&answer(None)), None);
        assert!(
            described(&answer(Some(9)), true).starts_with("answer: hi\n9 tokens in 14.0 s, 2.0 tokens/s")
        );
    }
}
