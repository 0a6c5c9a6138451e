#!/usr/bin/env bash
# The TypeScript SDK's unit tests and its type check, in Node: no component, no host.
. "$(dirname "$0")/../lib.sh"

"$ROOT/scripts/setup/node.sh"
cd "$ROOT/guests/typescript/sdk"
npx --no-install tsc --noEmit -p tsconfig.json
node --test --test-reporter=dot test/*.test.mjs
