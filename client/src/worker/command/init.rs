//! `jeju worker init`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::super::WorkerError;
use super::super::template::{self, Template, project_name};
use crate::rental::command::Printed;

/// Options of `jeju worker init`.
#[derive(Debug, Clone, Args)]
pub struct InitArguments {
    /// Folder of the project
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// What to begin with
    #[arg(long, value_enum, default_value_t = Template::Hello)]
    template: Template,
    /// The worker's name [default: the folder's]
    #[arg(long, value_parser = project_name)]
    name: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn run(arguments: &InitArguments) -> Result<Printed, WorkerError> {
    let name = match &arguments.name {
        Some(name) => name.clone(),
        None => of_folder(&arguments.folder)?,
    };
    let written = template::write(arguments.template, &name, &arguments.folder)?;
    let lines = written.iter().map(|path| format!("wrote {}", path.display()));
    let folder = arguments.folder.display();
    let next = [
        String::new(),
        format!("jeju worker dev {folder}"),
        format!("jeju worker deploy {folder} --node URL --policy FILE"),
    ];
    let lines = lines.chain(next).collect();
    Ok(Printed::report(lines, json!({ "name": name, "files": written })))
}

fn of_folder(folder: &Path) -> Result<String, WorkerError> {
    let absolute = std::path::absolute(folder)?;
    let name = absolute
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    project_name(name).map_err(|_| {
        WorkerError::Usage(
            "the folder's name makes no worker's: give --name, of lower-case letters, digits and hyphens",
        )
    })
}
