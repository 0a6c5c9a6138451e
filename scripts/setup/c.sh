#!/usr/bin/env bash
# Makes sure that C and C++ guests can be built: clang with its libraries for wasm, and wasm-tools.
. "$(dirname "$0")/../lib.sh"

# 19: the newest that Debian 12 has, and what the Rust guests' fallback uses.
if [ -z "${WASI_SDK_PATH:-}" ]; then
  install_apt clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32 libc++-19-dev-wasm32 libc++abi-19-dev-wasm32
fi
# The tests are native.
if ! have cc; then install_apt build-essential; fi
# wasm-tools comes prebuilt from PyPI.
"$ROOT/scripts/setup/python.sh"
