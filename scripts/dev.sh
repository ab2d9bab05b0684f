#!/usr/bin/env bash
# Hot reload: vite serves the console on port 5173 and hands API calls to the server; the server is rebuilt and restarted
# when a source changes. A change that does not compile leaves the old server running.
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

api=127.0.0.1:8080
console=http://127.0.0.1:5173
# The server prints links to the console that it carries, which here is old or absent.
to_vite() { sed --unbuffered "s|http://$api/console|$console/console|"; }
alive() { [[ -n "$1" ]] && kill -0 "$1" 2>/dev/null; }

(cd console && STEWARD_DEV_SERVER="http://$api" exec node_modules/.bin/vite --host 127.0.0.1 --strictPort) &
vite=$!
while :; do
  seen="$(changed_at)"
  if cargo build --package steward-server; then
    stop "$server"
    "$CARGO_TARGET_DIR/debug/steward" serve --data ./steward-data --listen "$api" --watch > >(to_vite) &
    server=$!
  fi
  while [[ "$(changed_at)" == "$seen" ]]; do
    sleep 1
    alive "$vite" || fail "vite ended"
    if [[ -n "$server" ]] && ! alive "$server"; then
      say "the server ended; it is started again when a source changes"
      server=
    fi
  done
done
