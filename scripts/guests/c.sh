#!/usr/bin/env bash
# Builds the C guests to components: build/guests/c/<name>.wasm. Skips those whose inputs are as they were.
. "$(dirname "$0")/../lib.sh"

"$ROOT/scripts/setup/c.sh"
"$ROOT/scripts/guests/c-bindings.sh" --check
export WASM_TOOLS=$BUILD/venv/bin/wasm-tools
for name in conformance example; do
  component c "$name" wit guests/c/sdk "guests/c/$name" scripts/guests/c.sh -- \
    "$ROOT/guests/c/sdk/bin/brrr-cc" -std=gnu11 -Wall -Wextra -Werror "$ROOT/guests/c/$name"/*.c -o
done
say "the C guests are in build/guests/c"
