//! `jeju verify`, `jeju chat` and `jeju cert`: one node, once.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use jeju_client::audit::{Exchange, exchange};
use jeju_client::chat::{self, Prompt};
use jeju_client::node_url::NodeUrl;
use jeju_client::payment::{PayArguments, PriceLimit};
use jeju_client::session::{Limits, Session};
use jeju_client::trust::TrustArguments;
use jeju_client::{certificate, verify};

use super::print;

#[derive(Args)]
pub(crate) struct VerifyArguments {
    /// Node, as https://host:port
    url: NodeUrl,
    #[command(flatten)]
    trust: TrustArguments,
    /// Print the verdict as one JSON line
    #[arg(long)]
    pub(crate) json: bool,
    /// Seconds until giving up
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

#[derive(Args)]
pub(crate) struct ChatArguments {
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
    pub(crate) json: bool,
    /// Save request, answer and evidence to a new file, for `jeju audit response`
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    #[command(flatten)]
    pay: PayArguments,
}

#[derive(Args)]
pub(crate) struct CertArguments {
    /// Node, as https://host:port
    url: NodeUrl,
    /// File to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print the verdict as one JSON line
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    trust: TrustArguments,
}

pub(crate) async fn verify(arguments: VerifyArguments) -> anyhow::Result<ExitCode> {
    let limits = Limits {
        attest: Duration::from_secs(arguments.timeout),
        ..Limits::default()
    };
    let url = &arguments.url;
    let session = connect(url, &arguments.trust, limits).await;
    let text = session.map(|session| match arguments.json {
        true => verify::json(url, session.verdict()).to_string(),
        false => verify::lines(url, session.verdict()).join("\n"),
    });
    print::text_of(text, arguments.json)
}

pub(crate) async fn chat(arguments: ChatArguments) -> anyhow::Result<ExitCode> {
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

pub(crate) async fn cert(arguments: CertArguments) -> anyhow::Result<ExitCode> {
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

async fn connect(url: &NodeUrl, trust: &TrustArguments, limits: Limits) -> anyhow::Result<Session> {
    Ok(Session::connect(url, trust.relying_party()?, limits).await?)
}
