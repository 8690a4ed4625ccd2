//! The host's ACPI code never runs in the guest: the machine is given hostile tables, and a port of it listens for them.
//!
//! Needs `iasl` on the search path, besides what `machine` needs.

mod machine;
#[path = "acpi/tables.rs"]
mod tables;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use jeju_shim_protocol::Port;
use machine::{Machine, Shape, guest};
use tempfile::TempDir;

/// Tables with code, besides the DSDT (ACPI 6.5, table 5.5 and 5.6). Linux takes them all for SSDTs.
const SIGNATURES: [&str; 3] = ["SSDT", "PSDT", "OSDT"];
/// What `hostile.asl` writes when it is loaded, and when its device is looked at and initialised.
const TRACES: [u8; 3] = [0xE1, 0xE2, 0xE3];

/// Without the kernel's own lines, which may come in the middle of the guest's.
fn quiet() -> Shape {
    Shape {
        cmdline: "console=ttyS0 quiet panic=-1 no_timer_check",
        ..Shape::new(guest())
    }
}

#[tokio::test]
async fn no_table_of_the_host_is_loaded() {
    let hostile = Aml::compile("tests/acpi/hostile.asl");
    let mut machine = Machine::boot(&Shape {
        arguments: hostile.as_tables(&SIGNATURES),
        ..quiet()
    });
    // They are there: the guest could have run them.
    for signature in SIGNATURES {
        let table = format!("file /sys/firmware/acpi/tables/{signature}");
        assert_eq!(
            code(&machine.ask(&table).await),
            code(&hostile.bytes()),
            "{signature}"
        );
    }
    let log = machine.ask_text("log").await;
    for signature in SIGNATURES {
        assert!(
            log.contains(&format!("{signature} of the host is not loaded")),
            "{signature} in\n{log}"
        );
    }
    assert_eq!(machine.ask_text("names /sys/bus/acpi/devices").await, DEVICES);
    assert_eq!(traces(&machine), [0; 0]);
}

#[tokio::test]
async fn nothing_on_the_command_line_is_needed_for_that() {
    let hostile = Aml::compile("tests/acpi/hostile.asl");
    let mut machine = Machine::boot(&Shape {
        cmdline: "quiet no_timer_check",
        arguments: hostile.as_tables(&SIGNATURES[..1]),
        ..quiet()
    });
    let table = machine.ask("file /sys/firmware/acpi/tables/SSDT").await;
    assert_eq!(code(&table), code(&hostile.bytes()));
    // What is compiled in, and what the test needs.
    let cmdline = machine.ask_text("cmdline").await;
    let built_in = cmdline.trim_end().strip_suffix(" quiet no_timer_check").unwrap();
    let option = format!("CONFIG_CMDLINE=\"{built_in}\"\n");
    assert!(include_str!("../kernel/config").contains(&option), "{option}");
    assert_eq!(traces(&machine), [0; 0]);
}

#[tokio::test]
async fn a_dsdt_of_the_host_is_replaced() {
    let hostile = Aml::compile("tests/acpi/hostile.asl");
    let ours = Aml::compile("kernel/dsdt.asl");
    let mut machine = Machine::boot(&tables::shape(&hostile.bytes()));
    let table = machine.ask("file /sys/firmware/acpi/tables/DSDT").await;
    assert_eq!(code(&table), code(&ours.bytes()));
    let log = machine.ask_text("log").await;
    assert!(log.contains("DSDT") && log.contains("HOSTILE"), "{log}");
    assert_eq!(traces(&machine), [0; 0]);
}

/// That the same tables do run where nothing stops them, so that silence above means something.
#[tokio::test]
#[ignore = "wants another kernel: scripts/acpi-control.sh"]
async fn another_kernel_runs_them() {
    let kernel = std::env::var_os("JEJU_CONTROL_KERNEL").expect("JEJU_CONTROL_KERNEL names a kernel");
    let hostile = Aml::compile("tests/acpi/hostile.asl");
    let kernel = fs::read(PathBuf::from(kernel)).unwrap();
    for signature in SIGNATURES {
        let machine = Machine::boot(&Shape {
            kernel: kernel.clone(),
            arguments: hostile.as_tables(&[signature]),
            ..quiet()
        });
        await_traces(&machine, signature).await;
    }
    let machine = Machine::boot(&Shape {
        kernel,
        ..tables::shape(&hostile.bytes())
    });
    await_traces(&machine, "DSDT").await;
}

#[tokio::test]
async fn machines_of_any_shape_find_their_devices_and_power_off() {
    // 3 GiB: memory ends above the addresses of PCI devices on q35, so that some of it lies over 4 GiB.
    for (cpus, memory_mib) in [(1, 256), (2, 512), (4, 3072)] {
        let mut machine = Machine::boot(&Shape {
            cpus,
            memory_mib,
            ..quiet()
        });
        let shape = format!("{cpus} CPUs, {memory_mib} MiB");
        assert_eq!(machine.ask_text("cpus").await, cpus.to_string(), "{shape}");
        let interrupts = machine.ask_text("file /proc/interrupts").await;
        let of_vsock = |line: &&str| line.contains("virtio0") && line.contains("MSI");
        let vectors = interrupts.lines().filter(of_vsock).count();
        assert!(vectors > 1, "{shape}: {interrupts}");
        let memory = machine.ask_text("file /proc/meminfo").await;
        let total: u32 = memory
            .split_whitespace()
            .nth(1)
            .and_then(|number| number.parse().ok())
            .unwrap();
        assert!(total / 1024 > memory_mib * 85 / 100, "{shape}: {memory}");
        // A power off that didn't work would leave a halted machine.
        let mut stream = machine.dial(Port::Node).await;
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"power off\n")
            .await
            .unwrap();
        let status = machine.wait_end(Duration::from_secs(20));
        assert!(
            status.is_some_and(|status| status.success()),
            "{shape}: {status:?}\n{}",
            machine.console()
        );
    }
}

/// What Linux makes of its own DSDT (the PCI root), and of no table with code: root, `\_SB` and `\_TZ`, the power button.
const DEVICES: &str = "LNXPWRBN:00\nLNXSYBUS:00\nLNXSYBUS:01\nLNXSYSTM:00\nPNP0A08:00\n";

/// A compiled table.
struct Aml {
    folder: TempDir,
}

impl Aml {
    /// `source` is a path in this package.
    fn compile(source: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let output = Command::new("iasl")
            .arg("-p")
            .arg(folder.path().join("table"))
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(source))
            .output()
            .expect("iasl is needed: scripts/setup.sh test");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("table.aml")
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(self.path()).unwrap()
    }

    /// Arguments that give QEMU's firmware this table under each of these signatures, and listen to it.
    fn as_tables(&self, signatures: &[&str]) -> Vec<OsString> {
        let mut arguments = listen();
        for signature in signatures {
            arguments.push("-acpitable".into());
            arguments.push(format!("sig={signature},file={}", self.path().display()).into());
        }
        arguments
    }
}

/// A port on which firmware logs, and hostile tables write.
fn listen() -> Vec<OsString> {
    [
        "-chardev",
        "file,id=port,path=port",
        "-device",
        "isa-debugcon,iobase=0x402,chardev=port",
    ]
    .map(OsString::from)
    .to_vec()
}

/// What has been written to the port but the firmware's log, which shows that the port works.
fn traces(machine: &Machine) -> Vec<u8> {
    let mut bytes = fs::read(machine.path("port")).unwrap();
    assert!(String::from_utf8_lossy(&bytes).contains("SeaBIOS"));
    bytes.retain(|byte| !byte.is_ascii());
    bytes
}

async fn await_traces(machine: &Machine, signature: &str) {
    for _ in 0..machine::BOOT.as_millis() / 100 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let found = fs::read(machine.path("port")).unwrap_or_default();
        if TRACES.iter().all(|trace| found.contains(trace)) {
            return;
        }
    }
    panic!(
        "{signature} left {:x?} only:\n{}",
        traces(machine),
        machine.console()
    );
}

/// A table without its header, which QEMU changes in part.
fn code(table: &[u8]) -> &[u8] {
    table.get(36..).unwrap_or(table)
}
