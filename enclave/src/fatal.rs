//! The one way in which a node that can't go on ends: one number, to the serial line and to the log sink.
//!
//! No text goes with it. What a panic or an error says may hold a prompt, and both ways out are the host's.

use std::io::Write;
use std::sync::OnceLock;
use std::sync::mpsc;
use std::time::Duration;

use jeju_shim_protocol::Port;
use jeju_shim_protocol::fatal::{FatalCode, serial_line};
use jeju_shim_protocol::log::{LogFrame, write_frame};
use jeju_shim_protocol::transport::GuestTransport;

/// How long the log sink may take to be told.
const SINK_WAIT: Duration = Duration::from_secs(1);

/// Exit status of an ordinary process: this plus the code.
const EXIT_STATUS: i32 = 64;

static ENDING: OnceLock<Ending> = OnceLock::new();

/// How this process ends.
#[derive(Debug, Clone)]
pub enum Ending {
    /// PID 1 of the image: the machine powers off.
    PowerOff,
    /// The first process of a node in process mode, with its transport: exit status 64 + code.
    Exit(GuestTransport),
}

/// Sets how [`fatal`] ends this process, and has a panic end it in the same way. Only the first call counts.
pub fn set_ending(ending: Ending) {
    let image = matches!(ending, Ending::PowerOff);
    if ENDING.set(ending).is_err() {
        return;
    }
    let print_panic = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !image {
            print_panic(panic);
        }
        fatal(FatalCode::Internal)
    }));
}

/// Has a panic of this process say where it happened and nothing else: its text may quote what a user wrote, as that of a
/// string cut in the middle of a character does. For roles, which see such texts; only an image's have no one to tell.
pub fn keep_panics_short() {
    std::panic::set_hook(Box::new(|panic| match panic.location() {
        Some(place) => print_line(&format!("jeju-enclave: panic at {place}")),
        None => print_line("jeju-enclave: panic"),
    }));
}

/// Tells the console and the log sink why the node ends, and ends it. Takes a little over a second at most.
pub fn fatal(code: FatalCode) -> ! {
    print_line(&serial_line(code));
    match ENDING.get() {
        Some(Ending::PowerOff) => {
            tell_log_sink(GuestTransport::Vsock, code);
            crate::boot::power_off()
        }
        Some(Ending::Exit(transport)) => tell_log_sink(transport.clone(), code),
        None => {}
    }
    std::process::exit(EXIT_STATUS + i32::from(code.as_u16()))
}

/// Prints a line of the fixed vocabulary: on the console as PID 1, else on stderr.
pub fn print_line(line: &str) {
    let line = format!("{line}\n");
    // A console that can't be written to is no reason to go on differently.
    let _ = match ENDING.get() {
        Some(Ending::PowerOff) => std::io::stdout().write_all(line.as_bytes()),
        _ => std::io::stderr().write_all(line.as_bytes()),
    };
}

/// Best effort. On a thread of its own, because the caller may be inside a runtime or unwinding from a panic.
fn tell_log_sink(transport: GuestTransport, code: FatalCode) {
    let (told, wait) = mpsc::channel();
    let started = std::thread::Builder::new().spawn(move || {
        if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
            let _ = runtime.block_on(async {
                let mut stream = transport.dial(Port::Log).await.ok()?;
                write_frame(&mut stream, &LogFrame::Fatal(code.as_u16()))
                    .await
                    .ok()?;
                tokio::io::AsyncWriteExt::shutdown(&mut stream).await.ok()
            });
        }
        let _ = told.send(());
    });
    // In parts: of a time in which the machine stood still only one counts.
    const PARTS: u32 = 10;
    let mut left = if started.is_ok() { PARTS } else { 0 };
    while left > 0 && wait.recv_timeout(SINK_WAIT / PARTS) == Err(mpsc::RecvTimeoutError::Timeout) {
        left -= 1;
    }
}
