#!/usr/bin/env bash
# Makes the pictures of the web page in docs/ui. The binary is BRRR_HOST_BIN or target/debug/brrr-host.
. "$(dirname "$0")/lib.sh"

PICTURES=$ROOT/docs/ui
# The biggest picture that belongs into the repository, in bytes.
MOST=102400

export UI_ALONE=pictures PICTURES BRRR_HOST_BIN=${BRRR_HOST_BIN:-${CARGO_TARGET_DIR:-$ROOT/target}/debug/brrr-host}
"$ROOT/scripts/ui.sh"
"$ROOT/scripts/setup/chromium.sh"
cd "$ROOT/host/ui"
npx --no-install vitest run
find "$PICTURES" -name '*.png' -size "+${MOST}c" | while read -r file; do die "$file is larger than $MOST bytes"; done
