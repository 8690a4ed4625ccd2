//! What an owner sends to deploy a worker, or to change one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::bundle::{Bundle, BundleError, Language, Module};
use crate::message::Form;

/// Longest name of a worker, in characters.
pub const MAX_NAME: usize = 64;
/// Most routes of a worker.
pub const MAX_ROUTES: usize = 32;
/// Longest route, in bytes.
pub const MAX_ROUTE: usize = 256;
/// Most variables of a worker.
pub const MAX_ENV: usize = 64;
/// Most secrets of a worker.
pub const MAX_SECRETS: usize = 32;
/// Longest value of a variable or a secret, in bytes.
pub const MAX_VALUE: usize = 8 * 1024;
/// Longest name of a variable or a secret, in bytes.
const MAX_VARIABLE: usize = 64;

/// `POST /api/v1/workers` and `PUT /api/v1/workers/{id}`. Code comes in one of three ways: as `code`, as `modules` with
/// `main`, or from `codeUrl` with `codeHash`. A `PUT` may leave out everything; what it leaves out stays as it is.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Deploy {
    /// Name: 1 to [`MAX_NAME`] characters. Names the worker among its owner's: deploying a name again is a new version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// One module.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What `code` or what lies at `codeUrl` is written in: `javascript` (if left out) or `typescript`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// Name that the first clients send; it says nothing here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<String>,
    /// Modules: sources by their names, whose endings tell the languages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modules: Option<BTreeMap<String, String>>,
    /// Which of `modules` has the handlers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub main: Option<String>,
    /// Where the node gets the code from, once, over `https`: one module.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_url: Option<String>,
    /// Hash that the code must have ([`Bundle::code_hash`]): `0x` and 64 digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_hash: Option<String>,
    /// The worker in the `WorkerRegistry`, whose owner and code hash must be this one's: `0x` and 64 digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry_id: Option<String>,
    /// Variables: the members of `env`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<BTreeMap<String, String>>,
    /// Routes under `/w`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routes: Option<Vec<String>>,
    /// Schedule of five fields, in UTC; an empty one: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron_schedule: Option<String>,
    /// [`Limits::wall_ms`](crate::Limits::wall_ms).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u32>,
    /// [`Limits::cpu_ms`](crate::Limits::cpu_ms).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_ms: Option<u32>,
    /// [`Limits::memory`](crate::Limits::memory), in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_limit_mb: Option<u32>,
    /// Events at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrent: Option<u16>,
    /// `detect` (if left out), `modules` or `legacy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compatibility: Option<Form>,
}

/// Why a [`Deploy`] isn't one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DeployError {
    /// Not a name.
    #[error("a worker's name has 1 to {MAX_NAME} characters, none of them a control character")]
    Name,
    /// Code in several ways, or `main` without `modules`.
    #[error("code comes in one way: as code, as modules with main, or from codeUrl with codeHash")]
    Code,
    /// A runtime that there is none of.
    #[error("the runtimes are javascript and typescript")]
    Runtime,
    /// A module whose language nobody knows.
    #[error("a module's name ends in .js, .mjs, .ts, .mts or .json, not as {0:?}")]
    Ending(String),
    /// Modules that are no bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// Not a hash.
    #[error("{0} is 0x and 64 hexadecimal digits")]
    Hash(&'static str),
    /// Too many variables.
    #[error("there are {0} variables, at most {MAX_ENV} are taken")]
    Variables(usize),
    /// Not a variable.
    #[error(
        "a variable's name has 1 to {MAX_VARIABLE} letters, digits and _, and its value at most {MAX_VALUE} bytes; this isn't so for {0:?}"
    )]
    Variable(String),
    /// Too many routes, or one that is too long.
    #[error("a worker has at most {MAX_ROUTES} routes of at most {MAX_ROUTE} bytes each")]
    Routes,
}

impl DeployError {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            DeployError::Name => "worker_name_invalid",
            DeployError::Code => "worker_code_invalid",
            DeployError::Runtime => "worker_runtime_unsupported",
            DeployError::Ending(_) => "bundle_name_invalid",
            DeployError::Bundle(error) => error.code(),
            DeployError::Hash(_) => "worker_hash_invalid",
            DeployError::Variables(_) | DeployError::Variable(_) => "worker_env_invalid",
            DeployError::Routes => "worker_route_invalid",
        }
    }

    /// The field that is wrong.
    pub const fn field(&self) -> &'static str {
        match self {
            DeployError::Name => "name",
            DeployError::Code | DeployError::Bundle(_) => "code",
            DeployError::Runtime => "runtime",
            DeployError::Ending(_) => "modules",
            DeployError::Hash(field) => field,
            DeployError::Variables(_) | DeployError::Variable(_) => "env",
            DeployError::Routes => "routes",
        }
    }
}

impl Deploy {
    /// Checks all that can be checked without the node.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), DeployError> {
        if self.name.as_deref().is_some_and(|name| !is_name(name)) {
            return Err(DeployError::Name);
        }
        let ways = [
            self.code.is_some(),
            self.modules.is_some(),
            self.code_url.is_some(),
        ];
        let ways = ways.into_iter().filter(|way| *way).count();
        if ways > 1 || self.main.is_some() != self.modules.is_some() {
            return Err(DeployError::Code);
        }
        if self.code_url.is_some() && self.code_hash.is_none() {
            return Err(DeployError::Code);
        }
        self.language()?;
        for (field, hash) in [("codeHash", &self.code_hash), ("registryId", &self.registry_id)] {
            if hash
                .as_deref()
                .is_some_and(|hash| super::from_hex::<32>(hash).is_none())
            {
                return Err(DeployError::Hash(field));
            }
        }
        if let Some(env) = &self.env {
            if env.len() > MAX_ENV {
                return Err(DeployError::Variables(env.len()));
            }
            if let Some((name, _)) = env.iter().find(|(name, value)| !is_variable(name, value)) {
                return Err(DeployError::Variable(name.chars().take(MAX_VARIABLE).collect()));
            }
        }
        let routes = self.routes.as_deref().unwrap_or_default();
        if routes.len() > MAX_ROUTES || routes.iter().any(|route| route.len() > MAX_ROUTE) {
            return Err(DeployError::Routes);
        }
        Ok(())
    }

    /// What `code` is written in.
    ///
    /// # Errors
    /// [`DeployError::Runtime`].
    pub fn language(&self) -> Result<Language, DeployError> {
        match self.runtime.as_deref() {
            None | Some("javascript") => Ok(Language::JavaScript),
            Some("typescript") => Ok(Language::TypeScript),
            Some(_) => Err(DeployError::Runtime),
        }
    }

    /// The code, where it comes with the request.
    ///
    /// # Errors
    /// [`DeployError`].
    pub fn bundle(&self) -> Result<Option<Bundle>, DeployError> {
        if let Some(code) = &self.code {
            return Ok(Some(Bundle::single(self.language()?, code.as_str())?));
        }
        let (Some(modules), Some(main)) = (&self.modules, &self.main) else {
            return Ok(None);
        };
        let module = |(name, source): (&String, &String)| match Language::of(name) {
            Some(language) => Ok(Module {
                name: name.clone(),
                language,
                source: source.clone(),
            }),
            None => Err(DeployError::Ending(name.chars().take(MAX_ROUTE).collect())),
        };
        let modules = modules.iter().map(module).collect::<Result<_, _>>()?;
        Ok(Some(Bundle::new(main.as_str(), modules)?))
    }
}

fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.chars().count()) && !name.chars().any(char::is_control)
}

/// Whether this is a variable or a secret, by name and value.
pub fn is_variable(name: &str, value: &str) -> bool {
    (1..=MAX_VARIABLE).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && value.len() <= MAX_VALUE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Deploy, serde_json::Error> {
        serde_json::from_str(json)
    }

    fn code(json: &str) -> &'static str {
        let deploy = parse(json).unwrap_or_else(|error| panic!("{json}: {error}"));
        let checked = deploy.check().and_then(|()| deploy.bundle().map(|_| ()));
        checked.err().map_or("fine", |error| error.code())
    }

    #[test]
    fn what_the_first_clients_send_is_taken() {
        let json = r#"{"name":"hello","code":"export default {}","runtime":"javascript","entrypoint":"index.js",
            "env":{"A":"b"},"routes":["/a/*"],"cronSchedule":"* * * * *","timeoutMs":100,"memoryLimitMb":64,"maxConcurrent":2}"#;
        let deploy = parse(json).unwrap();
        assert!(deploy.check().is_ok());
        let bundle = deploy.bundle().unwrap().unwrap();
        assert_eq!((bundle.main.as_str(), bundle.modules.len()), ("index.js", 1));
        // And written again it reads the same.
        let again = serde_json::to_string(&deploy).unwrap();
        assert!(parse(&again).unwrap() == deploy);
    }

    #[test]
    fn modules_have_the_language_of_their_names() {
        let json = r#"{"name":"a","modules":{"b.ts":"1","a.js":"2","c.json":"3"},"main":"b.ts","compatibility":"legacy"}"#;
        let deploy = parse(json).unwrap();
        let bundle = deploy.bundle().unwrap().unwrap();
        let languages: Vec<_> = bundle
            .modules
            .iter()
            .map(|module| module.language.name())
            .collect();
        assert_eq!(languages, ["javascript", "typescript", "json"]);
        assert_eq!(deploy.compatibility, Some(Form::Legacy));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let hash = format!("0x{}", "ab".repeat(32));
        for (json, expected) in [
            (r#"{}"#.to_owned(), "fine"),
            (
                format!(r#"{{"codeUrl":"https://a.example/w.js","codeHash":"{hash}"}}"#),
                "fine",
            ),
            (r#"{"name":""}"#.to_owned(), "worker_name_invalid"),
            (r#"{"name":"a\u0000"}"#.to_owned(), "worker_name_invalid"),
            (
                format!(r#"{{"name":"{}"}}"#, "é".repeat(MAX_NAME + 1)),
                "worker_name_invalid",
            ),
            (
                r#"{"code":"","modules":{},"main":""}"#.to_owned(),
                "worker_code_invalid",
            ),
            (r#"{"modules":{"a.js":""}}"#.to_owned(), "worker_code_invalid"),
            (r#"{"main":"a.js"}"#.to_owned(), "worker_code_invalid"),
            (
                r#"{"codeUrl":"https://a.example"}"#.to_owned(),
                "worker_code_invalid",
            ),
            (
                r#"{"code":"","runtime":"wasm"}"#.to_owned(),
                "worker_runtime_unsupported",
            ),
            (
                r#"{"modules":{"a.py":""},"main":"a.py"}"#.to_owned(),
                "bundle_name_invalid",
            ),
            (
                r#"{"modules":{"a.js":""},"main":"b.js"}"#.to_owned(),
                "bundle_without_main",
            ),
            (r#"{"codeHash":"0x12"}"#.to_owned(), "worker_hash_invalid"),
            (r#"{"registryId":"1"}"#.to_owned(), "worker_hash_invalid"),
            (r#"{"env":{"1A":""}}"#.to_owned(), "worker_env_invalid"),
            (r#"{"env":{"A-B":""}}"#.to_owned(), "worker_env_invalid"),
            (
                format!(r#"{{"env":{{"A":"{}"}}}}"#, "x".repeat(MAX_VALUE + 1)),
                "worker_env_invalid",
            ),
            (
                format!(r#"{{"routes":["/{}"]}}"#, "x".repeat(MAX_ROUTE)),
                "worker_route_invalid",
            ),
            (
                format!(r#"{{"routes":[{}"/a"]}}"#, r#""/a","#.repeat(MAX_ROUTES)),
                "worker_route_invalid",
            ),
        ] {
            assert_eq!(code(&json), expected, "{json}");
        }
        let many: Vec<_> = (0..=MAX_ENV).map(|i| format!(r#""A{i}":"""#)).collect();
        assert_eq!(
            code(&format!(r#"{{"env":{{{}}}}}"#, many.join(","))),
            "worker_env_invalid"
        );
        for json in [
            r#"{"routs":[]}"#,
            r#"{"timeoutMs":-1}"#,
            r#"{"env":{"A":1}}"#,
            r#"{"compatibility":"x"}"#,
        ] {
            assert!(parse(json).is_err(), "{json}");
        }
    }
}
