#!/usr/bin/env bash
# Prints what scripts/bench.sh has gathered as a table with ratios; above 1 Steward does better.
#   bench/table.sh FOLDER
set -euo pipefail
results="$1"

figure() { # FILE FILTER: one number, of which nobody wants more than three digits behind the point
  jq --slurp --raw-output "$2 | if type == \"number\" then (. * 1000 | round) / 1000 else . end" "$results/$1"
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
  printf '| --- | ---: | ---: | --- | ---: | --- |\n'
  row "start to ready, ms" "$(figure steward "$(of start 0 milliseconds)")" "$(figure fastapi "$(of start 0 milliseconds)")" FastAPI "<= 300 ms" lower
  row "idle RSS, MB" "$(figure steward "$(of idle 0 rss_mb)")" "$(figure fastapi "$(of idle 0 rss_mb)")" FastAPI "<= 80 MB" lower
  for clients in 1 64; do
    theirs="[.[] | select(.clients == $clients)][0]"
    for engine in sqlite postgres; do
      goal=">= 2500/s"
      ((clients == 1)) || goal=">= 12000/s"
      row "kernel on $engine, units/s, $clients clients" "$(figure "kernel-$engine" "$(of kernel $clients per_second)")" \
        "$(figure pgbench "$theirs.per_second")" pgbench "$goal" higher
      alone "  p99, ms" "$(figure "kernel-$engine" "$(of kernel $clients p99_ms)")" "<= 15 ms"
    done
    row "  KB written per unit, SQLite" "$(figure kernel-sqlite "$(of kernel $clients kb_written_per_request)")" \
      "$(figure pgbench "$theirs.kb_per_unit")" pgbench "" lower
    goal=">= 2500/s"
    ((clients == 1)) || goal=">= 5000/s"
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
    row "list of 50 per CPU second, the same again" "$(figure steward "$(of list 16 per_cpu_second)")" "$(figure "$peer" "$(of list 16 per_cpu_second)")" "$name" ">= 40 x" higher
    row "  another page each time" "$(figure steward "$(of pages 16 per_cpu_second)")" "$(figure "$peer" "$(of pages 16 per_cpu_second)")" "$name" ">= 40 x" higher
  done
  alone "commit to event on a stream, p99, ms" "$(figure steward "$(of live 0 p99_ms)")" "<= 5 + fsync"
  alone "  its answer, p99, ms" "$(figure steward "$(of live 0 answer_p99_ms)")" ""
  alone "jobs, queued before they are worked off, /s" "$(figure jobs "$(of jobs 0 per_second)")" ">= 5000/s"
  alone "job in the hand of an idle worker, p99, ms" "$(figure jobs "$(of jobs-idle 0 p99_ms)")" "<= 5 ms"
  alone "job beside another tenant's queue, max, ms" "$(figure jobs "$(of jobs-beside 0 max_ms)")" "<= 1000 ms"
  alone "a tenant made, SQLite, p50, ms" "$(figure tenants "$(of tenants-made 0 p50_ms)")" "<= 10 ms"
  alone "10,000 tenants, 500/s: reads, p99, ms" "$(figure tenants "$(of tenants-reads 0 p99_ms)")" "<= 10 ms"
  alone "  writes, p99, ms" "$(figure tenants "$(of tenants-writes 0 p99_ms)")" "<= 10 ms"
  alone "  RSS, MB" "$(figure tenants "$(of tenants-reads 0 rss_mb)")" "<= 400 MB"
  alone "  files open" "$(figure tenants "$(of tenants-reads 0 open_files)")" "bounded"
  alone "  start, ms" "$(figure tenants "$(of tenants-start 0 milliseconds)")" "<= 1000 ms"
  alone "a tenant made, shared schema, p50, ms" "$(figure tenants-shared "$(of tenants-made 0 p50_ms)")" "<= 10 ms"
  alone "start after kill -9, ms" "$(figure crash "$(of crash-start 0 milliseconds)")" "<= 3000 ms"
  alone "  every dirty tenant read, ms" "$(figure crash "$(of crash-start 0 all_read_ms)")" ""
  alone "  logs, MB" "$(figure crash "$(of crash-start 0 log_mb)")" "256"
  alone "  dirty tenants" "$(figure crash "$(of crash-start 0 dirty)")" ""
  alone "  tenants' files opened" "$(figure crash "$(of crash-start 0 files_opened)")" "the dirty ones"
  while IFS=$'\t' read -r name p50 p99; do
    alone "$name, p50, ms" "$p50" ""
    alone "  p99, ms" "$p99" ""
  done < <(figure queries '.[] | select(.workload == "query") | [.query, (.p50_ms, .p99_ms | (. * 1000 | round) / 1000)] | @tsv')
  alone "log ingest, JSON lines, MB/s" "$(figure steward "$(of ingest 4 megabytes_per_second)")" ""
  alone "  MB per CPU second" "$(figure steward "$(of ingest 4 megabytes_per_cpu_second)")" ">= 110"
  alone "OTLP log records per CPU second" "$(figure steward "$(of otlp-logs 4 rows_per_cpu_second)")" ">= 350000"
  alone "OTLP metric points per CPU second" "$(figure steward "$(of otlp-metrics 4 rows_per_cpu_second)")" ">= 1200000"
}
