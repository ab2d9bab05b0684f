#!/usr/bin/env bash
# Everything CI checks, in the order in which it is cheapest to find out. Each stage is a command that runs alone, too.
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

export INSTA_UPDATE=no # a snapshot that differs is a failure, never a new file
passed=0
failed=()
started=$SECONDS

stage() { # NAME COMMAND…
  local name="$1" began=$SECONDS
  shift
  say "" "=== $name"
  if "$@" </dev/null; then
    passed=$((passed + 1))
    say "--- $name: passed in $((SECONDS - began)) s"
  else
    failed+=("$name")
    say "--- $name: FAILED after $((SECONDS - began)) s: $*"
  fi
}
absent() { say "" "=== $1: absent, $2 does not exist yet"; }

say "=== set-up"
scripts/setup.sh test

stage "scripts" shellcheck scripts/*.sh .ci/run
stage "format" cargo fmt --all --check
stage "lint" cargo clippy --locked --workspace --all-targets -- --deny warnings

if [[ -f console/package.json ]]; then
  stage "console: types and rules" scripts/console.sh check
  stage "console: unit tests" scripts/console.sh test
  stage "console: build and size" scripts/console.sh build size
else
  absent "console" console/package.json
fi

if [[ -f crates/server/Cargo.toml ]]; then
  stage "server: build" cargo build --locked --package steward-server
fi
stage "workspace: tests on SQLite, PostgreSQL and Redis" scripts/postgres.sh scripts/redis.sh cargo test --locked --workspace --no-fail-fast --quiet

if [[ -f crates/server/Cargo.toml ]]; then
  stage "API: document and fuzzing" scripts/served.sh -- scripts/test-api.sh --generation-deterministic
else
  absent "API" crates/server/Cargo.toml
fi
if [[ -f crates/server/Cargo.toml && -f console/playwright.config.ts ]]; then
  stage "browser: end to end" scripts/served.sh --watch -- scripts/test-e2e.sh
else
  absent "browser: end to end" "crates/server/Cargo.toml or console/playwright.config.ts"
fi

say "" "$passed stages passed, ${#failed[@]} failed in $(((SECONDS - started) / 60)) min $(((SECONDS - started) % 60)) s"
((${#failed[@]} == 0)) || { printf 'failed: %s\n' "${failed[@]}" >&2 && exit 1; }
