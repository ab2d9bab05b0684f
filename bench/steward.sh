#!/usr/bin/env bash
# Measures a served Steward; prints one JSON line per figure.
#   scripts/served.sh -- bench/steward.sh SECONDS
set -euo pipefail
seconds="$1"
: "${STEWARD_TEST_URL:?run this under scripts/served.sh}" "${STEWARD_TEST_PID:?}" "${STEWARD_TEST_DATA:?}" "${STEWARD_TEST_BINARY:?}" "${CARGO_TARGET_DIR:?}"

sleep 5 # what it keeps when nobody asks for anything
awk '/^VmRSS:/ { printf "{\"workload\":\"idle\",\"rss_mb\":%.1f}\n", $2 / 1024 }' "/proc/$STEWARD_TEST_PID/status"

od -An -N16 -tx1 /dev/urandom | tr -d ' \n' |
  "$STEWARD_TEST_BINARY" admin bootstrap --data "$STEWARD_TEST_DATA" --tenant bench --owner owner@example.org --password-stdin >&2
token="$(mktemp)"
trap 'rm -f "$token"' EXIT
"$STEWARD_TEST_BINARY" admin api-key --data "$STEWARD_TEST_DATA" --tenant bench --permissions 'admin:*' >"$token"

load() { "$CARGO_TARGET_DIR/release/steward-bench" http "$@" --seconds "$seconds" --url "$STEWARD_TEST_URL" --token-file "$token" --pid "$STEWARD_TEST_PID"; }
load create --connections 1
load create --connections 64
load get --connections 16
load list --connections 16
load pages --connections 16
load ingest --connections 4
load otlp-logs --connections 4
load otlp-metrics --connections 4
# From a request to its event on an open stream, one after another.
"$CARGO_TARGET_DIR/release/steward-bench" live --url "$STEWARD_TEST_URL" --token-file "$token"
