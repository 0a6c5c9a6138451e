#!/usr/bin/env bash
# The Python SDK's unit tests (pytest) and its type check (mypy), natively: no component, no host.
. "$(dirname "$0")/../lib.sh"

"$ROOT/scripts/setup/python.sh"
cd "$ROOT/guests/python"
export PYTHONDONTWRITEBYTECODE=1 MYPYPATH=$ROOT/guests/python/sdk
"$BUILD/venv/bin/mypy" --cache-dir "$BUILD/.mypy" --strict --no-error-summary sdk/brrr
for app in tests/typed.py {conformance,example}/app.py changes/{before,after}.py "$ROOT"/examples/{demo,smoothie}/python/app.py \
  "$ROOT/host/templates/python/app.py"; do
  "$BUILD/venv/bin/mypy" --cache-dir "$BUILD/.mypy" --strict --no-error-summary "$app"
done
"$BUILD/venv/bin/pytest" -q -p no:cacheprovider tests "$@"
