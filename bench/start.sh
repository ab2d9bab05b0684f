#!/usr/bin/env bash
# Starts a Steward five times on one data folder and prints the median from start to the line that says it is ready.
#   bench/start.sh BINARY
set -euo pipefail
folder="$(mktemp -d)"
server=
trap '[[ -z "$server" ]] || { kill "$server" && wait "$server" || true; }; rm -rf "$folder"' EXIT
trap 'exit 143' TERM INT HUP
for _ in 1 2 3 4 5; do
  mkfifo "$folder/stdout"
  began="${EPOCHREALTIME/./}"
  "$1" serve --data "$folder/data" --listen 127.0.0.1:0 >"$folder/stdout" 2>/dev/null </dev/null &
  server=$!
  exec 3<"$folder/stdout"
  until read -r -t 30 line <&3 && [[ "$line" == ready* ]]; do kill -0 "$server"; done
  echo $(((${EPOCHREALTIME/./} - began) / 1000)) >>"$folder/milliseconds"
  kill "$server"
  wait "$server" || true # how it ends is for tests to judge
  server=
  exec 3<&-
  rm "$folder/stdout"
done
printf '{"workload":"start","milliseconds":%d}\n' "$(sort -n "$folder/milliseconds" | sed -n 3p)"
