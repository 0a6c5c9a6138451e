#!/usr/bin/env bash
# The Rust SDK's tests, natively: its executor, batches and codec through the conformance guest's handlers.
. "$(dirname "$0")/../lib.sh"

say "the Rust SDK"
cargo test --manifest-path "$ROOT/guests/rust/Cargo.toml" --target-dir "$ROOT/guests/rust/target" --locked --workspace \
  --features brrr/log,brrr/tracing,brrr/schema
