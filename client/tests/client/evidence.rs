//! `jeju evidence` as a process: verdicts on genuine and on synthetic evidence, output, exit codes.
//!
//! Each question is asked with and without `--json`, and, where it has a time, of [`offline::answer`] as well, which the
//! WebAssembly module answers with: the bytes must be the same.

mod forms;
mod genuine;
mod inspect;
mod policies;
mod synthetic;
mod usage;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jeju_attestation::offline;
use serde_json::{Value, json};

/// Runs the program.
fn jeju(arguments: &[String]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_jeju"))
        .args(arguments)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Recordings of others, in the folder that `JEJU_VECTORS` names or in the one beside the checkout.
struct Vectors(PathBuf);

impl Vectors {
    /// `None` where the folder is absent, which is a failure in continuous integration. `cases` is how many aren't run then.
    fn find(cases: usize) -> Option<Self> {
        let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/vectors");
        let folder = std::env::var_os("JEJU_VECTORS").map_or_else(|| default.into(), PathBuf::from);
        if folder.is_dir() {
            return Some(Self(folder));
        }
        assert!(
            std::env::var_os("CI").is_none_or(|ci| ci != "true"),
            "no genuine evidence in {}",
            folder.display()
        );
        println!("{cases} genuine cases were not run: no {}", folder.display());
        None
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}

/// How endorsements are handed over.
#[derive(Debug, Clone, Copy, Default)]
enum Handed {
    /// `--endorsements FILE…`
    #[default]
    Files,
    /// `--collateral DIR`
    Folder,
}

/// What is asked.
#[derive(Debug, Clone, Default)]
struct Question {
    evidence: Vec<u8>,
    endorsements: Vec<Vec<u8>>,
    handed: Handed,
    tee: Option<&'static str>,
    nonce: Option<String>,
    report_data: Option<String>,
    event_log: Option<Vec<u8>>,
    /// `None`: now.
    at: Option<u64>,
    policy: Option<String>,
    development: bool,
}

impl Question {
    fn with_policy(&self, policy: impl ToString) -> Self {
        Self {
            policy: Some(policy.to_string()),
            ..self.clone()
        }
    }

    /// One bit further on.
    fn flipped(&self, at: usize) -> Self {
        let mut changed = self.clone();
        changed.evidence[at] ^= 1;
        changed
    }

    /// The arguments, with everything that they name written to a folder.
    fn arguments(&self, folder: &Path) -> Vec<String> {
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.join(name);
            std::fs::write(&path, bytes).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let mut arguments = vec!["evidence".to_owned(), "verify".to_owned()];
        arguments.push(write("evidence", &self.evidence));
        let mut add = |name: &str, value: String| arguments.extend([format!("--{name}"), value]);
        if let Some(tee) = self.tee {
            add("tee", tee.to_owned());
        }
        if let Some(nonce) = &self.nonce {
            add("nonce", nonce.clone());
        }
        if let Some(report_data) = &self.report_data {
            add("report-data", report_data.clone());
        }
        if let Some(log) = &self.event_log {
            add("event-log", write("log", log));
        }
        if let Some(at) = self.at {
            let at = time::OffsetDateTime::from_unix_timestamp(at as i64).unwrap();
            let at = at.format(&time::format_description::well_known::Rfc3339);
            add("at", at.unwrap());
        }
        if let Some(policy) = &self.policy {
            add("policy", write("policy", policy.as_bytes()));
        }
        if self.development {
            arguments.push("--development".to_owned());
        }
        let endorsements = self.endorsements.iter().enumerate();
        match self.handed {
            _ if self.endorsements.is_empty() => {}
            Handed::Files => {
                arguments.push("--endorsements".to_owned());
                arguments.extend(
                    endorsements.map(|(index, bytes)| write(&format!("endorsement-{index:02}"), bytes)),
                );
            }
            Handed::Folder => {
                let collateral = folder.join("collateral");
                // A folder in it is passed over.
                std::fs::create_dir_all(collateral.join("more")).unwrap();
                for (index, bytes) in endorsements {
                    std::fs::write(collateral.join(format!("{index:02}")), bytes).unwrap();
                }
                arguments.extend(["--collateral".to_owned(), collateral.to_str().unwrap().to_owned()]);
            }
        }
        arguments
    }

    /// The same question to the library.
    fn request(&self, at: u64) -> Vec<u8> {
        let base64 = |bytes: &Vec<u8>| STANDARD.encode(bytes);
        let mut request = json!({
            "evidence": base64(&self.evidence),
            "endorsements": self.endorsements.iter().map(base64).collect::<Vec<_>>(),
            "at": at,
            "development": self.development,
        });
        let tee = self.tee.filter(|tee| *tee != "auto").map(str::to_owned);
        for (name, value) in [
            ("tee", tee),
            ("nonce", self.nonce.clone()),
            ("report_data", self.report_data.clone()),
            ("event_log", self.event_log.as_ref().map(base64)),
            ("policy", self.policy.clone()),
        ] {
            if let Some(value) = value {
                request[name] = json!(value);
            }
        }
        request.to_string().into_bytes()
    }

    /// Asks in every way; the answers must agree. Returns the exit code, the answer as JSON and the lines for people.
    fn ask(&self) -> (i32, Value, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let mut arguments = self.arguments(folder.path());
        let plain = jeju(&arguments);
        // In front, because --endorsements takes all that follows it.
        arguments.insert(2, "--json".to_owned());
        let output = jeju(&arguments);
        let json: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {output:?} for {arguments:?}"));
        assert!(output.stderr.is_empty(), "{output:?}");
        if let Some(at) = self.at {
            let mut answer = offline::answer(&self.request(at));
            if json["code"] == "endorsement_invalid" {
                // The program names the file, which the library never sees.
                let (found, message) = (json["message"].as_str().unwrap(), "message");
                let mut library: Value = serde_json::from_str(&answer).unwrap();
                assert!(found.ends_with(library[message].as_str().unwrap()), "{found}");
                library[message] = json!(found);
                answer = library.to_string();
            }
            assert_eq!(text(&output.stdout), answer + "\n");
        }
        let exit = output.status.code().unwrap();
        let expected = match (json["status"].as_str().unwrap(), json["class"].as_str()) {
            ("genuine" | "affirming", None) => 0,
            ("contraindicated", Some("usage")) => 1,
            ("contraindicated", Some("policy")) => 2,
            ("contraindicated", Some("evidence")) => 3,
            ("contraindicated", Some("stale")) => 4,
            other => panic!("{other:?}"),
        };
        assert_eq!(exit, expected, "{json}");
        assert_eq!(plain.status.code(), Some(exit), "{json} and {plain:?}");
        match json["code"].as_str() {
            Some(code) => {
                assert!(plain.stdout.is_empty(), "a refusal writes no verdict: {plain:?}");
                assert!(text(&plain.stderr).contains(code), "{plain:?}");
            }
            None => assert!(plain.stderr.is_empty(), "{plain:?}"),
        }
        let lines = text(&plain.stdout).lines().map(str::to_owned).collect();
        (exit, json, lines)
    }

    /// What must be accepted: the answer, and the lines for people.
    #[track_caller]
    fn accepted(&self) -> (Value, Vec<String>) {
        let (exit, json, lines) = self.ask();
        assert_eq!(exit, 0, "{json}");
        let (status, appraisal) = match self.policy {
            Some(_) => ("affirming", "policy"),
            None => ("genuine", "none"),
        };
        assert_eq!(
            (json["status"].as_str(), json["appraisal"].as_str()),
            (Some(status), Some(appraisal))
        );
        (json, lines)
    }

    /// What must be refused, with this exit code and for this reason.
    #[track_caller]
    fn refused(&self, exit: i32, code: &str) -> Value {
        let (found, json, _) = self.ask();
        assert_eq!((found, json["code"].as_str()), (exit, Some(code)), "{json}");
        let members: Vec<_> = json.as_object().unwrap().keys().cloned().collect();
        assert_eq!(members, ["class", "code", "message", "status"]);
        json
    }
}
