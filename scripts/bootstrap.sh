#!/bin/sh
# Runs a script of this project with the Bun that package-lock.json pins, installing it first when needed.
# Usage: sh scripts/bootstrap.sh SCRIPT.ts [ARG ...]   (needs sh, node and npm, nothing else)
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
stamp="$root/node_modules/.sociable-lock"

if ! cmp -s "$root/package-lock.json" "$stamp"; then
  echo "Installing the pinned dependencies (npm ci --ignore-scripts)" >&2
  (cd "$root" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2)
  cp "$root/package-lock.json" "$stamp"
fi

bun=
for name in bun-linux-x64 bun-linux-aarch64; do
  if [ -x "$root/node_modules/@oven/$name/bin/bun" ]; then bun="$root/node_modules/@oven/$name/bin/bun"; fi
done
if [ -z "$bun" ]; then
  echo "bootstrap: no Bun for $(uname -s) $(uname -m): want linux on x86_64 or aarch64" >&2
  exit 1
fi
exec "$bun" "$@"
