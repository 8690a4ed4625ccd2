//! Stands in for the node behind the real `jeju-init`: says on the serial line what it was handed.

use std::fs::File;
use std::io::Read;
use std::os::fd::FromRawFd;
use std::time::Duration;

fn main() {
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().expect("a value");
        let descriptor = value.split(':').next().unwrap().parse().expect("a descriptor");
        let mut content = String::new();
        // SAFETY: what was handed over is open, and named once.
        unsafe { File::from_raw_fd(descriptor) }
            .read_to_string(&mut content)
            .unwrap();
        println!("HANDED {name} {content}");
    }
    println!("VARIABLES {}", std::env::vars_os().count());
    println!("JEJU-READY");
    std::thread::sleep(Duration::MAX);
}
