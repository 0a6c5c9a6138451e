#!/usr/bin/env bash
# Every test, from nothing: the guests of all languages, their own tests, the host's, and the demo.
. "$(dirname "$0")/lib.sh"

cd "$ROOT"
"$ROOT/scripts/setup/rust.sh"
"$ROOT/scripts/guests.sh"
for language in rust python typescript; do
  "$ROOT/scripts/test/$language.sh"
done
say "the demo"
CHECK=1 PORT=${DEMO_PORT:-18080} "$ROOT/scripts/demo.sh"
# Last, so that its summary is what one sees. The demo has built everything that it shares with this.
say "the host"
cargo test --workspace --locked
