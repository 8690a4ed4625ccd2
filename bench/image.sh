#!/usr/bin/env bash
# How long `jeju-image measure` takes for each platform, with the smoke-test model in the image, against the limit: SHA-384 of
# the same files by openssl, once. Then sizes, and the time of a build where only our crates changed. Exit 1 when a promise of
# docs/performance.md is broken.
#   bench/image.sh [ROUNDS]
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-5}

scripts/image.sh >/dev/null
PLATFORM=nitro scripts/image.sh >/dev/null
cargo build --quiet --release --locked -p jeju-image
tool=${CARGO_TARGET_DIR:-target}/release/jeju-image
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Unpacks one program of an image, to put it into another platform's.
program() {
    zstd -q -d -c "target/image-nitro/$1" | python3 -c '
import sys
data, at = sys.stdin.buffer.read(), 0
while True:
    header = data[at:at + 110]
    size, name = int(header[54:62], 16), int(header[94:102], 16)
    text = data[at + 110:at + 110 + name - 1].decode()
    start = (at + 110 + name + 3) // 4 * 4
    if text == sys.argv[1]:
        sys.stdout.buffer.write(data[start:start + size])
        break
    at = (start + size + 3) // 4 * 4' "$2" >"$work/${2##*/}"
}
program init.cpio.zst init
program node.cpio.zst node/jeju-enclave

for platform in tdx snp nitro; do
    "$tool" build --platform "$platform" --out "$work/$platform" --init "$work/init" --enclave "$work/jeju-enclave" \
        --model target/models/smollm2-135m-instruct-q4_1.gguf >/dev/null
done
exec python3 - "$tool" "$work" "$rounds" <<'PYTHON'
import json, pathlib, statistics, subprocess, sys, time

tool, work, rounds = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])


def seconds(command):
    times = []
    for _ in range(rounds):
        start = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.monotonic() - start)
    return statistics.median(times)


broken = False
for platform in ["tdx", "snp", "nitro"]:
    folder = work / platform
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
