#!/usr/bin/env bash
# Builds the image twice, from copies of the source in two folders, by another umask, time zone, locale and target folder,
# and compares every byte.
set -euo pipefail
cd "$(dirname "$0")/.."

PATH="$PWD/.jeju/venv/bin:$PATH" bench/inference/fetch-model.sh
model=$PWD/target/models/smollm2-135m-instruct-q4_1.gguf
cargo build --quiet --locked -p jeju-image
tool=${CARGO_TARGET_DIR:-$PWD/target}/debug/jeju-image
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

build() {
    mkdir -p "$1/source"
    git ls-files --cached --others --exclude-standard -z | xargs -0 cp --parents --target-directory "$1/source"
    "$tool" build --platform qemu --source "$1/source" --out "$1/image" --model "$model"
}

build "$work/a"
rm -rf "$work/a/source"
(umask 077 && export TZ=Asia/Tokyo LC_ALL=C.UTF-8 && build "$work/another/and/longer")
diff --recursive "$work/a/image" "$work/another/and/longer/image"
echo "image: $(sha256sum <"$work/a/image/manifest.json" | cut -c1-64) from both folders"
