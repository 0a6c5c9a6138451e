#!/usr/bin/env bash
# Figures of this machine, from one run: what a run costs in each language, trees, fan-outs, memory, and how long a user waits.
. "$(dirname "$0")/lib.sh"

cd "$ROOT"
"$ROOT/scripts/setup/rust.sh"
"$ROOT/scripts/guests.sh"
say "building the host for release (some minutes the first time)"
# The binary embeds the page.
"$ROOT/scripts/ui.sh"
bench=(cargo bench --locked -p brrr-host --bench bench)
"${bench[@]}" --no-run
if [ "${1:-}" != page ]; then "${bench[@]}" -- "$@"; fi
if [ $# -eq 0 ] || [ "$1" = page ]; then
  "$ROOT/scripts/setup/chromium.sh"
  "$ROOT/scripts/setup/redis.sh"
  say "the first view of the web page"
  export UI_ALONE=first_view BRRR_HOST_BIN=${CARGO_TARGET_DIR:-$ROOT/target}/release/brrr-host
  (cd "$ROOT/host/ui" && npx --no-install vitest run --disable-console-intercept)
fi
