#!/usr/bin/env bash
# The web page: its types, its lint, its units, and its views in a real browser, against the real binary with the real guest. The
# binary is BRRR_HOST_BIN or target/debug/brrr-host. It must have the page: scripts/ui.sh builds the page, cargo then embeds it.
#
# scripts/test/ui.sh -t TEXT       only the tests whose names have the text
# scripts/test/ui.sh types         writes host/ui/src/api/schema.d.ts anew, after the API has changed
#
# With UI_DIST=host/ui/dist the tests look at the page of that folder instead of the binary's, so cargo need not run after a change.
. "$(dirname "$0")/../lib.sh"

UI=$ROOT/host/ui
SCHEMA=$UI/src/api/schema.d.ts
export BRRR_HOST_BIN=${BRRR_HOST_BIN:-${CARGO_TARGET_DIR:-$ROOT/target}/debug/brrr-host}
[[ $BRRR_HOST_BIN = /* ]] || BRRR_HOST_BIN=$PWD/$BRRR_HOST_BIN
if [ -n "${UI_DIST:-}" ]; then UI_DIST=$(realpath "$UI_DIST"); fi

"$ROOT/scripts/ui.sh"
[ -x "$BRRR_HOST_BIN" ] || die "there is no $BRRR_HOST_BIN; build it (cargo build -p brrr-host), or set BRRR_HOST_BIN"
if [ ! -f "$GUESTS/rust/rust-page.wasm" ] || [ ! -f "$GUESTS/rust/rust-hello.wasm" ]; then "$ROOT/scripts/guests.sh" rust; fi
FOLDER=$(mktemp -d)
: >"$FOLDER/log"
(cd "$FOLDER" && exec "$BRRR_HOST_BIN" serve --topic shop --http 127.0.0.1:0 --backend sqlite:store.db 2>log) &
gateway=$!
trap 'kill $gateway 2>/dev/null || true; wait $gateway 2>/dev/null || true; rm -rf "$FOLDER"' EXIT
url=
while [ -z "$url" ]; do
  kill -0 $gateway 2>/dev/null || { cat "$FOLDER/log" >&2; die "the gateway has ended, see above"; }
  url=$(sed -n 's|.*on \(http://[0-9.:]*\).*|\1|p' "$FOLDER/log")
  sleep 0.1
done
get() { node -e 'fetch(process.argv[1]).then((answer) => answer.text()).then((text) => process.stdout.write(text))' "$1"; }

cd "$UI"
say "the types of the documents"
get "$url/v1/openapi.json" >"$FOLDER/openapi.json"
npx --no-install openapi-typescript "$FOLDER/openapi.json" -o "$FOLDER/schema.d.ts" >/dev/null
if [ "${1:-}" = types ]; then
  cp "$FOLDER/schema.d.ts" "$SCHEMA"
  exit
fi
cmp -s "$FOLDER/schema.d.ts" "$SCHEMA" || die "the API has changed: run scripts/test/ui.sh types, and look at the difference"
# A binary with an older page would pass or fail for the wrong reason.
if [ -z "${UI_DIST:-}" ]; then
  get "$url/ui/" >"$FOLDER/index.html"
  cmp -s "$FOLDER/index.html" dist/index.html || die "$BRRR_HOST_BIN does not have this page; build it again (cargo build -p brrr-host)"
fi
npx --no-install tsc
npx --no-install oxlint --deny-warnings

"$ROOT/scripts/setup/chromium.sh"
say "the page in a browser"
npx --no-install vitest run "$@"
