//! The project's own esbuild, for what only a bundler can make modules of: packages, JSX, CommonJS.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jeju_worker_protocol::{Bundle, Language};
use serde::Deserialize;

use super::{Bundled, BundlingError};

const PROGRAM: &str = "node_modules/.bin/esbuild";
/// Longest report that is repeated, in characters.
const MAX_WORDS: usize = 4000;
const MAP: &str = "//# sourceMappingURL=data:application/json;base64,";
const OPTIONS: [&str; 10] = [
    "--bundle",
    "--format=esm",
    "--platform=neutral",
    "--target=es2022",
    "--main-fields=module,main",
    "--conditions=worker,browser",
    "--charset=utf8",
    // Names the files; it is taken off again.
    "--sourcemap=inline",
    "--sources-content=false",
    "--color=false",
];

/// Why a bundler is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// An import of a package.
    Package {
        /// What is imported.
        specifier: String,
        /// Who does.
        importer: String,
    },
    /// A file that no engine reads.
    File(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Package { specifier, importer } => {
                write!(f, "{importer} imports the package {specifier:?}")
            }
            Reason::File(name) => write!(f, "{name} is neither JavaScript, TypeScript nor JSON"),
        }
    }
}

#[derive(Deserialize)]
struct SourceMap {
    sources: Vec<String>,
}

/// Makes one module of everything.
///
/// # Errors
/// [`BundlingError::NoBundler`], [`BundlingError::Bundler`].
pub(super) fn bundle(root: &Path, main: &str, reason: &Reason) -> Result<Bundled, BundlingError> {
    let program = program(root).ok_or_else(|| BundlingError::NoBundler(reason.clone()))?;
    let output = Command::new(&program)
        .current_dir(root)
        .arg(format!("./{main}"))
        .args(OPTIONS)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| BundlingError::unreadable(&program, source))?;
    let words = String::from_utf8_lossy(&output.stderr);
    let words: String = words.trim().chars().take(MAX_WORDS).collect();
    if !output.status.success() {
        return Err(BundlingError::Bundler(words));
    }
    let text = String::from_utf8(output.stdout)
        .map_err(|_| BundlingError::Bundler("wrote something else than text".to_owned()))?;
    let (source, sources) = without_map(text);
    let mut notes = vec![format!("one module was made by {}", program.display())];
    if !words.is_empty() {
        notes.push(words);
    }
    Ok(Bundled {
        bundle: Bundle::single(Language::JavaScript, source)?,
        files: sources
            .into_iter()
            .map(|source| root.join(source))
            .filter(|file| file.is_file())
            .collect(),
        notes,
    })
}

/// The esbuild of the project, or of a folder above it, as npm's workspaces have it.
fn program(root: &Path) -> Option<PathBuf> {
    root.ancestors()
        .map(|folder| folder.join(PROGRAM))
        .find(|program| program.is_file())
}

/// The module, and the files that the map at its end names.
fn without_map(mut text: String) -> (String, Vec<String>) {
    let Some(at) = text.rfind(MAP) else {
        return (text, Vec::new());
    };
    let sources = STANDARD
        .decode(text[at + MAP.len()..].trim_end())
        .ok()
        .and_then(|map| serde_json::from_slice::<SourceMap>(&map).ok())
        .map_or_else(Vec::new, |map| map.sources);
    text.truncate(at);
    (text, sources)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn reason() -> Reason {
        Reason::File("a.tsx".to_owned())
    }

    /// A folder whose esbuild is this script.
    fn with(script: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join(PROGRAM);
        std::fs::create_dir_all(program.parent().unwrap()).unwrap();
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        folder
    }

    #[test]
    fn the_map_is_taken_off_and_names_the_files() {
        let map = STANDARD.encode(r#"{"version":3,"sources":["a.tsx","none.ts"],"mappings":""}"#);
        let folder = with(&format!("echo 'export default {{}}'; echo '{MAP}{map}'"));
        std::fs::write(folder.path().join("a.tsx"), "").unwrap();
        let bundled = bundle(folder.path(), "a.tsx", &reason()).unwrap();
        assert_eq!(bundled.bundle.modules[0].source, "export default {}\n");
        assert_eq!(bundled.files, [folder.path().join("a.tsx")]);
        assert_eq!(without_map("a".to_owned()), ("a".to_owned(), Vec::new()));
        assert_eq!(without_map(format!("a{MAP}?")), ("a".to_owned(), Vec::new()));
    }

    #[test]
    fn its_failure_is_told() {
        let folder = with("echo 'Could not resolve \"none\"' >&2; exit 1");
        let error = bundle(folder.path(), "a.tsx", &reason()).err().unwrap();
        assert_eq!(error.code(), "bundler_failed");
        assert!(error.to_string().contains("Could not resolve"), "{error}");
        // A folder below finds the program of the folder above.
        let below = folder.path().join("packages/one");
        std::fs::create_dir_all(&below).unwrap();
        assert_eq!(
            bundle(&below, "a.tsx", &reason()).err().unwrap().code(),
            "bundler_failed"
        );
    }
}
