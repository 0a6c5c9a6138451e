#!/usr/bin/env bash
# Every test, from nothing: the guests of all languages, their own tests, the host's, and the demo.
. "$(dirname "$0")/lib.sh"

cd "$ROOT"
"$ROOT/scripts/setup/rust.sh"
for tool in redis valkey dynamodb elasticmq faketime; do
  "$ROOT/scripts/setup/$tool.sh"
done
"$ROOT/scripts/guests.sh"
for language in rust python javascript typescript go c cpp; do
  "$ROOT/scripts/test/$language.sh"
done
# One build for the demo and the tests: what the tests need besides would make cargo build some crates again.
say "building the host and its tests (several minutes the first time)"
cargo test --workspace --locked --no-run
say "the demo"
for backend in sqlite aws-local; do
  CHECK=1 BACKEND=$backend PORT=${DEMO_PORT:-18080} BRRR_HOST=${CARGO_TARGET_DIR:-$ROOT/target}/debug/brrr-host "$ROOT/scripts/demo.sh"
done
# Last, so that its summary is what one sees.
say "the host"
cargo test --workspace --locked --no-fail-fast
