//! `jeju`: verify a node, talk to it through a verifying proxy, or run everything on this machine.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::anyhow;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use jeju_client::audit::{self, AuditCommand, AuditError, Exchange, exchange};
use jeju_client::chat::{self, ChatError, Prompt};
use jeju_client::completion::CompletionArguments;
use jeju_client::deployment::DeploymentError;
use jeju_client::dev::{self, DevArguments, DevError};
use jeju_client::discover::DiscoverError;
use jeju_client::discover::command::{ModelsArguments, ProvidersArguments};
use jeju_client::error::{Class, Error};
use jeju_client::evidence::{self, EvidenceCommand, EvidenceError};
use jeju_client::ledger::command::LedgerCommand;
use jeju_client::mpc::MpcError;
use jeju_client::mpc::command::MpcCommand;
use jeju_client::node_url::NodeUrl;
use jeju_client::payment::{PayArguments, PaymentError, PriceLimit};
use jeju_client::policy::command::{PolicyCommand, PolicyCommandError};
use jeju_client::provider::command::ProviderCommand;
use jeju_client::proxy::ProxyError;
use jeju_client::proxy::command::ProxyArguments;
use jeju_client::receipt::{ReceiptArguments, ReceiptError};
use jeju_client::rental::RentalError;
use jeju_client::rental::command::{Printed, RentalCommand};
use jeju_client::session::{Limits, Session};
use jeju_client::ssh::SshError;
use jeju_client::ssh::command::{ConfigArguments, KnownHostsArguments, SshArguments};
use jeju_client::trust::{TrustArguments, TrustError};
use jeju_client::wallet::AccountKeyError;
use jeju_client::wallet::command::WalletCommand;
use jeju_client::worker::WorkerError;
use jeju_client::worker::command::WorkerCommand;
use jeju_client::{certificate, config, verify};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

/// Exit code for wrong input, and for what is no verdict on a node.
const FAILED: u8 = 1;

/// Verify confidential AI nodes, and send prompts to verified ones only.
///
/// Exit codes: 0 ok, 1 usage, 2 refused by policy, 3 evidence invalid, 4 evidence stale, 5 network.
#[derive(Parser)]
#[command(name = "jeju", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Attest a node and print what was established
    Verify(VerifyArguments),
    /// Serve any OpenAI client on this machine, through verified sessions
    Proxy(Box<ProxyArguments>),
    /// List providers and what they offer, as the chain has them
    Providers(Box<ProvidersArguments>),
    /// List models and who offers them, as the chain has them
    Models(Box<ModelsArguments>),
    /// Send one prompt
    Chat(Box<ChatArguments>),
    /// Verify a node, then write its certificate (PEM)
    Cert(CertArguments),
    /// Verify or list evidence in files, without a network
    #[command(subcommand)]
    Evidence(EvidenceCommand),
    /// Recompute saved answers of embedded models
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Fetch what a node's key says of one of its answers, and check it
    Receipt(Box<ReceiptArguments>),
    /// Make and use keys with a network of threshold signers
    #[command(subcommand)]
    Mpc(Box<MpcCommand>),
    /// Keep accounts' keys in encrypted files, and sign with them
    #[command(subcommand)]
    Wallet(WalletCommand),
    #[command(flatten)]
    Ledger(LedgerCommand),
    /// Take, sign and show snapshots of what the measurement registry accepts
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Rent machines by the hour, and use them
    #[command(subcommand)]
    Rental(RentalCommand),
    /// Serve models and rent out machines
    #[command(subcommand)]
    Provider(ProviderCommand),
    /// Log in to a rental with OpenSSH, on a node that is verified first
    Ssh(Box<SshArguments>),
    /// Print a verified node's SSH host key, as KnownHostsCommand of OpenSSH
    SshKnownHosts(Box<KnownHostsArguments>),
    /// Print a section for OpenSSH's configuration that verifies a node at each login
    SshConfig(Box<ConfigArguments>),
    /// Run code inside the enclave of a verified node
    #[command(subcommand)]
    Worker(WorkerCommand),
    /// Run chain, node and proxy on this machine, with simulated silicon
    Dev(DevArguments),
    /// Print a script that completes commands in a shell
    Completion(CompletionArguments),
}

#[derive(Args)]
struct VerifyArguments {
    /// Node, as https://host:port
    url: NodeUrl,
    #[command(flatten)]
    trust: TrustArguments,
    /// Print the verdict as one JSON line
    #[arg(long)]
    json: bool,
    /// Seconds until giving up
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

#[derive(Args)]
struct ChatArguments {
    /// The prompt
    prompt: String,
    /// Node, as https://host:port
    #[arg(long)]
    node: NodeUrl,
    #[command(flatten)]
    trust: TrustArguments,
    /// Model id; the node's first one if absent
    #[arg(long)]
    model: Option<String>,
    /// Most tokens of the answer
    #[arg(long)]
    max_tokens: Option<u32>,
    /// Show the answer while it comes
    #[arg(long)]
    stream: bool,
    /// Print the answer as one JSON line
    #[arg(long, conflicts_with = "stream")]
    json: bool,
    /// Save request, answer and evidence to a new file, for `jeju audit response`
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    #[command(flatten)]
    pay: PayArguments,
}

#[derive(Args)]
struct CertArguments {
    /// Node, as https://host:port
    url: NodeUrl,
    /// File to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print the verdict as one JSON line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    trust: TrustArguments,
}

fn main() -> ExitCode {
    let parsed = config::with_default(Cli::command())
        .try_get_matches()
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() {
                FAILED.into()
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| {
            let outcome = runtime.block_on(run(cli.command));
            // A blocked read of the terminal must not hold the exit up.
            runtime.shutdown_timeout(Duration::from_secs(1));
            outcome
        });
    match outcome {
        Ok(code) => code,
        Err(error) => {
            let failure = Failure::of(&error);
            if matches!(failure.class, Class::Policy | Class::Evidence | Class::Stale) {
                eprintln!("jeju: refused ({}): {error}", failure.code);
            } else {
                eprintln!("jeju: {error} ({})", failure.code);
            }
            failure.exit_code.into()
        }
    }
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Verify(arguments) => run_verify(arguments).await,
        Command::Proxy(arguments) => {
            let served = arguments.run(interrupted()?).await;
            in_json(served.map(|()| ExitCode::SUCCESS), arguments.json())
        }
        Command::Providers(arguments) => {
            let printed = arguments.run().await;
            print_report(printed, arguments.json())
        }
        Command::Models(arguments) => {
            let printed = arguments.run().await;
            print_report(printed, arguments.json())
        }
        Command::Completion(arguments) => {
            arguments.write(Cli::command(), &mut io::stdout().lock())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Chat(arguments) => {
            let json = arguments.json;
            in_json(run_chat(*arguments).await, json)
        }
        Command::Cert(arguments) => {
            let json = arguments.json;
            in_json(run_cert(arguments).await, json)
        }
        Command::Evidence(command) => run_evidence(&command),
        Command::Audit(command) => run_audit(&command).await,
        Command::Receipt(arguments) => print_report(arguments.run().await, arguments.json),
        Command::Mpc(command) => run_mpc(*command).await,
        Command::Wallet(command) => run_wallet(&command),
        Command::Ledger(command) => {
            let printed = command.run().await;
            print_report(printed, command.json())
        }
        Command::Policy(command) => {
            let printed = command.run().await;
            print_report(printed, command.json())
        }
        Command::Rental(command) => {
            let printed = command.run().await;
            print_report(printed, command.json())
        }
        Command::Provider(command) => {
            let printed = command.run(stopped()).await;
            print_report(printed, command.json())
        }
        Command::Worker(command) => {
            let printed = command.run(stopped()).await;
            print_report(printed, command.json())
        }
        Command::Ssh(arguments) => Err(arguments.run().await.into()),
        Command::SshKnownHosts(arguments) => print(&arguments.run().await?),
        Command::SshConfig(arguments) => print(&arguments.run().await?),
        Command::Dev(arguments) => Ok(dev::run(arguments).await.map(|()| ExitCode::SUCCESS)?),
    }
}

/// A failure as `--json` prints it, where that was asked for.
fn in_json<E: Into<anyhow::Error>>(outcome: Result<ExitCode, E>, json: bool) -> anyhow::Result<ExitCode> {
    match outcome.map_err(Into::into) {
        Err(error) if json => {
            let failure = Failure::of(&error);
            println!("{}", failure.json());
            Ok(failure.exit_code.into())
        }
        outcome => outcome,
    }
}

async fn run_verify(arguments: VerifyArguments) -> anyhow::Result<ExitCode> {
    let limits = Limits {
        attest: Duration::from_secs(arguments.timeout),
        ..Limits::default()
    };
    match connect(&arguments.url, &arguments.trust, limits).await {
        Ok(session) if arguments.json => {
            println!("{}", verify::json(&arguments.url, session.verdict()));
            Ok(ExitCode::SUCCESS)
        }
        Ok(session) => {
            println!("{}", verify::lines(&arguments.url, session.verdict()).join("\n"));
            Ok(ExitCode::SUCCESS)
        }
        Err(error) if arguments.json => {
            let failure = Failure::of(&error);
            println!("{}", failure.json());
            Ok(failure.exit_code.into())
        }
        Err(error) => Err(error),
    }
}

async fn run_chat(arguments: ChatArguments) -> anyhow::Result<ExitCode> {
    // Before anything is asked: an answer that can't be saved would be lost.
    if let Some(path) = &arguments.save {
        exchange::can_save(path)?;
    }
    let payments = arguments
        .pay
        .payments(&arguments.trust, None, PriceLimit::default())
        .await?;
    let mut session = connect(&arguments.node, &arguments.trust, Limits::default()).await?;
    let summary = verify::lines(&arguments.node, session.verdict());
    eprintln!("{}", summary.first().map_or("", String::as_str));
    let prompt = Prompt {
        text: arguments.prompt,
        model: arguments.model,
        max_tokens: arguments.max_tokens,
        stream: arguments.stream,
    };
    let mut output = io::stdout().lock();
    let recorded = match arguments.json {
        true => {
            let mut nowhere = io::sink();
            let asked = chat::ask_paid(&mut session, &prompt, payments.as_ref(), &mut nowhere);
            let (answer, recorded) = asked.await?;
            let verdict = verify::json(&arguments.node, session.verdict());
            writeln!(output, "{}", answer.json(verdict))?;
            recorded
        }
        false => {
            let asked = chat::ask_paid(&mut session, &prompt, payments.as_ref(), &mut output);
            let (_, recorded) = asked.await?;
            writeln!(output)?;
            recorded
        }
    };
    if let Some(payments) = &payments {
        // What is owed stays in the book: the next command promises it.
        if let Err(error) = payments.flush(&mut session).await {
            eprintln!("jeju: not paid yet: {error} ({})", error.code());
        }
    }
    if let Some(path) = &arguments.save {
        let exchange = Exchange::complete(&mut session, &arguments.node, recorded).await?;
        exchange.save(path)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn run_cert(arguments: CertArguments) -> anyhow::Result<ExitCode> {
    let session = connect(&arguments.url, &arguments.trust, Limits::default()).await?;
    let pem = certificate::pem(session.certificate());
    std::fs::write(&arguments.out, pem).map_err(|source| anyhow!("{}: {source}", arguments.out.display()))?;
    let summary = verify::lines(&arguments.url, session.verdict());
    eprintln!("{}", summary.first().map_or("", String::as_str));
    if arguments.json {
        println!("{}", verify::json(&arguments.url, session.verdict()));
    }
    Ok(ExitCode::SUCCESS)
}

fn run_evidence(command: &EvidenceCommand) -> anyhow::Result<ExitCode> {
    let (lines, code) = match command {
        EvidenceCommand::Verify(arguments) => match evidence::verify(arguments) {
            Ok(answer) if arguments.json => (vec![answer.json()], ExitCode::SUCCESS),
            Ok(answer) => (evidence::lines(&answer), ExitCode::SUCCESS),
            Err(error) if arguments.json => {
                let failure = Failure::of(&error.into());
                (vec![failure.json().to_string()], failure.exit_code.into())
            }
            Err(error) => return Err(error.into()),
        },
        EvidenceCommand::Inspect(arguments) => match evidence::inspect(arguments) {
            Ok(lines) => (lines, ExitCode::SUCCESS),
            Err(error) if arguments.json => {
                let failure = Failure::of(&error.into());
                (vec![failure.json().to_string()], failure.exit_code.into())
            }
            Err(error) => return Err(error.into()),
        },
    };
    // A verdict that couldn't be written must not look like one that was.
    let mut output = io::stdout().lock();
    writeln!(output, "{}", lines.join("\n"))?;
    output.flush()?;
    Ok(code)
}

async fn run_audit(command: &AuditCommand) -> anyhow::Result<ExitCode> {
    let AuditCommand::Response(arguments) = command;
    let (text, code) = match audit::response(arguments).await {
        Ok(report) if arguments.json => (report.json(), ExitCode::SUCCESS),
        Ok(report) => (report.lines().join("\n"), ExitCode::SUCCESS),
        Err(error) if arguments.json => {
            let failure = Failure::of(&error.into());
            (failure.json().to_string(), failure.exit_code.into())
        }
        Err(error) => return Err(error.into()),
    };
    // A verdict that couldn't be written must not look like one that was.
    let mut output = io::stdout().lock();
    writeln!(output, "{text}")?;
    output.flush()?;
    Ok(code)
}

async fn run_mpc(command: MpcCommand) -> anyhow::Result<ExitCode> {
    let json = command.json();
    let printed = match command {
        MpcCommand::Local(arguments) => {
            return Ok(dev::signers::run(arguments).await.map(|()| ExitCode::SUCCESS)?);
        }
        command => command.run().await,
    };
    let (text, code) = match printed {
        Ok(printed) if json => (printed.json.to_string(), ExitCode::SUCCESS),
        Ok(printed) => (printed.lines.join("\n"), ExitCode::SUCCESS),
        Err(error) if json => {
            let failure = Failure::of(&error.into());
            (failure.json().to_string(), failure.exit_code.into())
        }
        Err(error) => return Err(error.into()),
    };
    // A signature that couldn't be written must not look like one that was.
    let mut output = io::stdout().lock();
    writeln!(output, "{text}")?;
    output.flush()?;
    Ok(code)
}

fn print_report<E: Into<anyhow::Error>>(printed: Result<Printed, E>, json: bool) -> anyhow::Result<ExitCode> {
    match printed {
        Ok(printed) => Ok(printed.print(json)?.into()),
        Err(error) if json => {
            let failure = Failure::of(&error.into());
            let mut output = io::stdout().lock();
            writeln!(output, "{}", failure.json())?;
            output.flush()?;
            Ok(failure.exit_code.into())
        }
        Err(error) => Err(error.into()),
    }
}

fn run_wallet(command: &WalletCommand) -> anyhow::Result<ExitCode> {
    let mut output = io::stdout().lock();
    let code = match command.run() {
        Ok(text) => {
            if !text.is_empty() {
                writeln!(output, "{}", text.as_str())?;
            }
            ExitCode::SUCCESS
        }
        Err(error) if command.json() => {
            let failure = Failure::of(&error.into());
            writeln!(output, "{}", failure.json())?;
            failure.exit_code.into()
        }
        Err(error) => return Err(error.into()),
    };
    output.flush()?;
    Ok(code)
}

/// Prints a text whole, or fails.
fn print(text: &str) -> anyhow::Result<ExitCode> {
    let mut output = io::stdout().lock();
    writeln!(output, "{text}")?;
    output.flush()?;
    Ok(ExitCode::SUCCESS)
}

async fn connect(url: &NodeUrl, trust: &TrustArguments, limits: Limits) -> anyhow::Result<Session> {
    Ok(Session::connect(url, trust.relying_party()?, limits).await?)
}

/// The same, begun when it is asked for first: only what runs until it is stopped takes the signals.
async fn stopped() {
    match interrupted() {
        Ok(stop) => stop.await,
        Err(_) => std::future::pending().await,
    }
}

/// Ctrl-C, or the request of a service manager.
fn interrupted() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// What an error of any command means to a script.
struct Failure {
    code: String,
    class: Class,
    exit_code: u8,
    message: String,
}

impl Failure {
    fn of(error: &anyhow::Error) -> Self {
        let (code, class) = if let Some(error) = error.downcast_ref::<Error>() {
            (error.code(), error.class())
        } else if let Some(error) = error.downcast_ref::<EvidenceError>() {
            (error.code(), error.class())
        } else if let Some(error) = error.downcast_ref::<TrustError>() {
            (error.code(), error.class())
        } else if let Some(error) = error.downcast_ref::<ChatError>() {
            (error.code(), error.class())
        } else if let Some(error) = error.downcast_ref::<AuditError>() {
            (error.code(), error.class())
        } else if let Some(error) = error.downcast_ref::<ReceiptError>() {
            (error.code(), error.class())
        } else if let Some(error) = error.downcast_ref::<PolicyCommandError>() {
            (error.code(), error.class())
        } else if let Some(error) = error.downcast_ref::<MpcError>() {
            (error.code(), error.class())
        } else if let Some(error) = error.downcast_ref::<PaymentError>() {
            (error.code(), error.class())
        } else if let Some(error) = error.downcast_ref::<RentalError>() {
            (error.code(), error.class())
        } else if let Some(error) = error.downcast_ref::<WorkerError>() {
            (error.code(), error.class())
        } else if let Some(error) = error.downcast_ref::<AccountKeyError>() {
            (error.code(), error.class())
        } else if let Some(error) = error.downcast_ref::<SshError>() {
            (error.code(), error.class())
        } else if let Some(error) = error.downcast_ref::<ProxyError>() {
            (error.code(), error.class())
        } else if let Some(error) = error.downcast_ref::<DiscoverError>() {
            (error.code(), error.class())
        } else if let Some(error) = error.downcast_ref::<DeploymentError>() {
            (error.code(), error.class())
        } else if let Some(error) = error.downcast_ref::<DevError>() {
            return Self {
                code: error.code().to_owned(),
                class: error.class(),
                exit_code: error.exit_code(),
                message: error.to_string(),
            };
        } else {
            return Self {
                code: "failed".to_owned(),
                class: Class::Usage,
                exit_code: FAILED,
                message: error.to_string(),
            };
        };
        Self {
            code: code.to_owned(),
            class,
            exit_code: class.exit_code(),
            message: error.to_string(),
        }
    }

    fn json(&self) -> Value {
        json!({
            "status": "contraindicated",
            "code": self.code,
            "class": self.class.name(),
            "message": self.message,
        })
    }
}
