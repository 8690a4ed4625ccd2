//! Which module of a bundle an import means: relative names, and packages below `node_modules`.

use std::collections::{HashMap, HashSet};

use serde_json::Value;
use thiserror::Error;

use crate::bundle::{Bundle, Language};

/// Longest specifier, in bytes.
const MAX_SPECIFIER: usize = 1024;
/// What may be left out at the end of a name, in the order in which it is tried.
const ENDINGS: [&str; 5] = [".ts", ".mts", ".js", ".mjs", ".json"];
/// Conditions of a package's `exports` and `imports` that hold here, the most wanted first.
const CONDITIONS: [&str; 5] = ["workerd", "worker", "import", "module", "default"];
/// How deep conditions may be nested.
const MAX_CONDITIONS: usize = 8;

/// An import of a module that isn't in the bundle.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{specifier:?}, which {from:?} imports, {reason}")]
pub struct ResolveError {
    /// What is imported.
    pub specifier: String,
    /// By which module.
    pub from: String,
    /// What about it.
    reason: &'static str,
}

/// Finds the modules that the modules of one bundle import. Made once for a bundle.
pub struct Resolver {
    names: HashSet<String>,
    /// By their folders.
    packages: HashMap<String, Value>,
}

impl Resolver {
    /// For a bundle.
    pub fn new(bundle: &Bundle) -> Self {
        let package = |name: &str, source: &str| {
            let folder = name.strip_suffix("/package.json")?;
            let value = serde_json::from_str(source).ok()?;
            Some((folder.to_owned(), value))
        };
        let modules = bundle.modules.iter();
        Self {
            names: modules.clone().map(|module| module.name.clone()).collect(),
            packages: modules
                .filter_map(|module| package(&module.name, &module.source))
                .collect(),
        }
    }

    /// The name of the module that `specifier` means in the module `from`. Taken, in this order: the name as it stands;
    /// for `.js` and `.mjs` the TypeScript file that it will be made of; the name with an ending; its `index` file. What
    /// isn't relative is a package in the nearest `node_modules`.
    ///
    /// # Errors
    /// No module has such a name.
    pub fn resolve(&self, specifier: &str, from: &str) -> Result<&str, ResolveError> {
        let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
        let relative = ["./", "../"].iter().any(|start| specifier.starts_with(start));
        let found = if specifier.len() > MAX_SPECIFIER {
            Err("is too long")
        } else if relative || matches!(specifier, "." | "..") {
            let path = join(folder, specifier).ok_or("lies outside the bundle");
            path.and_then(|path| self.file(&path).ok_or("isn't in the bundle"))
        } else if specifier.starts_with('/') {
            Err("is no relative name: it must start with ./ or ../")
        } else if specifier.contains(':') {
            Err("isn't in the bundle: workers have no modules of the system and load none from the network")
        } else {
            let package = self.package(specifier, folder);
            package.ok_or(
                "isn't in the bundle: there is no such package below node_modules, or it has no such file",
            )
        };
        found.map_err(|reason| ResolveError {
            specifier: shown(specifier),
            from: shown(from),
            reason,
        })
    }

    /// A module by its path with or without what may be left out.
    fn file(&self, path: &str) -> Option<&str> {
        let typed = path
            .strip_suffix("js")
            .filter(|start| start.ends_with(['.', 'm']))
            .filter(|_| Language::of(path) == Some(Language::JavaScript))
            .map(|start| format!("{start}ts"));
        let name = |name: String| self.names.get(&name).map(String::as_str);
        let ended = |start: &str, separator: &str| {
            ENDINGS
                .iter()
                .find_map(|ending| name(format!("{start}{separator}{ending}")))
        };
        name(path.to_owned())
            .or_else(|| name(typed?))
            .or_else(|| ended(path, ""))
            .or_else(|| ended(path, if path.is_empty() { "index" } else { "/index" }))
    }

    fn package(&self, specifier: &str, folder: &str) -> Option<&str> {
        let slashes = if specifier.starts_with('@') { 2 } else { 1 };
        let end = specifier.match_indices('/').nth(slashes - 1).map(|(at, _)| at);
        let (package, path) = match end {
            Some(at) => (&specifier[..at], Some(&specifier[at + 1..])),
            None => (specifier, None),
        };
        let is_name = |part: &str| !matches!(part, "" | "." | ".." | "node_modules");
        if package.matches('/').count() + 1 != slashes || !package.split('/').all(is_name) {
            return None;
        }
        let mut folder = Some(folder);
        while let Some(here) = folder {
            let separator = if here.is_empty() { "" } else { "/" };
            let root = format!("{here}{separator}node_modules/{package}");
            if let Some(found) = self.in_package(&root, path) {
                return Some(found);
            }
            folder = match here.rsplit_once('/') {
                Some((parent, _)) => Some(parent),
                None if here.is_empty() => None,
                None => Some(""),
            };
        }
        None
    }

    fn in_package(&self, root: &str, path: Option<&str>) -> Option<&str> {
        let document = self.packages.get(root);
        if let Some(exports) = document.and_then(|document| document.get("exports")) {
            return self
                .names
                .get(&join(root, &exported(exports, path)?)?)
                .map(String::as_str);
        }
        if let Some(path) = path {
            return self.file(&join(root, path)?);
        }
        let entry = |field| document?.get(field)?.as_str();
        let named = ["module", "main"]
            .into_iter()
            .filter_map(entry)
            .find_map(|entry| self.file(&join(root, entry)?));
        named.or_else(|| self.file(root))
    }
}

/// What a package's `exports` has for a path in it: the file, from the package's folder.
fn exported(exports: &Value, path: Option<&str>) -> Option<String> {
    let wanted = path.map_or(".".to_owned(), |path| format!("./{path}"));
    let paths = exports
        .as_object()
        .filter(|map| map.keys().any(|key| key.starts_with('.')));
    let Some(paths) = paths else {
        // Not by path: it is what `.` means.
        return target(exports, 0).filter(|_| path.is_none()).map(str::to_owned);
    };
    if let Some(exact) = paths.get(&wanted).filter(|_| !wanted.contains('*')) {
        return target(exact, 0).map(str::to_owned);
    }
    // The longest start wins.
    let matching = paths.iter().filter_map(|(key, value)| {
        let (start, end) = key.split_once('*')?;
        let middle = wanted.strip_prefix(start)?.strip_suffix(end)?;
        Some((start.len(), middle, value))
    });
    let (_, middle, value) = matching.max_by_key(|(len, ..)| *len)?;
    Some(target(value, 0)?.replace('*', middle))
}

/// The file that conditions lead to.
fn target(value: &Value, depth: usize) -> Option<&str> {
    match value {
        Value::String(file) => file.starts_with("./").then_some(file),
        Value::Array(values) if depth < MAX_CONDITIONS => {
            values.iter().find_map(|value| target(value, depth + 1))
        }
        Value::Object(map) if depth < MAX_CONDITIONS => CONDITIONS
            .iter()
            .find_map(|condition| target(map.get(*condition)?, depth + 1)),
        _ => None,
    }
}

/// A path from a folder of the bundle; none if it leads out of it.
fn join(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<_> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

fn shown(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::Module;

    fn resolver(files: &[(&str, &str)]) -> Resolver {
        let module = |(name, source): &(&str, &str)| Module {
            name: (*name).to_owned(),
            language: Language::of(name).unwrap(),
            source: (*source).to_owned(),
        };
        Resolver::new(&Bundle::new(files[0].0, files.iter().map(module).collect()).unwrap())
    }

    #[test]
    fn relative_names_are_found_as_written_or_with_what_was_left_out() {
        let files = [
            "src/index.ts",
            "src/a.ts",
            "src/b.js",
            "src/c/index.mjs",
            "d.json",
            "src/d.mts",
            "index.js",
        ];
        let resolver = resolver(&files.map(|name| (name, "{}")));
        for (specifier, from, found) in [
            ("./a.ts", "src/index.ts", "src/a.ts"),
            ("./a.js", "src/index.ts", "src/a.ts"),
            ("./d.mjs", "src/index.ts", "src/d.mts"),
            ("./a", "src/index.ts", "src/a.ts"),
            ("./b", "src/index.ts", "src/b.js"),
            ("./c", "src/index.ts", "src/c/index.mjs"),
            ("./c/", "src/index.ts", "src/c/index.mjs"),
            (".", "src/a.ts", "src/index.ts"),
            ("..", "src/a.ts", "index.js"),
            ("../d.json", "src/a.ts", "d.json"),
            ("../../d", "src/c/index.mjs", "d.json"),
            ("./src/./c/../a", "index.js", "src/a.ts"),
        ] {
            assert_eq!(
                resolver.resolve(specifier, from),
                Ok(found),
                "{specifier} in {from}"
            );
        }
    }

    #[test]
    fn packages_are_found_in_the_nearest_node_modules() {
        let resolver = resolver(&[
            ("src/index.js", ""),
            ("node_modules/plain/index.js", ""),
            ("node_modules/plain/lib/x.js", ""),
            (
                "node_modules/main/package.json",
                r#"{"main": "lib/cjs", "module": "./lib/esm.js"}"#,
            ),
            ("node_modules/main/lib/esm.js", ""),
            ("node_modules/main/node_modules/plain/index.js", ""),
            (
                "node_modules/@s/p/package.json",
                r#"{"exports": {
                ".": {"types": "./t.d.ts", "require": "./c.js", "import": {"node": "./n.js", "default": "./m.js"}},
                "./f/*.js": "./src/*.js", "./f/in/*": null, "./up": "../out.js"}}"#,
            ),
            ("node_modules/@s/p/m.js", ""),
            ("node_modules/@s/p/src/a/b.js", ""),
            (
                "node_modules/one/package.json",
                r#"{"exports": "./x.js", "main": "y.js"}"#,
            ),
            ("node_modules/one/x.js", ""),
            ("node_modules/one/y.js", ""),
        ]);
        let main = "node_modules/main/lib/esm.js";
        for (specifier, from, found) in [
            ("plain", "src/index.js", "node_modules/plain/index.js"),
            ("plain/lib/x", "src/index.js", "node_modules/plain/lib/x.js"),
            ("main", "src/index.js", main),
            ("plain", main, "node_modules/main/node_modules/plain/index.js"),
            ("plain/lib/x.js", main, "node_modules/plain/lib/x.js"),
            ("@s/p", main, "node_modules/@s/p/m.js"),
            ("@s/p/f/a/b.js", main, "node_modules/@s/p/src/a/b.js"),
            ("one", main, "node_modules/one/x.js"),
        ] {
            assert_eq!(
                resolver.resolve(specifier, from),
                Ok(found),
                "{specifier} in {from}"
            );
        }
        for specifier in [
            "@s/p/m.js",
            "@s/p/f/in/a",
            "@s/p/up",
            "@s",
            "one/y.js",
            "main/../plain",
            "nothing",
        ] {
            // A file that the package doesn't export, and names that are no packages.
            let found = resolver.resolve(specifier, "src/index.js");
            assert!(
                found.is_err() || specifier == "main/../plain",
                "{specifier}: {found:?}"
            );
        }
    }

    #[test]
    fn what_is_not_in_the_bundle_is_refused() {
        let resolver = resolver(&[("src/index.js", ""), ("src/a.js", ""), ("package.json", "[")]);
        let long = format!("./{}", "a".repeat(MAX_SPECIFIER));
        for specifier in [
            "./b",
            "../../src/a.js",
            "../..",
            "/src/a.js",
            "src/a.js",
            "",
            "#internal",
            "node:fs",
            "fs",
            "https://example.com/a.js",
            "data:text/javascript,1",
            "./a.json",
            "@/a",
            "./a.js?x",
            &long,
        ] {
            let error = resolver.resolve(specifier, "src/index.js").unwrap_err();
            assert!(
                error.to_string().contains("src/index.js") && error.to_string().len() < 700,
                "{error}"
            );
        }
    }
}
