#!/usr/bin/env bash
# Builds QEMU with the `nitro-enclave` machine and prints the path of the program. Debian's own QEMU lacks that machine,
# because it is built without libcbor. Built is Debian's source of QEMU, with nothing in it but that machine; the result
# is kept in target/qemu-nitro/ until this script or the source changes. About five minutes on two cores.
#
# Needs what `scripts/setup.sh test-full` installs. SOURCE=DIR takes the two archives from a folder instead of the mirror
# (MIRROR=URL for another one).
set -euo pipefail
cd "$(dirname "$0")/.."

readonly version=10.0.13+ds
readonly archives=(
    "qemu_$version.orig.tar.xz 6a0888e806c2ffc0c5f0733e974f9aea55491950d3c47c98669c8b236dde59ae"
    "qemu_$version-0+deb13u1.debian.tar.xz da73c092f5684c551b0334d675eb16a3dec91e1edea94759cfb1102fa4a0364e"
)
readonly mirror=${MIRROR:-http://deb.debian.org/debian}
readonly cache=target/qemu-nitro

main() {
    # The archives' digests stand in this script.
    local key program
    key=$(sha256sum "scripts/qemu-nitro.sh" | cut -c1-16)
    program=$PWD/$cache/$key/qemu-system-x86_64
    if [[ ! -x $program ]]; then
        work=$(mktemp -d)
        trap 'rm -rf "$work"' EXIT
        get_archives
        build >&2
        # Other scripts' programs are of no more use.
        find "$cache" -mindepth 1 -maxdepth 1 -type d -exec rm -rf {} +
        mkdir -p "$cache/$key"
        cp "$work/source/build/qemu-system-x86_64" "$program.new"
        mv "$program.new" "$program"
    fi
    echo "$program"
}

get_archives() {
    mkdir -p "$cache"
    local entry name digest
    for entry in "${archives[@]}"; do
        name=${entry% *} digest=${entry#* }
        if [[ -n ${SOURCE:-} ]]; then
            cp "$SOURCE/$name" "$cache/$name" || fail "$name is not in $SOURCE"
        elif ! matches "$cache/$name" "$digest"; then
            say "getting $name"
            curl --fail --silent --show-error --location --max-time 600 --output "$cache/$name" \
                "$mirror/pool/main/q/qemu/$name" ||
                fail "$mirror has no $name: Debian has moved on to a later version. Get qemu $version and its Debian" \
                    "archive from https://snapshot.debian.org/package/qemu/ and give their folder as SOURCE=DIR," \
                    "or set this script to the later version"
        fi
        matches "$cache/$name" "$digest" ||
            fail "$name has SHA-256 $(sha256sum <"$cache/$name" | cut -c1-64), not $digest"
    done
}

matches() { [[ -f $1 ]] && echo "$2  $1" | sha256sum --check --status; }

# In a shell of its own, because it changes folder.
build() (
    mkdir "$work/source"
    tar -C "$work/source" --strip-components=1 -xf "$cache/${archives[0]% *}"
    tar -C "$work/source" -xf "$cache/${archives[1]% *}"
    cd "$work/source"
    # Firmware that Debian leaves out of the archive, and a Python package that only QEMU's own tests use.
    local patch
    for patch in skip-unpack-edk2-blobs disable-pycotap; do
        patch --quiet --strip=1 <"debian/patches/$patch.patch"
    done
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" install --quiet --disable-pip-version-check meson==1.5.0
    echo 'CONFIG_NITRO_ENCLAVE=y' >configs/devices/x86_64-softmmu/nitro.mak
    mkdir build
    cd build
    ../configure --python="$work/venv/bin/python3" --target-list=x86_64-softmmu --disable-docs --disable-tools \
        --disable-werror --disable-debug-info --disable-install-blobs --without-default-features \
        --without-default-devices --with-devices-x86_64=nitro \
        --enable-tcg --enable-gnutls --enable-fdt=system --enable-vhost-user -Dlibcbor=enabled >configure.log ||
        fail "configure failed: $(tail -n 5 configure.log)"
    ninja -j"${JOBS:-$(nproc)}" --quiet qemu-system-x86_64
    strip qemu-system-x86_64
)

say() { echo "qemu-nitro: $*" >&2; }
fail() { say "$*" && exit 1; }

main
