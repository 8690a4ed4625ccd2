#!/usr/bin/env bash
# Starts an image as an Intel TDX guest. Needs a TDX host, QEMU 10.1 or later (the tdx-guest object), vhost-vsock, and Intel's
# quote generation service on vsock port 4050. docs/hosts.md has the whole guide.
set -euo pipefail
# shellcheck source=image/hosts/common.sh
source "$(dirname "$0")/common.sh"

(($# >= 2)) || usage
parse_options "$@"
check_platform tdx

# MRCONFIGID has 48 bytes: the digest, then zeros.
config_id=$(base64_of "$digest$(printf '0%.0s' {1..32})")
# Without PKS, which QEMU would set in TDATTRIBUTES where the host has it.
start "${JEJU_QEMU:-qemu-system-x86_64}" \
    -accel kvm -cpu host,pks=off -smp "$cpus" -m "${memory}M" \
    -object '{"qom-type":"tdx-guest","id":"tdx","sept-ve-disable":true,"mrconfigid":"'"$config_id"'","quote-generation-socket":{"type":"vsock","cid":"2","port":"4050"}}' \
    -object "memory-backend-ram,id=memory,size=${memory}M" \
    -machine q35,kernel-irqchip=split,confidential-guest-support=tdx,memory-backend=memory,hpet=off,smm=off \
    -bios "$image/firmware.fd" \
    -kernel "$image/kernel" -initrd "$image/initrd" -append "$(<"$image/cmdline")" \
    -device "vhost-vsock-pci,guest-cid=$cid" \
    -nodefaults -no-user-config -no-reboot -display none -monitor none -serial stdio
