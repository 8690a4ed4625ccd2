//! A machine under emulation, with our kernel and whatever else a test puts into it. Unlike `jeju_image::run` it takes any
//! arguments of QEMU's, and neither measures nor serves anything.
//!
//! Needs `qemu-system-x86_64` and `vhost-device-vsock` on the search path.
#![allow(dead_code, reason = "no test uses all of it")]

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use jeju_image::build::KERNEL;
use jeju_image::cpio::{Archive, Entry};
use jeju_shim_protocol::Port;
use jeju_shim_protocol::transport::{HostTransport, Stream};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Emulation on a busy machine: the guest itself needs two seconds.
pub const BOOT: Duration = Duration::from_secs(60);

/// The guest's, where there is one; any but the host's.
const CID: u32 = 4;

/// What to boot.
pub struct Shape {
    pub kernel: Vec<u8>,
    /// PID 1.
    pub init: &'static [u8],
    pub cmdline: &'static str,
    pub machine: &'static str,
    pub memory_mib: u32,
    pub cpus: u32,
    /// Files of the machine's folder, for the arguments to name.
    pub files: Vec<(String, Vec<u8>)>,
    /// More arguments for QEMU.
    pub arguments: Vec<OsString>,
}

impl Shape {
    /// Our kernel, everything as small as it gets.
    pub fn new(init: &'static [u8]) -> Self {
        Self {
            kernel: KERNEL.to_vec(),
            init,
            // Without KVM, Linux counts ticks of the timer as it boots, and gives up when a busy machine has emulated too few.
            cmdline: "console=ttyS0 panic=-1 no_timer_check",
            machine: "q35",
            memory_mib: 256,
            cpus: 1,
            files: Vec::new(),
            arguments: Vec::new(),
        }
    }
}

/// A machine that runs. It ends when this is dropped.
pub struct Machine {
    qemu: Child,
    /// The vsock device, for as long as one of its machines is there.
    device: Arc<Device>,
    cid: u32,
    folder: TempDir,
}

impl Machine {
    pub fn boot(shape: &Shape) -> Self {
        Self::boot_at(shape, CID, &Device::start(&[CID]))
    }

    /// Two machines that reach each other, at these CIDs, as an AWS instance and its enclave do.
    pub fn boot_two(shapes: [(&Shape, u32); 2]) -> [Self; 2] {
        let device = Device::start(&shapes.map(|(_, cid)| cid));
        shapes.map(|(shape, cid)| Self::boot_at(shape, cid, &device))
    }

    fn boot_at(shape: &Shape, cid: u32, device: &Arc<Device>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let mut root = Archive::new();
        root.insert("init", Entry::Executable(shape.init.to_vec()))
            .unwrap();
        root.insert("dev/console", Entry::CharacterDevice { major: 5, minor: 1 })
            .unwrap();
        fs::write(path("initrd"), root.write()).unwrap();
        fs::write(path("kernel"), &shape.kernel).unwrap();
        for (name, bytes) in &shape.files {
            fs::write(path(name), bytes).unwrap();
        }
        let memory = shape.memory_mib;
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args([
            "-machine",
            &format!("{},accel=tcg,memory-backend=memory", shape.machine),
        ])
        .args(["-smp", &shape.cpus.to_string()])
        .args(["-m", &format!("{memory}M"), "-object"])
        .arg(format!("memory-backend-memfd,id=memory,size={memory}M,share=on"))
        .args(["-device", "vhost-user-vsock-pci,chardev=vsock"])
        .args(["-kernel", "kernel", "-initrd", "initrd", "-append", shape.cmdline])
        .args(&shape.arguments);
        Self::start(qemu, folder, cid, device)
    }

    /// QEMU's `nitro-enclave` machine, which needs a QEMU of its own (scripts/qemu-nitro.sh), and this image in it.
    /// `options` are of the machine, each with a comma before it.
    pub fn boot_enclave(qemu: &Path, eif: &[u8], memory_mib: u32, options: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("image.eif"), eif).unwrap();
        let mut qemu = Command::new(qemu);
        // Where Debian's packages put firmware.
        qemu.args(["-L", "/usr/share/seabios", "-L", "/usr/share/qemu"])
            .args([
                "-machine",
                &format!("nitro-enclave,vsock=vsock{options}"),
                "-accel",
                "tcg",
            ])
            .args(["-m", &format!("{memory_mib}M"), "-kernel", "image.eif"]);
        Self::start(qemu, folder, CID, &Device::start(&[CID]))
    }

    /// Adds what all machines have, and their vsock behind the character device `vsock`.
    fn start(mut qemu: Command, folder: TempDir, cid: u32, device: &Arc<Device>) -> Self {
        let path = |name: &str| folder.path().join(name);
        let socket = device.device_socket(cid);
        let qemu = qemu
            .current_dir(folder.path())
            .args(["-cpu", "max", "-display", "none", "-monitor", "none"])
            .args([
                "-nodefaults",
                "-no-user-config",
                "-no-reboot",
                "-serial",
                "file:console",
            ])
            .args(["-chardev", &format!("socket,id=vsock,path={}", socket.display())])
            .stdout(Stdio::null())
            .stderr(File::create(path("qemu")).unwrap())
            .spawn()
            .expect("qemu-system-x86_64 is needed: scripts/setup.sh test");
        Self {
            qemu,
            device: device.clone(),
            cid,
            folder,
        }
    }

    /// How the host reaches the guest.
    pub fn transport(&self) -> HostTransport {
        HostTransport::VhostUser(self.device.host_socket(self.cid))
    }

    /// What the serial line has said, and QEMU itself.
    pub fn console(&self) -> String {
        let read =
            |name| String::from_utf8_lossy(&fs::read(self.path(name)).unwrap_or_default()).into_owned();
        read("console") + &read("qemu")
    }

    /// A file of the machine's folder, which is QEMU's current one.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Connects to a port of the guest, and waits until something listens there. Not before the guest is up: a dial while its
    /// driver starts can end the device's event loop for good (`Door` in `src/run/qemu.rs`).
    pub async fn dial(&mut self, port: Port) -> Stream {
        self.until("JEJU-READY").await;
        let start = Instant::now();
        loop {
            match self.transport().dial(port).await {
                Ok(stream) => return stream,
                Err(error) if start.elapsed() > BOOT => panic!("{error}\n{}", self.console()),
                Err(_) => {}
            }
            if let Some(status) = self.qemu.try_wait().unwrap() {
                panic!("QEMU ended with {status}:\n{}", self.console());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Asks `tests/guest`.
    pub async fn ask(&mut self, question: &str) -> Vec<u8> {
        let mut stream = self.dial(Port::Node).await;
        stream
            .write_all(format!("{question}\n").as_bytes())
            .await
            .unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        answer
    }

    /// Asks for text.
    pub async fn ask_text(&mut self, question: &str) -> String {
        String::from_utf8(self.ask(question).await).unwrap()
    }

    /// Waits for a line on the serial line.
    pub async fn until(&mut self, line: &str) {
        let start = Instant::now();
        while !self.console().lines().any(|found| found == line) {
            assert!(start.elapsed() < BOOT, "no {line}:\n{}", self.console());
            if let Some(status) = self.qemu.try_wait().unwrap() {
                panic!("QEMU ended with {status}:\n{}", self.console());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until QEMU ends by itself.
    pub fn wait_end(&mut self, limit: Duration) -> Option<ExitStatus> {
        let start = Instant::now();
        while start.elapsed() < limit {
            if let Some(status) = self.qemu.try_wait().unwrap() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

/// A process with a vsock device for each of one or more machines.
struct Device {
    process: Child,
    folder: TempDir,
}

impl Device {
    fn start(cids: &[u32]) -> Arc<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("vhost-device-vsock");
        for cid in cids {
            let folder = folder.path().display();
            let vm = format!("guest-cid={cid},uds-path={folder}/{cid},socket={folder}/{cid}.device");
            command.args(["--vm", &vm]);
        }
        let process = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("vhost-device-vsock is needed: scripts/setup.sh test");
        let device = Self { process, folder };
        for cid in cids {
            until(|| device.device_socket(*cid).exists());
        }
        Arc::new(device)
    }

    /// To which the host's programs connect.
    fn host_socket(&self, cid: u32) -> PathBuf {
        self.folder.path().join(format!("{cid}"))
    }

    /// To which QEMU connects.
    fn device_socket(&self, cid: u32) -> PathBuf {
        self.folder.path().join(format!("{cid}.device"))
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `tests/guest`, compiled once as the node is: one static binary.
pub fn guest() -> &'static [u8] {
    static GUEST: OnceLock<Vec<u8>> = OnceLock::new();
    GUEST.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("guest");
        let status = Command::new("rustc")
            .args(["--edition", "2024", "-O", "-Cpanic=abort", "-Cstrip=symbols"])
            .args(["-Ctarget-feature=+crt-static", "-Crelocation-model=static"])
            .args(["--target", "x86_64-unknown-linux-gnu", "-o"])
            .arg(&path)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/guest/main.rs"))
            .status()
            .expect("rustc is needed to compile the test guest");
        assert!(status.success());
        fs::read(path).unwrap()
    })
}

fn until(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "did not happen in time"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}
