#!/usr/bin/env bash
# Builds the C++ guests to components: build/guests/cpp/<name>.wasm. Skips those whose inputs are as they were.
. "$(dirname "$0")/../lib.sh"

"$ROOT/scripts/setup/c.sh"
export WASM_TOOLS=$BUILD/venv/bin/wasm-tools
for name in conformance example; do
  component cpp "$name" wit guests/c/sdk guests/cpp/sdk "guests/cpp/$name" scripts/guests/cpp.sh -- \
    "$ROOT/guests/c/sdk/bin/brrr-cc" -Wall -Wextra -Werror "$ROOT/guests/cpp/$name"/*.cpp -o
done
say "the C++ guests are in build/guests/cpp"
