#!/usr/bin/env bash
# Writes what is generated from the code and committed: the files under api/ and the console's types. Tests fail when these differ.
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

STEWARD_TEST_UPDATE=1 cargo test --locked --package steward-server --test it generated
scripts/console.sh generate
