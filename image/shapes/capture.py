#!/usr/bin/env python3
"""What firmware measured, read from the memory of an emulated machine that has booted. See README.md."""

import hashlib
import json
import mmap
import re
import socket
import struct
import sys


# The QEMU of the pair (image/src/measure/tdx.rs).
QEMU = "11.1."


def sha384(data):
    return hashlib.sha384(data).hexdigest()


class Machine:
    """A stopped machine: its memory as a file, its I/O ports through the monitor."""

    # Where the request and the answer lie; the kernel is done with this memory.
    REQUEST, ANSWER = 0x1000, 0x100000

    def __init__(self, folder):
        self.file = open(f"{folder}/memory", "r+b")
        size = self.file.seek(0, 2)
        # What lies below 4 GiB comes first, and the firmware uses nothing else.
        self.memory = mmap.mmap(self.file.fileno(), size if size < 0xB0000000 else 0x80000000)
        self.monitor = socket.socket(socket.AF_UNIX)
        self.monitor.connect(f"{folder}/monitor")
        self.prompt()
        self.version = re.sub(r"^([\d.]+)(?=\D)", r"\1 ", self.command("info version").strip())
        if not self.version.startswith(QEMU):
            sys.exit(f"this is QEMU {self.version}; the pair needs {QEMU}x (JEJU_QEMU)")
        self.command("stop")

    def prompt(self):
        text = b""
        while not text.endswith(b"(qemu) "):
            part = self.monitor.recv(65536)
            if not part:
                sys.exit("the machine is gone")
            text += part
        return text

    def command(self, line):
        self.monitor.sendall(line.encode() + b"\n")
        text = re.sub(rb"\x1b\[[0-9;]*[A-Za-z]|\r", b"", self.prompt())
        return text.split(b"\n", 1)[1].rsplit(b"(qemu)", 1)[0].decode()

    def fw_cfg(self, key, size):
        """One item by DMA (QEMU, docs/specs/fw_cfg.rst): select and read."""
        m, at = self.memory, self.REQUEST
        m[at : at + 16] = struct.pack(">IIQ", key << 16 | 8 | 2, size, self.ANSWER)
        self.command("o/4 0x514 0")
        self.command("o/4 0x518 %#x" % struct.unpack("<I", struct.pack(">I", at)))
        if struct.unpack(">I", m[at : at + 4])[0] != 0:
            sys.exit(f"fw_cfg item {key:#x} can't be read")
        return m[self.ANSWER : self.ANSWER + size]

    def files(self):
        count = struct.unpack(">I", self.fw_cfg(0x19, 4))[0]
        directory = self.fw_cfg(0x19, 4 + 64 * count)
        files = {}
        for entry in (directory[at : at + 64] for at in range(4, len(directory), 64)):
            size, key = struct.unpack(">IH", entry[:6])
            files[entry[8:].split(b"\0")[0].decode()] = (key, size)
        return files

    def smbios(self):
        """The structure table that the firmware installed, as its measurement driver filters it."""
        found = set()
        for match in re.finditer(rb"_SM_", self.memory):
            entry = self.memory[match.start() : match.start() + 31]
            size, address = struct.unpack("<HI", entry[0x16:0x1C])
            if sum(entry) % 256 == 0 and 0 < address < len(self.memory) - size:
                found.add(filtered(bytearray(self.memory[address : address + size])))
        return only(found, "SMBIOS table")

    def variables(self):
        """UEFI variables by name: authenticated variable headers in the state 'added'."""
        variables = {}
        for match in re.finditer(rb"\xaa\x55\x3f\x00", self.memory):
            at = match.start()
            name_size, size = struct.unpack("<II", self.memory[at + 36 : at + 44])
            if at % 4 or not 2 < name_size < 128 or size > 4096:
                continue
            name = self.memory[at + 60 : at + 60 + name_size].decode("utf-16le", "replace")
            if re.fullmatch(r"[A-Za-z0-9]+\0", name):
                start = at + 60 + name_size
                variables.setdefault(name[:-1], set()).add(self.memory[start : start + size])
        return {name: only(values, name) for name, values in variables.items()}

    def log(self):
        """The longest crypto-agile log in memory: what firmware and stub wrote."""
        logs = []
        for match in re.finditer(rb"Spec ID Event03\0", self.memory):
            start = match.start() - 32
            if struct.unpack("<I", self.memory[start + 4 : start + 8])[0] == 3:
                end = start + 32 + struct.unpack("<I", self.memory[start + 28 : start + 32])[0]
                for _, _, _, end in events(self.memory, end):
                    pass
                logs.append(self.memory[start:end])
        return max(logs, key=len)


def only(values, what):
    if len(values) != 1:
        sys.exit(f"{len(values)} different values of {what} in memory")
    return values.pop()


def events(log, at):
    """(register, type, {algorithm: digest}, end) until something that is no event."""
    lengths = {4: 20, 11: 32, 12: 48, 13: 64}
    while True:
        register, kind, count = struct.unpack("<III", log[at : at + 12])
        if register > 23 or not 0 < count < 5:
            return
        at += 12
        digests = {}
        for _ in range(count):
            (algorithm,) = struct.unpack("<H", log[at : at + 2])
            if algorithm not in lengths:
                return
            digests[algorithm] = log[at + 2 : at + 2 + lengths[algorithm]]
            at += 2 + lengths[algorithm]
        at += 4 + struct.unpack("<I", log[at : at + 4])[0]
        yield register, kind, digests, at


# What edk2's SmbiosMeasurementDxe takes out, by structure type: strings by the offset of their number, bytes by offset
# and length; None is all but the header.
FILTERS = {
    1: ([7], [(8, 16), (0x18, 1)]),
    2: ([7, 0x0A], []),
    3: ([7, 8], []),
    4: ([0x20, 0x21, 0x22], [(0x23, 1), (0x24, 1), (0x25, 1), (0x2A, 2), (0x2C, 2), (0x2E, 2), (0x11, 1), (0x16, 2)]),
    11: None,
    17: ([0x18, 0x19, 0x1A], []),
}
PLAIN = {0, 9, 16, 19, 32, 41, 127}


def filtered(table):
    at = 0
    while at < len(table):
        kind, length = table[at], table[at + 1]
        end = table.index(b"\0\0", at + length) + 2
        if kind in FILTERS and FILTERS[kind] is None:
            table[at + 4 : end] = bytes(end - at - 4)
        elif kind in FILTERS:
            strings, fields = FILTERS[kind]
            for offset in (offset for offset in strings if offset < length):
                number = table[at + offset]
                if number:
                    start = at + length
                    for _ in range(number - 1):
                        start = table.index(0, start) + 1
                    stop = table.index(0, start)
                    table[start:stop] = b" " * (stop - start)
                table[at + offset] = 0
            for offset, size in fields:
                if offset + size <= length:
                    table[at + offset : at + offset + size] = bytes(size)
        elif kind not in PLAIN:
            sys.exit(f"an SMBIOS structure of type {kind}: add its filter")
        at = end
    return bytes(table)


def acpi(machine, files):
    """Files of the table loader in the order in which the firmware reads, and so measures them."""
    script = machine.fw_cfg(*files["etc/table-loader"])
    names = ["etc/table-loader"]
    for at in range(0, len(script), 128):
        if struct.unpack("<I", script[at : at + 4])[0] == 1:
            names.append(script[at + 4 : at + 60].split(b"\0")[0].decode())
    return [(name, machine.fw_cfg(*files[name])) for name in names]


# What IntelTdxX64 reads and measures before anything else of fw_cfg, in this order (QemuFwCfgCacheInit.c); a size, where
# the firmware insists on one.
EARLY = [
    ("etc/extra-pci-roots", 8),
    ("BootMenu", 2),
    ("etc/boot-menu-wait", 2),
    ("etc/reserved-memory-end", 8),
    ("opt/ovmf/X-PciMmio64Mb", None),
    ("bootorder", None),
]


def early(machine, files):
    for name, size in EARLY:
        key, found = files.get(name, (0x0E, 2) if name == "BootMenu" else (0, 0))
        if found and size in (None, found):
            yield {"name": name, "data": machine.fw_cfg(key, found).hex()}


def shape(folder, name, cpus, memory, firmware):
    machine = Machine(folder)
    files = machine.files()
    variables = machine.variables()
    order = variables["BootOrder"]
    boot = ["BootOrder"] + ["Boot%04x" % number for (number,) in struct.iter_unpack("<H", order)]
    print(json.dumps({
        "name": name,
        "vcpus": int(cpus),
        "memory_mib": int(memory),
        "proven": "emulation",
        "qemu": machine.version,
        "firmware_sha256": hashlib.sha256(open(firmware, "rb").read()).hexdigest(),
        "fw_cfg": list(early(machine, files)),
        "secure_boot": variables["SecureBoot"].hex(),
        "acpi": [{"name": name, "size": len(data), "sha384": sha384(data)} for name, data in acpi(machine, files)],
        "smbios": machine.smbios().hex(),
        "boot": [{"name": name, "data": variables[name].hex()} for name in boot],
    }, indent=2))


def boot(folder, kernel, initrd, cmdline, out):
    machine = Machine(folder)
    log = machine.log()
    # That what is read for a shape is what a firmware with a TPM says it measured.
    start = 32 + struct.unpack("<I", log[28:32])[0]
    measured = [(kind, digests[12].hex()) for register, kind, digests, _ in events(log + bytes(12), start) if register == 1]
    tables = [sha384(data) for _, data in acpi(machine, machine.files())]
    if [digest for kind, digest in measured if kind == 0x0A] != tables:
        sys.exit("the log's ACPI DATA are not what fw_cfg holds")
    if (0x80000009, sha384(machine.smbios())) not in measured:
        sys.exit("the log's SMBIOS table is not the one in memory")
    variables = machine.variables()
    for kind, digest in measured:
        if kind == 0x80000002 and digest not in map(sha384, variables.values()):
            sys.exit("a boot variable of the log is not in memory")
    console = open(f"{folder}/console", "rb").read().decode(errors="replace")
    registers = dict(re.findall(r"PCR (\d+) ([0-9A-F]{96})", console))
    open(f"{out}/tdx-boot.log", "wb").write(log)
    json.dump({
        "qemu": machine.version,
        "kernel_sha256": hashlib.sha256(open(kernel, "rb").read()).hexdigest(),
        "initrd": "tdx-boot.cpio",
        "cmdline": cmdline,
        "pcr_sha384": {number: value.lower() for number, value in registers.items()},
    }, open(f"{out}/tdx-boot.json", "w"), indent=2)
    open(f"{out}/tdx-boot.cpio", "wb").write(open(initrd, "rb").read())


def blank(source, target):
    """The TDX firmware without variables, as image/src/firmware.rs makes it."""
    firmware = bytearray(open(source, "rb").read())
    header = struct.unpack("<H", firmware[48:50])[0]
    size = struct.unpack("<I", firmware[header + 16 : header + 20])[0]
    firmware[header + 28 : header + size] = b"\xff" * (size - 28)
    open(target, "wb").write(firmware)


def archive(program, target):
    """A cpio of /dev/console and /init."""
    out = b""
    for number, (name, mode, data, device) in enumerate([
        ("dev", 0o40755, b"", (0, 0)),
        ("dev/console", 0o20600, b"", (5, 1)),
        ("init", 0o100755, open(program, "rb").read(), (0, 0)),
        ("TRAILER!!!", 0, b"", (0, 0)),
    ]):
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0)
        out += b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
        out += bytes(-len(out) % 4) + data
        out += bytes(-len(out) % 4)
    open(target, "wb").write(out)


if __name__ == "__main__":
    {"shape": shape, "boot": boot, "blank": blank, "archive": archive}[sys.argv[1]](*sys.argv[2:])
