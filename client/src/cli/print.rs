//! Standard output of commands: whole, or a failure. A verdict that couldn't be written must not look like one that was.

use std::io::{self, Write};
use std::process::ExitCode;

use jeju_client::rental::command::Printed;

use super::failure::Failure;

/// A failure as `--json` prints it, where that was asked for.
pub(crate) fn in_json<E: Into<anyhow::Error>>(
    outcome: Result<ExitCode, E>,
    json: bool,
) -> anyhow::Result<ExitCode> {
    match outcome.map_err(Into::into) {
        Err(error) if json => {
            let failure = Failure::of(&error);
            text(&failure.json().to_string())?;
            Ok(failure.exit_code.into())
        }
        outcome => outcome,
    }
}

/// A report, or a failure.
pub(crate) fn report<E: Into<anyhow::Error>>(
    outcome: Result<Printed, E>,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let printed = outcome.map_err(Into::into);
    in_json(printed.and_then(|printed| Ok(printed.print(json)?.into())), json)
}

/// A text, nothing where it is empty, or a failure.
pub(crate) fn text_of<E: Into<anyhow::Error>>(
    outcome: Result<impl AsRef<str>, E>,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let written = outcome.map_err(Into::into).and_then(|found| {
        if !found.as_ref().is_empty() {
            text(found.as_ref())?;
        }
        Ok(ExitCode::SUCCESS)
    });
    in_json(written, json)
}

fn text(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{text}")?;
    output.flush()
}
