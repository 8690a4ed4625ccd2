#!/usr/bin/env bash
# Starts an image as an AMD SEV-SNP guest. Needs an SNP host, QEMU 9.2 or later (sev-snp-guest with kernel-hashes) and vhost-vsock.
# docs/hosts.md has the whole guide.
#   --cpu MODEL      QEMU's CPU model, part of the launch digest (default EPYC-v4)
#   --id-block FILE  ID block that `jeju-image measure --id-block` wrote
set -euo pipefail
# shellcheck source=image/hosts/common.sh
source "$(dirname "$0")/common.sh"

options=() cpu=EPYC-v4 id_block=
while (($#)); do
    case $1 in
    --cpu) cpu=${2-} && shift 2 ;;
    --id-block) id_block=${2-} && shift 2 ;;
    *) options+=("$1") && shift ;;
    esac
done
((${#options[@]} >= 2)) || usage "[--cpu MODEL] [--id-block FILE]"
[[ $cpu =~ ^EPYC[A-Za-z0-9-]*$ ]] || fail "--cpu wants one of QEMU's EPYC models"
parse_options "${options[@]}"
check_platform snp

# The policy that `jeju-image measure` predicts ids for: no debugging, no migration agent, SMT as the host has it, ABI 1.51.
guest="sev-snp-guest,id=snp,policy=0x30133,cbitpos=51,reduced-phys-bits=1,kernel-hashes=on,host-data=$(base64_of "$digest")"
if [[ $id_block ]]; then
    read -r properties <"$id_block" || fail "$id_block can't be read"
    [[ $properties =~ ^id-block=[A-Za-z0-9+/=]+,id-auth=[A-Za-z0-9+/=]+(,author-key-enabled=on)?$ ]] ||
        fail "$id_block holds no ID block"
    guest+=",$properties"
fi
start "${JEJU_QEMU:-qemu-system-x86_64}" \
    -accel kvm -cpu "$cpu" -smp "$cpus" -m "${memory}M" \
    -object "$guest" \
    -object "memory-backend-memfd,id=memory,size=${memory}M,share=on,prealloc=off" \
    -machine q35,confidential-guest-support=snp,memory-backend=memory,vmport=off,smm=off \
    -bios "$image/firmware.fd" \
    -kernel "$image/kernel" -initrd "$image/initrd" -append "$(<"$image/cmdline")" \
    -device "vhost-vsock-pci,guest-cid=$cid" \
    -nodefaults -no-user-config -no-reboot -display none -monitor none -serial stdio
