#!/usr/bin/env bash
# The quick inner loop: what most often breaks, in the order in which it is cheapest to find out.
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

cargo fmt --all --check
cargo clippy --locked --workspace --all-targets --quiet -- --deny warnings
scripts/console.sh check
