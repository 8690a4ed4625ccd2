//! PID 1 of a capture: prints the vTPM's registers, if there is one, and waits to be looked at. No libc, so that the
//! archive is small enough to be kept as a test's fixture.
//!
//! rustc --edition 2024 -O -C panic=abort -C relocation-model=static -C link-arg=-nostartfiles -C link-arg=-nostdlib
//! -C link-arg=-static -C strip=symbols guest.rs -o init

#![no_std]
#![no_main]

use core::arch::{asm, global_asm};

global_asm!(".globl _start", "_start:", "and rsp, -16", "call main");

const READ: usize = 0;
const WRITE: usize = 1;
const OPEN: usize = 2;
const CLOSE: usize = 3;
const PAUSE: usize = 34;
const MKDIR: usize = 83;
const MOUNT: usize = 165;

#[unsafe(no_mangle)]
extern "C" fn main() -> ! {
    let sys = c"/sys".as_ptr() as usize;
    call(MKDIR, [sys, 0o755, 0, 0, 0]);
    call(MOUNT, [c"sysfs".as_ptr() as usize, sys, c"sysfs".as_ptr() as usize, 0, 0]);
    for register in 0..24u8 {
        let mut path = *b"/sys/class/tpm/tpm0/pcr-sha384/\0\0\0";
        let digits = path.len() - 3;
        match register {
            0..10 => path[digits] = b'0' + register,
            _ => (path[digits], path[digits + 1]) = (b'0' + register / 10, b'0' + register % 10),
        }
        let file = call(OPEN, [path.as_ptr() as usize, 0, 0, 0, 0]);
        if file < 0 {
            break;
        }
        let mut value = [0u8; 128];
        let len = call(READ, [file as usize, value.as_mut_ptr() as usize, value.len(), 0, 0]);
        call(CLOSE, [file as usize, 0, 0, 0, 0]);
        print(b"PCR ");
        let digits = &path[digits..][..if register < 10 { 1 } else { 2 }];
        print(digits);
        print(b" ");
        print(&value[..len.max(0) as usize]);
    }
    print(b"CAPTURE-READY\n");
    loop {
        call(PAUSE, [0; 5]);
    }
}

fn print(text: &[u8]) {
    call(WRITE, [1, text.as_ptr() as usize, text.len(), 0, 0]);
}

fn call(number: usize, arguments: [usize; 5]) -> isize {
    let [a, b, c, d, e] = arguments;
    let result;
    // SAFETY: a system call of Linux; what its pointers point to outlives it.
    unsafe {
        asm!("syscall", inlateout("rax") number => result, in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e,
            lateout("rcx") _, lateout("r11") _);
    }
    result
}

/// What the precompiled core names and, without unwinding, never calls.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
