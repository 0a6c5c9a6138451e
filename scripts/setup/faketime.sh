#!/usr/bin/env bash
# Makes sure that a test can start a program with a clock that is wrong: libfaketime.
. "$(dirname "$0")/../lib.sh"

have faketime || install_apt faketime
