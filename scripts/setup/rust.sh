#!/usr/bin/env bash
# Makes sure that the host can be built: cargo, and a C compiler for the SQLite that is linked in.
. "$(dirname "$0")/../lib.sh"

if ! have cc; then install_apt build-essential; fi
# Cargo.toml says which version at least; cargo itself refuses an older one.
need cargo "Install Rust from rustup.rs, then try again."
