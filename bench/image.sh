#!/usr/bin/env bash
# How long `jeju-image measure` takes for each platform, with the smoke-test model in the image, against the limit: SHA-384 of
# the same files by openssl, once; and sizes. Exit 1 when a promise of docs/performance.md is broken.
#   bench/image.sh [ROUNDS]
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-5}

for platform in tdx snp nitro; do
    PLATFORM=$platform scripts/image.sh >/dev/null
done
cargo build --quiet --release --locked -p jeju-image
exec python3 - "${CARGO_TARGET_DIR:-target}/release/jeju-image" "$rounds" <<'PYTHON'
import json, pathlib, statistics, subprocess, sys, time

tool, rounds = sys.argv[1], int(sys.argv[2])


def seconds(command):
    times = []
    for _ in range(rounds):
        start = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.monotonic() - start)
    return statistics.median(times)


broken = False
for platform in ["tdx", "snp", "nitro"]:
    folder = pathlib.Path(f"target/image-{platform}")
    files = [str(path) for path in sorted(folder.iterdir()) if path.name != "manifest.json"]
    measured = seconds([tool, "measure", str(folder)])
    limit = seconds(["openssl", "dgst", "-sha384", *files])
    size = json.loads(subprocess.run([tool, "measure", "--json", str(folder)], check=True, capture_output=True).stdout)
    without = size["size_without_model"] / 2**20
    print(f"{platform}: measured in {measured:.2f} s, {measured / limit:.2f} x SHA-384 of the files ({limit:.2f} s); "
          f"{without:.1f} MiB without the model, firmware included")
    broken |= measured > 2 or without > 24
sys.exit(broken)
PYTHON
