//! The clients: each keeps one stream running on a connection of its own, and starts the next when it ends.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::response::EndReason;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::connection::{Connection, Events, Response, Target};
use crate::replay;
use crate::statistics::{Statistics, Stream};

/// Wait after a failure, so that what is down isn't asked all the time.
const PAUSE: Duration = Duration::from_millis(200);

#[derive(clap::Args, Clone)]
pub struct Arguments {
    /// host:port
    #[arg(long)]
    to: String,
    /// File with the root of a node's simulated silicon; without it the other end is an upstream
    #[arg(long)]
    root: Option<PathBuf>,
    #[arg(long)]
    model: String,
    /// How many at a time
    #[arg(long)]
    streams: usize,
    /// Tokens of each answer
    #[arg(long)]
    tokens: u64,
    /// For how many seconds streams are started
    #[arg(long)]
    seconds: f64,
    /// Seconds over which the first ones start
    #[arg(long, default_value_t = 2.0)]
    ramp: f64,
    /// Seconds after which streams count that start then
    #[arg(long, default_value_t = 0.0)]
    warm_up: f64,
    /// Answers are the replay's: every token must come, once, in an event of its own
    #[arg(long)]
    numbered: bool,
}

pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let root = arguments.root.as_deref().map(read_root).transpose()?;
    let target = Arc::new(Target::new(&arguments.to, root)?);
    let statistics = Arc::new(Mutex::new(Statistics::new(arguments.streams)));
    let started = Instant::now();
    let mut lanes = JoinSet::new();
    for number in 0..arguments.streams {
        let lane = Lane {
            number,
            arguments: arguments.clone(),
            target: target.clone(),
            statistics: statistics.clone(),
            started,
        };
        lanes.spawn(lane.run());
    }
    while let Some(ended) = lanes.join_next().await {
        ended?;
    }
    let took = started.elapsed();
    let cpu = std::fs::read_to_string("/proc/self/schedstat")?;
    let cpu: f64 = cpu.split(' ').next().context("no time")?.parse()?;
    let mut found = statistics
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .document(took);
    found["client_cpu_seconds"] = json!(cpu / 1e9);
    println!("{found}");
    Ok(())
}

fn read_root(path: &Path) -> anyhow::Result<HexBytes<65>> {
    let text = std::fs::read_to_string(path)?;
    Ok(serde_json::from_value(json!(format!("0x{}", text.trim())))?)
}

struct Lane {
    number: usize,
    arguments: Arguments,
    target: Arc<Target>,
    statistics: Arc<Mutex<Statistics>>,
    started: Instant,
}

impl Lane {
    async fn run(self) {
        let share = self.number as f64 / self.arguments.streams as f64;
        sleep(Duration::from_secs_f64(self.arguments.ramp * share)).await;
        let mut connection = None;
        let mut round = 0;
        while self.started.elapsed().as_secs_f64() < self.arguments.seconds {
            match self.stream(&mut connection, round).await {
                Ok(Some(stream)) => self.note(|statistics| statistics.ended(stream)),
                Ok(None) => {}
                Err(error) => {
                    connection = None;
                    self.note(|statistics| statistics.failed(&format!("{error:#}")));
                    sleep(PAUSE).await;
                }
            }
            round += 1;
        }
    }

    /// One stream from the request to its end; `None` where there was no place for it.
    async fn stream(&self, kept: &mut Option<Connection>, round: usize) -> anyhow::Result<Option<Stream>> {
        if kept.is_none() {
            *kept = Some(self.target.connect().await?);
        }
        let connection = kept.as_mut().context("a connection")?;
        let body = self.body(round);
        let counts = self.started.elapsed().as_secs_f64() >= self.arguments.warm_up;
        let mut stream = self.note(|statistics| statistics.asked(counts));
        let mut events = match connection.chat(body).await? {
            Response::Stream(events) => events,
            Response::Busy(after) => {
                self.note(Statistics::refused);
                sleep(after).await;
                return Ok(None);
            }
        };
        let mut answer = Answer::default();
        while let Some(received) = events.next().await? {
            for event in std::str::from_utf8(&received)?.split_terminator("\n\n") {
                if self.read(event, &mut answer)? {
                    self.note(|statistics| statistics.token(&mut stream));
                }
            }
        }
        self.check(&answer, *events)?;
        Ok(Some(stream))
    }

    fn body(&self, round: usize) -> Bytes {
        let prompt = format!("Write a long story about {} dragons.", self.number * 1000 + round);
        let body = json!({
            "model": self.arguments.model,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": self.arguments.tokens,
            "temperature": 0,
            "stream": true,
            "stream_options": {"include_usage": true},
        });
        body.to_string().into()
    }

    /// Whether the event is a token of the answer.
    fn read(&self, event: &str, answer: &mut Answer) -> anyhow::Result<bool> {
        let Some(data) = event.strip_prefix("data: ") else {
            // Comments: the signed end, and what keeps a connection open.
            return Ok(false);
        };
        if data == "[DONE]" {
            answer.done = true;
            return Ok(false);
        }
        let document: Value = serde_json::from_str(data)?;
        if let Some(error) = document.get("error") {
            bail!("an event with an error: {}", error["code"]);
        }
        let choice = &document["choices"][0];
        if let Some(reason) = choice["finish_reason"].as_str() {
            answer.finish = reason.to_owned();
        }
        if let Some(tokens) = document["usage"]["completion_tokens"].as_u64() {
            answer.usage = tokens;
        }
        let text = choice["delta"]["content"].as_str().unwrap_or_default();
        if text.is_empty() {
            return Ok(false);
        }
        if self.arguments.numbered {
            let expected = replay::text(answer.tokens);
            ensure!(text == expected, "token {expected:?} came as {text:?}");
        }
        answer.tokens += 1;
        Ok(true)
    }

    fn check(&self, answer: &Answer, events: Events) -> anyhow::Result<()> {
        let asked = self.arguments.tokens;
        let node = events.end()?;
        ensure!(answer.done, "the stream was cut");
        ensure!(
            answer.finish == "length",
            "the answer ended with {:?}",
            answer.finish
        );
        ensure!(answer.usage == asked, "{} tokens by its usage", answer.usage);
        ensure!(
            node.is_none_or(|end| end == EndReason::Length),
            "signed as {node:?}"
        );
        // A character may take more than one token, unless the tokens are numbers.
        ensure!(
            answer.tokens == asked || !self.arguments.numbered && answer.tokens > 0,
            "{} tokens came",
            answer.tokens
        );
        Ok(())
    }

    fn note<T>(&self, note: impl FnOnce(&mut Statistics) -> T) -> T {
        note(&mut self.statistics.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[derive(Default)]
struct Answer {
    tokens: u64,
    usage: u64,
    finish: String,
    done: bool,
}
