#!/usr/bin/env bash
# Fuzzes every parser that faces the host or the network.
#
#   scripts/fuzz.sh quick       10 seconds a target, no sanitizer, one target for each core: what CI runs on a stable toolchain
#   scripts/fuzz.sh build       builds what `quick` runs
#   scripts/fuzz.sh sanitized   SECONDS_EACH (300) seconds a target under AddressSanitizer
#
# TARGET=name runs one of them. Findings lie in fuzz/artifacts/, what was learnt in fuzz/corpus/. Genuine evidence is seed
# too, where its folder is there: JEJU_VECTORS (default: beside the checkout).
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
# Optimised little: the runs are short.
quick | build)
    options=(-s none) seconds=10 jobs=$(nproc)
    export CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_DEBUG=0
    ;;
# AddressSanitizer is an unstable option of rustc; this lets the stable one take it.
sanitized) scripts/setup.sh fuzz && export RUSTC_BOOTSTRAP=1 options=() seconds=${SECONDS_EACH:-300} jobs=1 ;;
*) echo 'usage: scripts/fuzz.sh quick | build | sanitized' >&2 && exit 2 ;;
esac

# Copies the files that further arguments of find choose into the corpus of `hardware`, behind the octal byte $1 that
# chooses the parser. None is longer than the fuzzer's inputs, and none is ever committed.
genuine() {
    local choice=$1 file name && shift
    while IFS= read -r -d '' file; do
        name=${file#"$JEJU_VECTORS"/}
        { printf '%b' "\\0$choice" && cat "$file"; } >"fuzz/corpus/hardware/genuine-$choice-${name//\//-}"
    done < <(find "$JEJU_VECTORS" -type f -size -32k "$@" -print0)
}
JEJU_VECTORS=${JEJU_VECTORS:-../shared/vectors}
if [[ -d $JEJU_VECTORS ]]; then
    mkdir -p fuzz/corpus/hardware
    genuine 0 -size -17k
    genuine 6 '(' -iname '*crl*' -o -iname '*collateral*.json' -o -iname '*tcb*info*' -o -iname '*identity*' ')'
    genuine 7 '(' -name '*.xml' -o -name '*.swidtag' ')'
    genuine 10 '(' -iname '*ccel*' -o -iname '*eventlog*' ')'
fi

cd fuzz
cargo fuzz build "${options[@]}" ${TARGET:+"$TARGET"}
targets=${TARGET:-$(cargo fuzz list)}
[[ -n $targets ]] || { echo 'fuzz: there are no targets' >&2 && exit 1; }
[[ $1 != build ]] || exit 0

run() {
    local target=$1 longest=4096 memory=512
    # Evidence has certificate chains in it. That target counts its memory itself; what AddressSanitizer keeps of freed
    # memory is none of it.
    [[ $target != hardware ]] || longest=32768 memory=2048
    mkdir -p "corpus/$target"
    if ! cargo fuzz run "${options[@]}" "$target" "corpus/$target" "seeds/$target" -- \
        -max_total_time="$seconds" -rss_limit_mb="$memory" -max_len="$longest" -print_final_stats=1 >"corpus/$target.log" 2>&1; then
        tail -n 60 "corpus/$target.log" >&2
        # What one needs to look into it, once more and last: a long output may be cut.
        echo "fuzz: $target failed" >&2
        grep -hE '^Base64: |panicked at|^SUMMARY: ' "corpus/$target.log" | cut -c 1-2000 >&2
        return 1
    fi
    echo "fuzz: $target for $seconds s: $(sed -n 's/^stat::\(number_of_executed_units\|peak_rss_mb\): *//p' "corpus/$target.log" | paste -s -d ' ' | sed 's/ / inputs, /') MB"
}

# Those that still run would write after us.
trap 'pkill -P "$(jobs -p | paste -s -d ,)" 2>/dev/null || true' EXIT
running=0
for target in $targets; do
    ((running < jobs)) || { wait -n || exit 1; ((running--)); }
    run "$target" &
    ((++running))
done
while ((running--)); do wait -n || exit 1; done
