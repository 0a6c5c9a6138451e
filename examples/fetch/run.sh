#!/usr/bin/env bash
# Surveys a small web site, which it serves itself on loopback: builds the handlers, starts a worker that may send requests
# to that server and nowhere else, makes one job. Ends by itself; the result goes to stdout, everything else to stderr.
#
#   examples/fetch/run.sh
#
# BRRR_HOST=PATH is a binary that is built already.
. "$(dirname "$0")/../../scripts/lib.sh"

HERE=$ROOT/examples/fetch
STATE=$BUILD/fetch
need python3 "It serves the site."
host_binary
"$HOST" build "$HERE" >&2

rm -rf "$STATE"
mkdir -p "$STATE"
export BRRR_BACKEND=sqlite:$STATE/state.db BRRR_TOPIC=fetch

server='' worker='' caller=''
stop() {
  local process
  for process in "$caller" "$worker" "$server"; do
    if [ -n "$process" ]; then
      kill "$process" 2>/dev/null || true
      wait "$process" 2>/dev/null || true
    fi
  done
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# It takes a free port, and says which. The file is there before anybody reads it.
: >"$STATE/server.log"
python3 -u -m http.server --bind 127.0.0.1 --directory "$HERE/site" 0 >"$STATE/server.log" 2>&1 &
server=$!
port=''
while [ -z "$port" ]; do
  kill -0 "$server" 2>/dev/null || die "the server has stopped: $(cat "$STATE/server.log")"
  port=$(sed -n 's/^Serving HTTP on .* port \([0-9]*\) .*/\1/p' "$STATE/server.log")
  sleep 0.05
done

"$HOST" run --allow-http "127.0.0.1:$port" "$HERE" >&2 &
worker=$!
"$HOST" call survey "{\"site\": \"http://127.0.0.1:$port\"}" >"$STATE/result.json" &
caller=$!
# A worker that has gone would keep the call waiting for ever.
while kill -0 "$caller" 2>/dev/null; do
  kill -0 "$worker" 2>/dev/null || die "the worker has stopped, see above"
  sleep 0.1
done
status=0
wait "$caller" || status=$?
caller=''
stop
worker='' server=''
cat "$STATE/result.json"
exit "$status"
