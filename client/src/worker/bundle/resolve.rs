//! Where an import leads on disk: by the rule that the enclave follows inside the bundle.

use std::path::Path;

use super::BundlingError;

/// What an import names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A module of the project, by its name.
    Module(String),
    /// A file that has nothing but types.
    TypesAlone,
    /// A package.
    Package,
}

/// Finds what `importer` means by `specifier`.
///
/// # Errors
/// [`BundlingError::NotFound`], [`BundlingError::Outside`].
pub(super) fn find(root: &Path, importer: &str, specifier: &str) -> Result<Found, BundlingError> {
    let outside = || BundlingError::Outside {
        specifier: specifier.to_owned(),
        importer: importer.to_owned(),
    };
    if specifier.starts_with('/') {
        return Err(outside());
    }
    if !(specifier.starts_with("./") || specifier.starts_with("../") || matches!(specifier, "." | "..")) {
        return Ok(Found::Package);
    }
    let folder = importer.rsplit_once('/').map_or("", |(folder, _)| folder);
    let name = normal(&format!("{folder}/{specifier}")).ok_or_else(outside)?;
    if let Some(found) = candidates(&name)
        .into_iter()
        .find(|name| root.join(name).is_file())
    {
        return Ok(Found::Module(found));
    }
    let stem = name.strip_suffix(".js").unwrap_or(&name);
    match root.join(format!("{stem}.d.ts")).is_file() {
        true => Ok(Found::TypesAlone),
        false => Err(BundlingError::NotFound {
            specifier: specifier.to_owned(),
            importer: importer.to_owned(),
        }),
    }
}

/// A path without `.` and `..`; `None`: it leads out.
pub(super) fn normal(path: &str) -> Option<String> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// What may be left out at the end of a name, in the order in which it is tried.
const ENDINGS: [&str; 5] = [".ts", ".mts", ".js", ".mjs", ".json"];

/// What a name may stand for, the likeliest first.
fn candidates(name: &str) -> Vec<String> {
    let mut names = vec![name.to_owned()];
    // TypeScript has it that imports name what will be there after compiling.
    for (compiled, source) in [(".js", ".ts"), (".mjs", ".mts")] {
        names.extend(name.strip_suffix(compiled).map(|stem| format!("{stem}{source}")));
    }
    let index = match name {
        "" => "index".to_owned(),
        name => format!("{name}/index"),
    };
    for stem in [name, &index] {
        names.extend(ENDINGS.iter().map(|ending| format!("{stem}{ending}")));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_files_as_written_or_without_their_end() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "a.ts",
            "b.js",
            "c/index.ts",
            "d.json",
            "e/f.mts",
            "g.d.ts",
            "index.js",
        ] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let find = |importer, specifier| find(folder.path(), importer, specifier);
        for (specifier, found) in [
            ("./a.ts", "a.ts"),
            ("./a", "a.ts"),
            ("./a.js", "a.ts"),
            ("./b.js", "b.js"),
            ("./b", "b.js"),
            ("./c", "c/index.ts"),
            ("./c/", "c/index.ts"),
            ("./d.json", "d.json"),
            ("./e/f.mjs", "e/f.mts"),
            (".", "index.js"),
            ("./c/../a", "a.ts"),
        ] {
            assert_eq!(
                find("main.ts", specifier).unwrap(),
                Found::Module(found.to_owned()),
                "{specifier}"
            );
        }
        assert_eq!(find("e/f.mts", "../a").unwrap(), Found::Module("a.ts".to_owned()));
        assert_eq!(find("main.ts", "./g").unwrap(), Found::TypesAlone);
        for package in ["zod", "@a/b", "node:fs", "https://a.example/b.js", "#internal"] {
            assert_eq!(find("main.ts", package).unwrap(), Found::Package, "{package}");
        }
        for (importer, specifier, code) in [
            ("main.ts", "./none", "worker_import_not_found"),
            ("main.ts", "./c/none.js", "worker_import_not_found"),
            ("main.ts", "../a.ts", "bundle_outside_project"),
            ("c/index.ts", "../../a.ts", "bundle_outside_project"),
            ("main.ts", "/a.ts", "bundle_outside_project"),
        ] {
            assert_eq!(find(importer, specifier).unwrap_err().code(), code, "{specifier}");
        }
    }
}
