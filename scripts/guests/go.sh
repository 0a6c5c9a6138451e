#!/usr/bin/env bash
# Builds the Go guests to components: build/guests/go/<name>.wasm. Skips those whose inputs are as they were.
. "$(dirname "$0")/../lib.sh"

"$ROOT/scripts/setup/go.sh"
for package in conformance example example/fetch; do
  component go "$(basename "$package")" "guests/go/$package" guests/go/{brrr,cmd,go.mod,go.sum} guests/python/requirements.txt \
    scripts/guests/go.sh -- \
    env WASM_TOOLS="$BUILD/venv/bin/wasm-tools" "$BUILD/go/brrr-build" -C "$ROOT/guests/go/$package" -o
done
say "the Go guests are in build/guests/go"
