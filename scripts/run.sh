#!/usr/bin/env bash
# Sets up, builds, and serves ./steward-data; the set-up link is in what the server prints.
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

scripts/build.sh
exec target/release/steward serve --data ./steward-data --listen "${STEWARD_LISTEN:-127.0.0.1:8080}" --watch
