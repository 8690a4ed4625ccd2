//! A small root of locked packages: what is in it, what is not, for root and for a plain user.
//!
//! The packages (7 MB) are taken from the cache of inputs, or fetched. Says so and passes where there may be no user
//! namespaces, unless CI is set: CI tests it all.

use std::env;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use jeju_image::inputs::{Cache, Group, Input, Inputs, Lock, Mirror, Source};
use jeju_image::root::{Root, RootError};

/// What bash and coreutils need.
const PACKAGES: [&str; 13] = [
    "base-files",
    "bash",
    "coreutils",
    "dash",
    "gcc-12-base",
    "libacl1",
    "libattr1",
    "libc6",
    "libgcc-s1",
    "libgmp10",
    "libpcre2-8-0",
    "libselinux1",
    "libtinfo6",
];
/// For the copy of this test that runs as another user: a folder with the packages.
const PACKAGES_OF: &str = "JEJU_TEST_PACKAGES";
const NOBODY: &str = "65534";

struct Fixture {
    root: Root,
    folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = assemble(folder.path());
        Self { root, folder }
    }

    /// Runs a script of bash inside, with `written` at `/build` and `read` at `/src`.
    fn bash(&self, script: &str) -> Result<String, RootError> {
        let (read, written) = (
            self.folder.path().join("read"),
            self.folder.path().join("written"),
        );
        for folder in [&read, &written] {
            fs::create_dir_all(folder).unwrap();
        }
        let output = self
            .root
            .program("/usr/bin/bash")
            .args(["-c", script])
            .reads(&read, "/src")
            .writes(&written, "/build")
            .output()?;
        Ok(String::from_utf8(output).unwrap().trim_end().to_owned())
    }
}

fn packages() -> Vec<(Input, PathBuf)> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = fs::read_to_string(workspace.join("image/lock.toml"));
    let lock = match &text {
        Ok(text) => Lock::parse(text).unwrap(),
        // Another user may not see the workspace.
        Err(_) => Lock::parse(include_str!("../lock.toml")).unwrap(),
    };
    let wanted: Vec<_> = lock
        .packages(Group::Node)
        .unwrap()
        .into_iter()
        .filter(|package| PACKAGES.contains(&&*package.name))
        .collect();
    assert_eq!(wanted.len(), PACKAGES.len());
    let (cache, source) = match env::var_os(PACKAGES_OF) {
        Some(folder) => (env::temp_dir().join("cache"), Source::Folder(folder.into())),
        None => (
            Path::new(env!("CARGO_TARGET_TMPDIR")).join("inputs"),
            Source::Network(Mirror::default()),
        ),
    };
    let files = Inputs::new(Cache::new(cache), source).get(&wanted).unwrap();
    wanted.into_iter().zip(files).collect()
}

fn assemble(store: &Path) -> Root {
    Root::assemble(&store.join("roots"), "test", &packages()).unwrap()
}

/// Whether a root can be entered here. In CI it must be.
fn possible(fixture: &Fixture) -> bool {
    match fixture.bash("true") {
        Err(error @ RootError::Enter { .. }) if env::var_os("CI").is_none() => {
            eprintln!("skipped: {error}");
            false
        }
        result => {
            result.unwrap();
            true
        }
    }
}

#[test]
fn inside_is_nothing_of_the_host() {
    let fixture = Fixture::new();
    if !possible(&fixture) {
        return;
    }
    let inside = |script: &str| fixture.bash(script).unwrap();
    assert_eq!(
        inside("ls -A /").split_whitespace().collect::<Vec<_>>(),
        [
            "bin", "boot", "build", "cargo", "dev", "etc", "home", "lib", "lib64", "proc", "root", "run",
            "sbin", "src", "sys", "tmp", "usr", "var"
        ]
    );
    for folder in ["/tmp", "/src", "/build", "/cargo", "/home", "/root"] {
        assert_eq!(inside(&format!("ls -A {folder}")), "", "{folder}");
    }
    for path in [
        fixture.folder.path(),
        Path::new(env!("CARGO_MANIFEST_DIR")),
        Path::new("/etc/hostname"),
        Path::new("/etc/resolv.conf"),
        Path::new("/sys/kernel"),
        Path::new("/dev/kmsg"),
        Path::new("/dev/vda"),
    ] {
        assert_eq!(
            inside(&format!("[ -e '{}' ] || echo absent", path.display())),
            "absent",
            "{path:?}"
        );
    }
    assert_eq!(
        inside("ls /dev | tr '\\n' ' '"),
        "fd full null random stderr stdin stdout urandom zero"
    );
    // The caller's environment isn't seen; the shell adds the last three.
    let mut variables: Vec<_> = inside("env | sort").lines().map(str::to_owned).collect();
    variables.retain(|line| !["PWD=", "SHLVL=", "_="].iter().any(|own| line.starts_with(own)));
    assert_eq!(
        variables,
        [
            "HOME=/build/home",
            "LC_ALL=C",
            "PATH=/usr/sbin:/usr/bin",
            "SOURCE_DATE_EPOCH=1767225600",
            "TZ=UTC0"
        ]
    );
    assert_eq!(inside("umask"), "0022");
    assert_eq!(inside("cat /proc/sys/kernel/hostname"), "image");
    assert_eq!(
        inside("id -u; id -g; echo $HOSTNAME").replace('\n', " "),
        "0 0 image"
    );
    // Its own processes alone: the one that waits for orphans, and itself.
    assert_eq!(inside("cd /proc; echo [0-9]*"), "1 2");
    assert_eq!(inside("readlink /proc/self/fd/0"), "/dev/null");
}

#[test]
fn there_is_no_network() {
    let fixture = Fixture::new();
    if !possible(&fixture) {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = format!("(exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null && echo connected || echo refused");
    assert_eq!(fixture.bash(&script).unwrap(), "refused");
    let interfaces = fixture.bash("tail -n +3 /proc/net/dev | while read name rest; do echo $name; done");
    assert_eq!(interfaces.unwrap(), "lo:");
    assert_eq!(fixture.bash("cat /proc/net/route | tail -n +2").unwrap(), "");
}

#[test]
fn only_build_and_tmp_can_be_written() {
    let fixture = Fixture::new();
    if !possible(&fixture) {
        return;
    }
    // Those in /proc belong to the host's root, who is user 0 inside where root builds.
    let settings = [
        "/proc/sys/kernel/hostname",
        "/proc/sys/kernel/core_pattern",
        "/proc/sysrq-trigger",
    ];
    for path in ["/x", "/usr/bin/x", "/etc/passwd", "/src/x"]
        .into_iter()
        .chain(settings)
    {
        let script = format!("(: >{path}) 2>/dev/null && echo written || echo refused");
        assert_eq!(fixture.bash(&script).unwrap(), "refused", "{path}");
    }
    assert_eq!(
        fixture
            .bash("chmod 600 /dev/null 2>/dev/null && echo changed || echo refused")
            .unwrap(),
        "refused"
    );
    assert_eq!(
        fixture.bash("echo x >/dev/null && echo written").unwrap(),
        "written"
    );
    assert_eq!(
        fixture
            .bash("echo x >/tmp/x && echo x >/build/x && cat /tmp/x")
            .unwrap(),
        "x"
    );
    let written = fixture.folder.path().join("written/x");
    assert_eq!(fs::read(&written).unwrap(), b"x\n");
    assert_eq!(fs::metadata(written).unwrap().permissions().mode() & 0o777, 0o644);
    // /tmp is another one each time.
    assert_eq!(fixture.bash("ls -A /tmp").unwrap(), "");
}

#[test]
fn nothing_inside_has_privileges() {
    let fixture = Fixture::new();
    if !possible(&fixture) {
        return;
    }
    let status = fixture
        .bash("while read name value rest; do case $name in Cap*|NoNewPrivs:) echo $name$value;; esac; done </proc/self/status")
        .unwrap();
    let none = "0".repeat(16);
    for line in [
        format!("CapInh:{none}"),
        format!("CapPrm:{none}"),
        format!("CapEff:{none}"),
        format!("CapAmb:{none}"),
        "NoNewPrivs:1".to_owned(),
    ] {
        assert!(status.lines().any(|found| found == line), "{line} in {status}");
    }
}

#[test]
fn a_program_that_fails_or_is_absent_is_named() {
    let fixture = Fixture::new();
    if !possible(&fixture) {
        return;
    }
    let failed = fixture.bash("exit 7").unwrap_err();
    assert!(
        matches!(&failed, RootError::Failed { program, status } if program == "/usr/bin/bash" && status.code() == Some(7)),
        "{failed:?}"
    );
    let killed = fixture.bash("kill -9 $$").unwrap_err();
    assert!(
        matches!(&killed, RootError::Failed { status, .. } if status.code() == Some(137)),
        "{killed:?}"
    );
    let absent = fixture.root.program("/usr/bin/cc").output().unwrap_err();
    assert!(matches!(absent, RootError::Process(_)), "{absent:?}");
    let nowhere = fixture
        .root
        .program("/usr/bin/true")
        .current_dir("/nowhere")
        .output();
    let error = nowhere.unwrap_err().to_string();
    assert!(
        error.starts_with("entering a root: entering the working folder: No such file"),
        "{error}"
    );
    // Orphans don't keep it.
    let started = Instant::now();
    fixture.bash("sleep 100 >/dev/null 2>&1 &").unwrap();
    assert!(started.elapsed() < Duration::from_secs(50));
}

#[test]
fn a_root_is_the_same_wherever_it_is_made() {
    let fixture = Fixture::new();
    let elsewhere = tempfile::tempdir().unwrap();
    assert_eq!(assemble(elsewhere.path()).digest(), fixture.root.digest());
}

#[test]
fn a_plain_user_gets_the_same_root_and_can_enter_it() {
    // Only root can become somebody else.
    let can = Command::new("setpriv")
        .args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "true"])
        .stderr(Stdio::null())
        .status();
    if !can.is_ok_and(|status| status.success()) {
        eprintln!("skipped: this user can't become another");
        return;
    }
    let fixture = Fixture::new();
    if !possible(&fixture) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let deb = folder.path().join("deb");
    fs::create_dir(&deb).unwrap();
    for (package, path) in packages() {
        fs::copy(path, deb.join(package.file_name)).unwrap();
    }
    let test = folder.path().join("test");
    fs::copy(env::current_exe().unwrap(), &test).unwrap();
    for name in [
        "inside_is_nothing_of_the_host",
        "only_build_and_tmp_can_be_written",
        "print_the_digest",
    ] {
        let output = Command::new("setpriv")
            .args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"])
            .arg(&test)
            .args(["--exact", name, "--include-ignored", "--nocapture"])
            .current_dir("/")
            .env("TMPDIR", folder.path())
            .env(PACKAGES_OF, folder.path())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "{name}: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        if name == "print_the_digest" {
            assert!(text.contains(&hex::encode(fixture.root.digest())), "{text}");
        }
    }
}

#[test]
#[ignore = "for the test above"]
fn print_the_digest() {
    println!("{}", hex::encode(Fixture::new().root.digest()));
}

#[test]
fn a_changed_root_is_not_used() {
    let fixture = Fixture::new();
    let program = fixture.root.path().join("usr/bin/true");
    fs::remove_file(&program).unwrap();
    symlink("/usr/bin/false", &program).unwrap();
    let again = assemble(fixture.folder.path());
    assert_eq!(again.digest(), fixture.root.digest());
    assert!(!program.is_symlink());
}

#[test]
fn ending_the_builder_ends_the_build() {
    let fixture = Fixture::new();
    if !possible(&fixture) {
        return;
    }
    if let Some(folder) = env::var_os("JEJU_TEST_SLEEP") {
        // The child below: sleeps inside until it is killed.
        let folder = PathBuf::from(folder);
        let _ = fixture
            .root
            .program("/usr/bin/bash")
            .args(["-c", "echo >/build/started; sleep 60; echo >/build/woken"])
            .writes(&folder, "/build")
            .run();
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "ending_the_builder_ends_the_build"])
        .env("JEJU_TEST_SLEEP", folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !folder.path().join("started").exists() {
        assert!(Instant::now() < deadline, "it did not start");
        thread::sleep(Duration::from_millis(50));
    }
    let id = child.id();
    child.kill().unwrap();
    child.wait().unwrap();
    // Its descendants had its folder for their own: none is left that has it open.
    let inside = |entry: fs::DirEntry| {
        let mounts = fs::read_to_string(entry.path().join("mountinfo")).unwrap_or_default();
        mounts.contains(&folder.path().display().to_string())
    };
    while fs::read_dir("/proc").unwrap().flatten().any(inside) {
        assert!(Instant::now() < deadline, "a process of {id} is left");
        thread::sleep(Duration::from_millis(50));
    }
}
