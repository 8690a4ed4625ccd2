#!/usr/bin/env bash
# Builds the image twice, as differently as this machine can, and compares every byte.
set -euo pipefail
cd "$(dirname "$0")/.."

PATH="$PWD/.jeju/venv/bin:$PATH" bench/inference/fetch-model.sh
cargo build --quiet --locked -p jeju-image
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Others than the owner of the folder build in it.
chmod 755 "$work"
"${CARGO_TARGET_DIR:-$PWD/target}/debug/jeju-image" repro --platform "${PLATFORM:-qemu}" --work "$work/repro" \
    --model target/models/smollm2-135m-instruct-q4_1.gguf
