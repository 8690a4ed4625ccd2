//! A folder that packages are unpacked into, and nothing outside of it.
//!
//! The tree knows what it has written, and writes only below folders that it made itself: a link of one package never
//! leads what follows elsewhere. It starts empty, and nobody else writes into it.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::deb::{self, DebError};
use crate::tar::{Kind, Reader, TarError};

/// Debian's merged `/usr`: what packages put into these folders lies in those of the same name in `/usr`.
const MERGED: [&str; 4] = ["bin", "lib", "lib64", "sbin"];
/// What no build reads.
const LEFT_OUT: [&str; 6] = [
    "usr/share/bug",
    "usr/share/doc",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
];
/// Most entries of a root.
const MAX_ENTRIES: usize = 200_000;
/// Most bytes of a root's files.
const MAX_BYTES: u64 = 8 << 30;

/// Why a package can't be unpacked.
#[derive(Debug, Error)]
pub enum TreeError {
    /// The package.
    #[error(transparent)]
    Deb(#[from] DebError),
    /// Its data archive.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// A name that leads outside of the root, or that no file can have.
    #[error("{0:?} can't be the name of a file in a root")]
    Name(String),
    /// Something below what is no folder: a link would lead elsewhere.
    #[error("{name:?} is to be put below {parent:?}, which is not a folder")]
    Parent {
        /// What is to be put there.
        name: String,
        /// What isn't a folder.
        parent: String,
    },
    /// Two things of one name.
    #[error("{name:?} is in the root already, from {first}")]
    Twice {
        /// The name.
        name: String,
        /// The package that brought it first.
        first: String,
    },
    /// A hard link to what is not a file of the root.
    #[error("{name:?} is a hard link to {target:?}, which is no file of the root")]
    Hardlink {
        /// The link.
        name: String,
        /// Its target.
        target: String,
    },
    /// More entries than any root has.
    #[error("a root has at most {MAX_ENTRIES} entries")]
    Entries,
    /// More bytes than any root has.
    #[error("the files of a root have at most {MAX_BYTES} bytes together")]
    Bytes,
    /// A file can't be written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A folder and what was put into it.
#[derive(Debug)]
pub struct Tree {
    folder: PathBuf,
    entries: BTreeMap<String, Node>,
    bytes: u64,
}

#[derive(Debug)]
enum Node {
    Folder,
    File { package: String },
    Link { package: String },
}

impl Tree {
    /// A tree in an empty folder, with the links of a merged `/usr`.
    ///
    /// # Errors
    /// [`TreeError::Io`].
    pub fn new(folder: &Path) -> Result<Self, TreeError> {
        let mut tree = Self {
            folder: folder.to_owned(),
            entries: BTreeMap::new(),
            bytes: 0,
        };
        tree.folder("usr")?;
        for name in MERGED {
            tree.folder(&format!("usr/{name}"))?;
            tree.insert_link(name, &format!("usr/{name}"), "the root's layout")?;
        }
        Ok(tree)
    }

    /// Unpacks a package.
    ///
    /// # Errors
    /// Any of [`TreeError`].
    pub fn unpack(&mut self, package: &str, file: impl Read + 'static) -> Result<(), TreeError> {
        let mut archive = Reader::new(deb::data(file)?);
        while let Some(entry) = archive.next_entry()? {
            let name = place(&entry.name)?;
            if name.is_empty() || LEFT_OUT.iter().any(|folder| is_below(&name, folder)) {
                continue;
            }
            match entry.kind {
                Kind::Folder => self.folder(&name)?,
                Kind::Symlink(target) => self.link(&name, &target, package)?,
                Kind::Hardlink(target) => self.hardlink(&name, &target, package)?,
                Kind::File(size) => {
                    let executable = entry.mode & 0o111 != 0;
                    self.bytes = self.bytes.saturating_add(size);
                    if self.bytes > MAX_BYTES {
                        return Err(TreeError::Bytes);
                    }
                    self.file(&name, &mut archive, executable, package)?;
                }
            }
        }
        Ok(())
    }

    /// Whether something of this name is there.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// Makes a folder, and those above it, where they aren't there.
    ///
    /// # Errors
    /// [`TreeError::Twice`], [`TreeError::Parent`], [`TreeError::Entries`], [`TreeError::Io`].
    pub fn folder(&mut self, name: &str) -> Result<(), TreeError> {
        match self.entries.get(name) {
            Some(Node::Folder) => return Ok(()),
            Some(Node::File { package } | Node::Link { package }) => {
                return Err(TreeError::Twice {
                    name: name.to_owned(),
                    first: package.clone(),
                });
            }
            None => {}
        }
        let path = self.vacant(name)?;
        fs::create_dir(&path)
            .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(0o755)))
            .map_err(|source| TreeError::Io { path, source })?;
        self.entries.insert(name.to_owned(), Node::Folder);
        Ok(())
    }

    /// Puts a file there. Of its mode, only whether it can be executed is kept.
    ///
    /// # Errors
    /// [`TreeError::Twice`], [`TreeError::Parent`], [`TreeError::Entries`], [`TreeError::Io`].
    pub fn file(
        &mut self,
        name: &str,
        mut content: impl Read,
        executable: bool,
        package: &str,
    ) -> Result<(), TreeError> {
        let path = self.vacant(name)?;
        let mode = if executable { 0o755 } else { 0o644 };
        (|| {
            let mut file = File::create_new(&path)?;
            io::copy(&mut content, &mut file)?;
            file.flush()?;
            file.set_permissions(Permissions::from_mode(mode))
        })()
        .map_err(|source| TreeError::Io { path, source })?;
        let package = package.to_owned();
        self.entries.insert(name.to_owned(), Node::File { package });
        Ok(())
    }

    /// Puts a symbolic link there. Its target may be anything: it means something in the root only.
    ///
    /// # Errors
    /// [`TreeError::Twice`], [`TreeError::Parent`], [`TreeError::Entries`], [`TreeError::Io`].
    pub fn link(&mut self, name: &str, target: &str, package: &str) -> Result<(), TreeError> {
        // Links of a merged /usr that packages bring themselves.
        if MERGED.contains(&name) && target.trim_matches('/') == format!("usr/{name}") {
            return Ok(());
        }
        self.insert_link(name, target, package)
    }

    fn insert_link(&mut self, name: &str, target: &str, package: &str) -> Result<(), TreeError> {
        let path = self.vacant(name)?;
        symlink(target, &path).map_err(|source| TreeError::Io { path, source })?;
        let package = package.to_owned();
        self.entries.insert(name.to_owned(), Node::Link { package });
        Ok(())
    }

    fn hardlink(&mut self, name: &str, target: &str, package: &str) -> Result<(), TreeError> {
        let at = place(target)?;
        if !matches!(self.entries.get(&at), Some(Node::File { .. })) {
            return Err(TreeError::Hardlink {
                name: name.to_owned(),
                target: target.to_owned(),
            });
        }
        let path = self.vacant(name)?;
        fs::hard_link(self.folder.join(at), &path).map_err(|source| TreeError::Io { path, source })?;
        let package = package.to_owned();
        self.entries.insert(name.to_owned(), Node::File { package });
        Ok(())
    }

    /// Where a new entry goes: below folders of the tree, in a place where nothing is.
    fn vacant(&mut self, name: &str) -> Result<PathBuf, TreeError> {
        if self.entries.len() >= MAX_ENTRIES {
            return Err(TreeError::Entries);
        }
        if let Some((parent, _)) = name.rsplit_once('/') {
            match self.entries.get(parent) {
                Some(Node::Folder) => {}
                Some(_) => {
                    return Err(TreeError::Parent {
                        name: name.to_owned(),
                        parent: parent.to_owned(),
                    });
                }
                None => self.folder(parent)?,
            }
        }
        match self.entries.get(name) {
            None => Ok(self.folder.join(name)),
            Some(node) => Err(TreeError::Twice {
                name: name.to_owned(),
                first: match node {
                    Node::Folder => "a package with a folder of that name".to_owned(),
                    Node::File { package } | Node::Link { package } => package.clone(),
                },
            }),
        }
    }
}

/// Where a package's name lies in the root, without a slash at the beginning or the end; empty for the root itself.
fn place(name: &str) -> Result<String, TreeError> {
    let refused = || TreeError::Name(name.to_owned());
    let relative = name.strip_prefix("./").unwrap_or(name);
    let relative = relative.strip_suffix('/').unwrap_or(relative);
    if matches!(relative, "" | ".") {
        // "/" is the name of nothing in an archive.
        return if name.starts_with('/') {
            Err(refused())
        } else {
            Ok(String::new())
        };
    }
    let parts: Vec<_> = relative.split('/').collect();
    let plain = |part: &&str| !part.is_empty() && *part != "." && *part != ".." && part.len() <= 255;
    if relative.len() > 4096 || parts.len() > 64 || !parts.iter().all(plain) {
        return Err(refused());
    }
    // The folder itself is a link; what is in it is behind the link.
    if parts.len() > 1 && MERGED.contains(&parts[0]) {
        return Ok(format!("usr/{relative}"));
    }
    Ok(if MERGED.contains(&relative) && name.ends_with('/') {
        format!("usr/{relative}")
    } else {
        relative.to_owned()
    })
}

fn is_below(name: &str, folder: &str) -> bool {
    name.strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::deb::tests::package;
    use crate::tar::tests::header;

    fn entries(entries: &[(&str, u8, &str)]) -> io::Cursor<Vec<u8>> {
        let mut archive = Vec::new();
        for (name, kind, target) in entries {
            archive.extend(header(name, *kind, target, 0));
        }
        archive.extend([0; 1024]);
        io::Cursor::new(package(&archive))
    }

    /// Unpacks into `root/` of a folder that has nothing else, and returns the result and that folder.
    fn unpack(list: &[(&str, u8, &str)]) -> (Result<(), TreeError>, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir(&root).unwrap();
        let result = Tree::new(&root).unwrap().unpack("hostile", entries(list));
        let beside: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(beside, ["root"], "{list:?}");
        (result, folder)
    }

    #[test]
    fn names_that_lead_outside_are_refused() {
        for name in [
            "../evil",
            "./../evil",
            "/evil",
            "usr/../../evil",
            "a/./b",
            "a//b",
            "..",
            "/",
            "//",
            "./..",
            "bin/../../x",
        ] {
            for kind in [b'0', b'2', b'5'] {
                let (result, _) = unpack(&[(name, kind, "t")]);
                assert!(matches!(result, Err(TreeError::Name(_))), "{name}: {result:?}");
            }
        }
    }

    #[test]
    fn links_lead_nowhere() {
        // A link to a folder outside, and a file below it.
        let outside = tempfile::tempdir().unwrap();
        let path = outside.path().to_str().unwrap();
        for target in [path, "..", "../..", "/", "usr"] {
            for (below, kind) in [
                ("l/evil", b'0'),
                ("l/evil", b'5'),
                ("l/evil", b'2'),
                ("l/a/evil", b'0'),
            ] {
                let (result, _) = unpack(&[("l", b'2', target), (below, kind, "t")]);
                assert!(
                    matches!(result, Err(TreeError::Parent { .. })),
                    "{target} {below}: {result:?}"
                );
            }
            // The link itself is never written through, and never a folder.
            for kind in [b'0', b'2', b'5', b'1'] {
                let (result, _) = unpack(&[("f", b'0', ""), ("l", b'2', target), ("l", kind, "f")]);
                assert!(
                    matches!(result, Err(TreeError::Twice { .. })),
                    "{target}: {result:?}"
                );
            }
        }
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }

    #[test]
    fn hard_links_are_to_files_of_the_root() {
        for target in ["absent", "usr", "l", "bin"] {
            let (result, _) = unpack(&[("l", b'2', "/etc/passwd"), ("h", b'1', target)]);
            assert!(
                matches!(result, Err(TreeError::Hardlink { .. })),
                "{target}: {result:?}"
            );
        }
        let (result, _) = unpack(&[("h", b'1', "../../etc/passwd")]);
        assert!(matches!(result, Err(TreeError::Name(_))));
        let (result, _) = unpack(&[("f", b'0', ""), ("h", b'1', "./f")]);
        result.unwrap();
    }

    #[test]
    fn usr_is_merged_and_modes_are_two() {
        let (result, folder) = unpack(&[
            ("./", b'5', ""),
            ("./bin/", b'5', ""),
            ("./bin/true", b'0', ""),
            ("./lib64", b'2', "usr/lib64"),
            ("./usr/share/man/man1/true.1", b'0', ""),
        ]);
        result.unwrap();
        let root = folder.path().join("root");
        assert!(root.join("usr/bin/true").is_file());
        assert_eq!(fs::read_link(root.join("bin")).unwrap(), Path::new("usr/bin"));
        assert!(!root.join("usr/share").exists());
        let mode = |path: &str| fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode("usr/bin/true"), 0o644);
        assert_eq!(mode("usr/bin"), 0o755);

        // A set-user-ID program is an ordinary one.
        let mut tree = Tree::new(&{
            let other = folder.path().join("other");
            fs::create_dir(&other).unwrap();
            other
        })
        .unwrap();
        let mut archive = header("su", b'0', "", 0);
        archive[100..108].copy_from_slice(b"0004755\0");
        let sum: u32 = archive[..148]
            .iter()
            .chain(&archive[156..])
            .map(|byte| u32::from(*byte))
            .sum::<u32>()
            + 256;
        archive[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        archive.extend([0; 1024]);
        tree.unpack("su", io::Cursor::new(package(&archive))).unwrap();
        let mode = fs::metadata(folder.path().join("other/su"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, 0o755);
    }

    #[test]
    fn devices_are_refused() {
        let (result, _) = unpack(&[("dev/null", b'3', "")]);
        assert!(matches!(result, Err(TreeError::Tar(TarError::Kind { .. }))));
    }
}
