//! What a channel is opened for, and what happens on it besides data.

use crate::error::{MAX_MESSAGE, MuxError, OpenCode, OpenError};
use crate::frame::MAX_PAYLOAD;
use crate::wire::{Fields, put_text};

/// Most variables of one request.
const MAX_ENV: usize = 256;
/// Most terminal modes of one request: RFC 4254 §8 has fewer opcodes than a byte has values.
const MAX_MODES: usize = 255;

/// What a channel is opened for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Open {
    /// The user's login shell.
    Shell {
        /// A terminal for it; without one it gets pipes.
        pty: Option<Pty>,
        /// Further variables, in this order.
        env: Vec<(String, String)>,
    },
    /// One command line, which the user's shell reads.
    Exec {
        /// As the client wrote it.
        command: String,
        /// A terminal for it; without one it gets pipes.
        pty: Option<Pty>,
        /// Further variables, in this order.
        env: Vec<(String, String)>,
    },
    /// An SFTP server (version 3) on the container's files.
    Sftp,
    /// A TCP connection from inside the container.
    Dial {
        /// An address, `localhost`, or a name of the container's `/etc/hosts`.
        host: String,
        /// Not 0.
        port: u16,
    },
}

/// A terminal, as RFC 4254 §6.2 asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pty {
    /// The value of `TERM`.
    pub term: String,
    /// In characters.
    pub columns: u16,
    /// In characters.
    pub rows: u16,
    /// In pixels; 0 where unknown.
    pub width_px: u16,
    /// In pixels; 0 where unknown.
    pub height_px: u16,
    /// Opcodes of RFC 4254 §8 and their arguments. What isn't known is ignored.
    pub modes: Vec<(u8, u32)>,
}

/// A terminal's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// In characters.
    pub columns: u16,
    /// In characters.
    pub rows: u16,
    /// In pixels; 0 where unknown.
    pub width_px: u16,
    /// In pixels; 0 where unknown.
    pub height_px: u16,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself.
    Code(u32),
    /// By a signal.
    Signal {
        /// Without `SIG`, as RFC 4254 §6.10 names it; `SIG@n` where it has no name there.
        name: String,
        /// With a core dump.
        core: bool,
    },
}

macro_rules! signals {
    ($($name:ident = $text:literal),+ $(,)?) => {
        /// The signals of RFC 4254 §6.10.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        #[allow(missing_docs)]
        pub enum Signal { $($name),+ }

        impl Signal {
            /// All of them.
            pub const ALL: &[Signal] = &[$(Signal::$name),+];

            /// Its name, without `SIG`.
            pub fn as_str(self) -> &'static str {
                match self { $(Signal::$name => $text),+ }
            }
        }
    };
}

signals! {
    Abrt = "ABRT", Alrm = "ALRM", Fpe = "FPE", Hup = "HUP", Ill = "ILL", Int = "INT", Kill = "KILL", Pipe = "PIPE",
    Quit = "QUIT", Segv = "SEGV", Term = "TERM", Usr1 = "USR1", Usr2 = "USR2",
}

impl Signal {
    /// By its name, without `SIG`.
    pub fn parse(name: &str) -> Option<Signal> {
        Signal::ALL.iter().copied().find(|signal| signal.as_str() == name)
    }
}

impl Open {
    /// The payload of an OPEN frame.
    pub fn encode(&self) -> Result<Vec<u8>, OpenError> {
        let payload = self.fields().ok_or_else(|| {
            OpenError::new(
                OpenCode::InvalidRequest,
                "the request has a NUL, an invalid name or too many parts",
            )
        })?;
        match payload.len() <= MAX_PAYLOAD {
            true => Ok(payload),
            false => Err(OpenError::new(
                OpenCode::InvalidRequest,
                format!("the request has {} bytes, more than {MAX_PAYLOAD}", payload.len()),
            )),
        }
    }

    fn fields(&self) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        match self {
            Open::Shell { pty, env } => {
                out.push(1);
                put_session(&mut out, pty.as_ref(), env)?;
            }
            Open::Exec { command, pty, env } => {
                out.push(2);
                put_text(&mut out, command)?;
                put_session(&mut out, pty.as_ref(), env)?;
            }
            Open::Sftp => out.push(3),
            Open::Dial { host, port } => {
                out.push(4);
                put_text(&mut out, host)?;
                out.extend(port.to_be_bytes());
                (!host.is_empty() && *port != 0).then_some(())?;
            }
        }
        Some(out)
    }

    /// Reads the payload of an OPEN frame: the one encoding that [`Open::encode`] writes.
    pub fn parse(payload: &[u8]) -> Result<Open, MuxError> {
        let mut fields = Fields::new(payload);
        let found = match fields.u8()? {
            1 => {
                let (pty, env) = session(&mut fields)?;
                Open::Shell { pty, env }
            }
            2 => {
                let command = fields.text()?;
                let (pty, env) = session(&mut fields)?;
                Open::Exec { command, pty, env }
            }
            3 => Open::Sftp,
            4 => {
                let (host, port) = (fields.text()?, fields.u16()?);
                if host.is_empty() || port == 0 {
                    return Err(MuxError::Malformed("no host or no port to dial"));
                }
                Open::Dial { host, port }
            }
            _ => return Err(MuxError::Malformed("an unknown request")),
        };
        fields.end()?;
        Ok(found)
    }
}

fn put_session(out: &mut Vec<u8>, pty: Option<&Pty>, env: &[(String, String)]) -> Option<()> {
    out.push(pty.is_some().into());
    if let Some(pty) = pty {
        put_text(out, &pty.term)?;
        out.extend(pty.size().encode());
        out.push(u8::try_from(pty.modes.len()).ok()?);
        for (opcode, argument) in &pty.modes {
            out.push(*opcode);
            out.extend(argument.to_be_bytes());
        }
    }
    (env.len() <= MAX_ENV).then_some(())?;
    out.extend((env.len() as u16).to_be_bytes());
    for (name, value) in env {
        (!name.is_empty() && !name.contains('=')).then_some(())?;
        put_text(out, name)?;
        put_text(out, value)?;
    }
    Some(())
}

type Session = (Option<Pty>, Vec<(String, String)>);

fn session(fields: &mut Fields<'_>) -> Result<Session, MuxError> {
    let pty = match fields.flag()? {
        false => None,
        true => Some(Pty::read(fields)?),
    };
    let count = usize::from(fields.u16()?);
    if count > MAX_ENV {
        return Err(MuxError::Malformed("too many variables"));
    }
    let mut env = Vec::with_capacity(count);
    for _ in 0..count {
        let (name, value) = (fields.text()?, fields.text()?);
        if name.is_empty() || name.contains('=') {
            return Err(MuxError::Malformed("an invalid name of a variable"));
        }
        env.push((name, value));
    }
    Ok((pty, env))
}

impl Pty {
    /// How large it is at first.
    pub fn size(&self) -> Size {
        Size {
            columns: self.columns,
            rows: self.rows,
            width_px: self.width_px,
            height_px: self.height_px,
        }
    }

    fn read(fields: &mut Fields<'_>) -> Result<Pty, MuxError> {
        let term = fields.text()?;
        let size = Size::read(fields)?;
        let count = usize::from(fields.u8()?);
        debug_assert!(count <= MAX_MODES);
        let modes = (0..count)
            .map(|_| Ok((fields.u8()?, fields.u32()?)))
            .collect::<Result<_, MuxError>>()?;
        Ok(Pty {
            term,
            columns: size.columns,
            rows: size.rows,
            width_px: size.width_px,
            height_px: size.height_px,
            modes,
        })
    }
}

impl Size {
    pub(crate) fn encode(self) -> [u8; 8] {
        let fields = [self.columns, self.rows, self.width_px, self.height_px];
        let mut out = [0; 8];
        for (to, field) in out.chunks_exact_mut(2).zip(fields) {
            to.copy_from_slice(&field.to_be_bytes());
        }
        out
    }

    pub(crate) fn parse(payload: &[u8]) -> Result<Size, MuxError> {
        let mut fields = Fields::new(payload);
        let found = Size::read(&mut fields)?;
        fields.end()?;
        Ok(found)
    }

    fn read(fields: &mut Fields<'_>) -> Result<Size, MuxError> {
        Ok(Size {
            columns: fields.u16()?,
            rows: fields.u16()?,
            width_px: fields.u16()?,
            height_px: fields.u16()?,
        })
    }
}

impl Exit {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Exit::Code(code) => [&[0][..], &code.to_be_bytes()].concat(),
            Exit::Signal { name, core } => [&[1, u8::from(*core)][..], name.as_bytes()].concat(),
        }
    }

    pub(crate) fn parse(payload: &[u8]) -> Result<Exit, MuxError> {
        let mut fields = Fields::new(payload);
        match fields.flag()? {
            false => {
                let code = fields.u32()?;
                fields.end()?;
                Ok(Exit::Code(code))
            }
            true => {
                let core = fields.flag()?;
                let name = fields.bytes(payload.len() - 2)?;
                match core::str::from_utf8(name) {
                    Ok(name) if is_signal_name(name) => Ok(Exit::Signal {
                        name: name.to_owned(),
                        core,
                    }),
                    _ => Err(MuxError::Malformed("not the name of a signal")),
                }
            }
        }
    }
}

/// What a process can end by has names beyond RFC 4254's.
fn is_signal_name(name: &str) -> bool {
    (1..=16).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'@')
}

impl OpenError {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let safe = OpenError::new(self.code, self.message.as_str());
        put_text(&mut out, safe.code.as_str()).expect("a short word");
        put_text(&mut out, &safe.message).expect("a bounded text without control characters");
        out
    }

    pub(crate) fn parse(payload: &[u8]) -> Result<OpenError, MuxError> {
        let mut fields = Fields::new(payload);
        let (code, message) = (fields.text()?, fields.text()?);
        fields.end()?;
        let code = OpenCode::parse(&code).ok_or(MuxError::Malformed("an unknown code of refusal"))?;
        if message.len() > MAX_MESSAGE || message.chars().any(char::is_control) {
            return Err(MuxError::Malformed("a message isn't one short line"));
        }
        Ok(OpenError { code, message })
    }
}
