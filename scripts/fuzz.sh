#!/usr/bin/env bash
# Runs every fuzz target for a while, guided by coverage, on the stable toolchain; what it finds stays in fuzz/artifacts.
#   scripts/fuzz.sh [SECONDS] [TARGET…]      60 seconds each, all targets
# `-C passes=sancov-module` is what cargo-fuzz passes with `--sanitizer none`; the address sanitizer would need a nightly toolchain, and our
# code has no `unsafe` for it to look at.
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

seconds="${1:-60}"
shift || true
targets=("$@")
((${#targets[@]})) || mapfile -t targets < <(find fuzz/fuzz_targets -name '*.rs' -printf '%f\n' | sed 's/\.rs$//' | sort)
triple="$(rustc -vV | sed -n 's/^host: //p')"
export RUSTFLAGS="--cfg fuzzing -C passes=sancov-module -C llvm-args=-sanitizer-coverage-level=4 \
  -C llvm-args=-sanitizer-coverage-inline-8bit-counters -C llvm-args=-sanitizer-coverage-pc-table"
# Naming the target keeps the flags off build scripts.
cargo build --locked --manifest-path fuzz/Cargo.toml --release --target "$triple"
built="$CARGO_TARGET_DIR/$triple/release"
scratch="$(mktemp -d "$([[ -d /dev/shm ]] && echo /dev/shm || echo "${TMPDIR:-/tmp}")/steward-fuzz.XXXXXX")"
trap 'rm -rf "$scratch"' EXIT
mkdir -p fuzz/corpus fuzz/artifacts
"$built/seeds" fuzz/corpus
failed=()
for target in "${targets[@]}"; do
  say "fuzzing $target for $seconds s"
  mkdir -p "fuzz/corpus/$target" "fuzz/artifacts/$target"
  log="fuzz/artifacts/$target/log"
  if TMPDIR="$scratch" "$built/$target" "fuzz/corpus/$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 \
    -artifact_prefix="fuzz/artifacts/$target/" -print_final_stats=1 -print_funcs=0 -verbosity=0 >"$log" 2>&1; then
    sed -n 's/^stat::number_of_executed_units: */  inputs tried: /p; s/^stat::peak_rss_mb: */  most memory, MB: /p' "$log" >&2
  else
    tail -n 60 "$log" >&2
    failed+=("$target")
  fi
  rm -rf "${scratch:?}"/*
done
((${#failed[@]} == 0)) || fail "found something: ${failed[*]}; the inputs are below fuzz/artifacts"
