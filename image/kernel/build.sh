#!/bin/sh
# Builds the enclave kernel from Debian's linux-source-6.12 and compares it with the committed bzImage.sha256.
#
#   build.sh            build, compare, fail on any difference
#   build.sh --accept   build, then replace bzImage, bzImage.sha256, record.sha256 and config with the result
#   build.sh --check-config   stop after the configuration check (a minute instead of ten)
#
# WORK=DIR builds in DIR (left in place; default: a temporary folder, removed), JOBS=N sets make -j.
# Needs no root: without the installed package the source is downloaded with `apt-get download`.
set -eu
umask 022
export LC_ALL=C TZ=UTC0

package=linux-source-6.12
version=6.12.117-1~deb12u1
tar_sha256=585a4a074597aefa2b1a68ada83a3184ba351c127544dea80618bbcceaa3961f
# The compiler's name is part of the kernel's bytes, so another compiler gives another measurement.
want_gcc='gcc (Debian 12.2.0-14+deb12u1) 12.2.0'
want_ld='GNU ld (GNU Binutils for Debian) 2.40'

here=$(cd "$(dirname "$0")" && pwd)
mode=${1:-compare}
case $mode in compare | --accept | --check-config) ;; *) echo "usage: build.sh [--accept | --check-config]" >&2; exit 2 ;; esac

fail() { echo "kernel: $*" >&2; exit 1; }

for tool in gcc ld make flex bison bc perl zstd xz patch iasl; do
    command -v $tool >/dev/null ||
        fail "$tool is missing: apt-get install gcc make flex bison bc perl zstd xz-utils patch acpica-tools libelf-dev libssl-dev"
done
gcc --version | head -n1 | grep -qxF "$want_gcc" || fail "wants $want_gcc, found $(gcc --version | head -n1)"
ld --version | head -n1 | grep -qxF "$want_ld" || fail "wants $want_ld, found $(ld --version | head -n1)"

if [ -n "${WORK:-}" ]; then
    mkdir -p "$WORK"
    work=$(cd "$WORK" && pwd)
else
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT TERM
fi

tar=/usr/src/$package.tar.xz
if [ ! -f $tar ]; then
    echo "kernel: downloading $package $version (150 MB)"
    (cd "$work" && apt-get download "$package=$version" && dpkg -x ${package}_*.deb package) ||
        fail "$package $version is not in the package lists: run apt-get update, or see SOURCE.md"
    tar=$work/package/usr/src/$package.tar.xz
fi
echo "$tar_sha256  $tar" | sha256sum --check --quiet || fail "$tar is not $package $version"

source=$work/$package
rm -rf "$source"
# In a root, no other owner than the builder can be given.
tar -C "$work" --no-same-owner -xf "$tar"
cd "$source"

for patch in "$here"/patches/*.patch; do
    patch --strip=1 --silent --fuzz=0 <"$patch" || fail "${patch##*/} does not apply"
done
iasl -vs -tc -p drivers/acpi/dsdt "$here/dsdt.asl" >/dev/null || fail "dsdt.asl does not compile"

# A Rust compiler that happens to be there would be in the configuration.
kernel_make() { make -s RUSTC=false BINDGEN=false "$@"; }

kernel_make tinyconfig
scripts/kconfig/merge_config.sh -m .config "$here/enclave.config" >/dev/null
kernel_make olddefconfig

# kconfig drops options whose dependencies are missing without a word.
lost=$(sed -n -e 's/^\(CONFIG_[A-Z0-9_]*=.*\)/\1/p' -e 's/^# \(CONFIG_[A-Z0-9_]*\) is not set/\1=n/p' "$here/enclave.config" |
    while IFS='=' read -r name value; do
        got=$(sed -n "s/^$name=//p" .config)
        [ "${got:-n}" = "$value" ] || echo "$name=$value (is ${got:-n})"
    done)
[ -z "$lost" ] || fail "options that did not end up as wanted:
$lost"
# The whole configuration is committed, so that what it is can be read without a build.
if [ "$mode" != --accept ]; then
    cmp .config "$here/config" || fail "the configuration is not the committed one: $here/config"
fi
if [ "$mode" = --check-config ]; then
    echo "kernel: $(grep -c '=y$' .config) options on, all wanted ones as wanted"
    exit 0
fi

kernel_make -j"${JOBS:-$(nproc)}" bzImage \
    KBUILD_BUILD_TIMESTAMP='2026-01-01 00:00:00 UTC' KBUILD_BUILD_USER=jeju KBUILD_BUILD_HOST=image KBUILD_BUILD_VERSION=1

built=arch/x86/boot/bzImage
if [ "$mode" = --accept ]; then
    cp $built "$here/bzImage"
    cp .config "$here/config"
    (cd "$here" && sha256sum bzImage >bzImage.sha256 &&
        sha256sum bzImage config dsdt.asl enclave.config patches/*.patch >record.sha256)
    cat "$here/bzImage.sha256"
    exit 0
fi
want=$(cut -d' ' -f1 "$here/bzImage.sha256")
got=$(sha256sum $built | cut -d' ' -f1)
[ "$got" = "$want" ] || fail "built $got, committed $want"
[ "$(sha256sum "$here/bzImage" | cut -d' ' -f1)" = "$want" ] || fail "the committed bzImage is not the one of bzImage.sha256"
echo "kernel: $got, as committed"
