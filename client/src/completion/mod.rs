//! `jeju completion`: scripts for shells.

use std::io::{self, Write};

use clap::{Args, Command};
use clap_complete::{Shell, generate};

/// Options of `jeju completion`.
#[derive(Debug, Clone, Copy, Args)]
pub struct CompletionArguments {
    /// Shell
    shell: Shell,
}

impl CompletionArguments {
    /// Writes the script for a program's commands.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn write(self, mut command: Command, output: &mut impl Write) -> io::Result<()> {
        let name = command.get_name().to_owned();
        let mut script = Vec::new();
        generate(self.shell, &mut command, name, &mut script);
        output.write_all(&script)?;
        output.flush()
    }
}
