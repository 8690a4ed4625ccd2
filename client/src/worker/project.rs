//! A worker's project: a folder with `jeju-worker.toml`, or one source file alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::WorkerError;
use crate::files;

/// The file that describes a project.
pub const FILE: &str = "jeju-worker.toml";
/// Longest such file, in bytes.
const MAX_LEN: usize = 64 * 1024;

/// What is deployed, and where it lies.
#[derive(Clone, PartialEq, Eq)]
pub struct Project {
    /// Folder that all modules lie in.
    pub root: PathBuf,
    /// What `jeju-worker.toml` says.
    pub settings: Settings,
}

/// What `jeju-worker.toml` says. What it leaves out, the node decides.
#[derive(Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The worker's name.
    pub name: String,
    /// The module with the handlers, from the project's folder.
    pub main: String,
    /// Which form the handlers have: `detect`, `modules`, `legacy`.
    pub compatibility: Option<String>,
    /// Paths below `/w` that it serves.
    #[serde(default)]
    pub routes: Vec<String>,
    /// When `scheduled` runs: five fields, UTC.
    pub cron: Option<String>,
    /// Most time for one event, in milliseconds.
    pub timeout_ms: Option<u32>,
    /// Most time on a CPU for one event, in milliseconds.
    pub cpu_ms: Option<u32>,
    /// Most memory of an isolate, in MiB.
    pub memory_mb: Option<u32>,
    /// Most events at a time.
    pub max_concurrent: Option<u16>,
    /// Variables that everybody with the project may read; secrets are put by `jeju worker secret`.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

impl Project {
    /// Reads a project: a folder with a `jeju-worker.toml`, that file, or a source file, which is named after itself.
    ///
    /// # Errors
    /// [`WorkerError::File`], [`WorkerError::Project`].
    pub fn read(path: &Path) -> Result<Self, WorkerError> {
        let about = std::fs::metadata(path).map_err(|source| files::unreadable(path, source))?;
        let file = match about.is_dir() {
            true => path.join(FILE),
            false => path.to_owned(),
        };
        let root = match file.parent() {
            Some(parent) if parent != Path::new("") => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let settings = match file.extension().is_some_and(|extension| extension == "toml") {
            true => toml::from_str(&files::text(&file, MAX_LEN)?)
                .map_err(|source| invalid(&file, source.message().to_owned()))?,
            false => Settings::of_source(&file)?,
        };
        Ok(Self { root, settings })
    }
}

impl Settings {
    fn of_source(file: &Path) -> Result<Self, WorkerError> {
        let text = |part: Option<&std::ffi::OsStr>| part.and_then(|part| part.to_str()).map(str::to_owned);
        let (Some(name), Some(main)) = (text(file.file_stem()), text(file.file_name())) else {
            return Err(invalid(file, "the name is no text".to_owned()));
        };
        Ok(Self {
            name,
            main,
            ..Self::default()
        })
    }
}

fn invalid(path: &Path, words: String) -> WorkerError {
    WorkerError::Project {
        path: path.to_owned(),
        words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_read_by_its_file_and_a_source_stands_for_itself() {
        let folder = tempfile::tempdir().unwrap();
        let text = "name = \"hello\"\nmain = \"src/index.ts\"\nroutes = [\"/hello\", \"/users/:id\"]\n\
                    cron = \"*/5 * * * *\"\nmemory_mb = 64\n[env]\nGREETING = \"Hello\"\n";
        std::fs::write(folder.path().join(FILE), text).unwrap();
        std::fs::write(folder.path().join("echo.js"), "").unwrap();
        let project = Project::read(folder.path()).unwrap();
        assert!(project == Project::read(&folder.path().join(FILE)).unwrap());
        assert_eq!(project.root, folder.path());
        let Settings {
            name,
            main,
            routes,
            cron,
            memory_mb,
            env,
            timeout_ms,
            ..
        } = project.settings;
        assert_eq!((name.as_str(), main.as_str()), ("hello", "src/index.ts"));
        assert_eq!(routes, ["/hello", "/users/:id"]);
        assert_eq!(
            (cron.as_deref(), memory_mb, timeout_ms),
            (Some("*/5 * * * *"), Some(64), None)
        );
        assert_eq!(env["GREETING"], "Hello");

        let alone = Project::read(&folder.path().join("echo.js")).unwrap();
        assert_eq!(
            (alone.settings.name.as_str(), alone.settings.main.as_str()),
            ("echo", "echo.js")
        );
        assert_eq!(alone.root, folder.path());
    }

    #[test]
    fn what_a_project_does_not_have_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |text: &str| {
            std::fs::write(folder.path().join(FILE), text).unwrap();
            Project::read(folder.path()).err().unwrap()
        };
        for text in [
            "",
            "name = \"a\"",
            "main = \"a.js\"",
            "name = \"a\"\nmain = \"a.js\"\nsecret = \"b\"",
            "name = \"a\"\nmain = \"a.js\"\nmemory_mb = \"64\"",
            "name = \"a\"\nmain = \"a.js\"\n[env]\nA = 1",
            "name",
        ] {
            assert_eq!(refused(text).code(), "project_invalid", "{text}");
        }
        for none in ["none", "none.toml", "none.js"] {
            let none = Project::read(&folder.path().join(none)).err().unwrap();
            assert_eq!(none.code(), "file_unreadable");
        }
    }
}
