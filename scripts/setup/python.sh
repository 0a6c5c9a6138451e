#!/usr/bin/env bash
# Makes build/venv: componentize-py for the Python guests, pytest and mypy for their tests.
. "$(dirname "$0")/../lib.sh"

VENV=$BUILD/venv
REQUIREMENTS=$ROOT/guests/python/requirements.txt

have python3 || install_apt python3
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  die "Python 3.11 or newer is needed, python3 is $(python3 --version). Get one from python.org or your package manager"

install_pinned "$VENV" "$REQUIREMENTS"
