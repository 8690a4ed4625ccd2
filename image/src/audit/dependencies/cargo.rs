//! Which Rust packages a build of the node compiles, and which of them end up in it: `cargo tree`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use super::super::AuditError;
use super::super::licence;
use super::Crate;
use super::lock::CargoLock;

const TARGET: &str = "x86_64-unknown-linux-gnu";
const PROGRAM: &str = "cargo tree";
/// Deepest tree that is followed.
const MAX_DEPTH: usize = 256;

/// Name and version.
type Id = (String, String);

/// What cargo says of a build.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    nodes: BTreeMap<Id, Node>,
}

#[derive(Debug, Default)]
struct Node {
    licence: String,
    procedural_macro: bool,
    depends_on: BTreeSet<Id>,
}

impl Resolved {
    /// Runs cargo in a source folder.
    pub(super) fn ask(source: &Path, roots: &[&str], development: bool) -> Result<Self, AuditError> {
        let mut resolved = Self::default();
        // Edges of build scripts aren't among those that are followed into the binary.
        resolved.read(&tree(source, roots, development, "normal")?, true)?;
        resolved.read(&tree(source, roots, development, "normal,build")?, false)?;
        Ok(resolved)
    }

    /// Reads lines of `DEPTH|PACKAGE vVERSION (WHAT)|LICENCE`, where a package's children follow it once.
    fn read(&mut self, tree: &str, edges: bool) -> Result<(), AuditError> {
        let mut path: Vec<Id> = Vec::new();
        for line in tree.lines().filter(|line| !line.is_empty()) {
            let (depth, id, node) = parse(line).ok_or_else(|| AuditError::Answer {
                program: PROGRAM,
                line: line.chars().take(200).collect(),
            })?;
            path.truncate(depth);
            if path.len() != depth || depth > MAX_DEPTH {
                return Err(AuditError::Answer {
                    program: PROGRAM,
                    line: line.to_owned(),
                });
            }
            if let (true, Some(parent)) = (edges, path.last()) {
                let parent = self.nodes.entry(parent.clone()).or_default();
                parent.depends_on.insert(id.clone());
            }
            let known = self.nodes.entry(id.clone()).or_default();
            known.licence = node.licence;
            known.procedural_macro |= node.procedural_macro;
            path.push(id);
        }
        Ok(())
    }

    /// The packages with what `Cargo.lock` knows of them, and the positions of the roots.
    pub(super) fn into_crates(self, roots: &[&str], lock: &CargoLock) -> (Vec<Crate>, Vec<usize>) {
        let linked = self.linked(roots);
        let position: BTreeMap<&Id, usize> = self.nodes.keys().zip(0..).collect();
        let describe = |(id, node): (&Id, &Node)| {
            let locked = lock.find(&id.0, &id.1);
            Crate {
                name: id.0.clone(),
                version: id.1.clone(),
                licence: licence::normal(&node.licence),
                source: locked.and_then(|locked| locked.source.clone()),
                checksum: locked.and_then(|locked| locked.checksum.clone()),
                build_only: !linked.contains(id),
                depends_on: node.depends_on.iter().map(|id| position[id]).collect(),
            }
        };
        let crates = self.nodes.iter().map(describe).collect();
        let is_root = |(id, _): &(&&Id, &usize)| roots.contains(&id.0.as_str());
        let roots = position.iter().filter(is_root).map(|(_, at)| *at).collect();
        (crates, roots)
    }

    /// What is reached from the roots without going through a procedural macro.
    fn linked(&self, roots: &[&str]) -> BTreeSet<Id> {
        let mut linked = BTreeSet::new();
        let mut next: Vec<&Id> = self
            .nodes
            .keys()
            .filter(|id| roots.contains(&id.0.as_str()))
            .collect();
        while let Some(id) = next.pop() {
            let node = &self.nodes[id];
            if !node.procedural_macro && linked.insert(id.clone()) {
                next.extend(&node.depends_on);
            }
        }
        linked
    }
}

fn tree(source: &Path, roots: &[&str], development: bool, edges: &str) -> Result<String, AuditError> {
    let mut command = Command::new("cargo");
    command.current_dir(source).args([
        "tree",
        "--locked",
        "--target",
        TARGET,
        "--charset",
        "ascii",
        "--prefix",
        "depth",
    ]);
    command.args(["--format", "|{p}|{l}", "--edges", edges]);
    for root in roots {
        command.args(["--package", root]);
    }
    if development {
        command.args(["--features", "jeju-enclave/sim"]);
    }
    let output = command.output().map_err(|source| AuditError::Program {
        program: PROGRAM,
        source,
    })?;
    if !output.status.success() {
        return Err(AuditError::Failed {
            program: PROGRAM,
            message: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn parse(line: &str) -> Option<(usize, Id, Node)> {
    let mut parts = line.splitn(3, '|');
    let (depth, package, licence) = (parts.next()?, parts.next()?, parts.next()?);
    let mut words = package.split(' ');
    let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
    let node = Node {
        licence: licence.trim_end_matches(" (*)").to_owned(),
        procedural_macro: words.any(|word| word == "(proc-macro)"),
        depends_on: BTreeSet::new(),
    };
    Some((depth.parse().ok()?, (name.to_owned(), version.to_owned()), node))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_is_linked_from_what_only_compiles() {
        let normal = "0|node v0.1.0 (/src/node)|MIT\n1|derive v1.0.0 (proc-macro)|MIT\n2|syn v2.0.0|MIT/Apache-2.0\n\
                      1|zero v1.0.0|MIT\n2|derive v1.0.0 (proc-macro)|MIT (*)\n\n0|init v0.1.0 (/src/init)|MIT\n";
        let mut resolved = Resolved::default();
        resolved.read(normal, true).unwrap();
        resolved
            .read("0|node v0.1.0 (/src/node)|MIT\n1|cc v1.0.0|MIT\n", false)
            .unwrap();
        let (crates, roots) = resolved.into_crates(&["node", "init"], &CargoLock::default());
        let by_name = |build_only| {
            let of = crates.iter().filter(|package| package.build_only == build_only);
            of.map(|package| package.name.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(by_name(false), ["init", "node", "zero"]);
        assert_eq!(by_name(true), ["cc", "derive", "syn"]);
        let names: Vec<_> = roots.iter().map(|at| crates[*at].name.as_str()).collect();
        assert_eq!(names, ["init", "node"]);
        let node = &crates[roots[1]];
        let names: Vec<_> = node.depends_on.iter().map(|at| &crates[*at].name[..]).collect();
        assert_eq!(names, ["derive", "zero"]);
        let syn = crates.iter().find(|package| package.name == "syn").unwrap();
        assert_eq!(syn.licence, "MIT OR Apache-2.0");
    }

    #[test]
    fn other_answers_are_refused() {
        for bad in [
            "x",
            "0|a|MIT",
            "1|a v1.0.0|MIT",
            "0|a v1.0.0|MIT\n2|b v1.0.0|MIT",
            "|a v1|M",
        ] {
            assert!(Resolved::default().read(bad, true).is_err(), "{bad:?}");
        }
    }
}
