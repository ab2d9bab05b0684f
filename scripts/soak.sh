#!/usr/bin/env bash
# The long forms: every test marked `#[ignore = "long: …"]`, property tests with many more cases, the API fuzzer for half
# an hour. `make test` runs a short form of each.
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

scripts/setup.sh test
scripts/console.sh build
cargo build --locked --release --package steward-server
export INSTA_UPDATE=no PROPTEST_CASES="${PROPTEST_CASES:-20000}"
scripts/postgres.sh cargo test --locked --release --workspace --no-fail-fast -- --include-ignored
STEWARD_BINARY="$CARGO_TARGET_DIR/release/steward" \
  scripts/served.sh -- scripts/test-api.sh --max-time "${FUZZ_SECONDS:-1800}"
