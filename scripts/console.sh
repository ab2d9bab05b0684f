#!/usr/bin/env bash
# Runs scripts of console/package.json after making sure its packages are installed.
#   scripts/console.sh SCRIPT…       `build` is skipped while nothing it reads has changed
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

(($#)) || fail "usage: scripts/console.sh SCRIPT…"
console_packages
inputs() {
  find console api -type f -not -path '*/node_modules/*' -not -path 'console/dist/*' -not -path '*/test-results/*' \
    -not -path '*/playwright-report/*' -print0 | sort -z | xargs -0 sha256sum | sha256sum
}
for script in "$@"; do
  stamp=console/node_modules/.steward-build
  if [[ "$script" == build && -f console/dist/index.html && "$(cat "$stamp" 2>/dev/null)" == "$(inputs)" ]]; then
    say "console: unchanged since it was built"
    continue
  fi
  npm --prefix console run --silent "$script"
  [[ "$script" != build ]] || inputs >"$stamp"
done
