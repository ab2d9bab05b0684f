#!/usr/bin/env bash
# Builds console and release binary, and leaves the binary in target/release/steward wherever cargo builds.
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

scripts/setup.sh build
scripts/console.sh build
cargo build --locked --release --package steward-server
built="$CARGO_TARGET_DIR/release/steward"
wanted="$root/target/release/steward"
if [[ "$(realpath "$built")" != "$(realpath --canonicalize-missing "$wanted")" ]] && ! cmp --silent "$built" "$wanted"; then
  mkdir -p "${wanted%/*}"
  cp "$built" "$wanted.new" # and then a rename: a running server keeps its file
  mv "$wanted.new" "$wanted"
fi
say "built target/release/steward ($(du -h --apparent-size "$wanted" | cut -f1))"
