//! How the programs of the image are linked, and whether the machine that built them shows in them.

use super::elf::{self, Program};
use super::folder::Folder;
use super::{Check, Finding};

/// Starts of paths of a build machine. `/rustc/…` and `/checkout/…` are those of the Rust project, the same for everyone;
/// `/src`, `/cargo` and what they hold are what our own build writes instead.
const BUILD_PATHS: [&[u8]; 8] = [
    b"/home/",
    b"/root/",
    b"/workspace/",
    b"/tmp/",
    b"/build/",
    b"/builds/",
    b"/Users/",
    b"/.cargo/",
];
/// What glibc says when a canary is gone: it is in a program whose C code has canaries.
const CANARY: &[u8] = b"stack smashing detected";

/// Looks at every ELF file of the archives.
pub fn check(folder: &Folder) -> Vec<Finding> {
    folder
        .binaries()
        .flat_map(|(path, data)| program(&path, data))
        .collect()
}

fn program(path: &str, data: &[u8]) -> Vec<Finding> {
    let violation = |detail: String| Finding::violation(Check::Hardening, path, detail);
    let program = match Program::read(data) {
        Ok(program) => program,
        Err(error) => return vec![violation(error.to_string())],
    };
    let mut findings = Vec::new();
    if program.interpreter {
        findings.push(violation(
            "wants a dynamic loader (PT_INTERP), and the image has none".to_owned(),
        ));
    }
    if program.needed > 0 {
        findings.push(violation(format!(
            "wants {} shared libraries (DT_NEEDED)",
            program.needed
        )));
    }
    if program.search_path {
        findings.push(violation(
            "names library folders (DT_RPATH, DT_RUNPATH)".to_owned(),
        ));
    }
    match program.stack_executable {
        Some(false) => {}
        Some(true) => findings.push(violation("has an executable stack".to_owned())),
        None => findings.push(violation(
            "has no PT_GNU_STACK, so that its stack is executable".to_owned(),
        )),
    }
    if program.loaded == 0 {
        findings.push(violation("loads nothing".to_owned()));
    }
    if program.writable_code > 0 {
        findings.push(violation(format!(
            "has {} segments that are writable and executable",
            program.writable_code
        )));
    }
    if !program.relro {
        findings.push(violation(
            "has no read-only relocations (PT_GNU_RELRO)".to_owned(),
        ));
    }
    if let Some(found) = build_path(data) {
        findings.push(violation(format!("holds the build machine's path {found:?}")));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(Check::Hardening, path, describe(&program, data)));
    }
    findings
}

fn describe(program: &Program, data: &[u8]) -> String {
    let yes = |there: bool, what: &'static str| if there { what } else { "" };
    let parts = [
        "static",
        yes(program.position_independent, "position-independent"),
        "no executable stack",
        "no writable code",
        "read-only relocations",
        yes(elf::contains(data, CANARY), "stack canaries in C code"),
        yes(program.cet & 1 != 0, "indirect-branch tracking"),
        yes(program.cet & 2 != 0, "shadow stack"),
        "no build paths",
    ];
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(", ")
}

/// The first path of a build machine, up to where it stops being one.
fn build_path(data: &[u8]) -> Option<String> {
    let at = BUILD_PATHS
        .iter()
        .filter_map(|start| elf::find(data, start))
        .min()?;
    let path = data[at..]
        .iter()
        .take(80)
        .take_while(|byte| byte.is_ascii_graphic());
    Some(path.map(|byte| char::from(*byte)).collect())
}

#[cfg(test)]
mod tests {
    use super::super::elf::tests::{
        EXECUTABLE_STACK, INTERPRETER, LIBRARY_AND_PATH, WRITABLE_CODE, file, good,
    };
    use super::*;
    use crate::audit::testing::violations;

    fn of(data: &[u8]) -> Vec<String> {
        let found = violations(program("/init", data));
        found.into_iter().map(|(_, detail)| detail).collect()
    }

    fn with(header: (u32, u32, &'static [u8])) -> Vec<String> {
        let mut headers = good();
        headers.push(header);
        of(&file(&headers))
    }

    #[test]
    fn a_static_program_is_fine() {
        assert_eq!(of(&file(&good())), Vec::<String>::new());
        let findings = program("/init", &file(&good()));
        assert!(findings[0].detail.starts_with("static, no executable stack"));
    }

    #[test]
    fn each_weakness_is_reported() {
        assert!(with(INTERPRETER)[0].contains("dynamic loader"));
        assert!(with(WRITABLE_CODE)[0].contains("writable and executable"));
        assert!(with(EXECUTABLE_STACK)[0].contains("executable stack"));
        let dynamic = with(LIBRARY_AND_PATH);
        assert!(dynamic[0].contains("DT_NEEDED") && dynamic[1].contains("DT_RUNPATH"));
        assert!(of(&file(&good()[..4]))[0].contains("PT_GNU_STACK"));
        let without: Vec<_> = good()
            .into_iter()
            .filter(|header| header.0 != 0x6474_e552)
            .collect();
        assert!(of(&file(&without))[0].contains("PT_GNU_RELRO"));
        assert!(of(&file(&good()[3..]))[0].contains("loads nothing"));
        assert!(of(b"\x7fELF\x02\x01")[0].contains("not a 64-bit"));
    }

    #[test]
    fn a_dynamic_program_is_reported() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let found = of(&own);
        assert!(found[0].contains("PT_INTERP") && found[1].contains("DT_NEEDED"));
    }

    #[test]
    fn build_paths_are_reported() {
        let mut program = file(&good());
        program.extend_from_slice(b"/rustc/5980/library/std/src/time.rs\0");
        assert_eq!(of(&program), Vec::<String>::new());
        program.extend_from_slice(b"/home/alice/jeju/enclave/src/main.rs\0more");
        assert_eq!(
            of(&program),
            [r#"holds the build machine's path "/home/alice/jeju/enclave/src/main.rs""#]
        );
    }
}
