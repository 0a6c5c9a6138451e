#!/usr/bin/env bash
# Ships code to a worker that runs: pushes a shop, changes it while an order waits, pushes it again, rolls back, and makes a
# call that brings its code along, as a component and as a function of Python. Checks what comes out, and ends by itself.
#
#   examples/ship/run.sh
#
# BRRR_HOST=PATH is a binary that is built already.
. "$(dirname "$0")/../../scripts/lib.sh"

HERE=$ROOT/examples/ship
STATE=$BUILD/ship
host_binary

rm -rf "$STATE"
mkdir -p "$STATE/shop"
cp -r "$HERE/Cargo.toml" "$HERE/Cargo.lock" "$HERE/src" "$STATE/shop"
install_pinned "$BUILD/venv-ship" "$HERE/requirements.txt"
export BRRR_BACKEND=sqlite:$STATE/state.db BRRR_TOPIC=shop
cd "$STATE"
# Who has this token may ship code through the gateway.
(umask 077 && od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >push-token)

# It is read at once, perhaps before the worker has opened it.
: >worker.log
"$HOST" run --accept-code --http 127.0.0.1:0 --push-token-file push-token 2>worker.log >&2 &
worker=$!
stop() {
  kill "$worker" 2>/dev/null || true
  wait "$worker" 2>/dev/null || true
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

url=
until [ -n "$url" ]; do
  kill -0 "$worker" 2>/dev/null || { cat worker.log >&2; die "the worker has ended, see above"; }
  url=$(sed -n 's|.*gateway on \(http://[0-9.:]*\).*|\1|p' worker.log)
  sleep 0.1
done

# order ITEM: starts an order; its job's id.
order() { "$HOST" schedule order "{\"item\": \"$1\"}" --output json | sed 's/.*"job": *"\([^"]*\)".*/\1/;t;d'; }

# bill JOB: approves an order, and waits for its bill.
bill() {
  "$HOST" resolve "$1" approval true
  until "$HOST" read --job "$1" 2>/dev/null; do
    kill -0 "$worker" || die "the worker has stopped, see above"
    sleep 0.1
  done
}

# expect WHAT GOT WANTED
expect() {
  say "$1: $2"
  [ "$2" = "$3" ] || die "it should be: $3"
}

say "the first revision"
"$HOST" push shop --note 'in francs'
tea=$(order tea)

say "the shop changes, while an order waits"
sed -i 's/"francs"/"euros"/' shop/src/lib.rs
"$HOST" push shop --note 'in euros'
coffee=$(order coffee)
expect "an order of the second revision" "$(bill "$coffee")" 'coffee for 60 euros'
expect "the order that began before" "$(bill "$tea")" 'tea for 30 francs'

say "a mistake: it would change what calls gave before"
sed -i 's/len() \* 10/len() * 12/' shop/src/lib.rs
if "$HOST" push shop --verify 100; then die "it should not be pushed"; fi

say "back to francs"
"$HOST" deploy rollback 1
expect "an order after the rollback" "$(bill "$(order cake)")" 'cake for 40 francs'
"$HOST" deploy list

say "a call that brings its code along"
expect "the price in the code of this folder" "$("$HOST" call --with shop price '{"item": "bread"}')" 60
say "the same code again: nothing is sent"
"$HOST" call --with shop price '{"item": "butter"}'

say "a function of Python with a package that the worker has never seen"
# The token goes through the environment: other users can read a command line.
report=$(BRRR_HTTP_TOKEN=$(cat push-token) BRRR_URL=$url BRRR_HOST=$HOST XDG_CACHE_HOME=$BUILD/ship-cache \
  PYTHONPATH=$ROOT/clients/python/src PYTHONDONTWRITEBYTECODE=1 "$BUILD/venv-ship/bin/python" "$HERE/report.py")
echo "$report"
expect "the second table" "$(grep -c '^| cake   |       40 |$' <<<"$report")" 1
