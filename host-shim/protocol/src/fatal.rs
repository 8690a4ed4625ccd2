//! Numbered reasons for which the node powers off. No free text leaves the guest with them.

use std::fmt;

/// Why the node powered off. The table with what to do about each code is in `docs/operating.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum FatalCode {
    /// Arguments or kernel command line aren't valid.
    BadArguments = 1,
    /// A mount failed.
    MountFailed = 2,
    /// No credited source of entropy.
    NoEntropySource = 3,
    /// A release image found no TEE.
    NoTeeFound = 4,
    /// The host didn't deliver the launch document.
    LaunchDocumentUnavailable = 5,
    /// The launch document isn't valid.
    LaunchDocumentInvalid = 6,
    /// The launch document isn't the one that the platform was started with.
    LaunchDigestMismatch = 7,
    /// The model is missing, or isn't the one that the launch document names.
    ModelMissing = 8,
    /// The platform made no quote.
    QuotingFailed = 9,
    /// A process of the node died.
    ProcessDied = 10,
    /// A port couldn't be listened on.
    ListenerFailed = 11,
    /// A process couldn't be confined.
    SandboxFailed = 12,
    /// A bug.
    Internal = 13,
    /// A development setting in a release image.
    DevelopmentInRelease = 14,
    /// No block could be read from the chain.
    ChainUnavailable = 15,
    /// State that must last can't be stored.
    StateLost = 16,
    /// The program that is put into containers is missing, where the launch document switches rentals on.
    AgentMissing = 17,
}

impl FatalCode {
    /// Every code, in ascending order.
    pub const ALL: [FatalCode; 17] = [
        FatalCode::BadArguments,
        FatalCode::MountFailed,
        FatalCode::NoEntropySource,
        FatalCode::NoTeeFound,
        FatalCode::LaunchDocumentUnavailable,
        FatalCode::LaunchDocumentInvalid,
        FatalCode::LaunchDigestMismatch,
        FatalCode::ModelMissing,
        FatalCode::QuotingFailed,
        FatalCode::ProcessDied,
        FatalCode::ListenerFailed,
        FatalCode::SandboxFailed,
        FatalCode::Internal,
        FatalCode::DevelopmentInRelease,
        FatalCode::ChainUnavailable,
        FatalCode::StateLost,
        FatalCode::AgentMissing,
    ];

    /// The number on the wire.
    pub const fn as_u16(self) -> u16 {
        self as u16
    }

    /// The code of a number, if the table has it.
    pub fn from_u16(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_u16() == number)
    }

    /// One phrase for people.
    pub const fn meaning(self) -> &'static str {
        match self {
            FatalCode::BadArguments => "bad arguments",
            FatalCode::MountFailed => "mount failed",
            FatalCode::NoEntropySource => "no entropy source",
            FatalCode::NoTeeFound => "no TEE found",
            FatalCode::LaunchDocumentUnavailable => "launch document unavailable",
            FatalCode::LaunchDocumentInvalid => "launch document invalid",
            FatalCode::LaunchDigestMismatch => "launch digest mismatch",
            FatalCode::ModelMissing => "model missing or digest mismatch",
            FatalCode::QuotingFailed => "quoting failed",
            FatalCode::ProcessDied => "a process of the node died",
            FatalCode::ListenerFailed => "listener failed",
            FatalCode::SandboxFailed => "sandbox failed",
            FatalCode::Internal => "internal error",
            FatalCode::DevelopmentInRelease => "development mode in release image",
            FatalCode::ChainUnavailable => "no block could be read from the chain",
            FatalCode::StateLost => "state can't be stored",
            FatalCode::AgentMissing => "agent of rentals missing",
        }
    }
}

impl fmt::Display for FatalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.as_u16(), self.meaning())
    }
}

/// The serial line that says that the node serves (`wire-formats.md` §5), without newline.
pub const SERIAL_READY: &str = "JEJU-READY";

const SERIAL_FATAL: &str = "JEJU-FATAL ";

/// The serial line of a fatal exit (`wire-formats.md` §5), without newline.
pub fn serial_line(code: FatalCode) -> String {
    format!("{SERIAL_FATAL}{}", code.as_u16())
}

/// The number in a serial line of a fatal exit, with or without `\r`; `None` for any other line. The number may be
/// missing from this version's table.
pub fn parse_serial_line(line: &str) -> Option<u16> {
    let number = line.trim_end_matches(['\r', '\n']).strip_prefix(SERIAL_FATAL)?;
    crate::line::decimal(number).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_fixed_and_have_no_gap() {
        for (index, code) in FatalCode::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(code.as_u16()), index + 1);
            assert_eq!(FatalCode::from_u16(code.as_u16()), Some(code));
        }
        assert_eq!(FatalCode::from_u16(0), None);
        assert_eq!(FatalCode::from_u16(18), None);
        assert_eq!(
            FatalCode::LaunchDigestMismatch.to_string(),
            "7: launch digest mismatch"
        );
    }

    #[test]
    fn serial_lines_round_trip() {
        for code in FatalCode::ALL {
            assert_eq!(parse_serial_line(&serial_line(code)), Some(code.as_u16()));
        }
        assert_eq!(parse_serial_line("JEJU-FATAL 4711\r\n"), Some(4711));
        for other in [
            "",
            "JEJU-READY",
            "JEJU-FATAL",
            "JEJU-FATAL x",
            "JEJU-FATAL 70000",
            "xJEJU-FATAL 1",
        ] {
            assert_eq!(parse_serial_line(other), None, "{other:?}");
        }
    }
}
