#!/usr/bin/env bash
# Builds the JavaScript guests to components: build/guests/javascript/<name>.wasm. Skips those whose inputs are as they
# were.
. "$(dirname "$0")/../lib.sh"

# name=source of each component.
COMPONENTS=(
  conformance=guests/javascript/conformance/app.js
  example=guests/javascript/example/app.js
  mistakes=guests/javascript/mistakes/app.js
  fetch=guests/javascript/example/fetch.js
)
SDK=guests/javascript/sdk
# Whose runtime and compilers it uses.
SHARED=guests/typescript/sdk

"$ROOT/scripts/setup/node.sh"
for each in "${COMPONENTS[@]}"; do
  source=${each#*=}
  component javascript "${each%%=*}" wit "$SDK"/{bin,package.json} "$SHARED"/{src,bin,wit,package-lock.json} \
    "$(dirname "$source")" scripts/guests/javascript.sh -- \
    node "$ROOT/$SDK/bin/build.mjs" "$ROOT/$source" -o
done
say "the JavaScript guests are in build/guests/javascript"
