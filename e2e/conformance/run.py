"""Runs the cases of `cases/` in the workers' engine, in Deno and in workerd, and compares what they come to.

    npm ci && python3 run.py            compares; exit 1 where a difference isn't listed in differences.json, or one that
                                        is listed is gone
    python3 run.py --list               writes differences.json anew (then say why of each)
    python3 run.py --engines deno,workerd --show      without ours: where those two differ

The engine is `jeju-worker-http` of bench/workers/http, which this builds unless WORKER_HTTP names one.
"""

import argparse
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
CASES = HERE / "cases"
LISTED = HERE / "differences.json"
BIN = HERE / "node_modules/.bin"
ENGINES = ("jeju", "deno", "workerd")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def workerd_config(port):
    modules = sorted(path.name for path in CASES.glob("*.mjs"))
    modules.insert(0, modules.pop(modules.index("main.mjs")))
    listed = ",".join(f'(name = "{name}", esModule = embed "{CASES / name}")' for name in modules)
    return f"""using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = (modules = [{listed}], compatibilityDate = "2026-11-01"))],
  sockets = [(name = "http", address = "127.0.0.1:{port}", http = (), service = "main")],
);
"""


def command(engine, port, folder):
    if engine == "deno":
        return [BIN / "deno", "serve", "--quiet", "--no-config", "--allow-net", "--host", "127.0.0.1", "--port", str(port), CASES / "main.mjs"]
    if engine == "workerd":
        config = pathlib.Path(folder) / "config.capnp"
        config.write_text(workerd_config(port).replace(f'embed "{CASES}/', 'embed "'))
        for path in CASES.glob("*.mjs"):
            (pathlib.Path(folder) / path.name).write_bytes(path.read_bytes())
        return [BIN / "workerd", "serve", config]
    return [worker_http(), str(port), CASES]


def worker_http():
    if "WORKER_HTTP" in os.environ:
        return os.environ["WORKER_HTTP"]
    subprocess.run(["cargo", "build", "--quiet", "-p", "jeju-worker-http"], cwd=ROOT, check=True)
    return pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug/jeju-worker-http"


def get(port, query=""):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{query}", timeout=30) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        return f"HTTP {error.code}: {error.read().decode()}"


def results(engine):
    """What each case comes to."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(command(engine, port, folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            for _ in range(600):
                try:
                    names = json.loads(get(port))
                    break
                except (urllib.error.URLError, ConnectionError):
                    if process.poll() is not None:
                        sys.exit(f"{engine} ended with {process.returncode}")
                    time.sleep(0.1)
            else:
                sys.exit(f"{engine} doesn't answer")
            return {name: get(port, "?case=" + urllib.parse.quote(name)) for name in names}
        finally:
            process.kill()
            process.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--engines", default=",".join(ENGINES))
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    engines = options.engines.split(",")
    found = {engine: results(engine) for engine in engines}
    ours = found[engines[0]]
    listed = json.loads(LISTED.read_text()) if LISTED.exists() else {}
    different, wrong = {}, []
    for name in ours:
        others = [engine for engine in engines[1:] if found[engine].get(name) != ours[name]]
        if others:
            different[name] = others
        if others and (options.show or listed.get(name, {}).get("differs") != others):
            print(name, *(f"  {engine:8} {found[engine].get(name)}" for engine in engines), sep="\n")
        if listed.get(name, {}).get("differs", []) != others:
            wrong.append(name)
    same = len(ours) - len(different)
    print(f"conformance: {len(ours)} cases, {same} alike in {', '.join(engines)}, {len(different)} not")
    if options.list:
        reason = lambda name: listed.get(name, {}).get("why", "")
        LISTED.write_text(json.dumps({name: {"differs": others, "why": reason(name)} for name, others in different.items()}, indent=2) + "\n")
    elif engines[0] == "jeju" and (wrong or same < 80 or listed.keys() - ours.keys()):
        sys.exit(f"conformance: not as differences.json lists them: {wrong or 'fewer than 80 alike'}")


main()
