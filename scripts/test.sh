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

readonly all=(setup format lint licences boundaries docs record contracts unit wasm image audit peers end-to-end fuzz)

step_setup() { scripts/setup.sh test; }
step_format() {
    cargo fmt --all --check
    local folder
    for folder in fuzz bench/verify image/peers; do (cd "$folder" && cargo fmt --check); done
}
step_lint() {
    cargo clippy --workspace --all-targets --locked --features jeju-enclave/sim -- -D warnings
    # What goes into a release image, without the other's code.
    cargo clippy -p jeju-enclave --locked -- -D warnings
}
step_licences() {
    cargo fetch --locked --quiet && cargo deny --offline check bans licenses sources
    scripts/check-vendored.sh
}
step_boundaries() { scripts/check-boundaries.sh; }
step_docs() { python3 scripts/check-docs.py && python3 scripts/refusals.py; }
step_record() { python3 scripts/test-record.py check; }
# In a folder of its own: where tests were run one by one before, forge forgets some.
step_contracts() {
    contracts/check-artifacts.sh
    (cd contracts && FOUNDRY_OUT=cache/test/out FOUNDRY_CACHE_PATH=cache/test forge test)
}
step_unit() { bench/inference/run.sh golden.py check && cargo nextest run --workspace --locked 2>&1 | tee target/unit.log; }
step_wasm() { scripts/wasm.sh test; }
# The development image, and a release image; what doesn't change with the node is as committed.
step_image() {
    scripts/image.sh
    PLATFORM=nitro scripts/image.sh
    "${CARGO_TARGET_DIR:-target}"/debug/jeju-image expected target/image-nitro --check image/expected.json
}
step_audit() { scripts/audit.sh && scripts/audit.sh target/image-nitro; }
# Other programs' answers for the same image.
step_peers() { scripts/measure-peers.sh; }
step_end-to-end() {
    cargo build --workspace --exclude jeju-enclave --exclude jeju-rental-agent --bins --locked
    cargo build -p jeju-enclave --features sim --locked
    # It runs in any image, so it has to bring all that it needs.
    cargo rustc -p jeju-rental-agent --bin jeju-rental-agent --locked -- -Ctarget-feature=+crt-static -Crelocation-model=static
    python3 e2e/run.py
    python3 e2e/mpc.py
    python3 e2e/rentals.py
}
step_fuzz() { scripts/fuzz.sh quick; }

main() {
    local steps=("$@") step start times=()
    ((${#steps[@]})) || steps=("${all[@]}")
    for step in "${steps[@]}"; do
        [[ " ${all[*]} " == *" $step "* ]] || { echo "test: no step $step; there are: ${all[*]}" >&2; exit 2; }
    done
    for step in "${steps[@]}"; do
        printf '\n== %s\n' "$step"
        start=$SECONDS
        # In a shell of its own, because `set -e` is off inside a condition.
        if ! bash -euo pipefail -c "$(declare -f "step_$step"); step_$step"; then
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
