#!/bin/sh
# Runs a script of this project with the Bun that package-lock.json pins, installing it first when needed.
# Usage: sh scripts/bootstrap.sh SCRIPT.ts [ARG ...]   (needs sh, node and npm, nothing else)
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
lock="$root/package-lock.json"
stamp="$root/node_modules/.sociable-lock"

find_bun() {
  for name in bun-linux-x64 bun-linux-aarch64; do
    if [ -x "$root/node_modules/@oven/$name/bin/bun" ]; then
      echo "$root/node_modules/@oven/$name/bin/bun"
      return
    fi
  done
}

# Whether node_modules holds what the lock file says, for whoever ran "npm ci" by hand: npm writes
# node_modules/.package-lock.json last. Packages for other platforms are optional and not there.
is_installed() {
  node - "$root" 2>/dev/null <<'SCRIPT'
const { readFileSync } = require("node:fs");
const packagesOf = (path) => JSON.parse(readFileSync(`${process.argv[2]}/${path}`, "utf8")).packages;
const installed = packagesOf("node_modules/.package-lock.json");
const isMissing = ([path, { integrity, optional }]) =>
  path !== "" && !(optional && !installed[path]) && installed[path]?.integrity !== integrity;
process.exit(Object.entries(packagesOf("package-lock.json")).some(isMissing) ? 1 : 0);
SCRIPT
}

install() {
  if ! command -v npm >/dev/null; then
    echo "bootstrap: npm is missing; on Debian, as root: apt-get install -y --no-install-recommends npm" >&2
    exit 1
  fi
  echo "Installing the pinned dependencies (npm ci --ignore-scripts)" >&2
  # npm cannot do without a cache it can write to.
  if [ -z "${npm_config_cache:-}" ] || [ ! -w "$npm_config_cache" ]; then
    if [ ! -w "${HOME:-/nonexistent}" ]; then
      npm_config_cache="$root/node_modules/.npm-cache"
      npm_config_logs_max=0
      export npm_config_cache npm_config_logs_max
    fi
  fi
  (cd "$root" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2)
}

if ! cmp -s "$lock" "$stamp" || [ -z "$(find_bun)" ]; then
  if [ -z "$(find_bun)" ] || ! is_installed; then install; fi
  # Without the stamp, as in a read-only checkout, the next run compares again.
  cp "$lock" "$stamp" 2>/dev/null || true
fi

bun=$(find_bun)
if [ -z "$bun" ]; then
  echo "bootstrap: no Bun for $(uname -s) $(uname -m): want Linux on x86_64 or aarch64" >&2
  exit 1
fi
exec "$bun" "$@"
