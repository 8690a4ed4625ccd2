//! The static agent inside real containers: one without any file, one with busybox, one with Debian's programs.

mod containers {
    pub mod docker;
    mod images;
    mod init;
    mod sessions;
}

#[path = "agent/harness.rs"]
#[allow(dead_code, reason = "each test program uses its part")]
mod harness;
