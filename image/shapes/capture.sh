#!/usr/bin/env bash
# Captures what RTMR0 depends on, or a measured boot's log, from an emulated machine. README.md says what with.
#
#   capture.sh shape CPUS MEMORY_MIB     writes image/shapes/q35-CPUSc-MEMORYm.json
#   capture.sh boot FIRMWARE             writes image/tests/vectors/tdx-boot.*; FIRMWARE is an OVMF with TPM support
#
# JEJU_QEMU is the QEMU to run, with leading arguments if it needs any.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
image=$(dirname "$here")
work=$(mktemp -d)
pids=()
trap 'for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done; rm -rf "$work"' EXIT
read -ra qemu <<<"${JEJU_QEMU:-qemu-system-x86_64}"
# Without a PIC, as TDX has it, emulated timers miss the kernel's check at times.
cmdline="console=ttyS0 quiet panic=-1 no_timer_check"

rustc --edition 2024 --remap-path-prefix "$here=shapes" -O -C panic=abort -C relocation-model=static -C strip=symbols \
    -C link-arg=-nostartfiles -C link-arg=-nostdlib -C link-arg=-static "$here/guest.rs" -o "$work/init"
python3 "$here/capture.py" archive "$work/init" "$work/initrd"

# Boots, and waits for PID 1: FIRMWARE MEMORY_MIB ARGUMENT...
boot() {
    local firmware=$1 memory=$2
    shift 2
    "${qemu[@]}" -accel tcg -m "${memory}M" \
        -object "memory-backend-file,id=memory,size=${memory}M,mem-path=$work/memory,share=on" \
        -machine q35,memory-backend=memory,hpet=off,smm=off,pic=off -bios "$firmware" \
        -kernel "$image/kernel/bzImage" -initrd "$work/initrd" -append "$cmdline" \
        -nodefaults -no-user-config -no-reboot -display none \
        -monitor "unix:$work/monitor,server=on,wait=off" -serial "file:$work/console" "$@" &
    pids+=($!)
    for _ in {1..3000}; do
        grep -q CAPTURE-READY "$work/console" 2>/dev/null && return
        kill -0 "${pids[-1]}" 2>/dev/null || break
        sleep 0.2
    done
    tail -n 20 "$work/console" >&2
    echo "the machine did not come up" >&2
    return 1
}

case "${1-}" in
shape)
    cpus=$2 memory=$3 name=q35-$2c-$3m
    python3 "$here/capture.py" blank "$image/firmware/OVMF.inteltdx.ms.fd" "$work/firmware"
    # The address width of a TDX host: PCI windows, and with them ACPI tables, depend on it. The device stands for
    # vhost-vsock-pci, which needs a host's driver: tables name slots and not devices.
    boot "$work/firmware" "$memory" -cpu max,phys-bits=52 -smp "$cpus" -device virtio-rng-pci
    python3 "$here/capture.py" shape "$work" "$name" "$cpus" "$memory" "$work/firmware" >"$work/json"
    mv "$work/json" "$here/$name.json"
    ;;
boot)
    firmware=$2 out=$image/tests/vectors
    cmdline+=" tpm_tis.force=1 tpm_tis.interrupts=0"
    mkdir -p "$work/tpm" "$out"
    swtpm_setup --tpm2 --tpm-state "$work/tpm" --pcr-banks sha256,sha384 >"$work/setup" || { cat "$work/setup" >&2; exit 1; }
    swtpm socket --tpm2 --tpmstate "dir=$work/tpm" --ctrl "type=unixio,path=$work/socket" &
    pids+=($!)
    for _ in {1..50}; do [[ -S $work/socket ]] && break; sleep 0.1; done
    boot "$firmware" 1024 -cpu max -smp 1 -chardev "socket,id=tpm,path=$work/socket" \
        -tpmdev emulator,id=tpm,chardev=tpm -device tpm-tis,tpmdev=tpm
    python3 "$here/capture.py" boot "$work" "$image/kernel/bzImage" "$work/initrd" "$cmdline" "$out"
    ;;
*)
    sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
