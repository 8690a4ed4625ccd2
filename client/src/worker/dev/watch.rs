//! Whether files changed. They are looked at a few times a second: no system's way to be told of changes holds for all
//! file systems, and a project has few files.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

const PERIOD: Duration = Duration::from_millis(300);

/// What tells one state of a file from another.
type State = Option<(SystemTime, u64)>;

/// Files, and how they were.
pub(super) struct Watch {
    files: Vec<(PathBuf, State)>,
}

impl Watch {
    /// Watches these files as they are now.
    pub(super) fn new(files: impl IntoIterator<Item = PathBuf>) -> Self {
        let files = files.into_iter().map(|file| {
            let state = state(&file);
            (file, state)
        });
        Self {
            files: files.collect(),
        }
    }

    /// Watches these too.
    pub(super) fn add(&mut self, files: &[PathBuf]) {
        self.files.extend(Self::new(files.iter().cloned()).files);
    }

    /// Waits until one isn't as it was, and then until nothing more changes for a moment.
    pub(super) async fn changed(&mut self) {
        while !self.settle() {
            tokio::time::sleep(PERIOD).await;
        }
        tokio::time::sleep(PERIOD / 3).await;
    }

    /// Takes them as they are, and says whether one was different.
    pub(super) fn settle(&mut self) -> bool {
        let mut changed = false;
        for (file, before) in &mut self.files {
            let now = state(file);
            changed |= now != *before;
            *before = now;
        }
        changed
    }
}

fn state(file: &PathBuf) -> State {
    let about = std::fs::metadata(file).ok()?;
    Some((about.modified().ok()?, about.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_change_come_and_go_are_seen() {
        let folder = tempfile::tempdir().unwrap();
        let [one, other] = ["one", "other"].map(|name| folder.path().join(name));
        std::fs::write(&one, "1").unwrap();
        let mut watch = Watch::new([one.clone()]);
        watch.add(std::slice::from_ref(&other));
        assert!(!watch.settle());
        std::fs::write(&one, "12").unwrap();
        assert!(watch.settle() && !watch.settle());
        std::fs::write(&other, "1").unwrap();
        assert!(watch.settle() && !watch.settle());
        std::fs::remove_file(&other).unwrap();
        assert!(watch.settle() && !watch.settle());
    }
}
