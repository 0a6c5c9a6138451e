#!/usr/bin/env bash
# The OpenAPI document of the gateway: is it valid, and does the gateway do what it says? Requests of every shape are sent to the
# real binary, which is BRRR_HOST_BIN or target/debug/brrr-host. No answer may be a 5xx, or other than the document says.
. "$(dirname "$0")/../lib.sh"

VENV=$BUILD/venv-api
REQUIREMENTS=$ROOT/tests/api/requirements.txt
HOST=${BRRR_HOST_BIN:-${CARGO_TARGET_DIR:-$ROOT/target}/debug/brrr-host}
COMPONENT=$GUESTS/rust/rust-conformance.wasm

[ -x "$HOST" ] || die "there is no $HOST; build it (cargo build -p brrr-host), or set BRRR_HOST_BIN"
[ -f "$COMPONENT" ] || "$ROOT/scripts/guests.sh" rust
install_pinned "$VENV" "$REQUIREMENTS"

FOLDER=$(mktemp -d)
cd "$FOLDER"
: >worker.log
export BRRR_PUSH_TOKEN=push-0123456789abcdef
"$HOST" run --topic demo --http 127.0.0.1:0 "$COMPONENT" 2>worker.log &
worker=$!
trap 'kill $worker 2>/dev/null || true; wait $worker 2>/dev/null || true; rm -rf "$FOLDER"' EXIT
url=
while [ -z "$url" ]; do
  kill -0 $worker 2>/dev/null || { cat worker.log >&2; die "the worker has ended, see above"; }
  url=$(sed -n 's|.*gateway on \(http://[0-9.:]*\).*|\1|p' worker.log)
  sleep 0.1
done
"$VENV/bin/python" -c 'import sys, urllib.request; sys.stdout.buffer.write(urllib.request.urlopen(sys.argv[1]).read())' \
  "$url/v1/openapi.json" >openapi.json
say "the document"
"$VENV/bin/openapi-spec-validator" openapi.json
say "the gateway against the document"
# The stream of all events has no end. Some rules can't be part of a schema (for example that a deadline has not passed), so a valid
# request may be refused.
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$ROOT/tests/api SCHEMATHESIS_HOOKS=hooks "$VENV/bin/schemathesis" run openapi.json --url "$url" --max-examples 25 --exclude-path-regex '^/v1/events$' \
  -H "authorization: Bearer $BRRR_PUSH_TOKEN" --exclude-checks positive_data_acceptance --suppress-health-check all --request-timeout 10
