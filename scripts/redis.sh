#!/usr/bin/env bash
# Runs a command beside a private Redis server and takes the server down whatever happens.
#   scripts/redis.sh COMMAND [ARGUMENT…]
# The command finds STEWARD_TEST_REDIS=redis://…; the server listens on a free loopback port, asks for a password made for this run, keeps
# nothing on disk, and never runs as root. Should this script itself be killed, the kernel stops server and command (pdeathsig).
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

(($#)) || fail "usage: scripts/redis.sh COMMAND [ARGUMENT…]"
have redis-server || fail "no redis-server: run scripts/setup.sh test"

folder="$(mktemp -d "${TMPDIR:-/tmp}/steward-redis.XXXXXX")"
server=
command=
take_down() {
  trap '' INT TERM HUP
  if [[ -n "$command" ]] && kill -0 "$command" 2>/dev/null; then
    kill -TERM -- "-$command" 2>/dev/null || true
    wait "$command" || true
  fi
  if [[ -n "$server" ]] && kill -0 "$server" 2>/dev/null; then
    kill -TERM "$server"
    wait "$server" || true
  fi
  rm -rf "$folder"
}
trap take_down EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# As root, step down to a user that owns nothing else of ours; setpriv replaces itself, so $! is the server's own id.
confined=(setpriv --pdeathsig TERM)
if ((EUID == 0)); then
  user=redis
  getent passwd redis >/dev/null || user=nobody
  group="$(id -gn "$user")"
  confined=(setpriv --reuid "$user" --regid "$group" --clear-groups --pdeathsig TERM)
  chown "$user:$group" "$folder"
fi

password="$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')"
ready() { grep -q 'Ready to accept connections' "$folder/server.log"; }
settled() { ready || ! kill -0 "$server" 2>/dev/null; }
set -m # own process groups: an interrupt at the terminal reaches this script first, which then ends them in order
for _ in 1 2 3 4 5; do
  port=$((20000 + RANDOM % 12000)) # below the range the kernel hands out; a taken port makes the server exit
  # The password comes by standard input: arguments can be read by everybody.
  printf 'requirepass %s\nport %s\nbind 127.0.0.1\nsave ""\nappendonly no\nmaxmemory 256mb\nmaxmemory-policy noeviction\ndir %s\n' \
    "$password" "$port" "$folder" >"$folder/settings"
  : >"$folder/server.log"
  (cd "$folder" && exec "${confined[@]}" redis-server -) <"$folder/settings" >"$folder/server.log" 2>&1 &
  server=$!
  wait_until 30 settled || break
  kill -0 "$server" 2>/dev/null && break
done
if ! kill -0 "$server" 2>/dev/null || ! ready; then
  cat "$folder/server.log" >&2
  fail "Redis did not start"
fi

export STEWARD_TEST_REDIS="redis://default:$password@127.0.0.1:$port/0"
setpriv --pdeathsig TERM "$@" <&0 &
command=$!
set +m
status=0
wait "$command" || status=$?
exit "$status"
