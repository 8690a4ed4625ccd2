//! Builds an image twice, as differently as one machine can, and compares every byte: `jeju-image repro`.
//!
//! Each build is a child process of its own, with a copy of the source in a folder of its own ([`source`]). What differs
//! between the two is [`variation`]; what can't be varied on this machine is said in the report, never left out.
//! [`compare`] reads both results.

pub mod compare;
mod source;
pub mod variation;

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Serialize;
use thiserror::Error;

use compare::Difference;
use variation::{Variation, Varied};

/// Folders of the two builds below the work folder: the second is deeper, so that a path in a result changes its length.
/// Folder of the inputs below the work folder: also users who can't look into the cache can read it.
const INPUTS: &str = "inputs";
const FOLDERS: [&str; 2] = ["first", "second/and/longer"];
/// File of the report in the work folder.
pub const REPORT_FILE: &str = "repro.json";

/// Why two builds can't be compared.
#[derive(Debug, Error)]
pub enum ReproError {
    /// A file can't be read, written or copied.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An earlier comparison's folder: nothing of it may end up in this one.
    #[error("{} exists: give an empty work folder", .0.display())]
    Occupied(PathBuf),
    /// git doesn't list the files of the source folder.
    #[error("git can't list the files of {}: {message}", folder.display())]
    Files {
        /// The source folder.
        folder: PathBuf,
        /// What git said.
        message: String,
    },
    /// The program can't be started.
    #[error("{} can't be started: {source}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A build failed, after it said why.
    #[error("the {which} build failed: {status}")]
    Build {
        /// `first` or `second`.
        which: &'static str,
        /// How it ended.
        status: std::process::ExitStatus,
    },
}

impl ReproError {
    fn io(path: &Path) -> impl Fn(io::Error) -> Self + '_ {
        move |source| Self::Io {
            path: path.to_owned(),
            source,
        }
    }
}

/// What to build, and where.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The program that builds: `jeju-image` itself.
    pub program: PathBuf,
    /// Value of `--platform`.
    pub platform: String,
    /// Source folder, a git work tree; its files are copied as they are.
    pub source: PathBuf,
    /// Folder for both builds and the report. Results stay in it.
    pub work: PathBuf,
    /// More arguments of `jeju-image build`.
    pub arguments: Vec<OsString>,
    /// What builds take, as files named by their SHA-256: both take the same, and keep what they make of it to themselves.
    pub inputs: Vec<PathBuf>,
    /// Whether the copies of the source, with what was compiled, stay as well.
    pub keep: bool,
}

/// What two builds gave.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Whether every file is the same in both.
    pub identical: bool,
    /// Name of the platform.
    pub platform: String,
    /// What differed between the builds, and what couldn't.
    pub varied: Vec<Varied>,
    /// Every file of either result.
    pub files: Vec<compare::File>,
    /// The image folders, first and second.
    pub images: [PathBuf; 2],
}

impl Report {
    /// The files that aren't the same.
    pub fn differences(&self) -> impl Iterator<Item = (&str, &Difference)> {
        let files = self.files.iter();
        files.filter_map(|file| Some((file.name.as_str(), file.difference.as_ref()?)))
    }
}

/// Builds twice and compares.
///
/// # Errors
/// Any of [`ReproError`]. Results that differ aren't an error but a report.
pub fn repro(plan: &Plan) -> Result<Report, ReproError> {
    fs::create_dir_all(&plan.work).map_err(ReproError::io(&plan.work))?;
    let work = plan.work.canonicalize().map_err(ReproError::io(&plan.work))?;
    for top in ["first", "second", INPUTS] {
        let path = work.join(top);
        if path.exists() {
            return Err(ReproError::Occupied(path));
        }
    }
    let inputs = work.join(INPUTS);
    source::copy_inputs(&plan.inputs, &inputs)?;
    let [first, second] = Variation::pair(FOLDERS.map(|folder| work.join(folder)), &plan.program)?;
    let mut varied = Variation::compare(&first, &second);
    // Both before either is built: somebody may work in the source folder meanwhile.
    for variation in [&first, &second] {
        source::copy(&plan.source, &variation.source(), variation.private())?;
    }
    let started = [
        build(plan, &inputs, &first, "first")?,
        build(plan, &inputs, &second, "second")?,
    ];
    varied.push(Varied::new("time of the build", &started[0], &started[1]));

    if !plan.keep {
        fs::remove_dir_all(&inputs).map_err(ReproError::io(&inputs))?;
    }
    let images = [first.image(), second.image()];
    let files = compare::folders(&images[0], &images[1])?;
    let report = Report {
        identical: files.iter().all(|file| file.difference.is_none()),
        platform: plan.platform.clone(),
        varied,
        files,
        images,
    };
    let path = work.join(REPORT_FILE);
    let mut text = serde_json::to_string_pretty(&report).expect("strings and numbers serialise");
    text.push('\n');
    fs::write(&path, text).map_err(ReproError::io(&path))?;
    Ok(report)
}

/// One build; when it began, in seconds since 1970.
fn build(
    plan: &Plan,
    inputs: &Path,
    variation: &Variation,
    which: &'static str,
) -> Result<String, ReproError> {
    variation.prepare()?;
    let started = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
    let mut command = Command::new(&plan.program);
    command
        .args(["build", "--platform", &plan.platform, "--source"])
        .arg(variation.source())
        .arg("--out")
        .arg(variation.image())
        .arg("--input-dir")
        .arg(inputs)
        .args(&plan.arguments)
        .stdin(Stdio::null())
        // What it measures to is compared, not printed twice.
        .stdout(Stdio::null());
    variation.apply(&mut command);
    let status = command.status().map_err(|source| ReproError::Start {
        program: plan.program.clone(),
        source,
    })?;
    if !status.success() {
        return Err(ReproError::Build { which, status });
    }
    if !plan.keep {
        variation.remove()?;
    }
    Ok(started.to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A program that builds by running a line of shell in the image folder.
    struct Case {
        folder: tempfile::TempDir,
        plan: Plan,
    }

    fn case(line: &str) -> Case {
        let folder = tempfile::tempdir().unwrap();
        // Another user must get there.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let source = folder.path().join("source");
        fs::create_dir(&source).unwrap();
        fs::write(source.join("main.rs"), "fn main() {}").unwrap();
        let git = Command::new("git")
            .arg("-C")
            .arg(&source)
            .args(["init", "--quiet"])
            .status();
        assert!(git.unwrap().success());
        let input = folder.path().join("abcdef");
        fs::write(&input, "an input").unwrap();
        fs::set_permissions(&input, fs::Permissions::from_mode(0o600)).unwrap();
        let program = folder.path().join("program");
        let text = format!(
            "#!/bin/sh\nset -e\nif [ \"$1\" = --version ]; then exit 0; fi\n\
             source=$5 out=$7\nmkdir -p \"$out\"\ncd \"$out\"\n{line}\n"
        );
        fs::write(&program, text).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let plan = Plan {
            program,
            platform: "qemu".to_owned(),
            source,
            work: folder.path().join("work"),
            arguments: vec!["--model".into(), "m".into()],
            inputs: vec![input],
            keep: false,
        };
        Case { folder, plan }
    }

    fn report(line: &str) -> Report {
        repro(&case(line).plan).unwrap()
    }

    #[test]
    fn equal_builds_are_equal() {
        let case = case("cp \"$source/main.rs\" kernel; mkdir d; shift 9; echo \"$1 $2\" >d/arguments");
        let report = repro(&case.plan).unwrap();
        assert!(report.identical, "{report:?}");
        let names: Vec<_> = report.files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["d/arguments", "kernel"]);
        let arguments = fs::read_to_string(report.images[0].join("d/arguments")).unwrap();
        assert_eq!(arguments, "--model m\n");
        assert!(case.plan.work.join(REPORT_FILE).is_file());
        assert!(!case.plan.work.join("first/source").exists());
        // The results are somebody's: they aren't overwritten.
        let again = repro(&case.plan);
        assert!(matches!(again, Err(ReproError::Occupied(_))));
        drop(case.folder);
    }

    /// What a build could put into its result by accident does differ.
    #[test]
    fn what_is_varied_shows() {
        for line in [
            "pwd >f",
            "echo $source >f",
            "echo $HOME >f",
            "echo $XDG_CACHE_HOME >f",
            "echo $CARGO_HOME >f",
            "echo $TZ >f",
            "date +%Z >f",
            "echo $LC_ALL >f",
            "umask >f",
            "nproc >f",
            "echo $SOURCE_DATE_EPOCH >f",
            "echo $USER >f",
            "stat -c %Y $source/main.rs >f",
            "stat -c %a $source/main.rs >f",
            "date +%s%N >f",
        ] {
            let report = report(line);
            if line.starts_with("nproc") && variation::processors() < 2 {
                continue;
            }
            let found: Vec<_> = report.differences().collect();
            assert_eq!(found.len(), 1, "{line}: {report:?}");
            assert_eq!(found[0].0, "f");
            assert!(!report.identical);
        }
    }

    /// Also by a user who can't read the files that were given.
    #[test]
    fn inputs_come_along() {
        let case = case("cp $9/* .");
        let report = repro(&case.plan).unwrap();
        assert!(report.identical);
        let copy = fs::read_to_string(report.images[1].join("abcdef")).unwrap();
        assert_eq!(copy, "an input");
        assert!(!case.plan.work.join(INPUTS).exists());
    }

    #[test]
    fn the_user_is_another_where_the_system_allows_it() {
        let report = report("id -u >f");
        let user = report.varied.iter().find(|varied| varied.what == "user").unwrap();
        assert_eq!(user.not_varied.is_none(), !report.identical, "{report:?}");
    }

    #[test]
    fn a_file_of_one_build_alone_is_a_difference() {
        let report = report("echo 1 >f; if [ $TZ != UTC0 ]; then echo 2 >g; fi");
        let found: Vec<_> = report.differences().collect();
        assert_eq!(found, [("g", &Difference::OnlyIn { which: "second" })]);
    }

    #[test]
    fn a_source_that_changes_between_the_builds_does_not_show() {
        let case = case("cp $source/main.rs f; echo changed >$source/../../../source/main.rs || true");
        let report = repro(&case.plan).unwrap();
        let source = fs::read_to_string(case.plan.source.join("main.rs")).unwrap();
        assert!(source == "changed\n" && report.identical, "{report:?}");
    }

    #[test]
    fn a_failed_build_is_an_error() {
        let failed = repro(&case("exit 7").plan);
        assert!(matches!(failed, Err(ReproError::Build { which: "first", .. })));
        let mut missing = case("true");
        missing.plan.program = "/nonexistent".into();
        assert!(matches!(repro(&missing.plan), Err(ReproError::Start { .. })));
    }
}
