#!/usr/bin/env bash
# Hot reload: vite serves the console and hands API calls to the server; the server is rebuilt and restarted when a
# source changes. A change that does not compile leaves the old server running.
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

scripts/setup.sh build
console_packages
vite=
server=
stop() { [[ -z "$1" ]] || ! kill -TERM "$1" 2>/dev/null || wait "$1" || true; }
trap 'stop "$server"; stop "$vite"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

changed_at() { find crates Cargo.toml Cargo.lock -type f -printf '%T@\n' | sort -n | tail -n1; }

(cd console && exec node_modules/.bin/vite) &
vite=$!
while :; do
  seen="$(changed_at)"
  if cargo build --package steward-server; then
    stop "$server"
    "$CARGO_TARGET_DIR/debug/steward" serve --data ./steward-data --listen 127.0.0.1:8080 --watch &
    server=$!
  fi
  while [[ "$(changed_at)" == "$seen" ]]; do
    sleep 1
    kill -0 "$vite" 2>/dev/null || fail "vite ended"
  done
done
