//! RTMR1 and RTMR2: what firmware and kernel measure of a direct boot.

use super::event::{Event, Register};
use super::{KernelError, authenticode};

/// The events of RTMR1, in order, of a boot with `-kernel`.
///
/// The firmware measures the file when it loads it, then that it calls it, then draws a line; when the kernel leaves the
/// firmware behind, that it asked to and that it could (edk2, `QemuKernel.c`, `TdTcg2Dxe.c`). A separator of RTMR1 alone:
/// the firmware of a TPM extends PCR0 to PCR6 with one each.
///
/// QEMU before 10.0, and edk2 before 2025.02 with any QEMU, patch the kernel's header (loader type, address and size of
/// the initrd), so that the digest of the kernel depends on the memory's size there.
///
/// # Errors
/// A kernel that isn't a PE file, or one of which Authenticode leaves more out than zeros; see [`authenticode()`].
pub fn kernel_events(kernel: &[u8]) -> Result<Vec<Event>, KernelError> {
    let action = |text: &str| Event::of(Register::Rtmr1, text, text.as_bytes());
    Ok(vec![
        Event {
            register: Register::Rtmr1,
            name: "kernel".to_owned(),
            digest: authenticode(kernel)?,
        },
        action("Calling EFI Application from Boot Option"),
        Event::of(Register::Rtmr1, "separator", &[0; 4]),
        action("Exit Boot Services Invocation"),
        action("Exit Boot Services Returned with Success"),
    ])
}

/// The first event of RTMR2: the kernel's stub measures its load options, UTF-16LE with a NUL, before it reads them.
///
/// `cmdline` is what the launcher appends. edk2 2026.08 puts `initrd=initrd ` before it where there is an initrd (up to
/// 2025.02 it was put behind). What the kernel has built in is the kernel's own, and in its digest.
pub fn load_options_event(cmdline: &str, has_initrd: bool) -> Event {
    let initrd = if has_initrd { "initrd=initrd " } else { "" };
    let options: Vec<u8> = [initrd, cmdline, "\0"]
        .iter()
        .flat_map(|part| part.encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    Event::of(Register::Rtmr2, "LOADED_IMAGE::LoadOptions", &options)
}

/// The second event of RTMR2: the initrd as it was given to QEMU, compressed or not, all archives in one.
pub fn initrd_event(initrd: &[u8]) -> Event {
    Event::of(Register::Rtmr2, "Linux initrd", initrd)
}
