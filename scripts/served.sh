#!/usr/bin/env bash
# Runs a command beside a fresh Steward with its own data folder and a free port, and stops it afterwards.
#   scripts/served.sh [FLAG FOR serve…] -- COMMAND [ARGUMENT…]
# The command finds STEWARD_TEST_URL, STEWARD_TEST_SETUP_LINK, STEWARD_TEST_DATA, STEWARD_BACKUP_DIR, STEWARD_TEST_PID and STEWARD_TEST_BINARY. Set STEWARD_TEST_BINARY beforehand to
# serve another build than the debug one. Should the server not stop with exit code 0, this fails although the command passed.
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

flags=()
while (($#)) && [[ "$1" != -- ]]; do
  flags+=("$1")
  shift
done
(($# > 1)) || fail "usage: scripts/served.sh [FLAG…] -- COMMAND [ARGUMENT…]"
shift
export STEWARD_TEST_BINARY="${STEWARD_TEST_BINARY:-$CARGO_TARGET_DIR/debug/steward}"
[[ -x "$STEWARD_TEST_BINARY" ]] || fail "no binary at $STEWARD_TEST_BINARY: run cargo build --package steward-server"

folder="$(mktemp -d "${TMPDIR:-/tmp}/steward-served.XXXXXX")"
export STEWARD_TEST_DATA="$folder/data" STEWARD_BACKUP_DIR="$folder/backups"
touch "$folder/stdout" "$folder/log"
server=
command=
alive() { [[ -n "$1" ]] && kill -0 "$1" 2>/dev/null; }
gone() { ! alive "$server"; }
take_down() {
  trap '' INT TERM HUP
  if alive "$command"; then
    kill -TERM -- "-$command" 2>/dev/null || true
    wait "$command" || true
  fi
  if alive "$server"; then
    kill -TERM "$server"
    wait_until 30 gone || kill -KILL "$server"
  fi
  rm -rf "$folder"
}
trap take_down EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

set -m
setpriv --pdeathsig TERM "$STEWARD_TEST_BINARY" serve --data "$STEWARD_TEST_DATA" --listen 127.0.0.1:0 "${flags[@]}" \
  >"$folder/stdout" 2>"$folder/log" </dev/null &
server=$!
ready() { grep -q '^ready http' "$folder/stdout"; }
settled() { ready || gone; }
wait_until 60 settled || true
ready || { cat "$folder/log" >&2 && fail "the server did not become ready"; }
STEWARD_TEST_URL="$(sed -n 's/^ready \(http[^ ]*\).*/\1/p' "$folder/stdout" | head -n1)"
STEWARD_TEST_URL="${STEWARD_TEST_URL%/}"
STEWARD_TEST_SETUP_LINK="$("$STEWARD_TEST_BINARY" setup-link --data "$STEWARD_TEST_DATA")"
export STEWARD_TEST_URL STEWARD_TEST_SETUP_LINK STEWARD_TEST_PID="$server"

setpriv --pdeathsig TERM "$@" <&0 &
command=$!
set +m
status=0
wait "$command" || status=$?
if ((status != 0)); then
  say "warnings and errors that the server logged:"
  grep -E "\"level\":\"(WARN|ERROR)\"" "$folder/log" | tail -n 40 >&2 || true
  exit "$status"
fi
gone && { tail -n 40 "$folder/log" >&2 && fail "the server ended while the command ran"; }
kill -TERM "$server"
wait_until 30 gone || fail "the server did not stop within 30 s of SIGTERM"
wait "$server" || fail "the server stopped with exit code $?"
