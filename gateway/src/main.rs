//! `jeju-gateway --config FILE`: serves until SIGINT or SIGTERM, then lets connections end.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use jeju_chain::{ChainReader, ReaderConfig, TcpDial};
use jeju_gateway::api::{self, Api, Info, Parts, Rates};
use jeju_gateway::config::{Config, address};
use jeju_gateway::health::{Health, Pace, Probe, Rounds};
use jeju_gateway::index::{Index, Refresh};
use jeju_gateway::listeners::{Leads, Listeners};
use jeju_gateway::names::Resolver;
use jeju_gateway::passthrough::Drain;
use jeju_gateway::routes::{Routes, keep, review};
use jeju_gateway::store::{self, Store};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long connections may go on after the gateway was asked to end.
const PATIENCE: Duration = Duration::from_secs(300);

/// Routes to rentals at a time.
const MAX_ROUTES: usize = 10_000;

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
    let (health, resolver) = (
        Arc::new(Health::default()),
        Arc::new(Resolver::new(chain.development)),
    );

    // First: a folder that is another gateway's has another's host key too.
    let store = config
        .state
        .as_deref()
        .map(Store::open)
        .transpose()?
        .map(Arc::new);

    let http = TcpListener::bind(config.http)
        .await
        .with_context(|| format!("{} can't be had", config.http))?;
    let (drain, asked) = watch::channel(false);
    let until = Drain {
        asked,
        patience: PATIENCE,
    };
    let ports = config.tcp_route.as_ref().and_then(|tcp| tcp.range());
    let routes = Arc::new(Routes::new(MAX_ROUTES, ports));
    let rentals = chain.compute_rental.as_deref().and_then(address);
    let mut beside = JoinSet::new();
    let failed = |error: &str| eprintln!("jeju-gateway: {error}");
    if let (Some(store), Some(rentals)) = (&store, rentals) {
        let chain = store::Chain {
            id: chain.id,
            rentals,
        };
        routes.restore(store.load_routes(&chain));
        beside.spawn(keep(routes.clone(), store.clone(), chain, failed));
    }
    let leads = Leads {
        index: index.clone(),
        health: health.clone(),
        resolver: resolver.clone(),
        routes: routes.clone(),
    };
    let mut listeners = Listeners::open(&config, config.public_host(), &leads, &until).await?;
    let api = Api::new(Parts {
        info: Info::new(&config, http.local_addr()?.port(), registry),
        index: index.clone(),
        health: health.clone(),
        counters: listeners.counters.clone(),
        chain: reader.clone(),
        routes: routes.clone(),
        ways: listeners.ways.clone(),
        inside: listeners.inside.clone(),
        rates: Rates::new(&config.limits),
    });
    beside.spawn(api::serve(http, Arc::new(api), until));
    let interval = Duration::from_secs(chain.interval_seconds);
    if let Some(rentals) = rentals {
        beside.spawn(review(routes, reader.clone(), rentals, interval));
    }
    let checks = &config.health;
    if checks.enabled {
        let pace = Pace {
            interval: Duration::from_secs(checks.interval_seconds),
            at_once: checks.at_once,
        };
        let probe = Probe::new(Duration::from_secs(checks.timeout_seconds));
        beside.spawn(Rounds::new(index.clone(), health, resolver, probe, pace).run());
    }
    let mut refresh = Refresh::new(reader, chain.id, registry, index);
    if let Some(store) = store {
        refresh = refresh.with_store(store);
    }
    beside.spawn(refresh.run(interval, failed));

    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    drain.send_replace(true);
    tokio::select! {
        () = listeners.ended() => {}
        // Asked twice: at once.
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    beside.abort_all();
    Ok(())
}
