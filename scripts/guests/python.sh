#!/usr/bin/env bash
# Builds the Python guests to components, about 15 s each: build/guests/python/<name>.wasm. Skips those whose inputs are
# as they were.
. "$(dirname "$0")/../lib.sh"

# name=source of each component. With an argument, the one of that name alone.
COMPONENTS=(
  demo=examples/demo/python/app.py
  conformance=guests/python/conformance/app.py
  changes-before=guests/python/changes/before.py
  changes-after=guests/python/changes/after.py
  example=guests/python/example/app.py
  mistakes=guests/python/mistakes/app.py
  fetch=guests/python/example/fetch.py
  smoothie=examples/smoothie/python/app.py
  webshop=examples/webshop/tasks.py
)
SDK=guests/python/sdk

"$ROOT/scripts/setup/python.sh"
for each in "${COMPONENTS[@]}"; do
  [ "${1:-${each%%=*}}" = "${each%%=*}" ] || continue
  source=${each#*=}
  folder=$(dirname "$source")
  # Beside the tasks of the shop is the web application, which is no part of the component.
  [ "$folder" != examples/webshop ] || folder=$source
  component python "${each%%=*}" wit "$SDK/brrr" "$folder" guests/python/requirements.txt \
    scripts/guests/python.sh -- \
    env PYTHONPATH="$ROOT/$SDK" "$BUILD/venv/bin/python" -m brrr.build "$ROOT/$source" -o
done
say "the Python guests are in build/guests/python"
