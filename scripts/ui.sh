#!/usr/bin/env bash
# Builds the web page into host/ui/dist, which the next build of brrr-host embeds. It needs Node 20 or newer.
#
# scripts/ui.sh          builds what has changed
# scripts/ui.sh tools    only installs the tools of the page, for those who work on it (npm run dev in host/ui)
. "$(dirname "$0")/lib.sh"

UI=$ROOT/host/ui
DIST=$UI/dist

"$ROOT/scripts/setup/node.sh" alone
cd "$UI"
if ! cmp -s package-lock.json node_modules/.installed-lock; then
  say "installing the tools of the web page"
  # Not `npm ci`: see scripts/setup/node.sh. A tool names a build for a platform that was never published.
  npm install --no-save --no-progress --loglevel=error >&2 || die "npm could not install host/ui/package-lock.json; see its message above"
  cp package-lock.json node_modules/.installed-lock
fi
[ "${1:-}" != tools ] || exit 0

# The parser of server-sent events is that of the TypeScript client.
inputs=(src public index.html vite.config.ts package-lock.json tsconfig.json "$ROOT/clients/typescript/src/sse.ts")
hash=$(find "${inputs[@]}" -type f | LC_ALL=C sort | while read -r file; do echo "${file#"$ROOT"/}"; cat "$file"; done | digest)
if [ -f "$DIST/index.html" ] && [ "$(cat "$BUILD/.ui.inputs" 2>/dev/null)" = "$hash" ]; then exit 0; fi
say "building the web page"
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
npx --no-install vite build --logLevel warn --outDir "$made" >&2 || die "the web page could not be built, see above"
# Files that are the same stay as they are, so that cargo builds nothing for nothing.
(cd "$made" && find . -type f) | while read -r file; do put "$made/$file" "$DIST/$file"; done
(cd "$DIST" && find . -type f ! -name .gitignore) | while read -r file; do [ -f "$made/$file" ] || rm "$DIST/$file"; done
mkdir -p "$BUILD"
echo "$hash" >"$BUILD/.ui.inputs"
