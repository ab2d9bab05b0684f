# shellcheck shell=bash
# Sourced by every script: where things are, how a script talks, how it waits.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cache="${XDG_CACHE_HOME:-${HOME:?}/.cache}/steward"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$cache/target}"
mkdir -p "$cache" "$CARGO_TARGET_DIR"
cd "$root"

say() { printf '%s\n' "$*" >&2; }
fail() {
  say "error: $*"
  exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# wait_until SECONDS COMMAND…: tries until it succeeds; fails when the time is up.
wait_until() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < end)) || return 1
    sleep 0.1
  done
}

# digest FILE…: a short name for exactly these contents, so that a cached installation is never stale.
digest() { cat "$@" | sha256sum | cut -c1-16; }

# console_packages: what console/package-lock.json names, installed once per lock file.
console_packages() {
  local stamp="$root/console/node_modules/.steward-lock"
  local wanted
  wanted="$(digest "$root/console/package-lock.json")"
  [[ "$(cat "$stamp" 2>/dev/null)" == "$wanted" ]] && return
  (cd "$root/console" && npm ci --ignore-scripts --no-audit --no-fund)
  printf '%s' "$wanted" >"$stamp"
}

# python_packages FILE: prints the folder of a virtual environment that holds exactly the pinned requirements of FILE.
python_packages() {
  local venv
  venv="$cache/python-$(digest "$1")"
  if [[ ! -f "$venv/complete" ]]; then
    rm -rf "$venv"
    python3 -m venv "$venv" >&2
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-input --requirement "$1" >&2
    touch "$venv/complete"
  fi
  printf '%s\n' "$venv"
}

# node_packages DIR: prints a folder whose node_modules holds exactly what the lock file in DIR names.
node_packages() {
  local folder
  folder="$cache/node-$(digest "$1/package.json" "$1/package-lock.json")"
  if [[ ! -f "$folder/complete" ]]; then
    rm -rf "$folder"
    mkdir -p "$folder"
    cp "$1/package.json" "$1/package-lock.json" "$folder/"
    (cd "$folder" && npm ci --ignore-scripts --no-audit --no-fund >&2)
    touch "$folder/complete"
  fi
  printf '%s\n' "$folder"
}
