#!/usr/bin/env bash
# Makes the tools of the TypeScript and JavaScript SDKs usable: esbuild, componentize-qjs and tsc, in
# guests/typescript/sdk/node_modules. With the argument `javascript` without tsc, which JavaScript has no need of; with the
# argument `alone` just Node and npm.
. "$(dirname "$0")/../lib.sh"

SDK=$ROOT/guests/typescript/sdk

if ! have node || ! have npm; then install_apt nodejs npm; fi
node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' ||
  die "Node 20 or newer is needed, this is $(node --version). Get one from nodejs.org, or by a version manager such as nvm"
if [ "${1:-}" = alone ]; then exit; fi

# The copy says what is installed: npm takes a second or two to find out that there is nothing to do.
# Not `npm ci`: componentize-qjs names builds for platforms that were never published; npm leaves those out of the lock
# file and then finds it incomplete. `install --no-save` takes the locked versions and leaves the lock as it is.
if ! cmp -s "$SDK/package-lock.json" "$SDK/node_modules/.installed-lock"; then
  without=
  if [ "${1:-}" = javascript ]; then
    if [ -d "$SDK/node_modules/componentize-qjs" ] && [ -d "$SDK/node_modules/esbuild" ]; then exit; fi
    without=dev
  fi
  say "installing the JavaScript tools"
  (cd "$SDK" && npm install --no-save --no-progress --loglevel=error ${without:+--omit=$without} >&2) ||
    die "npm could not install guests/typescript/sdk/package-lock.json; see its message above"
  [ -n "$without" ] || cp "$SDK/package-lock.json" "$SDK/node_modules/.installed-lock"
fi
