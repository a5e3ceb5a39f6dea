#!/usr/bin/env bash
# Runs the tests, after setting up what they need. The last line is `N passed, N failed`; exit status 1 where any failed.
# usage: test.sh [FOLDER|FILE.test.ts ...]   (default: all of packages/*/test and, beside them, of e2e/test)
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh --tests

run() { # FOLDER|FILE...
  # Only tests whose source is there: tsc leaves those of removed sources in dist.
  mapfile -t files < <(find "$@" -name '*.test.ts' | sort | sed -E 's#^(packages/[^/]+|e2e)/test/(.*)\.ts$#\1/dist/test/\2.js#')
  exec node_modules/.bin/mocha --reporter scripts/reporter.cjs "${files[@]}"
}

[ $# = 0 ] || run "$@"

# The tests of the whole wait much, for processes, disks and time limits: they run beside those of the packages.
output=$(mktemp -d)
trap 'rm -rf "$output"' EXIT
(run e2e/test) >"$output/whole" 2>&1 &
whole=$!
trap 'kill "$whole" 2>/dev/null || true; rm -rf "$output"' EXIT
status=0
(run packages/*/test) 2>&1 | tee "$output/packages" || status=1
wait "$whole" || status=1
cat "$output/whole"
tail -qn 1 "$output/packages" "$output/whole" | awk '
  /^[0-9]+ passed, [0-9]+ failed$/ { passed += $1; failed += $3; ended++ }
  END { printf "\n%d passed, %d failed\n", passed, failed + (ended < 2) }'
exit "$status"
