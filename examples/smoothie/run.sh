#!/usr/bin/env bash
# Makes a smoothie: a worker on a store of its own, one job, its result and its events. Ends by itself.
#
#   examples/smoothie/run.sh [JOB.json]
#
# BRRR_HOST=PATH is a binary that is built already. The result goes to stdout, everything else to stderr; the events
# stay in build/smoothie/events.jsonl.
. "$(dirname "$0")/../../scripts/lib.sh"

JOB=${1:-$ROOT/examples/smoothie/smoothie.json}
STATE=$BUILD/smoothie
EVENTS=$STATE/events.jsonl

[ -f "$JOB" ] || die "there is no job file $JOB; give the path of one"
"$ROOT/scripts/guests.sh" rust python typescript
host_binary

rm -rf "$STATE"
mkdir -p "$STATE"
export BRRR_BACKEND=sqlite:$STATE/state.db

worker='' caller=''
stop() {
  if [ -n "$caller" ]; then kill "$caller" 2>/dev/null || true; fi
  # The worker finishes what it is at, and has then written all events.
  if [ -n "$worker" ]; then
    kill "$worker" 2>/dev/null || true
    wait "$worker" 2>/dev/null || true
  fi
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

"$HOST" run --topic kitchen --events "$EVENTS" \
  "$GUESTS"/{rust/rust-dag,python/smoothie,typescript/smoothie}.wasm >&2 &
worker=$!

# The call waits for the worker, which compiles the components first; one that has gone would keep it waiting for ever.
"$HOST" call --topic kitchen dag "@$JOB" >"$STATE/result.json" &
caller=$!
while kill -0 "$caller" 2>/dev/null; do
  kill -0 "$worker" 2>/dev/null || die "the worker has stopped, see above"
  sleep 0.1
done
status=0
wait "$caller" || status=$?
caller=''
stop
worker=''

say "the events, in $EVENTS"
cat "$EVENTS" >&2
if [ "$status" -eq 0 ]; then say "the result"; else warn "the call ended with status $status, see above"; fi
cat "$STATE/result.json"
exit "$status"
