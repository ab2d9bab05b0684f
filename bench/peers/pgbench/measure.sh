#!/usr/bin/env bash
# Prints one JSON line per number of clients: durable commits per second and KB written per unit.
#   scripts/postgres.sh shared_buffers=1GB bench/peers/pgbench/measure.sh RECORDS SECONDS CLIENTS…
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
url="${STEWARD_TEST_POSTGRES:?run this under scripts/postgres.sh}"
records="$1" seconds="$2"
shift 2
programs="$(compgen -G '/usr/lib/postgresql/*/bin/pgbench' | sort -V | tail -n1)"

query() { psql "$url" --quiet --no-psqlrc --set=ON_ERROR_STOP=1 "$@"; }
written() { # bytes of WAL and of pages since the server started, everything dirty flushed
  query -Atc 'CHECKPOINT' -Atc "SELECT (SELECT wal_bytes FROM pg_stat_wal)
    + (SELECT (buffers_checkpoint + buffers_clean + buffers_backend) * 8192 FROM pg_stat_bgwriter)"
}

query --file="$here/schema.sql"
query --variable=records="$records" --file="$here/fill.sql"
for clients in "$@"; do
  before="$(written)"
  output="$("$programs" --no-vacuum --protocol=prepared --client="$clients" --jobs=2 --time="$seconds" --file="$here/unit.sql" "$url")"
  after="$(written)"
  units="$(sed -n 's/^number of transactions actually processed: \([0-9]*\).*/\1/p' <<<"$output")"
  rate="$(sed -n 's/^tps = \([0-9.]*\) .*/\1/p' <<<"$output")"
  latency="$(sed -n 's/^latency average = \([0-9.]*\) ms/\1/p' <<<"$output")"
  jq --null-input --compact-output --argjson clients "$clients" --argjson rate "$rate" --argjson latency "$latency" \
    --argjson bytes "$((after - before))" --argjson units "$units" \
    '{clients: $clients, per_second: ($rate | round), mean_ms: $latency, kb_per_unit: ($bytes / 1024 / $units * 10 | round / 10)}'
done
