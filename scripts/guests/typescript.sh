#!/usr/bin/env bash
# Builds the TypeScript guests to components: build/guests/typescript/<name>.wasm. Skips those whose inputs are as they
# were.
. "$(dirname "$0")/../lib.sh"

# name=source of each component.
COMPONENTS=(
  demo=examples/demo/typescript/app.ts
  conformance=guests/typescript/conformance/app.ts
  example=guests/typescript/example/app.ts
  smoothie=examples/smoothie/typescript/app.ts
)
SDK=guests/typescript/sdk

"$ROOT/scripts/setup/node.sh"

digest() { if have sha256sum; then sha256sum; else shasum -a 256; fi; }

# One hash of all that goes into a component: $1 is its folder.
fingerprint() {
  (
    cd "$ROOT"
    find wit "$SDK"/{src,bin,wit,package-lock.json,tsconfig.guest.json} "$1" scripts/guests/typescript.sh -type f |
      LC_ALL=C sort | while read -r file; do echo "$file"; cat "$file"; done
  ) | digest
}

mkdir -p "$GUESTS/typescript"
for component in "${COMPONENTS[@]}"; do
  name=${component%%=*} source=${component#*=}
  target=$GUESTS/typescript/$name.wasm stamp=$GUESTS/typescript/.$name.inputs
  inputs=$(fingerprint "$(dirname "$source")")
  if [ -f "$target" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$inputs" ]; then continue; fi
  say "building $source"
  scratch=$(mktemp -d)
  node "$ROOT/$SDK/bin/build.mjs" "$ROOT/$source" -o "$scratch/$name.wasm" || die "$source could not be built"
  put "$scratch/$name.wasm" "$target"
  rm -r "$scratch"
  echo "$inputs" >"$stamp"
done
say "the TypeScript guests are in build/guests/typescript"
