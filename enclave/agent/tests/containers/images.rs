//! Roots of images, without a registry.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::docker::Engine;

/// An image without a file.
pub fn scratch(engine: &Engine) {
    engine.image("scratch:test", tempfile::tempdir().unwrap().path());
}

/// Debian's static busybox under the names of its programs.
pub fn busybox(engine: &Engine) {
    let root = tempfile::tempdir().unwrap();
    let bin = root.path().join("bin");
    fs::create_dir_all(&bin).unwrap();
    fs::create_dir(root.path().join("tmp")).unwrap();
    fs::copy("/bin/busybox", bin.join("busybox")).expect("Debian's busybox-static is installed");
    for name in [
        "sh", "cat", "echo", "sleep", "ps", "setsid", "stty", "wc", "ls", "kill", "true", "httpd", "id",
    ] {
        std::os::unix::fs::symlink("busybox", bin.join(name)).unwrap();
    }
    let passwd = "root:x:0:0:root:/:/bin/sh\nann:x:1000:1000::/tmp:/bin/sh\n";
    fs::create_dir(root.path().join("etc")).unwrap();
    fs::write(root.path().join("etc/passwd"), passwd).unwrap();
    engine.image("busybox:test", root.path());
}

/// Bash, coreutils and their libraries, as this machine's Debian has them.
pub fn debian(engine: &Engine) {
    let root = tempfile::tempdir().unwrap();
    for program in [
        "bash",
        "cat",
        "stty",
        "sleep",
        "seq",
        "sha256sum",
        "ls",
        "id",
        "head",
    ] {
        let path = ["/bin", "/usr/bin"]
            .map(|folder| Path::new(folder).join(program))
            .into_iter()
            .find(|path| path.exists())
            .expect("this machine is a Debian");
        copy(&path, root.path());
        let libraries = Command::new("ldd").arg(&path).output().unwrap().stdout;
        for word in String::from_utf8(libraries).unwrap().split_whitespace() {
            if word.starts_with('/') {
                copy(Path::new(word), root.path());
            }
        }
    }
    copy(Path::new("/etc/passwd"), root.path());
    fs::create_dir(root.path().join("root")).unwrap();
    engine.image("debian:test", root.path());
}

fn copy(from: &Path, root: &Path) {
    let to = root.join(from.strip_prefix("/").unwrap());
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(from, to).unwrap();
}
