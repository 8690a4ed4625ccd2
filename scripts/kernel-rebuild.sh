#!/usr/bin/env bash
# Builds the enclave kernel from source in a root of locked packages, by another umask and time zone than usual, and
# compares it with the committed one: about 10 minutes on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --quiet --locked -p jeju-image
tool=${CARGO_TARGET_DIR:-$PWD/target}/debug/jeju-image
(umask 077 && TZ=Asia/Tokyo LC_ALL=C.UTF-8 "$tool" kernel build)
