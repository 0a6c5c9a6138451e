#!/usr/bin/env bash
# A web shop: a worker with the gateway, and a web application that starts its jobs. Builds what is missing, prints the
# shop's address, and runs until Ctrl-C. A worker that is killed is started again.
#
#   examples/webshop/run.sh
#
# CHECK=1 uses the shop by itself, kills the worker in between, and ends with a status. PORT=8000 is the port of the shop
# (not given: a free one). KEEP=1 keeps the orders of the last time. BRRR_HOST=PATH is a binary that is built already.
. "$(dirname "$0")/../../scripts/lib.sh"

HERE=$ROOT/examples/webshop
STATE=$BUILD/webshop
VENV=$BUILD/venv-webshop

"$ROOT/scripts/guests/python.sh" webshop
host_binary
install_pinned "$VENV" "$HERE/requirements.txt"

# The check counts what is printed, so it begins with an empty store.
if [ -z "${KEEP:-}" ] || [ -n "${CHECK:-}" ]; then rm -rf "$STATE"; fi
mkdir -p "$STATE"
export BRRR_BACKEND=sqlite:$STATE/state.db
# The client of this repository, as it is.
export PYTHONPATH=$HERE:$ROOT/clients/python/src PYTHONDONTWRITEBYTECODE=1
# Only this user can read it, and it is on no command line.
rm -f "$STATE/token"
(umask 077 && "$VENV/bin/python" -c 'import secrets; print(secrets.token_urlsafe(32))' >"$STATE/token")

worker='' shop='' check=''
stop() {
  local process
  for process in "$check" "$shop" "$worker"; do
    if [ -n "$process" ]; then
      kill "$process" 2>/dev/null || true
      wait "$process" 2>/dev/null || true
    fi
  done
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# start_worker PORT: a worker with the gateway on this port, 0 for a free one.
start_worker() {
  "$HOST" run --config "$HERE/brrr.toml" --http "127.0.0.1:$1" --http-token-file "$STATE/token" \
    > >(tee -a "$STATE/worker.out") 2> >(tee -a "$STATE/worker.err" >&2) &
  worker=$!
  echo "$worker" >"$STATE/worker.pid"
}

# address NAME PID FILE PATTERN: the address that a process writes to a file when it is ready.
address() {
  local found=''
  while [ -z "$found" ]; do
    kill -0 "$2" 2>/dev/null || die "$1 has stopped, see above"
    found=$(sed -n "s/.*$4 \(http:[^ ]*\).*/\1/p" "$3")
    sleep 0.1
  done
  echo "$found"
}

# They are there before anybody reads them.
for each in worker.out worker.err shop.out; do : >"$STATE/$each"; done
start_worker 0
# The first time the component is compiled, which takes a while for Python.
gateway=$(address "the worker" "$worker" "$STATE/worker.err" "gateway on")

"$VENV/bin/python" -m shop --gateway "$gateway" --token-file "$STATE/token" --port "${PORT:-0}" >"$STATE/shop.out" &
shop=$!
url=$(address "the shop" "$shop" "$STATE/shop.out" "the shop is on")
say "the shop is on $url (Ctrl-C ends; kill -9 $worker kills the worker, which is then started again)"

if [ -n "${CHECK:-}" ]; then
  "$VENV/bin/python" "$HERE/check.py" "$url" "$STATE/worker.pid" "$STATE/worker.out" &
  check=$!
fi

while :; do
  kill -0 "$shop" 2>/dev/null || die "the shop has stopped, see above"
  if ! kill -0 "$worker" 2>/dev/null; then
    status=0
    wait "$worker" || status=$?
    # Only SIGKILL: a worker that ends by itself would do so again.
    [ "$status" -eq 137 ] || die "the worker has stopped with status $status, see above"
    warn "the worker was killed; it is started again"
    start_worker "${gateway##*:}"
  fi
  if [ -n "$check" ] && ! kill -0 "$check" 2>/dev/null; then
    status=0
    wait "$check" || status=$?
    check=''
    exit "$status"
  fi
  sleep 0.1
done
