#!/usr/bin/env bash
# Formatting, clippy, licences and sources of dependencies, shell scripts. A tool that is not there is named.
. "$(dirname "$0")/lib.sh"

cd "$ROOT"
"$ROOT/scripts/setup/rust.sh"
cargo fmt --all --check
cargo fmt --manifest-path guests/rust/Cargo.toml --all --check
cargo clippy --workspace --all-targets --locked -- -D warnings
if have cargo-deny; then
  cargo deny --locked check licenses bans sources
else
  warn "skipped: cargo-deny is not there (cargo install cargo-deny --locked)"
fi
if have shellcheck; then
  find scripts examples .ci -type f -name '*.sh' -exec shellcheck -x --source-path=SCRIPTDIR {} +
  shellcheck guests/c/sdk/bin/brrr-cc
else
  warn "skipped: shellcheck is not there (apt-get install shellcheck)"
fi
