#!/usr/bin/env bash
# The Python client: its wheel, its types (mypy and pyright, strict), and its tests against the real binary, which is
# BRRR_HOST_BIN or target/debug/brrr-host. Arguments go to pytest.
. "$(dirname "$0")/../lib.sh"

VENV=$BUILD/venv-client-python
CLIENT=$ROOT/clients/python
REQUIREMENTS=$CLIENT/requirements.txt
BRRR_HOST_BIN=${BRRR_HOST_BIN:-${CARGO_TARGET_DIR:-$ROOT/target}/debug/brrr-host}
# The tests run in another folder.
[[ $BRRR_HOST_BIN = /* ]] || BRRR_HOST_BIN=$PWD/$BRRR_HOST_BIN
export BRRR_HOST_BIN
# pyright is fetched into the build folder too, and takes the Node of its own package.
export PYTHONDONTWRITEBYTECODE=1 PYRIGHT_PYTHON_CACHE_DIR=$VENV/pyright PYRIGHT_PYTHON_GLOBAL_NODE=off

[ -x "$BRRR_HOST_BIN" ] || die "there is no $BRRR_HOST_BIN; build it (cargo build -p brrr-host), or set BRRR_HOST_BIN"
[ -f "$GUESTS/rust/rust-conformance.wasm" ] || "$ROOT/scripts/guests.sh" rust
# Without these its tests skip a backend, and say so.
for tool in redis dynamodb; do
  "$ROOT/scripts/setup/$tool.sh" || { [ -z "${CI:-}" ] || die "scripts/setup/$tool.sh failed"; warn "the tests that need what scripts/setup/$tool.sh installs are skipped"; }
done

have python3 || install_apt python3
python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
  die "Python 3.10 or newer is needed, python3 is $(python3 --version). Get one from python.org or your package manager"
install_pinned "$VENV" "$REQUIREMENTS"

say "the wheel"
WHEELS=$(mktemp -d)
trap 'rm -r "$WHEELS"' EXIT
# Without isolation: the pinned build backend is in the venv already.
"$VENV/bin/pip" wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir "$WHEELS" "$CLIENT" >&2
# The tests run with what users install, not with the sources.
"$VENV/bin/pip" install --quiet --disable-pip-version-check --no-deps --no-index --force-reinstall "$WHEELS"/brrr_client-*.whl >&2

cd "$CLIENT"
say "the types"
"$VENV/bin/mypy" --cache-dir "$BUILD/.mypy-client" --no-error-summary
"$VENV/bin/pyright" --pythonpath "$VENV/bin/python" --warnings >&2
say "the tests"
"$VENV/bin/pytest" -q -p no:cacheprovider "$@"
