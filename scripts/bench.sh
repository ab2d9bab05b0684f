#!/usr/bin/env bash
# Measures Steward beside its peers in one run and prints ratios; DESIGN 13 is the target.
#   SECONDS_EACH=10 RECORDS=100000 scripts/bench.sh
# Nothing else should run on the machine: client and server share its cores.
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

seconds="${SECONDS_EACH:-10}"
records="${RECORDS:-100000}"
scripts/setup.sh bench
scripts/build.sh
cargo build --locked --release --package steward-bench
export STEWARD_BINARY="$root/target/release/steward"
venv="$(python_packages bench/peers/fastapi/requirements.txt)"
results="$(mktemp -d)"
trap 'rm -rf "$results"' EXIT

say "measuring Steward"
bench/start.sh "$STEWARD_BINARY" >"$results/steward"
scripts/served.sh -- bench/steward.sh "$seconds" >>"$results/steward"
say "measuring FastAPI + SQLite"
bench/peers/fastapi/measure.sh "$venv" "$seconds" threads >"$results/fastapi"
bench/peers/fastapi/measure.sh "$venv" "$seconds" loop >"$results/fastapi-loop"
say "measuring PostgreSQL with pgbench"
scripts/postgres.sh shared_buffers=1GB max_wal_size=4GB bench/peers/pgbench/measure.sh "$records" "$seconds" 1 64 >"$results/pgbench"

figure() { # FILE FILTER: one number
  jq --slurp --raw-output "$2" "$results/$1"
}
row() { # WHAT STEWARD PEER PEER'S-NAME TARGET HIGHER|LOWER
  awk -v what="$1" -v ours="$2" -v theirs="$3" -v peer="$4" -v target="$5" -v better="$6" 'BEGIN {
    ratio = better == "higher" ? ours / theirs : theirs / ours
    printf "| %-44s | %10s | %10s | %-16s | %6.2f | %-14s |\n", what, ours, theirs, peer, ratio, target }'
}
alone() { printf '| %-44s | %10s | %10s | %-16s | %6s | %-14s |\n' "$1" "$2" "" "" "" "$3"; }
of() { printf '[.[] | select(.workload == "%s" and (.connections // 0) == %s)][0].%s' "$1" "$2" "$3"; }

{
  printf '\n%s, %s cores, kernel %s\n\n' "$(sed -n 's/^model name\s*: //p' /proc/cpuinfo | head -n1)" "$(nproc)" "$(uname -r)"
  printf '| %-44s | %10s | %10s | %-16s | %6s | %-14s |\n' figure Steward peer "the peer" ratio target
  printf '|%s|%s|%s|%s|%s|%s|\n' ---: ---: ---: --- ---: ---
  row "start to ready, ms" "$(figure steward "$(of start 0 milliseconds)")" "$(figure fastapi "$(of start 0 milliseconds)")" FastAPI "<= 300 ms" lower
  row "idle RSS, MB" "$(figure steward "$(of idle 0 rss_mb)")" "$(figure fastapi "$(of idle 0 rss_mb)")" FastAPI "<= 80 MB" lower
  for clients in 1 64; do
    goal=">= 2500/s"
    ((clients == 1)) || goal=">= 5000/s"
    theirs="[.[] | select(.clients == $clients)][0]"
    row "durable commits/s over HTTP, $clients clients" "$(figure steward "$(of create $clients per_second)")" \
      "$(figure pgbench "$theirs.per_second")" "pgbench, no HTTP" "$goal" higher
    alone "  p99, ms" "$(figure steward "$(of create $clients p99_ms)")" "<= 15 ms"
    row "  KB written per unit" "$(figure steward "$(of create $clients kb_written_per_request)")" \
      "$(figure pgbench "$theirs.kb_per_unit")" pgbench "" lower
    row "durable creates/s over HTTP, $clients clients" "$(figure steward "$(of create $clients per_second)")" \
      "$(figure fastapi "$(of create $clients per_second)")" "FastAPI" "" higher
  done
  for peer in fastapi fastapi-loop; do
    name="FastAPI, threads"
    [[ "$peer" == fastapi ]] || name="FastAPI, loop"
    row "get per CPU second" "$(figure steward "$(of get 16 per_cpu_second)")" "$(figure "$peer" "$(of get 16 per_cpu_second)")" "$name" ">= 12 x" higher
    row "list of 50 per CPU second" "$(figure steward "$(of list 16 per_cpu_second)")" "$(figure "$peer" "$(of list 16 per_cpu_second)")" "$name" ">= 40 x" higher
  done
  alone "log ingest, JSON lines, MB/s" "$(figure steward "$(of ingest 4 megabytes_per_second)")" ""
  alone "  MB per CPU second" "$(jq -rs '[.[] | select(.workload == "ingest")][0] | .megabytes_per_second * .seconds / .cpu_seconds | round' "$results/steward")" ">= 110"
} | sed 's/^|---:|/|---|/'
