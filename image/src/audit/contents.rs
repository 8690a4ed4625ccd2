//! Every entry of the archives and every parameter of the command line, against `image/allow-list.toml`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::folder::Folder;
use super::{Check, Finding, elf};
use crate::cpio::RawEntry;

/// Compares what a launch loads with the list.
pub fn check(folder: &Folder) -> Vec<Finding> {
    let list = AllowList::compiled_in();
    let mut findings = entries(&list, folder);
    findings.extend(command_line(
        &list,
        folder.manifest.platform.name(),
        &folder.cmdline,
    ));
    findings
}

fn entries(list: &AllowList, folder: &Folder) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut files = 0;
    // By path: the kernel unpacks one archive over the other.
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for (archive, entry) in folder.entries() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                findings.push(Finding::violation(Check::Contents, archive, error.to_string()));
                continue;
            }
        };
        let path = entry.path();
        let directory = kind_of(&entry) == Some(Kind::Directory);
        files += usize::from(!directory);
        let mut wrong = problems(list, &path, &entry);
        if let Some(before) = seen.insert(path.clone(), archive)
            && !directory
        {
            wrong.push(format!("replaces the entry of {before}"));
        }
        findings.push(if wrong.is_empty() {
            Finding::ok(
                Check::Contents,
                path,
                format!("{:06o}, {} bytes", entry.mode, entry.data.len()),
            )
        } else {
            Finding::violation(Check::Contents, path, wrong.join("; "))
        });
    }
    for allowed in list.entry.iter().filter(|allowed| allowed.required) {
        if !seen.contains_key(&allowed.path) {
            findings.push(Finding::violation(
                Check::Contents,
                &allowed.path,
                format!("is missing: {}", allowed.why),
            ));
        }
    }
    findings.push(Finding::either(
        files <= list.max_files,
        Check::Contents,
        "files",
        format!("{files} files, at most {} are allowed", list.max_files),
    ));
    findings
}

/// What is against an entry; empty for one as the list has it.
fn problems(list: &AllowList, path: &str, entry: &RawEntry) -> Vec<String> {
    let mut wrong = Vec::new();
    let permissions = entry.mode & 0o7777;
    if permissions & 0o6000 != 0 {
        wrong.push(format!("setuid or setgid ({permissions:04o})"));
    }
    if permissions & 0o022 != 0 {
        wrong.push(format!("writable by others ({permissions:04o})"));
    }
    if entry.owner != (0, 0) {
        wrong.push(format!(
            "belongs to {}:{}, not to 0:0",
            entry.owner.0, entry.owner.1
        ));
    }
    if entry.data.starts_with(b"#!") {
        wrong.push("a script, and there is no interpreter".to_owned());
    }
    if let Some(what) = known_program(path, entry.data) {
        wrong.push(format!("{what}: nobody logs in or looks in"));
    }
    let Some(allowed) = list.entry.iter().find(|allowed| allowed.path == path) else {
        wrong.insert(0, "not on the allow-list".to_owned());
        return wrong;
    };
    if kind_of(entry) != Some(allowed.kind) {
        wrong.push(format!(
            "has type and mode {:06o}, wanted {:?}",
            entry.mode, allowed.kind
        ));
    }
    if u32::from_str_radix(&allowed.mode, 8) != Ok(permissions) {
        wrong.push(format!("has mode {permissions:04o}, wanted {}", allowed.mode));
    }
    let device = format!("{}:{}", entry.device.0, entry.device.1);
    if allowed.device.as_ref().is_some_and(|wanted| *wanted != device) {
        wrong.push(format!(
            "is device {device}, wanted {}",
            allowed.device.as_deref().unwrap_or_default()
        ));
    }
    let (fits, wanted) = match allowed.content {
        Content::Elf => (entry.data.starts_with(elf::MAGIC), "an ELF program"),
        Content::Gguf => (entry.data.starts_with(b"GGUF"), "a GGUF model"),
        Content::Any => (true, ""),
    };
    if !fits {
        wrong.push(format!("is not {wanted}"));
    }
    if let Some(most) = allowed.max_bytes.filter(|most| entry.data.len() as u64 > *most) {
        wrong.push(format!(
            "is {} bytes long, at most {most} are allowed",
            entry.data.len()
        ));
    }
    wrong
}

const SHELLS: [&str; 11] = [
    "sh", "ash", "bash", "busybox", "csh", "dash", "fish", "ksh", "tcsh", "toybox", "zsh",
];
const INTERPRETERS: [&str; 11] = [
    "awk", "gawk", "lua", "mawk", "node", "perl", "php", "python", "qjs", "ruby", "tclsh",
];
const LOGINS: [&str; 9] = [
    "agetty", "dropbear", "getty", "login", "mingetty", "sshd", "su", "sulogin", "telnetd",
];
const DEBUGGERS: [&str; 8] = [
    "bpftrace",
    "gdb",
    "gdbserver",
    "lldb",
    "ltrace",
    "perf",
    "strace",
    "tcpdump",
];
/// Words that these programs have in them, whatever they are called.
const SIGNATURES: [(&[u8], &str); 3] = [
    (b"BusyBox v", "a shell"),
    (b"GNU bash, version", "a shell"),
    (b"toybox 0.", "a shell"),
];

/// Says what a well-known program is, so that a list of violations can be read.
fn known_program(path: &str, data: &[u8]) -> Option<&'static str> {
    let name = path.rsplit('/').next().unwrap_or_default();
    // python3.11 is python.
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let by_name = [
        (&SHELLS[..], "a shell"),
        (&INTERPRETERS[..], "an interpreter"),
        (&LOGINS[..], "a login"),
        (&DEBUGGERS[..], "a debugger"),
    ];
    let by_name = by_name
        .into_iter()
        .find(|(names, _)| names.contains(&name) && data.starts_with(elf::MAGIC));
    if let Some((_, what)) = by_name {
        return Some(what);
    }
    let elf = data.starts_with(elf::MAGIC);
    SIGNATURES
        .into_iter()
        .find(|(word, _)| elf && elf::contains(data, word))
        .map(|(_, what)| what)
}

fn command_line(list: &AllowList, platform: &str, cmdline: &[u8]) -> Vec<Finding> {
    let Ok(text) = std::str::from_utf8(cmdline) else {
        return vec![Finding::violation(Check::CommandLine, "cmdline", "is not text")];
    };
    let judge = |parameter: &str| {
        let allowed = list.parameter.iter().find(|allowed| allowed.value == parameter);
        match allowed {
            None => Finding::violation(Check::CommandLine, parameter, "not on the allow-list"),
            Some(allowed) if allowed.fits(platform) => {
                Finding::ok(Check::CommandLine, parameter, &allowed.why)
            }
            Some(allowed) => Finding::violation(
                Check::CommandLine,
                parameter,
                format!("only allowed on {}", allowed.platforms.join(", ")),
            ),
        }
    };
    text.split_whitespace().map(judge).collect()
}

fn kind_of(entry: &RawEntry) -> Option<Kind> {
    Some(match entry.mode & 0o170_000 {
        0o040_000 => Kind::Directory,
        0o100_000 if entry.mode & 0o111 != 0 => Kind::Executable,
        0o100_000 => Kind::File,
        0o020_000 => Kind::CharacterDevice,
        _ => return None,
    })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AllowList {
    max_files: usize,
    entry: Vec<Allowed>,
    parameter: Vec<Parameter>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Allowed {
    path: String,
    kind: Kind,
    /// Octal.
    mode: String,
    #[serde(default)]
    content: Content,
    /// MAJOR:MINOR.
    device: Option<String>,
    /// Longest content, in bytes.
    max_bytes: Option<u64>,
    #[serde(default)]
    required: bool,
    why: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Directory,
    File,
    Executable,
    CharacterDevice,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Content {
    Elf,
    Gguf,
    #[default]
    Any,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameter {
    value: String,
    /// Platforms that use it; none named: all.
    #[serde(default)]
    platforms: Vec<String>,
    why: String,
}

impl Parameter {
    fn fits(&self, platform: &str) -> bool {
        self.platforms.is_empty() || self.platforms.iter().any(|name| name == platform)
    }
}

impl AllowList {
    fn compiled_in() -> Self {
        toml::from_str(include_str!("../../allow-list.toml")).expect("a file that is compiled in, and tested")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::testing::{self, raw, violations};
    use crate::manifest::Platform;

    fn of(archive: &[u8]) -> Vec<(String, String)> {
        violations(check(&testing::folder(&[archive], "console=ttyS0")))
    }

    /// A root of ours with one more entry, of any mode.
    fn with(name: &str, mode: u32, data: &[u8]) -> Vec<(String, String)> {
        let mut entries = testing::root();
        entries.push((name, mode, data));
        of(&raw(&entries))
    }

    fn says(found: &[(String, String)], path: &str, words: &[&str]) {
        let [(subject, detail)] = found else {
            panic!("one violation was expected: {found:?}")
        };
        assert_eq!(subject, path);
        for word in words {
            assert!(detail.contains(word), "{detail:?} lacks {word:?}");
        }
    }

    #[test]
    fn a_root_of_ours_is_fine() {
        assert_eq!(of(&raw(&testing::root())), []);
        let model = raw(&[
            ("model", 0o040_755, b""),
            ("model/model.gguf", 0o100_644, b"GGUF"),
        ]);
        let folder = testing::folder(&[&raw(&testing::root()), &model], "quiet panic=-1");
        assert_eq!(violations(check(&folder)), []);
    }

    #[test]
    fn an_agent_for_containers_is_a_program_of_at_most_2_mib() {
        let path = "node/jeju-rental-agent";
        let mut agent = elf::MAGIC.to_vec();
        agent.resize(2 << 20, 0);
        assert_eq!(with(path, 0o100_755, &agent), []);
        agent.push(0);
        says(
            &with(path, 0o100_755, &agent),
            "/node/jeju-rental-agent",
            &["is 2097153 bytes long, at most 2097152 are allowed"],
        );
        says(
            &with(path, 0o100_755, b"#!/bin/sh"),
            "/node/jeju-rental-agent",
            &["a script", "is not an ELF program"],
        );
        says(
            &with(path, 0o100_644, elf::MAGIC),
            "/node/jeju-rental-agent",
            &["has mode 0644, wanted 0755"],
        );
    }

    #[test]
    fn whatever_is_not_listed_is_reported() {
        says(&with("etc", 0o040_755, b""), "/etc", &["not on the allow-list"]);
        says(
            &with("bin/sh", 0o100_755, elf::MAGIC),
            "/bin/sh",
            &["not on the allow-list", "a shell"],
        );
        says(
            &with("bin/python3.11", 0o100_755, elf::MAGIC),
            "/bin/python3.11",
            &["an interpreter"],
        );
        says(
            &with("sbin/agetty", 0o100_755, elf::MAGIC),
            "/sbin/agetty",
            &["a login"],
        );
        says(
            &with("gdbserver", 0o100_755, elf::MAGIC),
            "/gdbserver",
            &["a debugger"],
        );
        says(&with("start", 0o100_755, b"#!/bin/sh\n"), "/start", &["a script"]);
        says(&with("su", 0o104_755, elf::MAGIC), "/su", &["setuid", "a login"]);
        says(&with("x", 0o120_777, b"/init"), "/x", &["writable by others"]);
        says(&with("fifo", 0o010_644, b""), "/fifo", &["not on the allow-list"]);
        says(
            &with("//init2", 0o100_755, b""),
            "/init2",
            &["not on the allow-list"],
        );
    }

    #[test]
    fn listed_paths_must_be_as_listed() {
        let change = |change: &dyn Fn(&mut Vec<testing::Raw<'static>>)| {
            let mut entries = testing::root();
            change(&mut entries);
            of(&raw(&entries))
        };
        says(
            &change(&|root| root[0].1 = 0o104_755),
            "/init",
            &["setuid", "has mode 4755, wanted 0755"],
        );
        says(&change(&|root| root[0].1 = 0o100_777), "/init", &["writable"]);
        says(
            &change(&|root| root[0].1 = 0o100_644),
            "/init",
            &["wanted Executable"],
        );
        says(
            &change(&|root| root[0].2 = b"#!/bin/sh"),
            "/init",
            &["a script", "is not an ELF program"],
        );
        says(
            &change(&|root| root[0].2 = b"\x7fELF\x02\x01 BusyBox v1.35"),
            "/init",
            &["a shell"],
        );
        says(&change(&|root| root.truncate(3)), "/dev/console", &["is missing"]);
        says(
            &change(&|root| root.push(root[0])),
            "/init",
            &["replaces the entry"],
        );
        let mut owned = raw(&testing::root());
        owned[29] = b'1';
        says(&of(&owned), "/init", &["belongs to 1:0"]);
        let mut device = raw(&testing::root());
        let at = device
            .windows(16)
            .position(|part| part == b"0000000500000001")
            .unwrap();
        device[at + 15] = b'2';
        says(&of(&device), "/dev/console", &["is device 5:2, wanted 5:1"]);
        let model = raw(&[("model/model.gguf", 0o100_644, b"PK")]);
        let folder = testing::folder(&[&raw(&testing::root()), &model], "");
        says(
            &violations(check(&folder)),
            "/model/model.gguf",
            &["is not a GGUF model"],
        );
    }

    #[test]
    fn an_archive_that_cannot_be_read_is_reported() {
        let mut hidden = raw(&testing::root());
        hidden.extend(raw(&[("bin/sh", 0o100_755, elf::MAGIC)]));
        says(&of(&hidden)[..1], "archive-0", &["followed by other bytes"]);
        let cut = raw(&testing::root());
        says(&of(&cut[..60])[..1], "archive-0", &["ends within an entry"]);
    }

    #[test]
    fn more_files_than_allowed_are_reported() {
        let names: Vec<_> = (0..30).map(|index| format!("f{index}")).collect();
        let mut entries = testing::root();
        entries.extend(names.iter().map(|name| (name.as_str(), 0o100_644, &b""[..])));
        let found = of(&raw(&entries));
        assert_eq!(found.len(), 31);
        says(&found[30..], "files", &["33 files, at most 30"]);
    }

    #[test]
    fn parameters_are_listed_for_their_platforms() {
        let list = AllowList::compiled_in();
        let of = |platform, text: &str| violations(command_line(&list, platform, text.as_bytes()));
        for platform in [Platform::Qemu, Platform::Tdx, Platform::Snp, Platform::Nitro] {
            assert_eq!(of(platform.name(), platform.cmdline()), []);
        }
        says(&of("tdx", "pci=off"), "pci=off", &["only allowed on nitro"]);
        for bad in ["init=/bin/sh", "rdinit=/x", "kgdboc=ttyS0", "quiet=1"] {
            says(&of("tdx", bad), bad, &["not on the allow-list"]);
        }
        assert_eq!(violations(command_line(&list, "tdx", b"\xff")).len(), 1);
    }
}
