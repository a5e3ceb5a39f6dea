#!/usr/bin/env bash
# Sets up what is missing, builds fixtures/demo and runs the image. Said again, the build is answered from the cache.
# usage: demo.sh [BUILD OPTION...]
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh --demo
# A base image of this machine's busybox: nothing has to be pulled.
node scripts/busybox-layout.mjs .strake/demo-base
strake=node_modules/.bin/strake
echo '$ strake build -t almanac fixtures/demo'
"$strake" build -t almanac --build-context busybox=oci-layout://.strake/demo-base "$@" fixtures/demo
echo
echo '$ strake run almanac'
"$strake" run almanac
