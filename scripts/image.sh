#!/usr/bin/env bash
# Builds target/image: kernel, initramfs with the node, model archive, manifest.json.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh image
PATH="$PWD/.jeju/venv/bin:$PATH" bench/inference/fetch-model.sh
cargo run --locked -p jeju-image -- build --platform qemu --out "${1:-target/image}" \
    --model target/models/smollm2-135m-instruct-q4_1.gguf
