//! Terminals.

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use jeju_agent_protocol::{Pty, Size};

/// A new terminal: our end, its other end, and its name.
pub(crate) struct Terminal {
    pub(crate) ours: OwnedFd,
    pub(crate) theirs: OwnedFd,
    pub(crate) name: String,
}

impl Terminal {
    /// Of the size and with the modes that were asked for.
    pub(crate) fn open(pty: &Pty) -> io::Result<Self> {
        const MULTIPLEXER: &CStr = c"/dev/ptmx";
        let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
        let mut number: libc::c_uint = 0;
        let unlock: libc::c_int = 0;
        // SAFETY: the path ends with NUL; each call gets an open descriptor and the integer that its request is
        // documented to take; each descriptor is owned once from where it is returned.
        let (ours, theirs) = unsafe {
            let ours = checked(libc::open(MULTIPLEXER.as_ptr(), flags))?;
            let ours = OwnedFd::from_raw_fd(ours);
            checked(libc::ioctl(ours.as_raw_fd(), libc::TIOCSPTLCK, &unlock))?;
            checked(libc::ioctl(ours.as_raw_fd(), libc::TIOCGPTN, &mut number))?;
            let theirs = checked(libc::ioctl(ours.as_raw_fd(), libc::TIOCGPTPEER, flags))?;
            (ours, OwnedFd::from_raw_fd(theirs))
        };
        set_modes(&theirs, &pty.modes)?;
        resize(theirs.as_raw_fd(), pty.size())?;
        Ok(Terminal {
            ours,
            theirs,
            name: format!("/dev/pts/{number}"),
        })
    }
}

/// Makes the terminal on standard input the one that controls this process's session. For a child, before its program.
pub(crate) fn control_by_stdin() -> io::Result<()> {
    // SAFETY: the call is async-signal-safe and touches no memory.
    unsafe { checked(libc::ioctl(0, libc::TIOCSCTTY, 0)) }?;
    Ok(())
}

/// Changes the size; the foreground group gets SIGWINCH by the kernel.
pub(crate) fn resize(terminal: i32, size: Size) -> io::Result<()> {
    let size = libc::winsize {
        ws_row: size.rows,
        ws_col: size.columns,
        ws_xpixel: size.width_px,
        ws_ypixel: size.height_px,
    };
    // SAFETY: the structure is the one that the request reads.
    unsafe { checked(libc::ioctl(terminal, libc::TIOCSWINSZ, &size)) }?;
    Ok(())
}

/// The group that the terminal's keys reach.
pub(crate) fn foreground(terminal: i32) -> Option<i32> {
    // SAFETY: touches no memory.
    let group = unsafe { libc::tcgetpgrp(terminal) };
    (group > 0).then_some(group)
}

fn checked(outcome: libc::c_int) -> io::Result<libc::c_int> {
    match outcome {
        -1 => Err(io::Error::last_os_error()),
        found => Ok(found),
    }
}

fn set_modes(terminal: &OwnedFd, modes: &[(u8, u32)]) -> io::Result<()> {
    let mut found = MaybeUninit::uninit();
    // SAFETY: tcgetattr fills the structure where it succeeds, and only then it is read.
    let mut settings: libc::termios = unsafe {
        checked(libc::tcgetattr(terminal.as_raw_fd(), found.as_mut_ptr()))?;
        found.assume_init()
    };
    settings.c_iflag |= libc::IUTF8;
    for (opcode, argument) in modes {
        apply(&mut settings, *opcode, *argument);
    }
    // SAFETY: the structure is initialised and only read.
    unsafe { checked(libc::tcsetattr(terminal.as_raw_fd(), libc::TCSANOW, &settings)) }?;
    Ok(())
}

/// One mode of RFC 4254 §8 and RFC 8160 (`IUTF8`). Those that Linux hasn't got, and speeds, change nothing.
fn apply(settings: &mut libc::termios, opcode: u8, argument: u32) {
    const CHARACTERS: [(u8, usize); 13] = [
        (1, libc::VINTR),
        (2, libc::VQUIT),
        (3, libc::VERASE),
        (4, libc::VKILL),
        (5, libc::VEOF),
        (6, libc::VEOL),
        (7, libc::VEOL2),
        (8, libc::VSTART),
        (9, libc::VSTOP),
        (10, libc::VSUSP),
        (12, libc::VREPRINT),
        (13, libc::VWERASE),
        (14, libc::VLNEXT),
    ];
    const INPUT: [(u8, libc::tcflag_t); 13] = [
        (30, libc::IGNPAR),
        (31, libc::PARMRK),
        (32, libc::INPCK),
        (33, libc::ISTRIP),
        (34, libc::INLCR),
        (35, libc::IGNCR),
        (36, libc::ICRNL),
        (37, 0o1000),
        (38, libc::IXON),
        (39, libc::IXANY),
        (40, libc::IXOFF),
        (41, libc::IMAXBEL),
        (42, libc::IUTF8),
    ];
    const LOCAL: [(u8, libc::tcflag_t); 13] = [
        (50, libc::ISIG),
        (51, libc::ICANON),
        (52, 0o4),
        (53, libc::ECHO),
        (54, libc::ECHOE),
        (55, libc::ECHOK),
        (56, libc::ECHONL),
        (57, libc::NOFLSH),
        (58, libc::TOSTOP),
        (59, libc::IEXTEN),
        (60, libc::ECHOCTL),
        (61, libc::ECHOKE),
        (62, libc::PENDIN),
    ];
    const OUTPUT: [(u8, libc::tcflag_t); 6] = [
        (70, libc::OPOST),
        (71, 0o2),
        (72, libc::ONLCR),
        (73, libc::OCRNL),
        (74, libc::ONOCR),
        (75, libc::ONLRET),
    ];
    const CONTROL: [(u8, libc::tcflag_t); 2] = [(92, libc::PARENB), (93, libc::PARODD)];
    let (flags, table): (_, &[_]) = match opcode {
        1..30 => {
            if let Some((_, at)) = CHARACTERS.iter().find(|(known, _)| *known == opcode) {
                // 255 says that no key does it.
                settings.c_cc[*at] = if argument >= 255 { 0 } else { argument as u8 };
            }
            return;
        }
        30..50 => (&mut settings.c_iflag, &INPUT),
        50..70 => (&mut settings.c_lflag, &LOCAL),
        70..90 => (&mut settings.c_oflag, &OUTPUT),
        90..=93 => (&mut settings.c_cflag, &CONTROL),
        _ => return,
    };
    if let Some((_, flag)) = table.iter().find(|(known, _)| *known == opcode) {
        match argument {
            0 => *flags &= !flag,
            _ => *flags |= flag,
        }
    }
}
