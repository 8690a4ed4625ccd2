//! A node as ordinary processes, for development: the same roles, sockets and sandboxes as in an image, under the
//! developer's own user, with simulated silicon and Unix sockets.

use std::fs::File;

use jeju_shim_protocol::fatal::FatalCode;

use crate::arguments::ProcessArguments;
use crate::core_dumps;
use crate::fatal::{Ending, fatal, print_line, set_ending};
use crate::handover::ModelFile;
use crate::node::{self, Setup};
use crate::supervise::Outcome;

/// Runs the node until SIGTERM or SIGINT (status 0), or until it can't go on (status 64 + code).
pub fn run(arguments: ProcessArguments) -> ! {
    set_ending(Ending::Exit(arguments.transport.clone()));
    warn_of_swap();
    let outcome = start(arguments).unwrap_or_else(Outcome::Fatal);
    match outcome {
        Outcome::Stopped => std::process::exit(0),
        Outcome::Fatal(code) => fatal(code),
    }
}

fn start(arguments: ProcessArguments) -> Result<Outcome, FatalCode> {
    core_dumps::forbid().map_err(|_| FatalCode::Internal)?;
    let models = arguments
        .models
        .iter()
        .map(|path| ModelFile::open(path))
        .collect::<Result<Vec<_>, _>>();
    let models = models.map_err(|_| FatalCode::ModelMissing)?;
    let agent = arguments.agent.map(File::open).transpose();
    let agent = agent.map_err(|_| FatalCode::AgentMissing)?;
    let device = node::simulated_device(&arguments.transport)?;
    let setup = Setup {
        image: false,
        transport: arguments.transport,
        models,
        agent,
        state: arguments.state,
    };
    Ok(node::run(setup, device))
}

/// An image's kernel has no swap. A developer's may write what a prompt was to its disk, and no process can keep it from
/// that without a right that developers don't have.
fn warn_of_swap() {
    if std::fs::read_to_string("/proc/swaps").is_ok_and(|swaps| is_active(&swaps)) {
        print_line(
            "jeju-enclave: this machine swaps: memory with prompts and keys may be written to its disk",
        );
    }
}

/// Whether `/proc/swaps` lists an area, below its heading.
fn is_active(swaps: &str) -> bool {
    swaps.lines().skip(1).any(|line| !line.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swap_is_told_by_its_list() {
        let heading = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";
        assert!(!is_active(""));
        assert!(!is_active(heading));
        assert!(is_active(&format!("{heading}/dev/dm-1 partition 8388604 0 -2\n")));
    }
}
