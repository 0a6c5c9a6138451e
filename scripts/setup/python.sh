#!/usr/bin/env bash
# Makes build/venv: componentize-py for the Python guests, pytest and mypy for their tests.
. "$(dirname "$0")/../lib.sh"

VENV=$BUILD/venv
REQUIREMENTS=$ROOT/guests/python/requirements.txt

have python3 || install_apt python3
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  die "Python 3.11 or newer is needed, python3 is $(python3 --version). Get one from python.org or your package manager"

if [ ! -x "$VENV/bin/pip" ]; then
  # Debian packages what venv needs separately.
  python3 -c 'import ensurepip, venv' 2>/dev/null || install_apt python3-venv
  say "making build/venv"
  mkdir -p "$BUILD"
  python3 -m venv "$VENV" || die "python3 -m venv failed, see above"
fi

# The copy says what is installed: pip takes a second to find out that there is nothing to do.
if ! cmp -s "$REQUIREMENTS" "$VENV/.requirements"; then
  say "installing the Python tools"
  "$VENV/bin/pip" install --quiet --disable-pip-version-check -r "$REQUIREMENTS" >&2 ||
    die "pip could not install guests/python/requirements.txt; see its message above"
  cp "$REQUIREMENTS" "$VENV/.requirements"
fi
