#!/usr/bin/env bash
# Builds an image folder with the smoke-test model: target/image for QEMU, target/image-PLATFORM for PLATFORM=tdx, snp, nitro.
# JEJU_PROGRAMS: a folder with jeju-image, which is built otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh image
PATH="$PWD/.jeju/venv/bin:$PATH" bench/inference/fetch-model.sh
platform=${PLATFORM:-qemu}
[[ $platform == qemu ]] && out=target/image || out=target/image-$platform
[[ -n ${JEJU_PROGRAMS:-} ]] || cargo build --locked -p jeju-image
"${JEJU_PROGRAMS:-${CARGO_TARGET_DIR:-target}/debug}"/jeju-image build --platform "$platform" --out "${1:-$out}" \
    --model target/models/smollm2-135m-instruct-q4_1.gguf
