//! The rules by which a proxy judges nodes, taken anew where the files change that they stand in: a proxy outlives
//! snapshots, and a measurement that is no longer accepted mustn't wait for its restart.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::relying_party::RelyingParty;
use crate::trust::{TrustArguments, TrustError};

/// Between two looks at the files.
const LOOK: Duration = Duration::from_secs(5);

/// The rules in force. Sessions that were judged by others aren't used any more.
#[derive(Clone)]
pub struct Rules(Arc<RwLock<Arc<RelyingParty>>>);

/// Rules, and the files that they are from.
pub(super) struct Files {
    trust: TrustArguments,
    rules: Rules,
    seen: Vec<Stamp>,
}

/// What of a file changes with its content: which file it is, its length, and when it was written.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

impl Rules {
    pub(super) fn now(&self) -> Arc<RelyingParty> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts others in their place.
    pub fn replace(&self, party: Arc<RelyingParty>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = party;
    }
}

impl From<Arc<RelyingParty>> for Rules {
    fn from(party: Arc<RelyingParty>) -> Self {
        Self(Arc::new(RwLock::new(party)))
    }
}

impl Files {
    /// Reads the rules that a command line names.
    pub(super) fn read(trust: &TrustArguments) -> Result<Self, TrustError> {
        // Before they are read: what changes meanwhile is read again.
        let seen = stamps(&trust.rule_files());
        Ok(Self {
            trust: trust.clone(),
            rules: trust.relying_party()?.into(),
            seen,
        })
    }

    pub(super) fn rules(&self) -> Rules {
        self.rules.clone()
    }

    /// Looks again and again, for ever.
    pub(super) async fn follow(mut self) {
        loop {
            tokio::time::sleep(LOOK).await;
            // It waits for other processes that remember what they saw.
            let looked = tokio::task::spawn_blocking(move || {
                self.look();
                self
            });
            match looked.await {
                Ok(files) => self = files,
                Err(_) => return,
            }
        }
    }

    /// Takes the rules anew if a file changed. What can't be used leaves the old ones in force; a snapshot ends by itself.
    fn look(&mut self) {
        let found = stamps(&self.trust.rule_files());
        if found == self.seen {
            return;
        }
        self.seen = found;
        match self.trust.relying_party() {
            Ok(party) => {
                self.rules.replace(party);
                eprintln!("jeju proxy: the policy was read anew");
            }
            Err(error) => eprintln!(
                "jeju proxy: the policy stays as it was, what is in the files now is of no use: {error} ({})",
                error.code()
            ),
        }
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    let stamp = |path: &PathBuf| {
        let found = fs::metadata(path).ok()?;
        Some((
            found.dev(),
            found.ino(),
            found.len(),
            found.mtime(),
            found.mtime_nsec(),
        ))
    };
    files.iter().map(stamp).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn write(path: &Path, agents: &str) {
        let text = format!(
            "version = 1\nkind = \"development\"\ntees = [\"simulated\"]\n{agents}\nmeasurements = [\"0x{}\"]\n\
             [registry]\nchain_id = 31337\naddress = \"0x{}\"\n[simulated]\nroots = [\"0x{}\"]\n",
            "01".repeat(32),
            "08".repeat(20),
            "04".repeat(65)
        );
        // As a careful writer does: whole, under another name first.
        let next = path.with_extension("next");
        fs::write(&next, text).unwrap();
        fs::rename(next, path).unwrap();
    }

    #[test]
    fn what_is_in_the_files_holds_from_the_next_look_on_and_nonsense_never() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("policy.toml");
        write(&path, "any_agent = true");
        let trust = TrustArguments {
            policy: Some(path.clone()),
            development: true,
            ..TrustArguments::default()
        };
        let mut files = Files::read(&trust).unwrap();
        let rules = files.rules();
        let first = rules.now();
        files.look();
        assert!(Arc::ptr_eq(&first, &rules.now()), "nothing changed");

        let agent = format!("agents = [\"0x{}\"]", "07".repeat(32));
        write(&path, &agent);
        files.look();
        let second = rules.now();
        assert!(first.policy().any_agent && !second.policy().any_agent);

        fs::write(&path, "version = ").unwrap();
        files.look();
        fs::remove_file(&path).unwrap();
        files.look();
        assert!(Arc::ptr_eq(&second, &rules.now()));
        write(&path, "any_agent = true");
        files.look();
        assert!(rules.now().policy().any_agent);
    }
}
