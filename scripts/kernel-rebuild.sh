#!/usr/bin/env bash
# Builds the enclave kernel from source in two folders of different length, by another umask and time zone, and compares
# both results with the committed bzImage: about 10 minutes each on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/a" "$work/another/and/longer"
WORK=$work/a image/kernel/build.sh
rm -rf "$work/a"
(umask 077 && TZ=Asia/Tokyo LC_ALL=C.UTF-8 WORK=$work/another/and/longer image/kernel/build.sh)
