//! What the node puts into a rental's container: its first process, the container's end of each SSH connection, and what
//! keeps a command to its time.
//!
//! It is one static program without privileges, and needs no file of the container's image.

mod init;
mod run;
mod serve;
mod sftp;

use std::env::args_os;
use std::ffi::OsString;
use std::process::ExitCode;

const USAGE: &str = "usage: jeju-rental-agent init [--] [COMMAND [ARGUMENT...]]
       jeju-rental-agent run SECONDS -- COMMAND [ARGUMENT...]
       jeju-rental-agent serve";

fn main() -> ExitCode {
    let mut arguments = args_os().skip(1);
    let verb = arguments.next();
    let mut rest: Vec<OsString> = arguments.collect();
    match verb.as_ref().and_then(|verb| verb.to_str()) {
        Some("init") => {
            if rest.first().is_some_and(|first| first == "--") {
                rest.remove(0);
            }
            init::run(&rest)
        }
        Some("run") => run::run(&rest).unwrap_or_else(usage),
        Some("serve") if rest.is_empty() => serve::run(),
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}
