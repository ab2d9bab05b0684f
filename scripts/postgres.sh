#!/usr/bin/env bash
# Runs a command beside a private PostgreSQL server and takes the server down whatever happens.
#   scripts/postgres.sh [NAME=VALUE…] COMMAND [ARGUMENT…]
# NAME=VALUE is a server setting (shared_buffers=1GB); the command finds STEWARD_TEST_POSTGRES=postgres://… and, in
# STEWARD_TEST_POSTGRES_CERTIFICATE, the certificate that the server shows to whoever asks for TLS.
# The server listens on a free loopback port, keeps its files in a temporary folder, asks for a password made for this
# run, and never runs as root. Should this script itself be killed, the kernel
# stops server and command (pdeathsig).
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

settings=()
while (($#)) && [[ "$1" =~ ^[a-z_]+= ]]; do
  settings+=(-c "$1")
  shift
done
(($#)) || fail "usage: scripts/postgres.sh [NAME=VALUE…] COMMAND [ARGUMENT…]"
programs="$(compgen -G '/usr/lib/postgresql/*/bin/postgres' | sort -V | tail -n1 || true)"
[[ -n "$programs" ]] || fail "no PostgreSQL server under /usr/lib/postgresql: run scripts/setup.sh test"
programs="${programs%/postgres}"

folder="$(mktemp -d "${TMPDIR:-/tmp}/steward-postgres.XXXXXX")"
server=
command=
take_down() {
  trap '' INT TERM HUP
  if [[ -n "$command" ]] && kill -0 "$command" 2>/dev/null; then
    kill -TERM -- "-$command" 2>/dev/null || true
    wait "$command" || true
  fi
  if [[ -n "$server" ]] && kill -0 "$server" 2>/dev/null; then
    kill -INT "$server" # fast shutdown: sessions are ended, files are left consistent
    wait "$server" || true
  fi
  rm -rf "$folder"
}
trap take_down EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# As root, step down to a user that owns nothing else of ours; setpriv replaces itself, so $! is the server's own id.
confined=(setpriv --pdeathsig INT)
if ((EUID == 0)); then
  user=postgres
  getent passwd postgres >/dev/null || user=nobody
  group="$(id -gn "$user")"
  confined=(setpriv --reuid "$user" --regid "$group" --clear-groups --pdeathsig INT)
  chown "$user:$group" "$folder"
fi

password="$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')"
export LC_ALL=C
printf '%s' "$password" | "${confined[@]}" tee "$folder/password" >/dev/null
(cd "$folder" && "${confined[@]}" "$programs/initdb" --pgdata="$folder/data" --username=steward --pwfile="$folder/password" \
  --auth=scram-sha-256 --encoding=UTF8 --locale=C --no-instructions >"$folder/initdb.log" 2>&1) ||
  { cat "$folder/initdb.log" >&2 && fail "initdb failed"; }

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=steward-test \
  -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=IP:127.0.0.1 \
  -keyout "$folder/data/server.key" -out "$folder/data/server.crt" 2>"$folder/openssl.log" || { cat "$folder/openssl.log" >&2 && fail "openssl failed"; }
chmod 600 "$folder/data/server.key"
((EUID != 0)) || chown "$user:$group" "$folder/data/server.key" "$folder/data/server.crt"

ready() { [[ "$(sed -n 8p "$folder/data/postmaster.pid" 2>/dev/null)" == ready* ]]; }
settled() { ready || ! kill -0 "$server" 2>/dev/null; }
set -m # own process groups: an interrupt at the terminal reaches this script first, which then ends them in order
for _ in 1 2 3 4 5; do
  port=$((20000 + RANDOM % 12000)) # below the range the kernel hands out; a taken port makes the server exit
  (cd "$folder" && exec "${confined[@]}" "$programs/postgres" -D "$folder/data" -p "$port" -k "$folder" \
    -c listen_addresses=127.0.0.1 -c max_connections=200 -c logging_collector=off -c ssl=on "${settings[@]}") >"$folder/server.log" 2>&1 </dev/null &
  server=$!
  wait_until 60 settled || break
  kill -0 "$server" 2>/dev/null && break
done
if ! kill -0 "$server" 2>/dev/null || ! ready; then
  cat "$folder/server.log" >&2
  fail "PostgreSQL did not start"
fi

export STEWARD_TEST_POSTGRES="postgres://steward:$password@127.0.0.1:$port/postgres?sslmode=disable"
export STEWARD_TEST_POSTGRES_CERTIFICATE="$folder/data/server.crt"
setpriv --pdeathsig TERM "$@" <&0 &
command=$!
set +m
status=0
wait "$command" || status=$?
exit "$status"
