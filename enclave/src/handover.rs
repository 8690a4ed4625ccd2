//! What PID 1 has found out when it starts a role: read once by the role, before it enters its sandbox.
//!
//! It lies in a sealed memory file, which the role inherits next to its sockets: PID 1 never waits for a role to read,
//! and the role can't change what another one reads.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use jeju_attestation::launch;
use jeju_attestation::tee::Tee;
use jeju_quote::launch_binding::LaunchBinding;
use jeju_shim_protocol::transport::GuestTransport;
use jeju_store::SealingKey;
use zeroize::Zeroizing;

use crate::ipc::control::Reporter;
use crate::ipc::frame::{Fields, put_bytes};
use crate::ipc::quote::{QuoteClient, tee_code, tee_from_code};

/// Longest handover in bytes: a launch document, and room for the rest.
const MAX_HANDOVER: usize = launch::MAX_LEN + 64 * 1024;

const MAX_PATH: usize = 4096;
const MAX_MODELS: usize = 16;

/// What every role is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handover {
    /// The platform that makes the evidence.
    pub tee: Tee,
    /// Whether this is a measured image (as PID 1 of a virtual machine) and not an ordinary process.
    pub image: bool,
    /// How to reach the host.
    pub transport: GuestTransport,
    /// The exact bytes of the launch document; valid and bound to the platform.
    pub launch_document: Vec<u8>,
    /// Where the platform's evidence holds the launch digest.
    pub binding: LaunchBinding,
    /// Directory for state, in process mode only.
    pub state: Option<PathBuf>,
    /// File names of the models, in the order of their descriptors.
    pub models: Vec<String>,
}

/// Everything that the front starts with. Entropy is credited to the kernel already.
#[derive(Debug)]
pub struct Context {
    /// What PID 1 found out.
    pub handover: Handover,
    /// The models. In an image their files have no name any more: dropping the file frees its memory.
    pub models: Vec<ModelFile>,
    /// Access to the quote role.
    pub quotes: QuoteClient,
    /// Socket to the signer, on a node that has one.
    pub signer: Option<OwnedFd>,
    /// Socket to the rentals role, on a node that rents out machines.
    pub rentals: Option<OwnedFd>,
    /// What runs workers, on a node that does.
    pub workers: Option<WorkersContext>,
    /// The key of the store of accounts that pay, on a node with payments. Where the platform has none, what accounts owe
    /// and promised lasts as long as the boot.
    pub payments_sealing: Option<SealingKey>,
    /// Access to PID 1: call [`Reporter::ready`] when requests are served.
    pub control: Reporter,
}

/// What the front runs workers with.
#[derive(Debug)]
pub struct WorkersContext {
    /// Socket to PID 1, which starts their processes: see [`crate::ipc::spawner`].
    pub spawner: OwnedFd,
    /// The key of their store. Where the platform has none, workers last as long as the boot.
    pub sealing: Option<SealingKey>,
}

/// An open model file. Its digest isn't checked yet.
#[derive(Debug)]
pub struct ModelFile {
    /// File name, without directory.
    pub name: String,
    /// Open for reading.
    pub file: File,
}

impl ModelFile {
    /// Opens a model.
    ///
    /// # Errors
    /// When it can't be opened, isn't a regular file, or has no UTF-8 name.
    pub fn open(path: &Path) -> io::Result<ModelFile> {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .ok_or(io::ErrorKind::InvalidInput)?;
        let file = File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(ModelFile {
            name: name.to_owned(),
            file,
        })
    }
}

impl Handover {
    /// Writes the handover into a sealed memory file.
    ///
    /// # Errors
    /// When the kernel gives no memory file.
    pub fn seal(&self) -> io::Result<File> {
        sealed_file(&self.encode())
    }

    /// Reads what [`Handover::seal`] wrote.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] for anything else.
    pub fn open(file: &File) -> io::Result<Handover> {
        let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        if length > MAX_HANDOVER {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut bytes = vec![0; length];
        // At an offset: the roles share one file position.
        file.read_exact_at(&mut bytes, 0)?;
        Handover::parse(&bytes).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![
            tee_code(self.tee),
            u8::from(self.image),
            binding_code(self.binding),
        ];
        let directory = match &self.transport {
            GuestTransport::Vsock => None,
            GuestTransport::Unix(directory) => Some(directory.as_path()),
        };
        put_path(&mut bytes, directory);
        put_path(&mut bytes, self.state.as_deref());
        put_bytes(&mut bytes, &self.launch_document);
        bytes.push(self.models.len() as u8);
        for name in &self.models {
            put_bytes(&mut bytes, name.as_bytes());
        }
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Handover> {
        let mut fields = Fields::new(bytes);
        let tee = tee_from_code(fields.byte()?)?;
        let image = match fields.byte()? {
            0 => false,
            1 => true,
            _ => return None,
        };
        let binding = binding_from_code(fields.byte()?)?;
        let transport = take_path(&mut fields)?.map_or(GuestTransport::Vsock, GuestTransport::Unix);
        let state = take_path(&mut fields)?;
        let launch_document = fields.bytes(launch::MAX_LEN)?.to_vec();
        let count = usize::from(fields.byte()?);
        if count > MAX_MODELS {
            return None;
        }
        let models = (0..count)
            .map(|_| String::from_utf8(fields.bytes(MAX_PATH)?.to_vec()).ok())
            .collect::<Option<Vec<_>>>()?;
        fields.end()?;
        Some(Handover {
            tee,
            image,
            transport,
            launch_document,
            binding,
            state,
            models,
        })
    }
}

/// A memory file with these bytes, which nobody can change any more.
fn sealed_file(bytes: &[u8]) -> io::Result<File> {
    // SAFETY: the name is a NUL-terminated constant.
    let descriptor =
        unsafe { libc::memfd_create(c"handover".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new and owned by nobody else.
    let mut file = unsafe { File::from_raw_fd(descriptor) };
    file.write_all(bytes)?;
    let seals = libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;
    // SAFETY: a plain system call on an open descriptor.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(file)
}

/// A sealing key, on its way from PID 1 to the one role whose store it is.
///
/// # Errors
/// When the kernel gives no memory file.
pub fn seal_key(key: &SealingKey) -> io::Result<File> {
    sealed_file(key.expose())
}

/// Reads what [`seal_key`] wrote.
///
/// # Errors
/// When it isn't exactly a key.
pub fn open_key(file: &File) -> io::Result<SealingKey> {
    let mut key = Zeroizing::new([0; 32]);
    if file.metadata()?.len() != key.len() as u64 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    file.read_exact_at(&mut key[..], 0)?;
    Ok(SealingKey::new(key))
}

fn binding_code(binding: LaunchBinding) -> u8 {
    match binding {
        LaunchBinding::Bound => 1,
        LaunchBinding::NotSettable => 2,
    }
}

fn binding_from_code(code: u8) -> Option<LaunchBinding> {
    [LaunchBinding::Bound, LaunchBinding::NotSettable]
        .into_iter()
        .find(|binding| binding_code(*binding) == code)
}

/// An absent path is an empty one.
fn put_path(bytes: &mut Vec<u8>, path: Option<&Path>) {
    put_bytes(bytes, path.map_or(&[][..], |path| path.as_os_str().as_bytes()));
}

fn take_path(fields: &mut Fields) -> Option<Option<PathBuf>> {
    let path = fields.bytes(MAX_PATH)?.to_vec();
    Some((!path.is_empty()).then(|| OsString::from_vec(path).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handover() -> Handover {
        Handover {
            tee: Tee::Simulated,
            image: false,
            transport: GuestTransport::Unix("/sockets".into()),
            launch_document: vec![b'#'; launch::MAX_LEN],
            binding: LaunchBinding::NotSettable,
            state: Some("/state".into()),
            models: vec!["a.gguf".into(), "b.gguf".into()],
        }
    }

    #[test]
    fn handovers_round_trip() {
        let in_image = Handover {
            image: true,
            tee: Tee::Tdx,
            transport: GuestTransport::Vsock,
            launch_document: vec![],
            binding: LaunchBinding::Bound,
            state: None,
            models: vec![],
        };
        for handover in [handover(), in_image] {
            let file = handover.seal().unwrap();
            assert_eq!(Handover::open(&file).unwrap(), handover);
            assert_eq!(Handover::open(&file).unwrap(), handover, "a second reader");
        }
    }

    #[test]
    fn a_sealed_handover_cannot_be_changed() {
        let mut file = handover().seal().unwrap();
        assert!(file.write_all(b"x").is_err());
        assert!(file.set_len(0).is_err());
        assert!(file.write_at(b"x", 0).is_err());
    }

    #[test]
    fn sealing_keys_pass_in_a_sealed_file() {
        let key = SealingKey::new(Zeroizing::new([7; 32]));
        let mut file = seal_key(&key).unwrap();
        assert_eq!(open_key(&file).unwrap().expose(), key.expose());
        assert!(file.write_all(b"x").is_err());
        for wrong in [&[0; 31][..], &[0; 33], &[]] {
            assert!(open_key(&sealed_file(wrong).unwrap()).is_err());
        }
    }

    #[test]
    fn malformed_handovers_are_refused() {
        let mut small = handover();
        small.launch_document = vec![1, 2, 3];
        let bytes = small.encode();
        for length in 0..bytes.len() {
            assert_eq!(Handover::parse(&bytes[..length]), None, "{length}");
        }
        assert_eq!(Handover::parse(&[&bytes[..], &[0]].concat()), None);
        for (at, value) in [(0, 9), (1, 2), (2, 0)] {
            let mut changed = bytes.clone();
            changed[at] = value;
            assert_eq!(Handover::parse(&changed), None, "byte {at}");
        }
        let mut too_long = handover();
        too_long.launch_document.push(0);
        assert_eq!(Handover::parse(&too_long.encode()), None);
        let many = Handover {
            models: vec!["m".into(); MAX_MODELS + 1],
            ..handover()
        };
        assert_eq!(Handover::parse(&many.encode()), None);
    }
}
