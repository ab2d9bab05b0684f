#!/usr/bin/env bash
# The long forms of what `make test` runs shortly: a hundred rounds of kill -9 under load, property tests with many more
# cases, the fuzz targets guided by coverage, the API fuzzer for half an hour. All on a release build.
#   ROUNDS=10 KILL_RUNS=2 PROPTEST_CASES=1000 TARGET_SECONDS=10 FUZZ_SECONDS=60 scripts/soak.sh      the short end of it
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

scripts/setup.sh test
scripts/console.sh build
cargo build --locked --release --package steward-server
export INSTA_UPDATE=no PROPTEST_CASES="${PROPTEST_CASES:-20000}" STEWARD_TEST_CRASH_ROUNDS="${ROUNDS:-100}"
scripts/postgres.sh scripts/redis.sh cargo test --locked --release --workspace --no-fail-fast
for ((run = 1; run < ${KILL_RUNS:-10}; run++)); do # with the run above a hundred rounds of ten
  cargo test --locked --release --package steward-telemetry kill
done
scripts/fuzz.sh "${TARGET_SECONDS:-600}"
STEWARD_TEST_BINARY="$CARGO_TARGET_DIR/release/steward" \
  scripts/served.sh -- scripts/test-api.sh --max-time "${FUZZ_SECONDS:-1800}"
