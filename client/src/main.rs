//! `jeju`: verify a node, talk to it through a verifying proxy, or run everything on this machine.

mod cli;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use jeju_client::audit::{self, AuditCommand};
use jeju_client::committee::command::CommitteeCommand;
use jeju_client::completion::CompletionArguments;
use jeju_client::config;
use jeju_client::dev::{self, DevArguments};
use jeju_client::discover::command::{ModelsArguments, ProvidersArguments};
use jeju_client::evidence::{self, EvidenceCommand};
use jeju_client::ledger::command::LedgerCommand;
use jeju_client::mpc::command::MpcCommand;
use jeju_client::policy::command::PolicyCommand;
use jeju_client::provider::command::ProviderCommand;
use jeju_client::proxy::command::ProxyArguments;
use jeju_client::receipt::ReceiptArguments;
use jeju_client::rental::command::RentalCommand;
use jeju_client::route::command::RouteCommand;
use jeju_client::ssh::command::{ConfigArguments, KnownHostsArguments, SshArguments};
use jeju_client::wallet::command::WalletCommand;
use jeju_client::worker::command::WorkerCommand;
use tokio::signal::unix::{SignalKind, signal};

use cli::failure::{FAILED, Failure};
use cli::node::{self, CertArguments, ChatArguments, VerifyArguments};
use cli::print::{self, in_json};

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
    /// Verify quotes for contracts, as a member of the committee
    #[command(subcommand)]
    Committee(CommitteeCommand),
    /// Have gateways make ways to rentals, and go through them
    #[command(subcommand)]
    Route(RouteCommand),
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
            eprintln!("{}", failure.line());
            failure.exit_code.into()
        }
    }
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Verify(arguments) => node::verify(arguments).await,
        Command::Proxy(arguments) => {
            let served = arguments.run(interrupted()?).await;
            in_json(served.map(|()| ExitCode::SUCCESS), arguments.json())
        }
        Command::Providers(arguments) => {
            let printed = arguments.run().await;
            print::report(printed, arguments.json())
        }
        Command::Models(arguments) => {
            let printed = arguments.run().await;
            print::report(printed, arguments.json())
        }
        Command::Completion(arguments) => {
            arguments.write(Cli::command(), &mut io::stdout().lock())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Chat(arguments) => {
            let json = arguments.json;
            in_json(node::chat(*arguments).await, json)
        }
        Command::Cert(arguments) => {
            let json = arguments.json;
            in_json(node::cert(arguments).await, json)
        }
        Command::Evidence(command) => run_evidence(&command),
        Command::Audit(command) => run_audit(&command).await,
        Command::Receipt(arguments) => print::report(arguments.run().await, arguments.json),
        Command::Mpc(command) => run_mpc(*command).await,
        Command::Wallet(command) => print::text_of(command.run(), command.json()),
        Command::Ledger(command) => {
            let printed = command.run().await;
            print::report(printed, command.json())
        }
        Command::Policy(command) => {
            let printed = command.run().await;
            print::report(printed, command.json())
        }
        Command::Rental(command) => {
            let printed = command.run().await;
            print::report(printed, command.json())
        }
        Command::Committee(command) => {
            let printed = command.run().await;
            print::report(printed, command.json())
        }
        Command::Provider(command) => {
            let printed = command.run(stopped()).await;
            print::report(printed, command.json())
        }
        Command::Worker(command) => {
            let printed = command.run(stopped()).await;
            print::report(printed, command.json())
        }
        Command::Route(command) => {
            let printed = command.run().await;
            print::report(printed, command.json())
        }
        Command::Ssh(arguments) => {
            let never = Err(arguments.run().await);
            in_json(never, arguments.node.json)
        }
        Command::SshKnownHosts(arguments) => print::report(arguments.run().await, arguments.node.json),
        Command::SshConfig(arguments) => print::report(arguments.run().await, arguments.node.json),
        Command::Dev(arguments) => {
            let json = arguments.json;
            in_json(dev::run(arguments).await.map(|()| ExitCode::SUCCESS), json)
        }
    }
}

fn run_evidence(command: &EvidenceCommand) -> anyhow::Result<ExitCode> {
    match command {
        EvidenceCommand::Verify(arguments) => {
            let answer = evidence::verify(arguments).map(|answer| match arguments.json {
                true => answer.json(),
                false => evidence::lines(&answer).join("\n"),
            });
            print::text_of(answer, arguments.json)
        }
        EvidenceCommand::Inspect(arguments) => {
            let lines = evidence::inspect(arguments).map(|lines| lines.join("\n"));
            print::text_of(lines, arguments.json)
        }
    }
}

async fn run_audit(command: &AuditCommand) -> anyhow::Result<ExitCode> {
    let AuditCommand::Response(arguments) = command;
    let report = audit::response(arguments)
        .await
        .map(|report| match arguments.json {
            true => report.json(),
            false => report.lines().join("\n"),
        });
    print::text_of(report, arguments.json)
}

async fn run_mpc(command: MpcCommand) -> anyhow::Result<ExitCode> {
    let json = command.json();
    let printed = match command {
        MpcCommand::Local(arguments) => {
            return Ok(dev::signers::run(arguments).await.map(|()| ExitCode::SUCCESS)?);
        }
        command => command.run().await,
    };
    let printed = printed.map(|printed| match json {
        true => printed.json.to_string(),
        false => printed.lines.join("\n"),
    });
    print::text_of(printed, json)
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
