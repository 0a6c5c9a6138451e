#!/usr/bin/env bash
# The real binary under blows: four workers that are killed, frozen and cut off while clients submit jobs; then the verdict.
# BACKEND=sqlite|redis|aws-local, MINUTES=10 (0.5 is half a minute), SEED=n: that run's choices again.
. "$(dirname "$0")/lib.sh"

cd "$ROOT"
backend=${BACKEND:-sqlite}
case $backend in
  sqlite) servers=() ;;
  redis) servers=(redis) ;;
  aws-local) servers=(dynamodb elasticmq) ;;
  *) die "BACKEND=$backend: there are sqlite, redis and aws-local" ;;
esac
"$ROOT/scripts/setup/rust.sh"
for server in ${servers[@]+"${servers[@]}"}; do "$ROOT/scripts/setup/$server.sh"; done
"$ROOT/scripts/guests.sh" rust
BRRR_CHAOS_MINUTES=${MINUTES:-10} BRRR_SEED=${SEED:-} \
  cargo test --workspace --locked --test chaos -- --exact "${backend//-/_}" --nocapture
