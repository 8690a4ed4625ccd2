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

readonly all=(setup format lint licences boundaries docs record build contracts unit image audit peers end-to-end conformance wasm fuzz-build fuzz)
# Beside a step that leaves a core idle now and then: solc has one thread.
declare -rA beside=([lint]=contracts)
# Behind everything else, in the time that tests leave, which wait for processes, sockets and time.
declare -rA behind=([unit]=image [end-to-end]='wasm fuzz-build')

step_setup() { scripts/setup.sh test; }
step_format() {
    cargo fmt --all --check
    local folder
    for folder in fuzz bench/verify image/peers; do (cd "$folder" && cargo fmt --check); done
}
step_lint() {
    cargo clippy --workspace --all-targets --locked --features jeju-enclave/sim -- -D warnings
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
# All tests and programs. An example makes cargo choose the libraries' features for programs as for tests, so that nothing is
# compiled twice. The scripts below would build each program by itself otherwise, as for users.
step_build() {
    cargo nextest run --no-run --workspace --locked
    build_programs
}
build_programs() {
    cargo build --workspace --bins --examples --locked
    export JEJU_PROGRAMS=${CARGO_TARGET_DIR:-target}/debug
}
# A test more than cores: many of them wait for processes, sockets and time.
step_unit() {
    bench/inference/run.sh golden.py check
    cargo nextest run --workspace --locked --test-threads $(($(nproc) + 1)) 2>&1 | tee target/unit.log
}
step_wasm() { scripts/wasm.sh test; }
# The development image, and a release image: without the other's code nothing is left that nobody uses, and what doesn't change
# with the node is as committed.
step_image() {
    build_programs
    scripts/image.sh
    PLATFORM=nitro scripts/image.sh 2>&1 | tee target/image-nitro.log
    if grep '^warning' target/image-nitro.log; then return 1; fi
    "${CARGO_TARGET_DIR:-target}"/debug/jeju-image expected target/image-nitro --check image/expected.json
}
step_audit() { build_programs && scripts/audit.sh && scripts/audit.sh target/image-nitro; }
# Other programs' answers for the same image.
step_peers() { build_programs && scripts/measure-peers.sh; }
step_end-to-end() {
    build_programs
    # It runs in any image, so it has to bring all that it needs.
    cargo rustc -p jeju-rental-agent --bin jeju-rental-agent --locked -- -Ctarget-feature=+crt-static -Crelocation-model=static
    # Two at a time, the longest first: for the most part they wait for chains, guests, engines and time.
    mkdir -p target/end-to-end
    printf '%s\0' e2e/{rentals,run,inference,mpc,workers}.py 'bench/soak/run.sh short' e2e/{market,compat,receipts,audit,attested_key}.py |
        xargs -0 -P 2 -n 1 bash -euo pipefail -c "$(declare -f end_to_end)"'; end_to_end "$@"' end-to-end
}
# Runs an end-to-end test, and says all that it said, and how long it took, in one piece. After one that failed none begins.
end_to_end() {
    local log code=0 start=$SECONDS
    log=target/end-to-end/$(basename "${1%% *}").log
    case $1 in
    *.py) python3 "$1" ;;
    *) $1 ;;
    esac >"$log" 2>&1 || code=255
    printf '%s: %s s\n' "$1" "$((SECONDS - start))" >>"$log"
    flock target/end-to-end cat "$log"
    return "$code"
}
# The same workers in our engine, Deno and workerd.
step_conformance() {
    build_programs
    npm --prefix e2e/conformance ci --no-audit --no-fund --silent
    WORKER_HTTP=$(realpath "$JEJU_PROGRAMS/jeju-worker-http") python3 e2e/conformance/run.py
}
step_fuzz-build() { scripts/fuzz.sh build; }
step_fuzz() { scripts/fuzz.sh quick; }

# Runs a step in a shell of its own, because `set -e` is off inside a condition.
run() { bash -euo pipefail -c "$(declare -f build_programs end_to_end "step_$1"); step_$1"; }

# The same behind everything else: also as a group of the scheduler's, which a session is on many systems.
run_behind() {
    exec setsid nice -n 19 bash -euo pipefail -c "{ echo 19 >/proc/self/autogroup; } 2>/dev/null || true
        $(declare -f build_programs end_to_end "step_$1"); step_$1"
}

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
    mkdir -p target
    # A step behind others leads a group of processes.
    trap 'for step in $(jobs -p); do kill -- "-$step" 2>/dev/null || kill "$step" 2>/dev/null || true; done' EXIT
    for step in "${steps[@]}"; do
        printf '\n== %s\n' "$step"
        start=$SECONDS
        for other in ${beside[$step]:-} ${behind[$step]:-}; do
            [[ " ${steps[*]} " == *" $other "* ]] || continue
            if [[ ${beside[$step]:-} == "$other" ]]; then run "$other"; else run_behind "$other"; fi >"target/$other.log" 2>&1 &
            started[$other]=$!
        done
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
