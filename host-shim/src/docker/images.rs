//! Images that were fetched for rentals: those that no container uses go, but for the ones that were used last.
//!
//! Which they are stands in the engine, so that it outlives this process: an image that wasn't there before the guest had it
//! fetched gets a tag of ours, `jeju-rentals:` and the digest of the name that it was fetched by. That name and that tag alone are
//! ever removed; an image that has another name besides stays.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jeju_shim_protocol::docker::{API_VERSION, Emitted, ImageReference};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::call::{LOOK_TIME, WORK_TIME, read};
use super::engine;
use super::failure::Failure;
use crate::shim::State;

/// Name of the tags.
const MARK: &str = "jeju-rentals";
/// `filters={"reference":["jeju-rentals"]}`.
const MARKED: &str = "filters=%7B%22reference%22%3A%5B%22jeju-rentals%22%5D%7D";
/// Most names that are remembered between the fetching of an image and the first look at it.
const MAX_FETCHED: usize = 64;

/// What is known of images beside the engine.
#[derive(Debug, Default)]
pub(super) struct Images {
    /// Names that are being fetched, of images that weren't there.
    fetched: Mutex<BTreeSet<ImageReference>>,
    /// One sweep at a time.
    sweeping: tokio::sync::Mutex<()>,
    /// Whether one waits for another: it finds what was removed meanwhile.
    waits: AtomicBool,
}

/// An image, as the engine shows it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Image {
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    repo_digests: Option<Vec<String>>,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Metadata {
    /// When it got a tag last; here: when it was fetched or used last.
    last_tag_time: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
}

impl Images {
    /// Before an image is fetched.
    pub(super) async fn fetches(&self, socket: &Path, image: &ImageReference) {
        let is_there = inspect(socket, &image.to_string()).await.is_ok();
        let mut fetched = self.fetched();
        if !is_there && fetched.len() < MAX_FETCHED {
            fetched.insert(image.clone());
        }
    }

    /// When an image is there. Its first sight after it was fetched gives it its mark.
    pub(super) async fn is_there(&self, socket: &Path, image: &ImageReference) {
        if self.fetched().remove(image) {
            // Where that fails, the image stays until its operator removes it.
            let _ = mark(socket, image).await;
        }
    }

    /// When a container is made from an image.
    pub(super) async fn used(&self, socket: &Path, image: &ImageReference) {
        let Ok(found) = inspect(socket, &image.to_string()).await else {
            return;
        };
        let own = tag_of(&shown(image));
        if found.tags().any(|tag| *tag == own) {
            let _ = mark(socket, image).await;
        }
    }

    fn fetched(&self) -> std::sync::MutexGuard<'_, BTreeSet<ImageReference>> {
        self.fetched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Image {
    fn tags(&self) -> impl Iterator<Item = &String> {
        self.repo_tags.iter().flatten()
    }

    /// Our tags, and the names that they stand for.
    fn own(&self) -> (Vec<&str>, Vec<&str>) {
        let prefix = format!("{MARK}:");
        let marks: Vec<&str> = self
            .tags()
            .map(String::as_str)
            .filter(|tag| tag.starts_with(&prefix))
            .collect();
        let all = self.tags().chain(self.repo_digests.iter().flatten());
        let names = all
            .map(String::as_str)
            .filter(|name| marks.contains(&&*tag_of(name)));
        (marks.clone(), names.collect())
    }
}

/// Removes what is too much, beside the calls of the guest.
pub(super) fn sweep_soon(state: Arc<State>) {
    tokio::spawn(async move {
        let Some(socket) = &state.config.docker else {
            return;
        };
        let images = &state.docker.images;
        if images.waits.swap(true, Ordering::Relaxed) {
            return;
        }
        let _turn = images.sweeping.lock().await;
        images.waits.store(false, Ordering::Relaxed);
        match sweep(socket, state.config.docker_images).await {
            Ok(0) => {}
            Ok(removed) => state
                .events
                .caused("docker_images_removed", &[("images", &removed)]),
            // The next removal of a container tries again.
            Err(failure) => state.events.caused("docker_failed", &[("code", &failure.code())]),
        }
    });
}

/// Removes marked images that no container uses, but for the `kept` that were used last. How many.
async fn sweep(socket: &Path, kept: usize) -> Result<usize, Failure> {
    let marked: Vec<Listed> = ask(socket, format!("images/json?{MARKED}")).await?;
    let mut unused = Vec::new();
    for Listed { id } in marked {
        let containers = format!(
            "containers/json?all=1&limit=1&filters=%7B%22ancestor%22%3A%5B%22{}%22%5D%7D",
            digest(&id)?
        );
        let users: Vec<Listed> = ask(socket, containers).await?;
        if users.is_empty() {
            unused.push(inspect(socket, digest(&id)?).await?);
        }
    }
    unused.sort_by(|one, other| other.metadata.last_tag_time.cmp(&one.metadata.last_tag_time));
    let mut removed = 0;
    for image in unused.iter().skip(kept) {
        let (marks, names) = image.own();
        // The mark last: a sweep that is broken off is gone on with.
        for name in names.into_iter().chain(marks) {
            remove(socket, name).await?;
        }
        removed += 1;
    }
    Ok(removed)
}

async fn mark(socket: &Path, image: &ImageReference) -> Result<(), Failure> {
    let tag = tag_of(&shown(image));
    let tag = tag.rsplit(':').next().unwrap_or_default();
    let target = format!("images/{image}/tag?repo={MARK}&tag={tag}");
    send(socket, "POST", target).await
}

async fn inspect(socket: &Path, name: &str) -> Result<Image, Failure> {
    ask(socket, format!("images/{name}/json")).await
}

async fn remove(socket: &Path, name: &str) -> Result<(), Failure> {
    // By its name, never by force: what else has a name, or a container, stays.
    send(socket, "DELETE", format!("images/{name}")).await
}

async fn ask<T: DeserializeOwned>(socket: &Path, path: String) -> Result<T, Failure> {
    let answer = engine::send(socket, emitted("GET", path), None, false, LOOK_TIME).await?;
    read(answer).await
}

async fn send(socket: &Path, method: &'static str, path: String) -> Result<(), Failure> {
    let answer = engine::send(socket, emitted(method, path), None, false, WORK_TIME).await?;
    answer.whole(WORK_TIME).await.map(|_| ())
}

fn emitted(method: &'static str, path: String) -> Emitted {
    Emitted {
        method,
        target: format!("/{API_VERSION}/{path}"),
        content_type: None,
        body: None,
    }
}

/// A name as the engine shows it among an image's tags or digests.
fn shown(image: &ImageReference) -> String {
    let name = image.familiar_name();
    match image.digest() {
        Some(digest) => format!("{name}@sha256:{}", hex::encode(digest)),
        None => format!("{name}:{}", image.tag().unwrap_or("latest")),
    }
}

fn tag_of(name: &str) -> String {
    format!("{MARK}:{}", hex::encode(Sha256::digest(name)))
}

/// An id of the engine's, before it goes into a path.
fn digest(id: &str) -> Result<&str, Failure> {
    let digits = id.strip_prefix("sha256:").unwrap_or_default();
    let is_digest = digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_digest.then_some(id).ok_or_else(Failure::malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_were_fetched_are_known_and_no_others() {
        let image = |text: &str| -> ImageReference { text.parse().unwrap() };
        assert_eq!(shown(&image("docker.io/library/busybox")), "busybox:latest");
        let by_digest = format!("127.0.0.1:5000/a@sha256:{}", "ab".repeat(32));
        assert_eq!(shown(&image(&by_digest)), by_digest);
        let found = Image {
            repo_tags: Some(vec![
                "busybox:latest".to_owned(),
                "of-the-operator:1".to_owned(),
                tag_of("busybox:latest"),
                tag_of(&by_digest),
            ]),
            repo_digests: Some(vec![
                by_digest.clone(),
                format!("busybox@sha256:{}", "ab".repeat(32)),
            ]),
            metadata: Metadata::default(),
        };
        let (marks, names) = found.own();
        assert_eq!(marks, [tag_of("busybox:latest"), tag_of(&by_digest)]);
        assert_eq!(names, ["busybox:latest", &by_digest]);
        for bad in ["", "sha256:", "sha256:../x", &"ab".repeat(32)] {
            assert!(digest(bad).is_err(), "{bad}");
        }
    }
}
