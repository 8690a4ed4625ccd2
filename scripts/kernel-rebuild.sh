#!/usr/bin/env bash
# Builds the enclave kernel from source, in a fresh folder, by another umask and time zone than the committed bzImage was
# built with, and compares: about 10 minutes on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/another/and/longer"
(umask 077 && TZ=Asia/Tokyo LC_ALL=C.UTF-8 WORK=$work/another/and/longer image/kernel/build.sh)
