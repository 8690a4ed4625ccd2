//! A worker's code.

use serde::{Deserialize, Serialize};
use sha3::{Digest, Keccak256};
use thiserror::Error;

/// Longest bundle: names and sources together, in bytes.
pub const MAX_BUNDLE: usize = 4 * 1024 * 1024;
/// Most modules of a bundle.
pub const MAX_MODULES: usize = 1024;
/// Longest name of a module, in bytes.
const MAX_NAME: usize = 256;

/// Modules that import each other by relative names, and the one that has the handlers.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// Name of the module with the handlers.
    pub main: String,
    /// All modules, by name: no name twice.
    pub modules: Vec<Module>,
}

/// One module.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// Path with `/`, without `.`, `..` and a leading `/`.
    pub name: String,
    /// What its source is written in.
    pub language: Language,
    /// Its source.
    pub source: String,
}

/// What a module is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// An ES module.
    JavaScript,
    /// An ES module with types, which are taken out.
    TypeScript,
    /// JSON: its value is the default export.
    Json,
}

/// Why modules aren't a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BundleError {
    /// No module is the main one.
    #[error("there is no module {0:?}, which should have the handlers")]
    NoMain(String),
    /// A name twice.
    #[error("there are two modules {0:?}")]
    Twice(String),
    /// Not a name.
    #[error(
        "module name {0:?} is none: a path of letters, digits and -_.@+/ without empty parts, . and .., of at most {MAX_NAME} bytes"
    )]
    Name(String),
    /// More than [`MAX_MODULES`].
    #[error("there are {0} modules, at most {MAX_MODULES} are taken")]
    TooMany(usize),
    /// More than [`MAX_BUNDLE`].
    #[error("the code has {0} bytes, at most {MAX_BUNDLE} are taken")]
    TooLong(usize),
}

impl BundleError {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            BundleError::NoMain(_) => "bundle_without_main",
            BundleError::Twice(_) => "bundle_module_twice",
            BundleError::Name(_) => "bundle_name_invalid",
            BundleError::TooMany(_) => "bundle_too_many_modules",
            BundleError::TooLong(_) => "bundle_too_long",
        }
    }
}

impl Bundle {
    /// A bundle of one module.
    ///
    /// # Errors
    /// See [`Bundle::check`].
    pub fn single(language: Language, source: impl Into<String>) -> Result<Self, BundleError> {
        let name = match language {
            Language::TypeScript => "index.ts",
            Language::JavaScript | Language::Json => "index.js",
        };
        let module = Module {
            name: name.to_owned(),
            language,
            source: source.into(),
        };
        Self::new(name, vec![module])
    }

    /// A bundle of several modules, in the order of their names.
    ///
    /// # Errors
    /// See [`Bundle::check`].
    pub fn new(main: impl Into<String>, mut modules: Vec<Module>) -> Result<Self, BundleError> {
        modules.sort_by(|one, other| one.name.cmp(&other.name));
        let bundle = Self {
            main: main.into(),
            modules,
        };
        bundle.check()?;
        Ok(bundle)
    }

    /// Whether this is a bundle.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), BundleError> {
        if self.modules.len() > MAX_MODULES {
            return Err(BundleError::TooMany(self.modules.len()));
        }
        let len = self
            .modules
            .iter()
            .map(|module| module.name.len() + module.source.len())
            .sum();
        if len > MAX_BUNDLE {
            return Err(BundleError::TooLong(len));
        }
        if let Some(module) = self.modules.iter().find(|module| !is_name(&module.name)) {
            return Err(BundleError::Name(module.name.chars().take(MAX_NAME).collect()));
        }
        let mut names: Vec<_> = self.modules.iter().map(|module| module.name.as_str()).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(BundleError::Twice(pair[0].to_owned()));
        }
        match names.binary_search(&self.main.as_str()) {
            Ok(_) => Ok(()),
            Err(_) => Err(BundleError::NoMain(self.main.chars().take(MAX_NAME).collect())),
        }
    }

    /// Keccak-256, as `WorkerRegistry` has it. Of one module it is that of the source's bytes, as the first clients
    /// computed it; of several that of the main module's name and then, in the order of names, each name, language and
    /// source, all with their lengths (`docs/wire-formats.md`, "Worker bundles").
    pub fn code_hash(&self) -> [u8; 32] {
        let mut hash = Keccak256::new();
        if let [module] = self.modules.as_slice() {
            hash.update(module.source.as_bytes());
            return hash.finalize().into();
        }
        hash.update(b"jeju-worker-bundle-v1\0");
        let mut put = |text: &str| {
            hash.update((text.len() as u32).to_be_bytes());
            hash.update(text.as_bytes());
        };
        put(&self.main);
        let mut modules: Vec<_> = self.modules.iter().collect();
        modules.sort_by(|one, other| one.name.cmp(&other.name));
        for module in modules {
            put(&module.name);
            put(module.language.name());
            put(&module.source);
        }
        hash.finalize().into()
    }
}

impl Language {
    /// As documents write it.
    pub const fn name(self) -> &'static str {
        match self {
            Language::JavaScript => "javascript",
            Language::TypeScript => "typescript",
            Language::Json => "json",
        }
    }

    /// By a file's name.
    pub fn of(name: &str) -> Option<Self> {
        match name.rsplit_once('.')?.1 {
            "js" | "mjs" => Some(Language::JavaScript),
            "ts" | "mts" => Some(Language::TypeScript),
            "json" => Some(Language::Json),
            _ => None,
        }
    }
}

fn is_name(name: &str) -> bool {
    let part = |part: &str| {
        !matches!(part, "" | "." | "..")
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.@+".contains(&b))
    };
    name.len() <= MAX_NAME && name.split('/').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(name: &str, source: &str) -> Module {
        Module {
            name: name.to_owned(),
            language: Language::of(name).unwrap(),
            source: source.to_owned(),
        }
    }

    fn code(bundle: Result<Bundle, BundleError>) -> &'static str {
        bundle.err().map_or("none", |error| error.code())
    }

    #[test]
    fn one_modules_hash_is_that_of_its_source() {
        // cast keccak "hello"
        let bundle = Bundle::single(Language::JavaScript, "hello").unwrap();
        let hash = bundle.code_hash().map(|byte| format!("{byte:02x}")).concat();
        assert_eq!(
            hash,
            "1c8aff950685c2ed4bc3174f3472287b56d9517b9c948127319a09a7a36deac8"
        );
    }

    #[test]
    fn a_hash_covers_every_part_and_no_order() {
        let modules = || vec![module("b.ts", "2"), module("a.js", "1"), module("c.json", "3")];
        let hash = |main: &str, modules| Bundle::new(main, modules).unwrap().code_hash();
        let first = hash("a.js", modules());
        let mut turned = modules();
        turned.reverse();
        assert_eq!(first, hash("a.js", turned));
        assert_ne!(first, hash("b.ts", modules()));
        let changes: [fn(&mut Vec<Module>); 4] = [
            |modules| modules[0].name = "d.ts".into(),
            |modules| modules[0].language = Language::JavaScript,
            |modules| modules[0].source = "4".into(),
            |modules| drop(modules.pop()),
        ];
        for change in changes {
            let mut changed = modules();
            change(&mut changed);
            assert_ne!(first, hash("a.js", changed));
        }
    }

    #[test]
    fn what_is_no_bundle_is_refused() {
        let long = "a".repeat(MAX_NAME + 1);
        for name in [
            "", "/a.js", "a//b.js", "../a.js", "a/./b.js", "a b.js", "a\\b.js", "é.js", &long,
        ] {
            let module = Module {
                name: name.to_owned(),
                language: Language::JavaScript,
                source: String::new(),
            };
            assert_eq!(
                code(Bundle::new(name, vec![module])),
                "bundle_name_invalid",
                "{name}"
            );
        }
        assert_eq!(
            code(Bundle::new("b.js", vec![module("a.js", "")])),
            "bundle_without_main"
        );
        let twice = vec![module("a.js", "1"), module("a.js", "2")];
        assert_eq!(code(Bundle::new("a.js", twice)), "bundle_module_twice");
        let many = (0..=MAX_MODULES)
            .map(|i| module(&format!("{i}.js"), ""))
            .collect();
        assert_eq!(code(Bundle::new("0.js", many)), "bundle_too_many_modules");
        let long = "a".repeat(MAX_BUNDLE);
        assert_eq!(
            code(Bundle::single(Language::JavaScript, long)),
            "bundle_too_long"
        );
    }
}
