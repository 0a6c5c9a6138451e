#!/usr/bin/env bash
# Very many calls through one worker: its memory at 10,000 calls and at the end, and what a call costs in the store.
# BACKEND=sqlite|redis, CALLS=1000000, SEED=n.
. "$(dirname "$0")/lib.sh"

cd "$ROOT"
backend=${BACKEND:-sqlite}
case $backend in
  sqlite) ;;
  redis) "$ROOT/scripts/setup/redis.sh" ;;
  *) die "BACKEND=$backend: there are sqlite and redis" ;;
esac
"$ROOT/scripts/setup/rust.sh"
"$ROOT/scripts/guests.sh" rust
BRRR_SOAK_CALLS=${CALLS:-1000000} BRRR_SEED=${SEED:-} \
  cargo test --workspace --locked --test chaos -- --exact "soak_$backend" --ignored --nocapture
