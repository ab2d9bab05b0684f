#!/usr/bin/env bash
# Starts the FastAPI peer, measures it with the same load generator, and stops it; prints one JSON line per figure.
#   bench/peers/fastapi/measure.sh VENV SECONDS threads|loop
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
venv="$1" seconds="$2"
export PEER_HANDLERS="$3"
: "${CARGO_TARGET_DIR:?}"
folder="$(mktemp -d)"
port=$((32000 + RANDOM % 700))
PEER_KEY="$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')"
printf '%s' "$PEER_KEY" >"$folder/token"
export PEER_KEY PEER_DATABASE="$folder/projects.sqlite"

server=
trap '[[ -z "$server" ]] || { kill "$server" && wait "$server" || true; }; rm -rf "$folder"' EXIT
trap 'exit 143' TERM INT HUP
began="${EPOCHREALTIME/./}"
cd "$here"
PYTHONDONTWRITEBYTECODE=1 "$venv/bin/uvicorn" service:app --workers 1 --host 127.0.0.1 --port "$port" --no-access-log --log-level warning &
server=$!
until curl --silent --fail --output /dev/null "http://127.0.0.1:$port/livez"; do
  kill -0 "$server"
  sleep 0.005
done
printf '{"workload":"start","milliseconds":%d}\n' $(((${EPOCHREALTIME/./} - began) / 1000))
sleep 5
awk '/^VmRSS:/ { printf "{\"workload\":\"idle\",\"rss_mb\":%.1f}\n", $2 / 1024 }' "/proc/$server/status"

load() { "$CARGO_TARGET_DIR/release/steward-bench" http "$@" --seconds "$seconds" --url "http://127.0.0.1:$port" --token-file "$folder/token" --pid "$server"; }
load create --connections 1
load create --connections 64
load get --connections 16
load list --connections 16
load pages --connections 16
