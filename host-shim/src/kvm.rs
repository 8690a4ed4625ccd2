//! Whether KVM really runs a guest: on some machines `/dev/kvm` opens, and the first instruction never returns.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;

// `linux/kvm.h`; the libc crate lacks them.
const KVM_GET_API_VERSION: libc::c_ulong = 0xae00;
const KVM_CREATE_VM: libc::c_ulong = 0xae01;
const KVM_GET_VCPU_MMAP_SIZE: libc::c_ulong = 0xae04;
const KVM_CREATE_VCPU: libc::c_ulong = 0xae41;
const KVM_SET_USER_MEMORY_REGION: libc::c_ulong = 0x4020_ae46;
const KVM_RUN: libc::c_ulong = 0xae80;
const KVM_API_VERSION: libc::c_int = 12;
const KVM_EXIT_HLT: u32 = 5;

const PAGE: usize = 4096;
/// Page that holds the reset vector of x86, 16 bytes below 4 GiB, where a new vCPU starts.
const RESET_PAGE: u64 = 0xffff_f000;
const RESET_VECTOR: usize = 0xff0;
const HLT: u8 = 0xf4;
/// Offset of `exit_reason` in `struct kvm_run`.
const EXIT_REASON: usize = 8;

#[repr(C)]
struct MemoryRegion {
    slot: u32,
    flags: u32,
    guest_address: u64,
    size: u64,
    host_address: u64,
}

/// Starts a virtual machine of one page and one vCPU, which executes `hlt`. May hang: run it in a child.
///
/// # Errors
/// That of the device; [`io::ErrorKind::Unsupported`] for another KVM version or an unexpected exit, and on machines
/// other than x86-64.
pub(crate) fn probe() -> io::Result<()> {
    if !cfg!(target_arch = "x86_64") {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "the probe is for x86-64",
        ));
    }
    let device = OpenOptions::new().read(true).write(true).open("/dev/kvm")?;
    if control(device.as_raw_fd(), KVM_GET_API_VERSION, 0)? != KVM_API_VERSION {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "unknown KVM version"));
    }
    let machine = owned(control(device.as_raw_fd(), KVM_CREATE_VM, 0)?);
    let page = Mapping::new(PAGE, libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1)?;
    page.write(RESET_VECTOR, HLT);
    let region = MemoryRegion {
        slot: 0,
        flags: 0,
        guest_address: RESET_PAGE,
        size: PAGE as u64,
        host_address: page.start.as_ptr() as u64,
    };
    control(
        machine.as_raw_fd(),
        KVM_SET_USER_MEMORY_REGION,
        (&raw const region) as libc::c_ulong,
    )?;
    let vcpu = owned(control(machine.as_raw_fd(), KVM_CREATE_VCPU, 0)?);
    let size = control(device.as_raw_fd(), KVM_GET_VCPU_MMAP_SIZE, 0)? as usize;
    if size < EXIT_REASON + size_of::<u32>() {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "vCPU area is too small",
        ));
    }
    let run = Mapping::new(size, libc::MAP_SHARED, vcpu.as_raw_fd())?;
    control(vcpu.as_raw_fd(), KVM_RUN, 0)?;
    match run.read_u32(EXIT_REASON) {
        KVM_EXIT_HLT => Ok(()),
        reason => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!("vCPU exit {reason}, not a halt"),
        )),
    }
}

fn control(fd: RawFd, request: libc::c_ulong, argument: libc::c_ulong) -> io::Result<libc::c_int> {
    // SAFETY: the requests above take no argument or, in one case, a pointer to a `MemoryRegion` that the caller
    // keeps alive, and whose memory stays mapped until after the last request.
    match unsafe { libc::ioctl(fd, request as _, argument) } {
        -1 => Err(io::Error::last_os_error()),
        value => Ok(value),
    }
}

fn owned(fd: RawFd) -> OwnedFd {
    // SAFETY: only called with a descriptor that a KVM_CREATE request has just returned.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Memory shared with the kernel.
struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

impl Mapping {
    fn new(len: usize, flags: libc::c_int, fd: RawFd) -> io::Result<Self> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of this program.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len, access, flags, fd, 0) };
        match NonNull::new(start.cast::<u8>()) {
            Some(mapped) if start != libc::MAP_FAILED => Ok(Self { start: mapped, len }),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn write(&self, offset: usize, byte: u8) {
        assert!(offset < self.len);
        // SAFETY: within the mapping; volatile, because the guest reads it.
        unsafe { self.start.add(offset).write_volatile(byte) }
    }

    fn read_u32(&self, offset: usize) -> u32 {
        assert!(offset + size_of::<u32>() <= self.len && offset.is_multiple_of(align_of::<u32>()));
        // SAFETY: within the page-aligned mapping and aligned; volatile, because the kernel writes it.
        unsafe { self.start.add(offset).cast::<u32>().read_volatile() }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this is the mapping that `new` made, and no reference into it exists.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}
