#!/usr/bin/env bash
# Runs the tests, after setting up what they need. The last line is `N passed, N failed`; exit status 1 where any failed.
# usage: test.sh [FOLDER|FILE.test.ts ...]   (default: all)
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh --tests

compiled_tests() { # FOLDER|FILE...: only tests whose source is there, as tsc leaves those of removed sources in dist
  find "$@" -name '*.test.ts' | sort | sed -E 's#^(packages/[^/]+|e2e)/test/(.*)\.ts$#\1/dist/test/\2.js#'
}

run() { # FOLDER|FILE...
  mapfile -t files < <(compiled_tests "$@")
  exec node_modules/.bin/mocha --reporter scripts/reporter.cjs "${files[@]}"
}

[ $# = 0 ] || run "$@"

# Tests wait much, for processes, disks and time limits: two halves side by side, about as long as one another.
long=(e2e/test/matrix.test.ts e2e/test/side-by-side.test.ts)
first=(packages/*/test "${long[@]}")
mapfile -t second < <(find e2e/test -maxdepth 1 -name '*.test.ts' | grep -vxF -f <(printf '%s\n' "${long[@]}"))
output=$(mktemp -d)
trap 'rm -rf "$output"' EXIT
(run "${second[@]}") >"$output/second" 2>&1 &
other=$!
trap 'kill "$other" 2>/dev/null || true; rm -rf "$output"' EXIT
status=0
(run "${first[@]}") 2>&1 | tee "$output/first" || status=1
wait "$other" || status=1
cat "$output/second"
tail -qn 1 "$output/first" "$output/second" | awk '
  /^[0-9]+ passed, [0-9]+ failed$/ { passed += $1; failed += $3; ended++ }
  END { printf "\n%d passed, %d failed\n", passed, failed + (ended < 2) }'
exit "$status"
