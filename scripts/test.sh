#!/usr/bin/env bash
# Every test, from nothing: the guests of all languages, their own tests, the host's, and the demo. LINT=1: `make lint` too.
. "$(dirname "$0")/lib.sh"

cd "$ROOT"
# Each line of progress tells the time.
BEGUN=$(date +%s)
export BEGUN
"$ROOT/scripts/setup/rust.sh"

# The host is built beside the guests: most of their tools use one core, and wait for downloads.
LOG=$BUILD/test/host.log
mkdir -p "$BUILD/test"
build_host() {
  # The binary embeds it.
  "$ROOT/scripts/ui.sh"
  # One build for the demo and the tests: what the tests need besides would make cargo build some crates again.
  cargo test --workspace --locked --no-run
}
say "building the host and its tests beside the guests (several minutes the first time); its output follows"
(build_host) >"$LOG" 2>&1 &
host=$!
trap 'kill $host 2>/dev/null || true' EXIT

for tool in redis valkey dynamodb elasticmq faketime prometheus registry; do
  "$ROOT/scripts/setup/$tool.sh"
done
"$ROOT/scripts/guests.sh"
for language in rust python javascript typescript go c cpp; do
  "$ROOT/scripts/test/$language.sh"
done

say "the build of the host"
wait $host || { cat "$LOG" >&2; die "the host and its tests can't be built, see above"; }
trap - EXIT
cat "$LOG" >&2

# Beside the clients, which wait most of the time. It comes after the build, for cargo does one thing at a time in a folder.
if [ -n "${LINT:-}" ]; then
  "$ROOT/scripts/lint.sh" >"$BUILD/test/lint.log" 2>&1 &
  lint=$!
  trap 'kill "$lint" 2>/dev/null || true' EXIT
fi
for client in python typescript; do
  "$ROOT/scripts/test/client_$client.sh"
done
"$ROOT/scripts/test/api.sh"
"$ROOT/scripts/test/ui.sh"
"$ROOT/scripts/test/webshop.sh"
say "the example of code that is shipped"
BRRR_HOST=${CARGO_TARGET_DIR:-$ROOT/target}/debug/brrr-host "$ROOT/examples/ship/run.sh"
say "the demo"
for backend in sqlite aws-local; do
  CHECK=1 BACKEND=$backend PORT=${DEMO_PORT:-18080} BRRR_HOST=${CARGO_TARGET_DIR:-$ROOT/target}/debug/brrr-host "$ROOT/scripts/demo.sh"
done
if [ -n "${LINT:-}" ]; then
  say "the lint"
  wait "$lint" || { cat "$BUILD/test/lint.log" >&2; die "the lint has found something, see above"; }
  trap - EXIT
  cat "$BUILD/test/lint.log" >&2
fi
# Last, so that its summary is what one sees.
say "the host"
"$ROOT/scripts/test/suites.py"
