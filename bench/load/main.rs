//! Load on inference for bench/upstream and bench/soak: an upstream that replays, and clients that keep streams running,
//! count what arrives and verify every signature. One thread each, so that two cores are left for what is measured.

mod connection;
mod replay;
mod statistics;
mod streams;

use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// An upstream that sends numbered tokens at a fixed rate to whoever asks
    Replay(replay::Arguments),
    /// Keeps streams running, and prints one JSON object about them
    Streams(streams::Arguments),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Replay(arguments) => replay::serve(arguments).await,
        Command::Streams(arguments) => streams::run(arguments).await,
    }
}
