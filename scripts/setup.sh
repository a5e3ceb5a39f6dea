#!/usr/bin/env bash
# Installs and builds what is missing. Says nothing and takes a moment where nothing is.
# usage: setup.sh [--demo|--tests]
#   --demo    and what the demo needs (busybox, to make a base image of)
#   --tests   and what the tests need: compiled tests, a registry, tools to compare with
# As root on Debian packages are installed with apt-get; elsewhere the missing ones are named.
set -euo pipefail
cd "$(dirname "$0")/.."
mode=${1:-}
case $mode in '' | --demo | --tests) ;; *) sed -n '3,5s/^# //p' "$0" >&2; exit 2 ;; esac
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

say() { printf '%s\n' "$*" >&2; }

node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' 2>/dev/null || {
  say "Node 20.19 or newer is needed; found: $(node --version 2>/dev/null || echo none)"
  exit 1
}

# --- npm packages: as package-lock.json has them
stamp=node_modules/.strake-stamp
lock=$(sha256sum <package-lock.json)
if [ "$(cat "$stamp" 2>/dev/null)" != "$lock" ]; then
  # npm writes node_modules/.package-lock.json last: newer than the lock means that somebody has run npm install
  if [ ! node_modules/.package-lock.json -nt package-lock.json ]; then
    say 'Installing npm packages ...'
    npm ci --no-audit --no-fund --loglevel=error >&2
  fi
  printf '%s\n' "$lock" >"$stamp"
fi

# --- programs of the system
missing=()
need() { command -v "$1" >/dev/null || missing+=("$2"); }
command -v crun >/dev/null || need runc runc
[ -z "$mode" ] || need busybox busybox-static
if [ "$mode" = --tests ]; then
  need runc runc
  need newuidmap uidmap
  need docker-registry docker-registry
  need skopeo skopeo
  need mmdebstrap mmdebstrap
  need git git
  need python3 python3
  need zstd zstd
  need xz xz-utils
  need setfattr attr
  need setcap libcap2-bin
  command -v cc >/dev/null || missing+=(gcc libc6-dev)
fi
if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "Installing ${missing[*]} ..."
    install() { DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null; }
    install 2>/dev/null || { apt-get update -q >/dev/null && install; } || say "apt-get could not install ${missing[*]}; going on without."
    [ ! -x /etc/init.d/docker-registry ] || /etc/init.d/docker-registry stop >/dev/null 2>&1 || true
  else
    say "Not installed: ${missing[*]}. (As root on Debian: apt-get install ${missing[*]})"
  fi
fi

# --- the command, and for the tests everything
mkdir -p .strake
outdated() { # STAMP PATH...: whether anything below the paths is newer than the stamp
  local mark=$1
  shift
  [ ! -e "$mark" ] || [ -n "$(find "$@" -newer "$mark" -print -quit 2>/dev/null)" ]
}
sources=(packages/*/src packages/*/package.json scripts/bundle.mjs node_modules/.strake-stamp)
if [ ! -e packages/cli/dist/strake.cjs ] || outdated .strake/bundled "${sources[@]}"; then
  touch .strake/bundling
  node scripts/bundle.mjs
  mv .strake/bundling .strake/bundled
fi
if [ "$mode" = --tests ] && outdated .strake/compiled "${sources[@]}" packages/*/test packages/*/tsconfig.json e2e/test tsconfig*.json; then
  touch .strake/compiling
  node_modules/.bin/tsc -b
  mv .strake/compiling .strake/compiled
fi
