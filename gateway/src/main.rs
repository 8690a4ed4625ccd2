//! `jeju-gateway --config FILE`: serves until SIGINT or SIGTERM, then lets connections end.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use jeju_chain::{ChainReader, ReaderConfig, TcpDial};
use jeju_gateway::api::{self, Api, Info};
use jeju_gateway::config::Config;
use jeju_gateway::index::{Index, Refresh};
use jeju_gateway::names::Names;
use jeju_gateway::passthrough::{Limits, Passthrough};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long connections may go on after the gateway was asked to end.
const PATIENCE: Duration = Duration::from_secs(300);

/// Finds providers on chain, and carries TLS to them unopened.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// Configuration, TOML.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = runtime
        .context("no threads")
        .and_then(|runtime| runtime.block_on(run(cli)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("jeju-gateway: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    let file = cli.config.display();
    let text = std::fs::read_to_string(&cli.config).with_context(|| format!("{file} can't be read"))?;
    let config = Config::parse(&text)?;
    let chain = &config.chain;
    let reader = ReaderConfig {
        localnet: chain.development,
        plaintext: chain.development,
        ..ReaderConfig::new(chain.rpc.clone(), chain.quorum)
    };
    let reader = Arc::new(ChainReader::new(reader, Arc::new(TcpDial))?);
    let registry = chain.registry().context("no registry")?;
    let index = Arc::new(Index::default());

    let http = TcpListener::bind(config.http)
        .await
        .with_context(|| format!("{} can't be had", config.http))?;
    let info = Info {
        name: config.name.clone(),
        port: http.local_addr()?.port(),
    };
    let (drain, drained) = watch::channel(false);
    let (mut counters, mut serving) = (Vec::new(), JoinSet::new());
    for tls in &config.tls {
        let listener = TcpListener::bind(tls.listen)
            .await
            .with_context(|| format!("{} can't be had", tls.listen))?;
        let names = Names::new(
            index.clone(),
            tls.service.service(),
            config.domains.clone(),
            chain.development,
        );
        let limits = Limits {
            connections: tls.connections,
            ..Limits::default()
        };
        let passthrough = Passthrough::new(Arc::new(names), limits);
        counters.push(passthrough.counters());
        serving.spawn(passthrough.serve(listener, drained.clone(), PATIENCE));
    }
    let api = Arc::new(Api::new(info, index.clone(), counters));
    let answering = tokio::spawn(api::serve(http, api));
    let refresh = Refresh::new(reader, chain.id, registry, index);
    let refreshing = refresh.run(Duration::from_secs(chain.interval_seconds), |error| {
        eprintln!("jeju-gateway: {error} ({})", error.code());
    });
    let refreshing = tokio::spawn(refreshing);

    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    drain.send_replace(true);
    tokio::select! {
        () = async { while serving.join_next().await.is_some() {} } => {}
        // Asked twice: at once.
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    answering.abort();
    refreshing.abort();
    Ok(())
}
