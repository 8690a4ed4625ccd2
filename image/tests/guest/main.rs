//! The smallest PID 1 that shows whether kernel, archives, command line and vsock are what the host thinks they are.
//! Compiled by the tests with rustc alone, so it uses std and the few C functions of a static glibc that it names.
//!
//! It listens on three ports. 4010 and 5000 echo. On 4007 it answers one line: `cmdline`, `root` (a line of mode, length and
//! path for each entry), `cpu`, `cpus`, `silicon` (all that host port 5006 answers to a describe request, hexadecimal),
//! `file PATH` (its bytes), `names PATH` (a line for each entry of a folder), `log` (the kernel's), `nsm HEX` (what the Nitro
//! Secure Module answers to this message), `power off`.

use std::ffi::{CString, c_char, c_int, c_ulong, c_void};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;

const AF_VSOCK: c_int = 40;
const SOCK_STREAM: c_int = 1;
const CID_ANY: u32 = u32::MAX;
const CID_HOST: u32 = 2;
/// Larger writes hang on userspace vsock devices.
const WRITE_CAP: usize = 32 * 1024;

#[repr(C)]
struct SockaddrVm {
    family: u16,
    reserved: u16,
    port: u32,
    cid: u32,
    zero: [u8; 4],
}

unsafe extern "C" {
    fn mount(
        source: *const c_char,
        target: *const c_char,
        kind: *const c_char,
        flags: c_ulong,
        data: *const c_void,
    ) -> c_int;
    fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int;
    fn bind(fd: c_int, address: *const SockaddrVm, length: u32) -> c_int;
    fn connect(fd: c_int, address: *const SockaddrVm, length: u32) -> c_int;
    fn listen(fd: c_int, backlog: c_int) -> c_int;
    fn accept(fd: c_int, address: *mut c_void, length: *mut c_void) -> c_int;
    fn reboot(command: c_int) -> c_int;
    fn ioctl(fd: c_int, request: c_ulong, ...) -> c_int;
    fn klogctl(kind: c_int, text: *mut u8, length: c_int) -> c_int;
}

fn main() {
    // What was unpacked, before anything is mounted over it.
    let mut root = String::new();
    walk(Path::new("/"), &mut root);
    for (kind, target) in [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")] {
        let _ = fs::create_dir(target);
        let (kind, target) = (CString::new(kind).unwrap(), CString::new(target).unwrap());
        // SAFETY: all pointers are NUL-terminated strings that outlive the call, or null.
        unsafe { mount(kind.as_ptr(), target.as_ptr(), kind.as_ptr(), 0, std::ptr::null()) };
    }
    let cmdline = fs::read_to_string("/proc/cmdline").unwrap();
    if cmdline.contains("jeju.test=fatal") {
        println!("a secret that no host should see\nJEJU-FATAL 8");
        power_off();
    }
    if cmdline.contains("jeju.test=exit") {
        power_off();
    }
    let questions = listener(4007);
    for port in [4010, 5000] {
        let echo = listener(port);
        thread::spawn(move || serve(echo, |stream| copy(&stream, &stream)));
    }
    println!("JEJU-READY");
    serve(questions, move |stream| answer(stream, &root));
}

fn answer(stream: File, root: &str) {
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).unwrap();
    let line = line.trim_end();
    let (question, operand) = match line.split_once(' ') {
        Some((question @ ("file" | "names" | "nsm"), operand)) => (question, operand),
        _ => (line, ""),
    };
    let text = match question {
        "cmdline" => fs::read_to_string("/proc/cmdline").unwrap(),
        "root" => root.to_owned(),
        "cpus" => thread::available_parallelism().unwrap().to_string(),
        "file" => {
            let bytes = fs::read(operand).unwrap_or_else(|error| error.to_string().into_bytes());
            return (&stream).write_all(&bytes).unwrap();
        }
        "names" => names(Path::new(operand)).unwrap_or_else(|error| error.to_string()),
        "log" => log(),
        "nsm" => return (&stream).write_all(&nsm(operand)).unwrap(),
        "power off" => power_off(),
        "cpu" => format!(
            "rdrand {} rdseed {}",
            is_x86_feature_detected!("rdrand"),
            is_x86_feature_detected!("rdseed")
        ),
        "silicon" => silicon(),
        other => format!("unknown question {other}"),
    };
    (&stream).write_all(text.as_bytes()).unwrap();
}

fn names(folder: &Path) -> std::io::Result<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(entry?.file_name().into_string().unwrap() + "\n");
    }
    names.sort();
    Ok(names.concat())
}

/// What the kernel has said since its start, at any level.
fn log() -> String {
    const READ_ALL: c_int = 3;
    let mut text = vec![0; 1 << 18];
    // SAFETY: the buffer has the length that is given.
    let length = unsafe { klogctl(READ_ALL, text.as_mut_ptr(), text.len() as c_int) };
    text.truncate(length.try_into().expect("the kernel's log can be read"));
    String::from_utf8_lossy(&text).into_owned()
}

/// `NSM_IOCTL_RAW` of `linux/nsm.h`.
fn nsm(message: &str) -> Vec<u8> {
    #[repr(C)]
    struct Raw {
        request: (*const u8, usize),
        response: (*mut u8, usize),
    }
    const RAW: c_ulong = 0xC020_0A00;
    let digits = |at| u8::from_str_radix(&message[at..at + 2], 16).unwrap();
    let request: Vec<u8> = (0..message.len()).step_by(2).map(digits).collect();
    let mut response = vec![0; 0x3000];
    let mut raw = Raw {
        request: (request.as_ptr(), request.len()),
        response: (response.as_mut_ptr(), response.len()),
    };
    let device = File::options().read(true).write(true).open("/dev/nsm");
    let device = device.expect("there is a Nitro Secure Module");
    // SAFETY: both buffers have the lengths that are given, and outlive the call.
    let result = unsafe { ioctl(device.as_raw_fd(), RAW, &raw mut raw) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    response.truncate(raw.response.1);
    response
}

fn silicon() -> String {
    let mut stream = socket_file();
    let address = address(CID_HOST, 5006);
    // SAFETY: the address is a valid sockaddr_vm of the given length.
    if unsafe { connect(stream.1, &address, size_of::<SockaddrVm>() as u32) } != 0 {
        return format!("connect: {}", std::io::Error::last_os_error());
    }
    let mut answer = [0; 37];
    let exchange = stream
        .0
        .write_all(&[0, 0, 0, 1, 1])
        .and_then(|()| stream.0.read_exact(&mut answer));
    match exchange {
        Ok(()) => answer.iter().map(|byte| format!("{byte:02x}")).collect(),
        Err(error) => error.to_string(),
    }
}

fn walk(folder: &Path, out: &mut String) {
    let mut entries: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        let data = fs::symlink_metadata(&path).unwrap();
        let length = if data.is_file() { data.len() } else { 0 };
        out.push_str(&format!(
            "{:06o} {}:{} {} {} {}\n",
            data.mode(),
            data.uid(),
            data.gid(),
            length,
            data.mtime(),
            path.display()
        ));
        if data.is_dir() {
            walk(&path, out);
        }
    }
}

fn copy(mut from: &File, mut to: &File) {
    let mut piece = vec![0; WRITE_CAP];
    while let Ok(length @ 1..) = from.read(&mut piece) {
        if to.write_all(&piece[..length]).is_err() {
            return;
        }
    }
}

fn serve(listener: c_int, handle: impl Fn(File)) {
    loop {
        // SAFETY: accept takes null for an address that isn't wanted; the descriptor it gives is ours alone.
        let stream = unsafe {
            let fd = accept(listener, std::ptr::null_mut(), std::ptr::null_mut());
            assert!(fd >= 0);
            File::from_raw_fd(fd)
        };
        handle(stream);
    }
}

fn listener(port: u32) -> c_int {
    let (file, fd) = socket_file();
    std::mem::forget(file);
    let address = address(CID_ANY, port);
    // SAFETY: the address is a valid sockaddr_vm of the given length.
    unsafe {
        assert_eq!(bind(fd, &address, size_of::<SockaddrVm>() as u32), 0);
        assert_eq!(listen(fd, 8), 0);
    }
    fd
}

fn socket_file() -> (File, c_int) {
    // SAFETY: the descriptor is new and ours alone.
    unsafe {
        let fd = socket(AF_VSOCK, SOCK_STREAM, 0);
        assert!(fd >= 0);
        (File::from_raw_fd(fd), fd)
    }
}

fn address(cid: u32, port: u32) -> SockaddrVm {
    SockaddrVm {
        family: AF_VSOCK as u16,
        reserved: 0,
        port,
        cid,
        zero: [0; 4],
    }
}

fn power_off() -> ! {
    // Without ACPI (Nitro) there is no power off, and a reset ends the machine.
    let command = match Path::new("/sys/firmware/acpi").exists() {
        true => 0x4321_fedc,
        false => 0x0123_4567,
    };
    // SAFETY: takes no pointers; PID 1 has nothing to save.
    unsafe { reboot(command) };
    panic!("power off failed");
}
