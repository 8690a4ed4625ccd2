//! What `jeju worker init` writes.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::WorkerError;

/// A file of a template, by its name in the project.
type File = (&'static str, &'static str);

macro_rules! files {
    ($folder:literal: $($name:literal),+) => {
        &[$(($name, include_str!(concat!("../../templates/", $folder, "/", $name)))),+]
    };
}

/// The types, which the TypeScript template brings along.
const TYPES: &[File] = &[
    ("index.d.ts", include_str!("../../worker-types/index.d.ts")),
    ("handlers.d.ts", include_str!("../../worker-types/handlers.d.ts")),
    ("fetch.d.ts", include_str!("../../worker-types/fetch.d.ts")),
    ("streams.d.ts", include_str!("../../worker-types/streams.d.ts")),
    ("url.d.ts", include_str!("../../worker-types/url.d.ts")),
    ("events.d.ts", include_str!("../../worker-types/events.d.ts")),
    ("crypto.d.ts", include_str!("../../worker-types/crypto.d.ts")),
    ("globals.d.ts", include_str!("../../worker-types/globals.d.ts")),
];
const TYPES_FOLDER: &str = "types/jeju-worker";

/// A project to begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Template {
    /// One JavaScript module
    Hello,
    /// TypeScript of several modules, with types
    Typescript,
    /// A worker that runs by the clock
    Cron,
    /// The handlers of the first Jeju Compute, with plain objects
    Legacy,
}

impl Template {
    /// Its name, which stands in its files for the project's.
    const fn name(self) -> &'static str {
        match self {
            Template::Hello => "hello",
            Template::Typescript => "typescript",
            Template::Cron => "cron",
            Template::Legacy => "legacy",
        }
    }

    fn files(self) -> &'static [File] {
        match self {
            Template::Hello => files!("hello": "jeju-worker.toml", "worker.js"),
            Template::Typescript => files!("typescript": "jeju-worker.toml", "package.json", "tsconfig.json",
                                           "src/index.ts", "src/greet.ts"),
            Template::Cron => files!("cron": "jeju-worker.toml", "src/index.js"),
            Template::Legacy => files!("legacy": "jeju-worker.toml", "worker.js"),
        }
    }

    fn types(self) -> &'static [File] {
        match self {
            Template::Typescript => TYPES,
            _ => &[],
        }
    }
}

/// Writes a project of this name into a folder, and returns what it wrote. Nothing is overwritten.
///
/// # Errors
/// [`WorkerError::Exists`] before anything is written, [`WorkerError::Write`].
pub fn write(template: Template, name: &str, folder: &Path) -> Result<Vec<PathBuf>, WorkerError> {
    let own = template
        .files()
        .iter()
        .map(|(file, text)| (folder.join(file), named(template, file, text, name)));
    let types = template
        .types()
        .iter()
        .map(|(file, text)| (folder.join(TYPES_FOLDER).join(file), (*text).to_owned()));
    let files: Vec<_> = own.chain(types).collect();
    if let Some((path, _)) = files.iter().find(|(path, _)| path.symlink_metadata().is_ok()) {
        return Err(WorkerError::Exists(path.clone()));
    }
    for (path, text) in &files {
        let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| {
            OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(path)?
                .write_all(text.as_bytes())
        });
        written.map_err(|source| WorkerError::Write {
            path: path.clone(),
            source,
        })?;
    }
    Ok(files.into_iter().map(|(path, _)| path).collect())
}

/// A template's file with the project's name where its own stands.
fn named(template: Template, file: &str, text: &str, name: &str) -> String {
    let (from, to) = match file {
        "jeju-worker.toml" => (
            format!("name = \"{}\"", template.name()),
            format!("name = \"{name}\""),
        ),
        "package.json" => (
            format!("\"name\": \"{}\"", template.name()),
            format!("\"name\": \"{name}\""),
        ),
        _ => return text.to_owned(),
    };
    text.replacen(&from, &to, 1)
}

/// A name that projects may have: what an id and a package can be made of.
///
/// # Errors
/// What names are made of.
pub fn project_name(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    match (1..=64).contains(&text.len()) && text.bytes().all(fits) {
        true => Ok(text.to_owned()),
        false => Err("1 to 64 lower-case letters, digits and hyphens are expected".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::bundle::bundle;
    use crate::worker::project::Project;

    #[test]
    fn every_template_is_a_project_that_can_be_deployed() {
        for template in Template::value_variants() {
            let folder = tempfile::tempdir().unwrap();
            let project = folder.path().join("new");
            let written = write(*template, "my-worker", &project).unwrap();
            assert!(written.iter().all(|path| path.is_file()));
            let Project { root, settings } = Project::read(&project).unwrap();
            assert_eq!(settings.name, "my-worker");
            let bundled = bundle(&root, &settings.main).unwrap();
            assert!(bundled.notes.is_empty(), "{:?}", bundled.notes);
            let again = write(*template, "my-worker", &project).unwrap_err();
            assert_eq!(again.code(), "file_exists");
        }
    }

    #[test]
    fn the_types_are_all_there() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("worker-types");
        let mut there: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".d.ts"))
            .collect();
        let mut brought: Vec<_> = TYPES.iter().map(|(name, _)| (*name).to_owned()).collect();
        there.sort();
        brought.sort();
        assert_eq!(there, brought);
    }

    #[test]
    fn names_of_projects() {
        for name in ["a", "my-worker-2", &"a".repeat(64)] {
            assert!(project_name(name).is_ok(), "{name}");
        }
        for name in ["", "A", "a b", "a\"b", "a/b", &"a".repeat(65)] {
            assert!(project_name(name).is_err(), "{name}");
        }
    }
}
