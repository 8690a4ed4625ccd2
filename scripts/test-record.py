#!/usr/bin/env python3
"""Records of tests that take too long for every change, in docs/test-record/NAME.json.

    test-record.py run NAME -- COMMAND...   run the command, then write what it ran on and how it went
    test-record.py check                    every record passed, and was made from the inputs that are here now
"""
import datetime
import hashlib
import json
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
RECORDS = ROOT / "docs/test-record"
# What each test's result depends on, as git pathspecs.
INPUTS = {
    "kernel-rebuild": ["image/kernel", "image/lock.toml", "image/src/kernel.rs", "image/src/root.rs", "image/src/root"],
    # How an image is put together. Its contents change with every commit; that they hold no path of the builder's is
    # checked by each build.
    "image-repro": ["image/lock.toml", "image/src/root.rs", "image/src/root", "image/src/build.rs", "image/src/build", "image/src/cpio.rs", "image/src/manifest.rs", "image/src/repro.rs", "image/src/repro", "scripts/image-repro.sh", "Cargo.toml"],
    "acpi-control": ["scripts/acpi-control.sh", "image/tests/acpi.rs", "image/tests/acpi", "image/tests/machine"],
    "nitro-guest": [
        "scripts/nitro-guest.sh", "scripts/qemu-nitro.sh", "image/tests/nitro.rs", "image/tests/machine", "image/tests/guest",
        "image/src/eif.rs", "image/src/eif", "image/src/measure/nitro.rs", "image/kernel/bzImage.sha256", "enclave/init",
    ],
}
TOOLS = {
    # What builds kernel and image is of image/lock.toml.
    "kernel-rebuild": [["uname", "-sr"]],
    "image-repro": [["uname", "-sr"]],
    "acpi-control": [["dpkg-query", "--show", "acpica-tools"], ["qemu-system-x86_64", "--version"]],
    "nitro-guest": [["rustc", "--version"], ["gcc", "--version"], ["vhost-device-vsock", "--version"]],
}


def run(name, command):
    if name not in INPUTS:
        sys.exit(f"test-record: no test {name}; there are: {', '.join(INPUTS)}")
    before = digests(name)
    started = time.monotonic()
    status = subprocess.run(command, cwd=ROOT, check=False).returncode
    seconds = round(time.monotonic() - started)
    if digests(name) != before:
        sys.exit("test-record: inputs changed while the test ran: nothing is recorded")
    record = {
        "test": name,
        "result": "passed" if status == 0 else f"failed with {status}",
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "commit": output(["git", "rev-parse", "HEAD"]),
        "uncommitted": bool(output(["git", "status", "--porcelain", "--", *INPUTS[name]])),
        "seconds": seconds,
        "tools": [output(tool).splitlines()[0] for tool in TOOLS[name]],
        "inputs": before,
    }
    RECORDS.mkdir(parents=True, exist_ok=True)
    (RECORDS / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n")
    print(f"test-record: {name} {record['result']} in {seconds} s")
    sys.exit(0 if status == 0 else 1)


def check():
    bad = []
    found = sorted(RECORDS.glob("*.json"))
    for path in found:
        record = json.loads(path.read_text())
        name = record["test"]
        if path.stem != name or name not in INPUTS:
            bad.append(f"{path.name}: no such test")
        elif record["result"] != "passed":
            bad.append(f"{name}: {record['result']}")
        elif record["inputs"] != digests(name):
            bad.append(f"{name}: its inputs changed since it ran; run `make test-full`")
    missing = sorted(set(INPUTS) - {path.stem for path in found})
    bad += [f"{name}: no record; run `make test-full`" for name in missing]
    for line in bad:
        print(f"test-record: {line}", file=sys.stderr)
    if not bad:
        print(f"test-record: {len(found)} records match the tree")
    sys.exit(1 if bad else 0)


def digests(name):
    """SHA-256 over names and contents of the tracked and new files under each input, so that a record stays short."""
    result = {}
    for path in INPUTS[name]:
        listed = output(["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", path]).split("\0")
        digest = hashlib.sha256()
        for file in sorted(set(filter(None, listed))):
            if (ROOT / file).is_file():
                digest.update(f"{file}\0{hashlib.sha256((ROOT / file).read_bytes()).hexdigest()}\n".encode())
        result[path] = digest.hexdigest()
    return result


def output(command):
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip("\n")


match sys.argv[1:]:
    case ["check"]:
        check()
    case ["run", name, "--", *command] if command:
        run(name, command)
    case _:
        sys.exit(__doc__)
