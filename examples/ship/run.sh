#!/usr/bin/env bash
# Ships code to a worker that runs: pushes a shop, changes it while an order waits, pushes it again, rolls back, and makes a
# call that brings its code along. Checks what comes out, and ends by itself.
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
export BRRR_BACKEND=sqlite:$STATE/state.db BRRR_TOPIC=shop
cd "$STATE"

"$HOST" run --accept-code >&2 &
worker=$!
stop() {
  kill "$worker" 2>/dev/null || true
  wait "$worker" 2>/dev/null || true
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

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
