#!/usr/bin/env bash
# The example of a web application: its types, the cases of its tasks, and the shop in use, with a worker that is killed. The
# host is BRRR_HOST_BIN or target/debug/brrr-host.
. "$(dirname "$0")/../lib.sh"

BRRR_HOST=${BRRR_HOST_BIN:-${CARGO_TARGET_DIR:-$ROOT/target}/debug/brrr-host}
[[ $BRRR_HOST = /* ]] || BRRR_HOST=$PWD/$BRRR_HOST
[ -x "$BRRR_HOST" ] || die "there is no $BRRR_HOST; build it (cargo build -p brrr-host), or set BRRR_HOST_BIN"
export BRRR_HOST

"$ROOT/scripts/guests/python.sh" webshop
say "the cases"
"$BRRR_HOST" test "$GUESTS/python/webshop.wasm" "$ROOT/examples/webshop/cases.toml"
say "the shop"
CHECK=1 "$ROOT/examples/webshop/run.sh"
say "the types"
cd "$ROOT/examples/webshop"
types() { "$BUILD/venv/bin/mypy" --cache-dir "$BUILD/.mypy-webshop" --strict --no-error-summary "$@"; }
MYPYPATH=$ROOT/guests/python/sdk types tasks.py
# With what run.sh has installed for the web application.
MYPYPATH=$ROOT/clients/python/src types --python-executable "$BUILD/venv-webshop/bin/python" -p shop
types --python-executable "$BUILD/venv-webshop/bin/python" check.py
