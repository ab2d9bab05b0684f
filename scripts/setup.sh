#!/usr/bin/env bash
# Installs by package name what this machine lacks; does nothing, quickly, when all is there.
#   scripts/setup.sh build   what it takes to build and run
#   scripts/setup.sh test    that, and what the tests need
#   scripts/setup.sh bench   what the measurements need
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

purpose="${1:-build}"
rust_needed=1.95
node_needed=20.19
packages=()
missing=()

need() { # PACKAGE COMMAND…: the package is needed unless the command succeeds
  local package="$1"
  shift
  "$@" >/dev/null 2>&1 || packages+=("$package")
}
at_least() { # VERSION MINIMUM
  [[ "$(printf '%s\n' "$2" "$1" | sort -V | head -n1)" == "$2" ]]
}
server_programs() { compgen -G '/usr/lib/postgresql/*/bin/postgres'; }

need build-essential have cc
need build-essential have make
if [[ "$purpose" != build ]]; then
  need postgresql server_programs
  need openssl have openssl
  need python3 have python3
  need python3-venv python3 -c 'import ensurepip, venv'
fi
if [[ "$purpose" == test ]]; then
  need shellcheck have shellcheck
  need redis-server have redis-server
  need python3-aiosmtpd /usr/bin/python3 -c 'import aiosmtpd'
  need chromium have chromium
  need faketime have faketime
  need strace have strace
fi
if [[ "$purpose" == bench ]]; then
  need jq have jq
  need curl have curl
fi

if ((${#packages[@]})); then
  mapfile -t packages < <(printf '%s\n' "${packages[@]}" | sort -u)
  have apt-get || fail "this machine lacks ${packages[*]} and has no apt-get: install them, then run this again"
  as_root=()
  if ((EUID != 0)); then
    have sudo || fail "this machine lacks ${packages[*]}: as root, run: apt-get install ${packages[*]}"
    as_root=(sudo)
  fi
  say "installing with apt-get: ${packages[*]}"
  "${as_root[@]}" apt-get -qq update </dev/null
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends "${packages[@]}" </dev/null >&2
fi

rust="$(rustc --version 2>/dev/null | cut -d' ' -f2 || true)"
if [[ -z "$rust" ]]; then
  missing+=("Rust $rust_needed: install rustup from https://rustup.rs, then run: rustup toolchain install $rust_needed")
elif ! at_least "${rust%%-*}" "$rust_needed"; then
  missing+=("Rust $rust_needed (found $rust): run: rustup update stable")
elif [[ "$purpose" == test ]] && ! { cargo fmt --version && cargo clippy --version; } >/dev/null 2>&1; then
  have rustup || fail "rustfmt and clippy are missing: install them beside rustc $rust"
  rustup component add rustfmt clippy
fi

node="$(node --version 2>/dev/null | tr -d v || true)"
if [[ -z "$node" ]]; then
  missing+=("Node $node_needed with npm: see https://nodejs.org/en/download or https://github.com/nodesource/distributions")
elif ! at_least "$node" "$node_needed"; then
  missing+=("Node $node_needed (found $node): see https://nodejs.org/en/download")
elif ! have npm; then
  missing+=("npm, which belongs to Node $node_needed")
fi

if ((${#missing[@]})); then
  say "this machine still needs:"
  printf '  %s\n' "${missing[@]}" >&2
  exit 1
fi
