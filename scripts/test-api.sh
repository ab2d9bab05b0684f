#!/usr/bin/env bash
# The OpenAPI document under three validators, and every operation of a served Steward under schemathesis.
#   scripts/served.sh -- scripts/test-api.sh [ARGUMENT FOR schemathesis…]
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

: "${STEWARD_TEST_URL:?run this as: scripts/served.sh -- scripts/test-api.sh}" "${STEWARD_TEST_DATA:?}" "${STEWARD_TEST_BINARY:?}"
python="$(python_packages scripts/openapi/requirements.txt)"
node="$(node_packages scripts/openapi)/node_modules/.bin"
export REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true SCHEMATHESIS_HOOKS=

"$python/bin/openapi-spec-validator" api/openapi.json
"$node/redocly" lint --config scripts/openapi/redocly.yaml api/openapi.json
"$node/spectral" lint --quiet --fail-severity warn --ruleset scripts/openapi/spectral.yaml api/openapi.json

password="$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')"
"$STEWARD_TEST_BINARY" admin bootstrap --data "$STEWARD_TEST_DATA" --tenant fuzzed --owner owner@example.org --password-stdin <<<"$password" >&2
key() { "$STEWARD_TEST_BINARY" admin api-key --data "$STEWARD_TEST_DATA" --tenant "$1" --permissions "$2"; }

cd "$(mktemp -d "${TMPDIR:-/tmp}/steward-fuzz.XXXXXX")"
trap 'rm -rf "$PWD"' EXIT
fuzz() { # KEY ARGUMENT…
  "$python/bin/schemathesis" --config-file "$root/scripts/openapi/schemathesis.toml" run "$STEWARD_TEST_URL/api/openapi.json" \
    --header "Authorization: Bearer $1" --checks all "${@:2}" </dev/null
}
# Streams do not end, so a client that waits for the whole answer cannot judge them; their own tests do. Tenants are looked
# after in the operator tenant only.
fuzz "$(key fuzzed 'admin:*')" --exclude-path-regex '/(stream|tail)$|^/api/v1/tenants' "$@"
fuzz "$(key operator 'admin:*,tenants:*')" --include-path-regex '^/api/v1/tenants' "$@"
