#!/usr/bin/env bash
# Measures Steward beside its peers in one run and prints ratios; DESIGN 13 is the target.
#   SECONDS_EACH=10 RECORDS=100000 scripts/bench.sh
# Nothing else should run on the machine: client and server share its cores.
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

seconds="${SECONDS_EACH:-10}"
records="${RECORDS:-100000}"
queried="${QUERIED:-1000000}"
scripts/setup.sh bench
scripts/build.sh
cargo build --locked --release --package steward-bench
export STEWARD_TEST_BINARY="$root/target/release/steward"
venv="$(python_packages bench/peers/fastapi/requirements.txt)"
results="$(mktemp -d)"
trap 'rm -rf "$results"' EXIT

say "measuring Steward"
bench/start.sh "$STEWARD_TEST_BINARY" >"$results/steward"
scripts/served.sh -- bench/steward.sh "$seconds" >>"$results/steward"
say "measuring the record kernel"
load="$CARGO_TARGET_DIR/release/steward-bench"
"$load" kernel --dir "$results/kernel" --records "$records" --seconds "$seconds" >"$results/kernel-sqlite"
rm -rf "$results/kernel"
# shellcheck disable=SC2016 # the inner shell expands them
scripts/postgres.sh shared_buffers=1GB max_wal_size=4GB bash -c 'printf %s "$STEWARD_TEST_POSTGRES" >"$1"
  exec "$2" kernel --postgres-file "$1" --records "$3" --seconds "$4"' - "$results/postgres" "$load" "$records" "$seconds" >"$results/kernel-postgres"
say "measuring jobs"
"$load" jobs --dir "$results/jobs-sqlite-data" --jobs "${JOBS:-100000}" >"$results/jobs"
rm -rf "$results/jobs-sqlite-data"
say "measuring queries over $queried records"
"$load" queries --dir "$results/queries-data" --records "$queried" >"$results/queries"
rm -rf "$results/queries-data"
say "measuring ten thousand tenants"
"$load" tenants --dir "$results/tenants-data" >"$results/tenants"
rm -rf "$results/tenants-data"
say "measuring a start after kill -9"
"$load" crash --dir "$results/crash-data" --tenants "${CRASHED:-10000}" >"$results/crash"
rm -rf "$results/crash-data"
say "measuring tenants that share a PostgreSQL schema"
# shellcheck disable=SC2016 # the inner shell expands them
scripts/postgres.sh bash -c 'printf %s "$STEWARD_TEST_POSTGRES" >"$1"
  exec "$2" tenants --postgres-file "$1" --shared --tenants 1000 --seconds 5' - "$results/postgres" "$load" >"$results/tenants-shared"
say "measuring FastAPI + SQLite"
bench/peers/fastapi/measure.sh "$venv" "$seconds" threads >"$results/fastapi"
bench/peers/fastapi/measure.sh "$venv" "$seconds" loop >"$results/fastapi-loop"
say "measuring PostgreSQL with pgbench"
scripts/postgres.sh shared_buffers=1GB max_wal_size=4GB bench/peers/pgbench/measure.sh "$records" "$seconds" 1 64 >"$results/pgbench"
bench/table.sh "$results"
