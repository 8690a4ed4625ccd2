//! A folder's modules.

use std::path::Path;

use anyhow::{Context, bail};
use jeju_worker_protocol::{Bundle, Language, Module};

/// The module at `path`, or all modules below it.
pub fn read(path: &Path) -> anyhow::Result<Bundle> {
    let mut modules = Vec::new();
    if path.is_dir() {
        folder(path, "", &mut modules)?;
    } else {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .context("a module without a name")?;
        modules.push(module(path, name)?.context("no module")?);
    }
    let is_main = |module: &&Module| matches!(module.name.as_str(), "main.mjs" | "main.ts");
    let main = if modules.len() == 1 {
        modules.first()
    } else {
        modules.iter().find(is_main)
    };
    let Some(main) = main.map(|module| module.name.clone()) else {
        bail!("{} has no main.mjs and no main.ts", path.display());
    };
    Ok(Bundle::new(main, modules)?)
}

fn folder(path: &Path, start: &str, modules: &mut Vec<Module>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let name = format!("{start}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            folder(&entry.path(), &format!("{name}/"), modules)?;
        } else if let Some(module) = module(&entry.path(), &name)? {
            modules.push(module);
        }
    }
    Ok(())
}

fn module(path: &Path, name: &str) -> anyhow::Result<Option<Module>> {
    let Some(language) = Language::of(name) else {
        return Ok(None);
    };
    let source = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let name = name.to_owned();
    Ok(Some(Module {
        name,
        language,
        source,
    }))
}
