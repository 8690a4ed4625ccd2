//! Where a password comes from: a file that nobody else can reach, the environment, or the terminal without echo. Never an
//! argument, which every process of the machine can read.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;
use zeroize::Zeroizing;

use super::WalletError;
use super::secret_file::{self, MAX_LEN};

/// Fewest bytes of a password that a key is encrypted with; to read, any will do.
const MIN_LEN: usize = 8;

/// Where the password of a wallet is.
#[derive(Debug, Clone, Default, Args)]
pub struct PasswordArguments {
    /// File that holds the wallet's password, readable by its owner only [default: JEJU_PASSWORD of the environment, or a prompt]
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

/// Where the password that replaces it is.
#[derive(Debug, Clone, Default, Args)]
pub struct NewPasswordArguments {
    /// File that holds the new password, readable by its owner only [default: JEJU_NEW_PASSWORD of the environment, or a prompt]
    #[arg(long, value_name = "FILE")]
    pub new_password_file: Option<PathBuf>,
}

/// A password. Wiped when dropped, shown by nothing.
pub struct Password(Zeroizing<Vec<u8>>);

impl Password {
    /// These bytes.
    pub fn new(bytes: &[u8]) -> Self {
        // One allocation of just the length: none that grows and leaves a copy.
        Self(Zeroizing::new(bytes.to_vec()))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

impl PasswordArguments {
    /// The password of a wallet that is there.
    ///
    /// # Errors
    /// [`WalletError`] of the password.
    pub fn read(&self, wallet: &Path) -> Result<Password, WalletError> {
        match given(self.password_file.as_deref(), "JEJU_PASSWORD")? {
            Some(password) => Ok(password),
            None => ask(&format!("Password of {}: ", shown(wallet))),
        }
    }

    /// The password of a wallet that is to be made.
    ///
    /// # Errors
    /// [`WalletError`] of the password.
    pub fn choose(&self, wallet: &Path) -> Result<Password, WalletError> {
        let given = given(self.password_file.as_deref(), "JEJU_PASSWORD")?;
        chosen(given, wallet)
    }
}

impl NewPasswordArguments {
    /// The new password.
    ///
    /// # Errors
    /// [`WalletError`] of the password.
    pub fn choose(&self, wallet: &Path) -> Result<Password, WalletError> {
        let given = given(self.new_password_file.as_deref(), "JEJU_NEW_PASSWORD")?;
        chosen(given, wallet)
    }
}

fn given(file: Option<&Path>, variable: &str) -> Result<Option<Password>, WalletError> {
    if let Some(path) = file {
        return of_text(&secret_file::read(path)?).map(Some);
    }
    match std::env::var_os(variable) {
        Some(value) => of_text(&Zeroizing::new(value.into_vec())).map(Some),
        None => Ok(None),
    }
}

/// A file's end of line isn't the password's.
fn of_text(text: &[u8]) -> Result<Password, WalletError> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    if text.len() > MAX_LEN {
        return Err(WalletError::PasswordForm("longer than 1024 bytes"));
    }
    if text.iter().any(u8::is_ascii_control) {
        return Err(WalletError::PasswordForm(
            "of several lines, or with control characters",
        ));
    }
    Ok(Password::new(text))
}

fn chosen(given: Option<Password>, wallet: &Path) -> Result<Password, WalletError> {
    let asked = given.is_none();
    let password = match given {
        Some(password) => password,
        None => ask(&format!("New password of {}: ", shown(wallet)))?,
    };
    if password.bytes().len() < MIN_LEN {
        return Err(WalletError::PasswordForm("a new one has at least 8 bytes"));
    }
    if asked && ask("The same again: ")?.bytes() != password.bytes() {
        return Err(WalletError::PasswordForm("the two aren't the same"));
    }
    Ok(password)
}

fn shown(path: &Path) -> String {
    path.display().to_string().escape_debug().to_string()
}

/// Asks on the terminal. Without one there is nobody to ask: standard input is never taken for an answer.
pub(crate) fn ask(prompt: &str) -> Result<Password, WalletError> {
    let terminal = File::options()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .map_err(|_| WalletError::NoPassword)?;
    let quiet = Quiet::new(&terminal)?;
    let answer = (&terminal)
        .write_all(prompt.as_bytes())
        .map_err(|_| WalletError::NoPassword)
        .and_then(|()| line(&mut &terminal));
    drop(quiet);
    let _ = (&terminal).write_all(b"\n");
    answer
}

/// A terminal that shows nothing of what is typed. Keys that end a program arrive as characters, so that it never ends
/// with the terminal left like this.
struct Quiet<'a> {
    terminal: &'a File,
    before: Vec<u8>,
}

impl<'a> Quiet<'a> {
    fn new(terminal: &'a File) -> Result<Self, WalletError> {
        let before = stty(terminal, &[OsStr::new("-g")])?.trim_ascii().to_vec();
        let quiet = Self { terminal, before };
        let modes = ["-echo", "-icanon", "-isig", "min", "1", "time", "0"];
        stty(terminal, &modes.map(OsStr::new))?;
        Ok(quiet)
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        let _ = stty(self.terminal, &[OsStr::from_bytes(&self.before)]);
    }
}

/// Terminal modes by the system's own program: through libc they would need `unsafe`.
fn stty(terminal: &File, arguments: &[&OsStr]) -> Result<Vec<u8>, WalletError> {
    let input = terminal.try_clone().map_err(|_| WalletError::NoPassword)?;
    let output = Command::new("stty")
        .args(arguments)
        .stdin(Stdio::from(input))
        .stderr(Stdio::null())
        .output()
        .map_err(|_| WalletError::NoPassword)?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(WalletError::NoPassword),
    }
}

/// One line, byte by byte.
fn line(input: &mut impl Read) -> Result<Password, WalletError> {
    let mut text = Zeroizing::new([0; MAX_LEN]);
    let mut length = 0;
    let mut byte = Zeroizing::new([0]);
    loop {
        if input
            .read(byte.as_mut_slice())
            .map_err(|_| WalletError::Cancelled)?
            == 0
        {
            return Err(WalletError::Cancelled);
        }
        match byte[0] {
            b'\n' | b'\r' => return Ok(Password::new(&text[..length])),
            // Ctrl-C, Ctrl-D, Ctrl-\.
            0x03 | 0x04 | 0x1c => return Err(WalletError::Cancelled),
            // Backspace takes a whole character.
            0x08 | 0x7f => {
                let start = text[..length].iter().rposition(|byte| byte & 0xc0 != 0x80);
                length = start.unwrap_or(0);
            }
            // Ctrl-U.
            0x15 => length = 0,
            control if control.is_ascii_control() => {
                return Err(WalletError::PasswordForm(
                    "of several lines, or with control characters",
                ));
            }
            other => {
                *text
                    .get_mut(length)
                    .ok_or(WalletError::PasswordForm("longer than 1024 bytes"))? = other;
                length += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn lines_are_edited_as_on_a_terminal() {
        for (typed, expected) in [
            ("secret\n", "secret"),
            ("secret\r", "secret"),
            ("pä\x7f\x7fsw\n", "sw"),
            ("\x7f\x08a\n", "a"),
            ("wrong\x15right\nnext", "right"),
            ("\n", ""),
        ] {
            assert_eq!(
                line(&mut typed.as_bytes()).unwrap().bytes(),
                expected.as_bytes(),
                "{typed:?}"
            );
        }
        for (typed, code) in [
            ("abc\x03".to_owned(), "wallet_cancelled"),
            ("abc\x04".to_owned(), "wallet_cancelled"),
            ("no end".to_owned(), "wallet_cancelled"),
            ("\x1b[A\n".to_owned(), "wallet_password_invalid"),
            ("x".repeat(2000), "wallet_password_invalid"),
        ] {
            assert_eq!(line(&mut typed.as_bytes()).unwrap_err().code(), code, "{typed:?}");
        }
    }

    #[test]
    fn files_are_for_their_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let arguments = PasswordArguments {
            password_file: Some(path.clone()),
        };
        let read = |text: &str, mode| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            arguments.read(Path::new("x"))
        };
        for (text, expected) in [
            ("a b", "a b"),
            ("a\n", "a"),
            ("a\r\n", "a"),
            ("", ""),
            (" a ", " a "),
        ] {
            assert_eq!(read(text, 0o600).unwrap().bytes(), expected.as_bytes());
        }
        assert_eq!(read("a", 0o640).unwrap_err().code(), "wallet_password_exposed");
        for wrong in ["a\nb\n", "a\n\n", "a\0", &"a".repeat(1025), &"a".repeat(5000)] {
            assert_eq!(read(wrong, 0o600).unwrap_err().code(), "wallet_password_invalid");
        }
        read("short", 0o600).unwrap();
        assert_eq!(
            arguments.choose(Path::new("x")).unwrap_err().code(),
            "wallet_password_invalid"
        );
        std::fs::remove_file(&path).unwrap();
        assert_eq!(
            arguments.read(Path::new("x")).unwrap_err().code(),
            "file_unreadable"
        );
        assert_eq!(format!("{:?}", Password::new(b"secret")), "Password(…)");
    }
}
