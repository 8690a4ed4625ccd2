"""Sends bytes through the host shim and through socat, in turns, and compares."""

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

CHUNK = 256 * 1024
LEAST_RATIO = 0.8
MOST_IDLE_MIB = 5.0


def main():
    program, mib, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    with tempfile.TemporaryDirectory() as folder:
        launch = os.path.join(folder, "launch.toml")
        with open(launch, "w") as file:
            file.write("version = 1\n")
        guest = socket.socket(socket.AF_UNIX)
        guest.bind(os.path.join(folder, "4007.sock"))
        guest.listen(16)
        ports = {"shim": free_port(), "socat": free_port()}
        shim = [program, "run", "--transport", f"unix:{folder}", "--launch", launch]
        shim += ["--listen", f"4007=127.0.0.1:{ports['shim']}"]
        socat = ["socat", f"TCP-LISTEN:{ports['socat']},bind=127.0.0.1,fork,reuseaddr", f"UNIX-CONNECT:{folder}/4007.sock"]
        children = {
            "shim": subprocess.Popen(shim, stderr=subprocess.DEVNULL),
            "socat": subprocess.Popen(socat),
        }
        try:
            for port in ports.values():
                wait_for(port, guest)
            # Probing has opened connections; their end is part of getting idle.
            time.sleep(1)
            idle = resident_mib(children["shim"].pid)
            rates = measure(ports, guest, mib, rounds)
            after = resident_mib(children["shim"].pid)
        finally:
            for child in children.values():
                child.terminate()
                child.wait()
    result = {
        "mib_per_round": mib,
        "rounds": rounds,
        "idle_resident_mib": round(idle, 2),
        "resident_after_load_mib": round(after, 2),
    }
    ok = idle <= MOST_IDLE_MIB
    for direction in ("to_guest", "from_guest"):
        median = {name: statistics.median(rates[name, direction]) for name in ports}
        ratio = median["shim"] / median["socat"]
        ok = ok and ratio >= LEAST_RATIO
        result[direction] = {
            "shim_mib_s": round(median["shim"]),
            "socat_mib_s": round(median["socat"]),
            "ratio": round(ratio, 2),
        }
    result["ok"] = ok
    print(json.dumps(result))
    sys.exit(0 if ok else 1)


def measure(ports, guest, mib, rounds):
    rates = {}
    for _ in range(rounds):
        # In turns, so that other load on the machine meets both.
        for direction in ("to_guest", "from_guest"):
            for name, port in ports.items():
                client = socket.create_connection(("127.0.0.1", port))
                accepted, _ = guest.accept()
                ends = (client, accepted) if direction == "to_guest" else (accepted, client)
                rates.setdefault((name, direction), []).append(mib / transfer(*ends, mib << 20))
                client.close()
                accepted.close()
    return rates


def transfer(sender, receiver, total):
    """Seconds until the receiver has everything."""

    def send():
        block, left = memoryview(bytes(CHUNK)), total
        while left > 0:
            left -= sender.send(block[: min(CHUNK, left)])

    start = time.monotonic()
    thread = threading.Thread(target=send)
    thread.start()
    buffer, seen = bytearray(CHUNK), 0
    while seen < total:
        count = receiver.recv_into(buffer)
        if count == 0:
            sys.exit(f"stream ended after {seen} of {total} bytes")
        seen += count
    seconds = time.monotonic() - start
    thread.join()
    return seconds


def wait_for(port, guest):
    for _ in range(100):
        try:
            client = socket.create_connection(("127.0.0.1", port))
        except ConnectionRefusedError:
            time.sleep(0.05)
            continue
        accepted, _ = guest.accept()
        accepted.close()
        client.close()
        return
    sys.exit(f"nothing listens on {port}")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def resident_mib(pid):
    with open(f"/proc/{pid}/status") as file:
        line = next(line for line in file if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


main()
