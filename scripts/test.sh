#!/usr/bin/env bash
# Runs the tests, after setting up what they need. The last line is `N passed, N failed`; exit status 1 where any failed.
# usage: test.sh [FOLDER|FILE.test.ts ...]   (default: all of packages/*/test and e2e/test)
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh --tests
[ $# -gt 0 ] || set -- packages/*/test e2e/test
# Only tests whose source is there: tsc leaves those of removed sources in dist.
mapfile -t files < <(find "$@" -name '*.test.ts' | sort | sed -E 's#^(packages/[^/]+|e2e)/test/(.*)\.ts$#\1/dist/test/\2.js#')
exec node_modules/.bin/mocha --reporter scripts/reporter.cjs "${files[@]}"
