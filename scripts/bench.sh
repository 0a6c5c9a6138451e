#!/usr/bin/env bash
# Figures of this machine, from one run: what a run costs in each language, trees, fan-outs, memory, and how long a user waits.
. "$(dirname "$0")/lib.sh"

cd "$ROOT"
"$ROOT/scripts/setup/rust.sh"
"$ROOT/scripts/guests.sh"
say "building the host for release (some minutes the first time)"
cargo bench --locked -p brrr-host --bench bench -- "$@"
