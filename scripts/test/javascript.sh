#!/usr/bin/env bash
# The JavaScript SDK's tests, in Node: no component, no host. What it shares with TypeScript is tested there.
. "$(dirname "$0")/../lib.sh"

"$ROOT/scripts/setup/node.sh" javascript
cd "$ROOT/guests/javascript/sdk"
node --test --test-reporter=dot test/*.test.mjs
