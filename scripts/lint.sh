#!/usr/bin/env bash
# Formatting, clippy, documentation without warnings, licences and sources of dependencies, shell scripts.
. "$(dirname "$0")/lib.sh"

cd "$ROOT"
"$ROOT/scripts/setup/rust.sh"
"$ROOT/scripts/setup/lint.sh"
say "formatting"
cargo fmt --all --check
cargo fmt --manifest-path guests/rust/Cargo.toml --all --check
say "shell scripts"
find scripts examples .ci -type f -name '*.sh' -exec shellcheck -x --source-path=SCRIPTDIR {} +
shellcheck .ci/run guests/c/sdk/bin/brrr-cc
say "dependencies: licences, versions, sources"
"$BUILD/cargo-deny/bin/cargo-deny" --log-level warn --locked check licenses bans sources
# Not part of it: advisories, whose database is on the network and changes by the day. By hand: cargo deny check advisories
say "clippy"
cargo clippy --workspace --all-targets --locked -- -D warnings
say "the host without the rest of the workspace, as cargo install builds it"
cargo check -p brrr-host --locked
say "documentation"
RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --locked
