"""Throughput, new connections and idle memory of the gateway's passthrough and of HAProxy in TCP mode (run.sh)."""

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

NAME = "node.example"
GIB = 1 << 30
HAPROXY = shutil.which("haproxy") or "/usr/sbin/haproxy"

CONFIG = """
global
    maxconn 8000
    nbthread 2
defaults
    mode tcp
    timeout connect 10s
    timeout client 600s
    timeout server 600s
frontend tls
    bind 127.0.0.1:{port}
    tcp-request inspect-delay 10s
    tcp-request content accept if {{ req_ssl_hello_type 1 }}
    use_backend provider if {{ req_ssl_sni -i {name} }}
backend provider
    server one {provider}
"""


def listening(*command):
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().strip()


def haproxy(provider, folder):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    config = os.path.join(folder, "haproxy.cfg")
    with open(config, "w") as file:
        file.write(CONFIG.format(port=port, name=NAME, provider=provider))
    process = subprocess.Popen([HAPROXY, "-db", "-f", config], stderr=subprocess.DEVNULL)
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except OSError:
            time.sleep(0.05)
    return process, f"127.0.0.1:{port}"


def resident(process):
    with open(f"/proc/{process.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) * 1024


def cpu(process):
    with open(f"/proc/{process.pid}/stat") as stat:
        fields = stat.read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measured(process, *command):
    before = cpu(process)
    rate = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return rate, cpu(process) - before


def main(carry, rounds):
    provider, provider_at = listening(carry, "provider")
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        proxies = {"gateway": listening(carry, "gateway", NAME, provider_at), "haproxy": haproxy(provider_at, folder)}
        for _ in range(rounds):
            for name, (process, address) in proxies.items():
                result = found.setdefault(name, {"bytes": [], "bytes_cpu": [], "connects": [], "connects_cpu": []})
                for kind, arguments in (("bytes", [str(GIB // 2), "4"]), ("connects", ["8000", "32"])):
                    rate, seconds = measured(process, carry, kind, address, NAME, *arguments)
                    result[kind].append(rate)
                    result[f"{kind}_cpu"].append(seconds)
        for name, (process, address) in proxies.items():
            before = resident(process)
            idle = subprocess.Popen([carry, "idle", address, NAME, "1000"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            idle.stdout.readline()
            found[name]["idle_mib"] = round((resident(process) - before) / (1 << 20), 2)
            idle.communicate("\n")
        for process, _ in proxies.values():
            process.kill()
            process.wait()
    provider.kill()
    provider.wait()
    median = {name: {key: value if key == "idle_mib" else statistics.median(value) for key, value in result.items()} for name, result in found.items()}
    ours, theirs = median["gateway"], median["haproxy"]
    print(json.dumps({
        "throughput_mib_s": {name: round(result["bytes"] / (1 << 20)) for name, result in median.items()},
        "throughput_ratio": round(ours["bytes"] / theirs["bytes"], 2),
        "throughput_cpu_ratio": round(ours["bytes_cpu"] / max(theirs["bytes_cpu"], 0.01), 2),
        "connections_s": {name: round(result["connects"]) for name, result in median.items()},
        "connections_ratio": round(ours["connects"] / theirs["connects"], 2),
        "connections_cpu_ratio": round(ours["connects_cpu"] / max(theirs["connects_cpu"], 0.01), 2),
        "idle_mib_of_1000": {name: result["idle_mib"] for name, result in median.items()},
    }))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
