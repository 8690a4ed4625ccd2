# Each target is a script; each installs what it needs and is missing (see scripts/setup.sh).
.PHONY: run mpc test test-full bench soak fuzz image lock-update wasm clean

# Builds and boots the image, and stays up with a verifying proxy until Ctrl-C. ONCE=1: one verified answer, then exit.
run:
	@scripts/run.sh

# Five threshold signers as processes, three of which sign together; stays up until Ctrl-C. ONCE=1: one key and one verified
# signature, then exit. MPC_TOTAL_SHARES, MPC_THRESHOLD and the other variables of docs/operating.md.
mpc:
	@scripts/mpc.sh

# Everything that CI checks.
test:
	@scripts/test.sh

# What takes too long for every change; its results are recorded in docs/test-record/ and checked by `make test`.
test-full:
	@scripts/test-full.sh

# The numbers of docs/performance.md.
bench:
	@scripts/bench.sh

# 200 streams at a time for MINUTES=10: everyone makes progress, memory stays. UPSTREAM=1: through the node to a server that replays.
soak:
	@bench/soak/run.sh

# Each fuzz target under AddressSanitizer for SECONDS=300; TARGET=name for one of them.
fuzz:
	@scripts/fuzz.sh sanitized

# target/image for QEMU; PLATFORM=tdx, snp or nitro: target/image-PLATFORM, a release image.
image:
	@scripts/image.sh

# image/lock.toml to what Debian offers today, and what follows from it: kernel, expected measurements.
lock-update:
	@scripts/lock-update.sh

# The verifier as a WebAssembly module.
wasm:
	@scripts/wasm.sh build

clean:
	cargo clean
	rm -rf .jeju bench/verify/target fuzz/target fuzz/corpus fuzz/artifacts contracts/out contracts/cache contracts/node_modules e2e/node_modules
