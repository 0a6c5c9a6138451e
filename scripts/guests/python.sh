#!/usr/bin/env bash
# Builds the Python guests to components: build/guests/python/<name>.wasm. Skips those whose inputs are as they were.
. "$(dirname "$0")/../lib.sh"

# name=source of each component.
COMPONENTS=(
  demo=examples/demo/python/app.py
  conformance=guests/python/conformance/app.py
  example=guests/python/example/app.py
  smoothie=examples/smoothie/python/app.py
)
SDK=guests/python/sdk

"$ROOT/scripts/setup/python.sh"

digest() { if have sha256sum; then sha256sum; else shasum -a 256; fi; }

# One hash of all that goes into a component: $1 is its folder.
fingerprint() {
  (
    cd "$ROOT"
    find wit "$SDK/brrr" "$1" guests/python/requirements.txt scripts/guests/python.sh -type f ! -name '*.pyc' |
      LC_ALL=C sort | while read -r file; do echo "$file"; cat "$file"; done
  ) | digest
}

mkdir -p "$GUESTS/python"
for component in "${COMPONENTS[@]}"; do
  name=${component%%=*} source=${component#*=}
  target=$GUESTS/python/$name.wasm stamp=$GUESTS/python/.$name.inputs
  inputs=$(fingerprint "$(dirname "$source")")
  if [ -f "$target" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$inputs" ]; then continue; fi
  say "building $source (about 15 s)"
  scratch=$(mktemp -d)
  PYTHONPATH=$ROOT/$SDK "$BUILD/venv/bin/python" -m brrr.build "$ROOT/$source" -o "$scratch/$name.wasm" ||
    die "$source could not be built"
  put "$scratch/$name.wasm" "$target"
  rm -r "$scratch"
  echo "$inputs" >"$stamp"
done
say "the Python guests are in build/guests/python"
