#!/usr/bin/env bash
# Boots Debian's own kernel with the hostile ACPI tables of image/tests/acpi, which it must run: that our kernel is silent
# about the same tables (`make test`) shows nothing otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."

# Whichever kernel Debian has at present for virtual machines.
package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p')
[[ -n $package ]] || { echo "acpi-control: the package lists name no linux-image-cloud-amd64: run apt-get update" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && apt-get download --quiet "$package" && dpkg -x ./*.deb .) >&2
kernel=$(echo "$work"/boot/vmlinuz-*)
echo "acpi-control: ${kernel##*/}"
JEJU_CONTROL_KERNEL=$kernel cargo test --quiet --locked -p jeju-image --test acpi -- --ignored --exact another_kernel_runs_them
