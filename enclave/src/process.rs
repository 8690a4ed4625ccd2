//! A node as ordinary processes, for development: the same roles, sockets and sandboxes as in an image, under the
//! developer's own user, with simulated silicon and Unix sockets.

use std::fs::File;

use jeju_shim_protocol::fatal::FatalCode;

use crate::arguments::ProcessArguments;
use crate::fatal::{Ending, fatal, set_ending};
use crate::handover::ModelFile;
use crate::node::{self, Setup};
use crate::supervise::Outcome;

/// Runs the node until SIGTERM or SIGINT (status 0), or until it can't go on (status 64 + code).
pub fn run(arguments: ProcessArguments) -> ! {
    set_ending(Ending::Exit(arguments.transport.clone()));
    let outcome = start(arguments).unwrap_or_else(Outcome::Fatal);
    match outcome {
        Outcome::Stopped => std::process::exit(0),
        Outcome::Fatal(code) => fatal(code),
    }
}

fn start(arguments: ProcessArguments) -> Result<Outcome, FatalCode> {
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
