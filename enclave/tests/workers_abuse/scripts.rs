//! The scripts, and what each is expected to come to.

use std::collections::BTreeMap;
use std::path::Path;

use jeju_worker_protocol::{Bundle, Language, Module, code};

/// Calls a script's `abuse`, or answers like any worker.
const MAIN: &str = r#"
import { abuse } from "./abuse.js";

export default {
  async fetch(request, env, ctx) {
    return request.url.endsWith("/ok") ? new Response("fine") : await abuse(request, env, ctx);
  },
};
"#;

/// One script.
pub struct Script {
    pub name: String,
    source: String,
    /// Codes of failures that may come of it.
    codes: Vec<String>,
    /// Whether it may answer with status 200, and what then.
    answers: bool,
    text: String,
    /// Whether it may break its own isolate: another worker of the same owner answers all the same.
    pub breaks_itself: bool,
}

/// All scripts of a folder beside this file, by name.
pub fn all(folder: &str) -> Vec<Script> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/workers_abuse")
        .join(folder);
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let mut scripts: Vec<Script> = files.map(|path| Script::read(&path)).collect();
    scripts.sort_by(|one, other| one.name.cmp(&other.name));
    scripts
}

impl Script {
    fn read(path: &Path) -> Script {
        let source = std::fs::read_to_string(path).unwrap();
        let expected = source
            .lines()
            .nth(1)
            .and_then(|line| line.strip_prefix("// expect: "));
        let expected = expected.unwrap_or_else(|| panic!("{}: expects nothing", path.display()));
        let (codes, rest): (Vec<&str>, Vec<&str>) =
            expected.split(' ').partition(|word| word.starts_with("worker_"));
        let text = rest.iter().filter(|word| **word != "200").copied();
        Script {
            name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
            codes: codes.into_iter().map(str::to_owned).collect(),
            answers: rest.contains(&"200"),
            text: text.collect(),
            breaks_itself: source.lines().nth(2) == Some("// breaks itself"),
            source,
        }
    }

    /// The code of a worker that does nothing of the kind.
    pub fn harmless() -> Bundle {
        let source = "export default { fetch: () => new Response('fine') };";
        Bundle::single(Language::JavaScript, source).unwrap()
    }

    /// The code of a worker that does this when it is asked to.
    pub fn bundle(&self) -> Bundle {
        let module = |name: &str, source: &str| Module {
            name: name.to_owned(),
            language: Language::JavaScript,
            source: source.to_owned(),
        };
        let modules = vec![module("main.js", MAIN), module("abuse.js", &self.source)];
        Bundle::new("main.js", modules).unwrap()
    }

    fn allows(&self, code: &str) -> bool {
        self.codes.iter().any(|allowed| allowed == code)
    }

    /// What is wrong with what the worker answers afterwards.
    pub fn judge_after(&self, outcome: &Result<String, String>) -> Option<String> {
        let is_fine = match outcome {
            Ok(text) => text == "fine",
            Err(code) => self.breaks_itself && code == "worker_exception",
        };
        (!is_fine).then(|| format!("{}: afterwards {outcome:?}", self.name))
    }

    /// The same, by names.
    pub fn modules(&self) -> BTreeMap<String, String> {
        let modules = self.bundle().modules.into_iter();
        modules.map(|module| (module.name, module.source)).collect()
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    /// The code of a worker that does this when it is loaded.
    pub fn alone(&self) -> Bundle {
        Bundle::single(Language::JavaScript, self.source.as_str()).unwrap()
    }

    /// What is wrong with this outcome: an answer's text, or a failure's code.
    pub fn judge(&self, outcome: &Result<String, String>) -> Option<String> {
        let is_expected = match outcome {
            Ok(text) => self.answers && (self.text.is_empty() || *text == self.text),
            // On a machine with too much to do the time of an event ends before its time on a CPU does.
            Err(code) if code == code::TIMEOUT => {
                [code::TIMEOUT, code::CPU].iter().any(|code| self.allows(code))
            }
            Err(code) => self.allows(code),
        };
        (!is_expected).then(|| match outcome {
            Ok(text) => format!(
                "{}: answers {:?}",
                self.name,
                text.chars().take(100).collect::<String>()
            ),
            Err(code) => format!("{}: {code}", self.name),
        })
    }
}
