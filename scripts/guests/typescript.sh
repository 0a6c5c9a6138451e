#!/usr/bin/env bash
# Builds the TypeScript guests to components: build/guests/typescript/<name>.wasm. Skips those whose inputs are as they
# were.
. "$(dirname "$0")/../lib.sh"

# name=source of each component. With an argument, the one of that name alone.
COMPONENTS=(
  demo=examples/demo/typescript/app.ts
  conformance=guests/typescript/conformance/app.ts
  changes-before=guests/typescript/changes/before.ts
  changes-after=guests/typescript/changes/after.ts
  example=guests/typescript/example/app.ts
  fetch=guests/typescript/example/fetch.ts
  smoothie=examples/smoothie/typescript/app.ts
)
SDK=guests/typescript/sdk

"$ROOT/scripts/setup/node.sh"
for each in "${COMPONENTS[@]}"; do
  [ "${1:-${each%%=*}}" = "${each%%=*}" ] || continue
  source=${each#*=}
  component typescript "${each%%=*}" wit "$SDK"/{src,bin,wit,package.json,package-lock.json,tsconfig.guest.json} \
    "$(dirname "$source")" scripts/guests/typescript.sh -- \
    node "$ROOT/$SDK/bin/build.mjs" "$ROOT/$source" -o
done
say "the TypeScript guests are in build/guests/typescript"
