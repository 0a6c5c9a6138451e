#!/usr/bin/env bash
# Makes Deno and Bun usable, in which the TypeScript client is tested: clients/typescript/test/runtimes/node_modules.
. "$(dirname "$0")/../lib.sh"

RUNTIMES=$ROOT/clients/typescript/test/runtimes

need npm "Run scripts/setup/node.sh first."
# The copy says what is installed: npm takes a second or two to find out that there is nothing to do.
if ! cmp -s "$RUNTIMES/package-lock.json" "$RUNTIMES/node_modules/.installed-lock"; then
  say "installing Deno and Bun (200 MB)"
  (cd "$RUNTIMES" && npm ci --no-progress --loglevel=error >&2) ||
    die "npm could not install clients/typescript/test/runtimes/package-lock.json; see its message above"
  cp "$RUNTIMES/package-lock.json" "$RUNTIMES/node_modules/.installed-lock"
fi
