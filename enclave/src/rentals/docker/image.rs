//! Images: fetched where they aren't there, and compared with what was asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jeju_shim_protocol::docker::answer::{self, MAX_PROGRESS_LINE, PullProgress};
use jeju_shim_protocol::docker::{ImageReference, Request};
use tokio::time::{Instant, timeout};

use super::client::{CallError, Client, in_time};
use super::text::printable;
use super::{ANSWER, record};
use crate::rentals::backend::{BackendError, Progress};

/// Longest time for a whole image, and for it to show no progress.
const PULL: Duration = Duration::from_secs(3600);
const STANDSTILL: Duration = Duration::from_secs(300);
/// Most bytes and lines of progress, and most layers that are counted.
const MAX_PROGRESS: usize = 64 << 20;
const MAX_LINES: usize = 1_000_000;
const MAX_LAYERS: usize = 256;
/// How often a tenant is told.
const EVERY: Duration = Duration::from_secs(1);
/// Longest reason that is passed on, in bytes.
const MAX_REASON: usize = 400;

/// What of an image a container is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    /// The engine's id, `sha256:…`.
    pub(super) id: String,
    /// Entrypoint and command.
    pub(super) command: Vec<String>,
    /// Paths that it declares as volumes, in ascending order.
    pub(super) volumes: Vec<String>,
}

/// Finds an image, and fetches it if it isn't there.
pub(super) async fn have(
    client: &Client,
    reference: &ImageReference,
    progress: &Progress,
) -> Result<Image, BackendError> {
    let request = Request::InspectImage(reference.clone());
    match client.read(&request, ANSWER).await {
        Ok(found) => return judge(reference, found),
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error.into()),
    }
    in_time(PULL, async { Ok(pull(client, reference, progress).await) }).await??;
    match client.read(&request, ANSWER).await {
        Ok(found) => judge(reference, found),
        Err(error) if error.is_not_found() => {
            Err(BackendError::Image("it was fetched, and isn't there".to_owned()))
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether an image is the one that was asked for, as far as the engine says, and can run here.
fn judge(reference: &ImageReference, found: answer::Image) -> Result<Image, BackendError> {
    let wrong = |what: String| Err(BackendError::Image(what));
    if !found.id.strip_prefix("sha256:").is_some_and(record::is_digest) {
        return Err(BackendError::Unavailable("an image has no id".to_owned()));
    }
    if let Some(digest) = reference.digest() {
        let asked = format!("sha256:{}", hex::encode(digest));
        let manifests = found
            .repo_digests
            .iter()
            .filter_map(|named| named.rsplit('@').next());
        if !manifests.chain([found.id.as_str()]).any(|have| have == asked) {
            return wrong(format!("image digest mismatch: {asked} was asked for"));
        }
    }
    let machine = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let fits = |has: &str, needed: &str| has.is_empty() || has == needed;
    if !fits(&found.os, "linux") || !fits(&found.architecture, machine) {
        let (os, architecture) = (printable(&found.os, 32), printable(&found.architecture, 32));
        return wrong(format!(
            "it is for {os}/{architecture}, and this is linux/{machine}"
        ));
    }
    let mut command = found.config.entrypoint;
    command.extend(found.config.cmd);
    let volumes: BTreeSet<String> = found
        .config
        .volumes
        .into_keys()
        .map(|path| path.trim_end_matches('/').to_owned())
        .collect();
    Ok(Image {
        id: found.id,
        command,
        volumes: volumes.into_iter().collect(),
    })
}

async fn pull(client: &Client, reference: &ImageReference, progress: &Progress) -> Result<(), BackendError> {
    progress(format!("fetching image {reference}"));
    let mut answer = match client
        .stream(&Request::PullImage(reference.clone()), STANDSTILL)
        .await
    {
        Ok(answer) => answer,
        // No such image, or the registry doesn't let the engine in.
        Err(CallError::Failed { failure, status }) if status < 500 || failure.code == "docker_engine" => {
            return Err(BackendError::Image(failure.message));
        }
        Err(error) => return Err(error.into()),
    };
    let (mut line, mut layers) = (Vec::new(), Layers::default());
    let (mut total, mut lines) = (0, 0);
    let mut told = Instant::now();
    loop {
        let piece = timeout(STANDSTILL, answer.next())
            .await
            .map_err(|_| BackendError::TimedOut)??;
        let Some(piece) = piece else { break };
        total += piece.len();
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(part);
            lines += usize::from(part.ends_with(b"\n"));
            if line.len() > MAX_PROGRESS_LINE || total > MAX_PROGRESS || lines > MAX_LINES {
                return Err(CallError::TooLong.into());
            }
            if line.last() == Some(&b'\n') {
                layers.take(&line)?;
                line.clear();
            }
        }
        if told.elapsed() >= EVERY {
            told = Instant::now();
            progress(format!("fetching image {reference}: {layers}"));
        }
    }
    layers.take(&line)?;
    progress(format!("fetched image {reference}: {layers}"));
    Ok(())
}

/// How far the layers of an image are: done, bytes fetched, bytes in all.
#[derive(Debug, Default)]
struct Layers(BTreeMap<String, (bool, u64, u64)>);

impl Layers {
    /// Takes a line of the answer.
    fn take(&mut self, line: &[u8]) -> Result<(), BackendError> {
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        let said: PullProgress = answer::read(line).map_err(CallError::from)?;
        if let Some(error) = said.error {
            return Err(BackendError::Image(printable(&error, MAX_REASON)));
        }
        let (Some(status), Some(id)) = (said.status, said.id) else {
            return Ok(());
        };
        let is_new = !self.0.contains_key(&id);
        // The first line has the tag in the place of a layer.
        if is_new && (self.0.len() == MAX_LAYERS || id.len() > 64 || status.starts_with("Pulling from")) {
            return Ok(());
        }
        let (done, have, all) = self.0.entry(id).or_default();
        match (status.as_str(), said.progress_detail) {
            ("Downloading", Some(detail)) => {
                *have = detail.current.unwrap_or(*have);
                *all = detail.total.unwrap_or(*all);
            }
            ("Download complete", _) => *have = *all,
            ("Pull complete" | "Already exists", _) => (*done, *have) = (true, *all),
            _ => {}
        }
        Ok(())
    }
}

impl std::fmt::Display for Layers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let layers = self.0.values();
        let done = layers.clone().filter(|(done, ..)| *done).count();
        let sum = |part: fn(&(bool, u64, u64)) -> u64| layers.clone().map(part).fold(0, u64::saturating_add);
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let (have, all) = (megabytes(sum(|layer| layer.1)), megabytes(sum(|layer| layer.2)));
        write!(f, "{done} of {} layers, {have:.1} of {all:.1} MB", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> answer::Image {
        answer::Image {
            id: format!("sha256:{}", "ab".repeat(32)),
            repo_digests: vec![format!("a@sha256:{}", "cd".repeat(32))],
            os: "linux".to_owned(),
            ..answer::Image::default()
        }
    }

    #[test]
    fn an_image_is_the_one_whose_digest_was_asked_for() {
        let judged = |reference: &str| judge(&reference.parse().unwrap(), found());
        judged("a:1").unwrap();
        judged(&format!("a@sha256:{}", "cd".repeat(32))).unwrap();
        judged(&format!("a@sha256:{}", "ab".repeat(32))).unwrap();
        let other = judged(&format!("a@sha256:{}", "ef".repeat(32))).unwrap_err();
        assert!(
            other.to_string().starts_with("image: image digest mismatch"),
            "{other}"
        );
    }

    #[test]
    fn an_image_for_another_machine_is_refused() {
        for (os, architecture) in [("windows", ""), ("linux", "mips\n"), ("", "vax")] {
            let mut found = found();
            (found.os, found.architecture) = (os.to_owned(), architecture.to_owned());
            let error = judge(&"a".parse().unwrap(), found).unwrap_err();
            assert!(matches!(error, BackendError::Image(_)), "{error}");
        }
        let mut found = found();
        found.id = "sha256:1".to_owned();
        assert!(matches!(
            judge(&"a".parse().unwrap(), found),
            Err(BackendError::Unavailable(_))
        ));
    }

    #[test]
    fn what_an_image_runs_and_declares_is_kept() {
        let mut found = found();
        found.config.entrypoint = vec!["a".to_owned()];
        found.config.cmd = vec!["b".to_owned()];
        for path in ["/z", "/data/", "/data"] {
            found.config.volumes.insert(path.to_owned(), answer::Empty {});
        }
        let image = judge(&"a".parse().unwrap(), found).unwrap();
        assert_eq!(image.command, ["a", "b"]);
        assert_eq!(image.volumes, ["/data", "/z"]);
    }

    #[test]
    fn progress_is_counted_and_nothing_of_it_is_repeated() {
        let mut layers = Layers::default();
        for line in [
            r#"{"status":"Pulling from library/a","id":"latest"}"#,
            r#"{"status":"Pulling fs layer","progressDetail":{},"id":"one"}"#,
            r#"{"status":"Already exists","progressDetail":{},"id":"two"}"#,
            r#"{"status":"Downloading","progressDetail":{"current":1500000,"total":3000000},"id":"one"}"#,
            r#"{"status":"\u001b[2J evil","id":"one"}"#,
            r#"{"status":"Digest: sha256:00"}"#,
            "\r\n",
        ] {
            layers.take(line.as_bytes()).unwrap();
        }
        assert_eq!(layers.to_string(), "1 of 2 layers, 1.5 of 3.0 MB");
        layers
            .take(br#"{"status":"Downloading","id":"2","progressDetail":{"current":18446744073709551615}}"#)
            .unwrap();
        layers.take(br#"{"status":"Pull complete","id":"one"}"#).unwrap();
        assert!(layers.to_string().starts_with("2 of 3 layers"), "{layers}");
        for id in 0..1000 {
            let line = format!(r#"{{"status":"Waiting","id":"layer{id}"}}"#);
            layers.take(line.as_bytes()).unwrap();
        }
        assert_eq!(layers.0.len(), MAX_LAYERS);
        let failed = layers.take(br#"{"error":"no\nsuch","errorDetail":{}}"#);
        assert_eq!(failed, Err(BackendError::Image("no such".to_owned())));
        assert!(layers.take(b"{").is_err());
    }
}
