#!/usr/bin/env bash
# The browser tests of console/e2e against a served Steward that nobody has set up yet.
#   scripts/served.sh --watch -- scripts/test-e2e.sh
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

: "${STEWARD_TEST_URL:?run this as: scripts/served.sh --watch -- scripts/test-e2e.sh}" "${STEWARD_TEST_SETUP_LINK:?}"
export STEWARD_URL="$STEWARD_TEST_URL" STEWARD_SETUP_LINK="$STEWARD_TEST_SETUP_LINK"
exec scripts/console.sh e2e
