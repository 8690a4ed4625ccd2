//! `jeju worker deploy`.

use std::path::PathBuf;

use clap::Args;
use http::Method;
use jeju_worker_protocol::api::{Deploy, Deployed, WORKERS, hex};
use jeju_worker_protocol::{Bundle, Form, Route, Schedule};
use serde_json::json;

use super::super::WorkerError;
use super::super::bundle::{Bundled, bundle};
use super::super::node::Asked;
use super::super::project::{Project, Settings};
use super::{NodeArguments, shown};
use crate::rental::command::Printed;

/// Options of `jeju worker deploy`.
#[derive(Debug, Clone, Args)]
pub struct DeployArguments {
    /// The project's folder, or one source file
    #[arg(value_name = "PROJECT", default_value = ".")]
    project: PathBuf,
    #[command(flatten)]
    pub(super) node: NodeArguments,
    #[command(flatten)]
    changed: ChangedArguments,
}

/// What replaces the project's settings.
#[derive(Debug, Clone, Default, Args)]
pub struct ChangedArguments {
    /// The worker's name, instead of the project's
    #[arg(long)]
    pub name: Option<String>,
    /// A variable, beside or instead of the project's; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    pub env: Vec<(String, String)>,
    /// A route, instead of the project's; may be given several times
    #[arg(long, value_name = "ROUTE")]
    pub route: Vec<String>,
}

impl ChangedArguments {
    /// The project with what replaces its settings.
    pub fn apply(&self, project: Project) -> Project {
        let mut settings = project.settings;
        if let Some(name) = &self.name {
            settings.name.clone_from(name);
        }
        settings.env.extend(self.env.iter().cloned());
        if !self.route.is_empty() {
            settings.routes.clone_from(&self.route);
        }
        Project {
            root: project.root,
            settings,
        }
    }
}

pub(super) async fn run(arguments: &DeployArguments) -> Result<Printed, WorkerError> {
    let project = arguments.changed.apply(Project::read(&arguments.project)?);
    let bundled = bundle(&project.root, &project.settings.main)?;
    for note in &bundled.notes {
        eprintln!("jeju worker: {note}");
    }
    let document = document(&project.settings, &bundled)?;
    // Nothing of the code leaves this machine before the node is verified.
    let mut node = arguments.node.as_owner().await?;
    let asked = Asked::owner(Method::POST, WORKERS).with(&document);
    let Deployed { deployment } = node.document(&asked).await?;
    let sent = hex(&bundled.bundle.code_hash());
    if deployment.code_hash != sent {
        return Err(WorkerError::OtherCode {
            found: deployment.code_hash,
            sent,
        });
    }
    let mut lines = shown::deployment(&deployment);
    lines.extend(
        project
            .settings
            .routes
            .iter()
            .map(|route| shown::line("route", &format!("/w{route}"))),
    );
    lines.extend(project.settings.cron.iter().map(|cron| shown::line("cron", cron)));
    Ok(Printed::report(lines, json!({ "deployment": deployment })))
}

/// What the node is sent: all of the project, so that it is what the worker is made of from now on.
pub(in crate::worker) fn document(settings: &Settings, bundled: &Bundled) -> Result<Deploy, WorkerError> {
    let invalid = |words: String| WorkerError::Project {
        path: super::super::project::FILE.into(),
        words,
    };
    for route in &settings.routes {
        Route::parse(route).map_err(|error| invalid(format!("route {route:?}: {error}")))?;
    }
    if let Some(cron) = &settings.cron {
        Schedule::parse(cron).map_err(|error| invalid(format!("cron {cron:?}: {error}")))?;
    }
    let Bundle { main, modules } = &bundled.bundle;
    let document = Deploy {
        name: Some(settings.name.clone()),
        modules: Some(
            modules
                .iter()
                .map(|module| (module.name.clone(), module.source.clone()))
                .collect(),
        ),
        main: Some(main.clone()),
        env: Some(settings.env.clone()),
        routes: Some(settings.routes.clone()),
        cron_schedule: Some(settings.cron.clone().unwrap_or_default()),
        timeout_ms: settings.timeout_ms,
        cpu_ms: settings.cpu_ms,
        memory_limit_mb: settings.memory_mb,
        max_concurrent: settings.max_concurrent,
        compatibility: settings
            .compatibility
            .as_deref()
            .map(form)
            .transpose()
            .map_err(invalid)?,
        ..Deploy::default()
    };
    document.check().map_err(|error| invalid(error.to_string()))?;
    Ok(document)
}

/// Which form handlers have.
pub(in crate::worker) fn form(text: &str) -> Result<Form, String> {
    match text {
        "detect" => Ok(Form::Detect),
        "modules" => Ok(Form::Modules),
        "legacy" => Ok(Form::Legacy),
        other => Err(format!(
            "compatibility is detect, modules or legacy, not {other:?}"
        )),
    }
}

fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("NAME=VALUE is expected")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use jeju_worker_protocol::Language;

    use super::*;

    fn bundled() -> Bundled {
        Bundled {
            bundle: Bundle::single(Language::TypeScript, "export default {}").unwrap(),
            files: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn settings() -> Settings {
        Settings {
            name: "hello".into(),
            main: "index.ts".into(),
            routes: vec!["/hello".into()],
            ..Settings::default()
        }
    }

    #[test]
    fn all_of_a_project_is_sent_and_makes_the_same_bundle_there() {
        let document = document(&settings(), &bundled()).unwrap();
        let text = serde_json::to_string(&document).unwrap();
        assert_eq!(
            text,
            r#"{"name":"hello","modules":{"index.ts":"export default {}"},"main":"index.ts","env":{},"routes":["/hello"],"cronSchedule":""}"#
        );
        let there = document.bundle().unwrap().unwrap();
        assert!(there == bundled().bundle);
    }

    #[test]
    fn what_no_node_takes_is_refused_here() {
        type Change = fn(&mut Settings);
        let wrong: [(&str, Change); 5] = [
            ("route", |settings| settings.routes.push("/a/**/b".into())),
            ("cron", |settings| settings.cron = Some("* * * *".into())),
            ("compatibility", |settings| {
                settings.compatibility = Some("es5".into())
            }),
            ("name", |settings| settings.name.clear()),
            ("variable", |settings| {
                drop(settings.env.insert("1".into(), String::new()))
            }),
        ];
        for (what, change) in wrong {
            let mut settings = settings();
            change(&mut settings);
            let error = document(&settings, &bundled())
                .err()
                .unwrap_or_else(|| panic!("{what}"));
            assert_eq!(error.code(), "project_invalid");
            assert!(error.to_string().contains(what), "{error}");
        }
    }

    #[test]
    fn options_replace_settings() {
        let changed = ChangedArguments {
            name: Some("other".into()),
            env: vec![variable("A=b=c").unwrap()],
            route: vec!["/other".into()],
        };
        let project = Project {
            root: ".".into(),
            settings: settings(),
        };
        let settings = changed.apply(project).settings;
        assert_eq!(
            (settings.name.as_str(), settings.env["A"].as_str()),
            ("other", "b=c")
        );
        assert_eq!(settings.routes, ["/other"]);
        assert!(variable("A").is_err());
    }
}
