//! `jeju-enclave`: see the library's documentation.

use jeju_enclave::arguments::{Arguments, USAGE};
use jeju_enclave::wiping::{self, Wiping};
use jeju_enclave::{boot, fatal, role};
use jeju_shim_protocol::fatal::FatalCode;

/// Of every role: keys and shares are wiped like prompts.
#[global_allocator]
static ALLOCATOR: Wiping = Wiping;

fn main() {
    wiping::map_large_blocks();
    if std::process::id() == 1 {
        boot::run(std::env::args_os().skip(1));
    }
    match Arguments::parse(std::env::args_os().skip(1)) {
        Ok(Arguments::Role(arguments)) => {
            fatal::keep_panics_short();
            role::run(arguments)
        }
        Ok(Arguments::Worker(channel)) => {
            fatal::keep_panics_short();
            role::run_worker(channel)
        }
        #[cfg(feature = "sim")]
        Ok(Arguments::Process(arguments)) => jeju_enclave::process::run(arguments),
        Err(bad) => {
            eprintln!("{bad}\n{USAGE}");
            fatal::fatal(FatalCode::BadArguments)
        }
    }
}
