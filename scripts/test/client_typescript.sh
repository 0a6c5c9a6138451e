#!/usr/bin/env bash
# The TypeScript client: its type check, and its tests against the real brrr-host, in Node, Deno, Bun and Chromium.
# BRRR_HOST_BIN and BRRR_CONFORMANCE_WASM name another brrr-host and conformance guest than those that are built here.
. "$(dirname "$0")/../lib.sh"

CLIENT=$ROOT/clients/typescript

"$ROOT/scripts/setup/node.sh" alone
# Without these its tests skip a runtime, and say so.
for tool in js_runtimes chromium; do
  "$ROOT/scripts/setup/$tool.sh" || { [ -z "${CI:-}" ] || die "scripts/setup/$tool.sh failed"; warn "the tests of the TypeScript client go on without what scripts/setup/$tool.sh installs"; }
done

cd "$CLIENT"
if ! cmp -s package-lock.json node_modules/.installed-lock; then
  say "installing the tools of the TypeScript client"
  npm ci --no-progress --loglevel=error >&2 || die "npm could not install clients/typescript/package-lock.json; see its message above"
  cp package-lock.json node_modules/.installed-lock
fi
rm -rf dist build/test
# As `npm pack` does.
npm run --silent prepack
npx --no-install tsc -p test/tsconfig.json

export BRRR_HOST_BIN=${BRRR_HOST_BIN:-${CARGO_TARGET_DIR:-$ROOT/target}/debug/brrr-host}
export BRRR_CONFORMANCE_WASM=${BRRR_CONFORMANCE_WASM:-$GUESTS/rust/rust-conformance.wasm}
for file in "$BRRR_HOST_BIN" "$BRRR_CONFORMANCE_WASM"; do
  [ -f "$file" ] || die "$file is not there; cargo build -p brrr-host makes the host, scripts/guests/rust.sh the conformance guest"
done
log=$BUILD/test/client_typescript.log
mkdir -p "$BUILD/test"
node --test --test-reporter=spec build/test/*.test.js | tee "$log" || {
  # After the failures once more, so that it is what one sees last.
  grep '^ℹ [a-z_]* [0-9.]*$' "$log"
  exit 1
}
