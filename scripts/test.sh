#!/usr/bin/env bash
# Everything that CI checks, in the order in which it fails soonest. Nothing is skipped: what a step needs and isn't
# there is installed by setup.sh or fails the step. One target folder for all of it.
#
#   scripts/test.sh             all steps
#   scripts/test.sh STEP...     some of them, by name
set -euo pipefail
cd "$(dirname "$0")/.."

# Backtraces cost more build time and disk than they help here.
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-auto} CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=0
export PATH="$PWD/.jeju/venv/bin:${CARGO_HOME:-$HOME/.cargo}/bin:$PWD/contracts/node_modules/.bin:$PATH:/usr/sbin"

readonly all=(setup format lint licences boundaries docs record contracts unit wasm image audit peers end-to-end conformance fuzz)
# Steps that leave a core idle, and what runs beside them: solc and link-time optimisation have one thread.
declare -rA beside=([lint]=contracts [image]=fuzz)

step_setup() { scripts/setup.sh test; }
step_format() {
    cargo fmt --all --check
    local folder
    for folder in fuzz bench/verify image/peers; do (cd "$folder" && cargo fmt --check); done
}
step_lint() {
    cargo clippy --workspace --all-targets --locked --features jeju-enclave/sim -- -D warnings
    # What goes into a release image, without the other's code; and all programs without what tests add to their libraries.
    cargo clippy --workspace --bins --locked -- -D warnings
}
step_licences() {
    cargo fetch --locked --quiet && cargo deny --offline check bans licenses sources
    scripts/check-vendored.sh
}
step_boundaries() { scripts/check-boundaries.sh && scripts/check-private-types.py; }
step_docs() { python3 scripts/check-docs.py && python3 scripts/refusals.py; }
step_record() { python3 scripts/test-record.py check; }
# In a folder of its own: where tests were run one by one before, forge forgets some.
step_contracts() {
    contracts/check-artifacts.sh
    (cd contracts && FOUNDRY_OUT=cache/test/out FOUNDRY_CACHE_PATH=cache/test forge test)
    contracts/refusals.py
}
# Two tests more than cores: many of them wait for processes, sockets and time.
step_unit() {
    bench/inference/run.sh golden.py check
    cargo nextest run --workspace --locked --test-threads $(($(nproc) + 2)) 2>&1 | tee target/unit.log
}
# The programs as unit tests ran them: an example makes cargo choose the libraries' features as for tests, so that nothing is
# compiled again after them. The scripts below would build each program by itself otherwise, as for users.
build_programs() {
    cargo build --workspace --bins --examples --locked
    export JEJU_PROGRAMS=${CARGO_TARGET_DIR:-target}/debug
}
step_wasm() { scripts/wasm.sh test; }
# The development image, and a release image; what doesn't change with the node is as committed.
step_image() {
    build_programs
    scripts/image.sh
    PLATFORM=nitro scripts/image.sh
    "${CARGO_TARGET_DIR:-target}"/debug/jeju-image expected target/image-nitro --check image/expected.json
}
step_audit() { build_programs && scripts/audit.sh && scripts/audit.sh target/image-nitro; }
# Other programs' answers for the same image.
step_peers() { build_programs && scripts/measure-peers.sh; }
step_end-to-end() {
    build_programs
    # It runs in any image, so it has to bring all that it needs.
    cargo rustc -p jeju-rental-agent --bin jeju-rental-agent --locked -- -Ctarget-feature=+crt-static -Crelocation-model=static
    # Two at a time: for the most part they wait for chains, guests, engines and time.
    local other code=0
    each e2e/rentals.py e2e/workers.py e2e/compat.py e2e/market.py >target/end-to-end-2.log 2>&1 &
    other=$!
    trap 'kill "$other" 2>/dev/null || true' EXIT
    each e2e/run.py e2e/inference.py e2e/audit.py e2e/receipts.py e2e/attested_key.py 'soak short' e2e/mpc.py || code=$?
    wait "$other" || code=$?
    trap - EXIT
    cat target/end-to-end-2.log
    return "$code"
}
# Runs end-to-end tests one after the other, and says how long each took.
each() {
    local test start
    for test in "$@"; do
        start=$SECONDS
        case $test in
        soak*) bench/soak/run.sh "${test#soak }" || return ;;
        *) python3 "$test" || return ;;
        esac
        printf '%s: %s s\n' "$test" "$((SECONDS - start))"
    done
}
# The same workers in our engine, Deno and workerd.
step_conformance() {
    build_programs
    npm --prefix e2e/conformance ci --no-audit --no-fund --silent
    WORKER_HTTP=$(realpath "$JEJU_PROGRAMS/jeju-worker-http") python3 e2e/conformance/run.py
}
step_fuzz() { scripts/fuzz.sh quick; }

# Runs a step in a shell of its own, because `set -e` is off inside a condition.
run() { bash -euo pipefail -c "$(declare -f build_programs each "step_$1"); step_$1"; }

# Runs a step, or waits for one that runs already, as which process.
finish() {
    local code=0
    [[ -n $2 ]] || { run "$1" && return; return 1; }
    wait "$2" || code=$?
    cat "target/$1.log"
    return "$code"
}

main() {
    local steps=("$@") step other start times=()
    declare -A started=()
    ((${#steps[@]})) || steps=("${all[@]}")
    for step in "${steps[@]}"; do
        [[ " ${all[*]} " == *" $step "* ]] || { echo "test: no step $step; there are: ${all[*]}" >&2; exit 2; }
    done
    for step in "${steps[@]}"; do
        printf '\n== %s\n' "$step"
        start=$SECONDS
        other=${beside[$step]:-}
        if [[ -n $other && " ${steps[*]} " == *" $other "* ]]; then
            mkdir -p target
            run "$other" >"target/$other.log" 2>&1 &
            started[$other]=$!
            trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
        fi
        if ! finish "$step" "${started[$step]:-}"; then
            printf '\ntest: %s failed after %s s\n' "$step" "$((SECONDS - start))" >&2
            exit 1
        fi
        times+=("$step $((SECONDS - start))")
    done
    printf '\n%-12s seconds\n' step
    printf '%-12s %s\n' ${times[@]/%/ }
    printf '%-12s %s\n' all "$SECONDS"
    # Tests by nextest's own count; the other steps pass or fail as a whole, and one that fails doesn't get here.
    local passed=${#steps[@]}
    [[ " ${steps[*]} " != *" unit "* ]] || passed=$(sed -n 's/.*tests run: \([0-9]*\) passed.*/\1/p' target/unit.log | tail -n 1)
    printf '%s passed, 0 failed\n' "$passed"
}

main "$@"
