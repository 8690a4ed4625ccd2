//! From a project's sources to the bundle that is deployed.
//!
//! ```text
//! main ── imports ──▶ ./a.ts  ../data.json      taken as they are, by their names in the project
//!            └──────▶ "a-package", .tsx, …      the project's own esbuild makes one module of everything
//! ```
//!
//! Types are taken out inside the enclave: its code hash is over the sources that people read.

mod error;
mod esbuild;
mod imports;
mod resolve;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jeju_worker_protocol::{Bundle, Language, MAX_BUNDLE, MAX_MODULES, Module};

pub use error::BundlingError;
use resolve::Found;

/// A bundle, and where it came from.
#[derive(Clone)]
pub struct Bundled {
    /// What is deployed.
    pub bundle: Bundle,
    /// The files that it was made of.
    pub files: Vec<PathBuf>,
    /// What a user should know of it.
    pub notes: Vec<String>,
}

/// Makes the bundle of a project whose modules lie in `root`.
///
/// # Errors
/// [`BundlingError`].
pub fn bundle(root: &Path, main: &str) -> Result<Bundled, BundlingError> {
    let root = root
        .canonicalize()
        .map_err(|source| BundlingError::unreadable(root, source))?;
    let main = resolve::normal(main).ok_or_else(|| BundlingError::Outside {
        specifier: main.to_owned(),
        importer: "the project".to_owned(),
    })?;
    match modules(&root, &main)? {
        Collected::Modules { modules, notes } => Ok(Bundled {
            files: modules.keys().map(|name| root.join(name)).collect(),
            bundle: Bundle::new(main, modules.into_values().collect())?,
            notes,
        }),
        Collected::Needs(reason) => esbuild::bundle(&root, &main, &reason),
    }
}

/// What following the imports came to.
enum Collected {
    /// All modules, by name.
    Modules {
        modules: BTreeMap<String, Module>,
        notes: Vec<String>,
    },
    /// Only a bundler can make modules of it, for this reason.
    Needs(esbuild::Reason),
}

fn modules(root: &Path, main: &str) -> Result<Collected, BundlingError> {
    let mut modules = BTreeMap::new();
    let mut notes = Vec::new();
    let mut waiting = vec![main.to_owned()];
    while let Some(name) = waiting.pop() {
        if modules.contains_key(&name) {
            continue;
        }
        let Some(language) = Language::of(&name) else {
            return Ok(Collected::Needs(esbuild::Reason::File(name)));
        };
        let source = read(root, &name)?;
        if language != Language::Json {
            let imports = imports::imports(&name, language == Language::TypeScript, &source)?;
            for line in imports.computed {
                notes.push(format!(
                    "{name}:{line} imports by a computed name: what it names is not in the bundle"
                ));
            }
            for specifier in imports.named {
                match resolve::find(root, &name, &specifier)? {
                    Found::Module(found) => waiting.push(found),
                    Found::TypesAlone => {}
                    Found::Package => {
                        let importer = name.clone();
                        return Ok(Collected::Needs(esbuild::Reason::Package { specifier, importer }));
                    }
                }
            }
        }
        let module = Module {
            name: name.clone(),
            language,
            source,
        };
        modules.insert(name, module);
        if modules.len() > MAX_MODULES {
            return Err(jeju_worker_protocol::BundleError::TooMany(modules.len()).into());
        }
    }
    Ok(Collected::Modules { modules, notes })
}

/// A module's source, wherever links lead: never out of the project, whose code may be somebody else's.
fn read(root: &Path, name: &str) -> Result<String, BundlingError> {
    let path = root.join(name);
    let real = path
        .canonicalize()
        .map_err(|source| BundlingError::unreadable(&path, source))?;
    if !real.starts_with(root) {
        return Err(BundlingError::Outside {
            specifier: real.display().to_string(),
            importer: name.to_owned(),
        });
    }
    Ok(crate::files::text(&real, MAX_BUNDLE)?)
}

#[cfg(test)]
mod tests {
    use jeju_worker_protocol::Resolver;

    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn with(files: &[(&str, &str)]) -> Self {
            let folder = Self(tempfile::tempdir().unwrap());
            for (name, source) in files {
                let path = folder.0.path().join(name);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, source).unwrap();
            }
            folder
        }

        fn bundle(&self, main: &str) -> Result<Bundled, BundlingError> {
            bundle(self.0.path(), main)
        }

        fn refused(&self, main: &str) -> &'static str {
            self.bundle(main).err().unwrap().code()
        }
    }

    fn names(bundled: &Bundled) -> Vec<&str> {
        bundled
            .bundle
            .modules
            .iter()
            .map(|module| module.name.as_str())
            .collect()
    }

    #[test]
    fn imports_are_followed_through_the_project() {
        let folder = Folder::with(&[
            (
                "src/index.ts",
                "import { a } from '../lib/a'; import d from './data.json' with { type: 'json' };\n\
                 import type { T } from './types'; import { U } from './only-types';\nexport default { fetch: () => a(d) }",
            ),
            (
                "lib/a.ts",
                "export * from './b/index.js'; import('../src/index.ts')",
            ),
            ("lib/b/index.js", "export const a = String;"),
            ("src/data.json", "{}"),
            ("src/only-types.d.ts", "export interface U {}"),
            ("unused.js", ""),
        ]);
        let bundled = folder.bundle("./src/index.ts").unwrap();
        assert_eq!(
            names(&bundled),
            ["lib/a.ts", "lib/b/index.js", "src/data.json", "src/index.ts"]
        );
        assert_eq!(bundled.bundle.main, "src/index.ts");
        assert!(bundled.files.iter().all(|file| file.is_file()) && bundled.notes.is_empty());
        assert_eq!(bundled.bundle.modules[2].language, Language::Json);
        // The enclave finds the same.
        let resolver = Resolver::new(&bundled.bundle);
        for (from, specifier, found) in [
            ("src/index.ts", "../lib/a", "lib/a.ts"),
            ("src/index.ts", "./data.json", "src/data.json"),
            ("lib/a.ts", "./b/index.js", "lib/b/index.js"),
            ("lib/a.ts", "../src/index.ts", "src/index.ts"),
        ] {
            assert_eq!(resolver.resolve(specifier, from), Ok(found));
        }
    }

    #[test]
    fn nothing_leaves_the_project_by_a_path_or_a_link() {
        let secret = Folder::with(&[("secret.json", "{}")]);
        let outside = secret.0.path().join("secret.json");
        let folder = Folder::with(&[
            ("up.js", "import '../x.js'"),
            ("absolute.js", "import '/etc/passwd.js'"),
            ("link.js", "import './link.json'"),
        ]);
        std::os::unix::fs::symlink(&outside, folder.0.path().join("link.json")).unwrap();
        for main in ["up.js", "absolute.js", "link.js", "../secret.json"] {
            assert_eq!(folder.refused(main), "bundle_outside_project", "{main}");
        }
    }

    #[test]
    fn what_is_missing_or_wrong_has_a_code() {
        let folder = Folder::with(&[
            ("gone.js", "import './none.js'"),
            ("broken.js", "export default {"),
            ("package.js", "import 'a-package'"),
            ("types.ts", "import './none.js'"),
            ("view.tsx", "export default {}"),
        ]);
        assert_eq!(folder.refused("none.js"), "file_unreadable");
        assert_eq!(folder.refused("gone.js"), "worker_import_not_found");
        assert_eq!(folder.refused("types.ts"), "worker_import_not_found");
        assert_eq!(folder.refused("broken.js"), "worker_syntax_error");
        assert_eq!(folder.refused("package.js"), "bundler_missing");
        assert_eq!(folder.refused("view.tsx"), "bundler_missing");
        let words = folder.bundle("package.js").err().unwrap().to_string();
        assert!(
            words.contains("a-package") && words.contains("npm install"),
            "{words}"
        );
    }

    #[test]
    fn computed_imports_are_told() {
        let folder = Folder::with(&[("a.js", "\nexport default (n) => import(n)")]);
        let bundled = folder.bundle("a.js").unwrap();
        assert!(bundled.notes[0].starts_with("a.js:2 "), "{:?}", bundled.notes);
    }
}
