#!/usr/bin/env bash
# Makes the TypeScript SDK's tools usable: esbuild, tsc and componentize-qjs in guests/typescript/sdk/node_modules.
. "$(dirname "$0")/../lib.sh"

SDK=$ROOT/guests/typescript/sdk

if ! have node || ! have npm; then install_apt nodejs npm; fi
node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' ||
  die "Node 20 or newer is needed, this is $(node --version). Get one from nodejs.org, or by a version manager such as nvm"

# The copy says what is installed: npm takes a second or two to find out that there is nothing to do.
# Not `npm ci`: componentize-qjs names builds for platforms that were never published; npm leaves those out of the lock
# file and then finds it incomplete. `install --no-save` takes the locked versions and leaves the lock as it is.
if ! cmp -s "$SDK/package-lock.json" "$SDK/node_modules/.installed-lock"; then
  say "installing the TypeScript tools"
  (cd "$SDK" && npm install --no-save --no-progress --loglevel=error >&2) ||
    die "npm could not install guests/typescript/sdk/package-lock.json; see its message above"
  cp "$SDK/package-lock.json" "$SDK/node_modules/.installed-lock"
fi
