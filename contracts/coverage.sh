#!/usr/bin/env bash
# How many lines of the contracts that hold or move money the tests run: at least 95 in a hundred, or it fails. Some ten minutes,
# for the compiler must leave out most of what it does otherwise.
set -euo pipefail
cd "$(dirname "$0")"
export PATH="$PWD/node_modules/.bin:$PATH" FOUNDRY_OUT=cache/coverage/out FOUNDRY_CACHE_PATH=cache/coverage

# Gas is another one in code that is compiled for this.
FORGE_SNAPSHOT_CHECK=false forge coverage --ir-minimum --no-match-contract Gas --report summary >cache/coverage.txt
awk -F'|' '
    $2 ~ /src\/(market|wallet)\// {
        split($3, counts, /[(\/)]/)
        run += counts[2]
        all += counts[3]
    }
    END {
        if (all == 0) { print "coverage: no table" > "/dev/stderr"; exit 1 }
        printf "coverage: %d of %d lines of market and wallet, %.1f %%\n", run, all, 100 * run / all
        exit run * 100 < all * 95
    }' cache/coverage.txt
