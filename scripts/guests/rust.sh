#!/usr/bin/env bash
# Builds the Rust guests to components: build/guests/rust/rust-<name>.wasm.
#
# The ordinary way is rustup's target wasm32-wasip2. Where that cannot be had (no rustup, or no way to its downloads) it
# is Debian's compiler for the web with a standard library built on the spot, about 90 s the first time. Both give the
# same components; a second run compiles only what changed. RUST_GUESTS=ordinary or =fallback decides by hand.
. "$(dirname "$0")/../lib.sh"

TARGET=wasm32-wasip2
WORKSPACE=$ROOT/guests/rust
NAMES=(bare changes-after changes-before conformance dag hello hostile mistakes page)
# Apart from the others: in one build, its feature of the SDK would be everybody's.
ASYNC=(conformance-async hostile-async)
TRIED=$BUILD/.no-$TARGET

# Is the ordinary target there? Asks the compiler, not rustup: other installations can have it as well.
ordinary() { have rustc && have cargo && [ -d "$(rustc --print sysroot)/lib/rustlib/$TARGET" ]; }

# Adds the target, with one try: where downloads are blocked, every further one would only cost time.
add_target() {
  if ! have rustup || [ -e "$TRIED" ]; then return 1; fi
  say "adding the Rust target $TARGET"
  if timeout 120 rustup target add "$TARGET" >&2; then return 0; fi
  mkdir -p "$BUILD"
  : >"$TRIED"
  warn "rustup could not add it (not tried again while ${TRIED#"$ROOT"/} exists); using the fallback"
  return 1
}

# The tool of this name that comes with a Rust toolchain, outside the PATH.
of_toolchain() {
  local directory
  if have rustc; then
    for directory in "$(rustc --print sysroot)"/lib/rustlib/*/bin; do
      if [ -x "$directory/$1" ]; then echo "$directory/$1"; return; fi
    done
  fi
  command -v "$(basename "$1")" || true
}

build_ordinary() {
  cargo build --manifest-path "$WORKSPACE/Cargo.toml" --target-dir "$WORKSPACE/target" --locked \
    --release --target "$TARGET" "${PACKAGES[@]}"
}

build_fallback() {
  local component_ld wasm_ld
  install_apt rustc-web cargo-web rust-web-src
  component_ld=$(of_toolchain wasm-component-ld)
  [ -n "$component_ld" ] || die "no wasm-component-ld found. Install Rust with rustup (it contains it), or: cargo install wasm-component-ld"
  # A plain wasm-ld is in every rustup toolchain as well; Debian's is the other one.
  wasm_ld=$(of_toolchain gcc-ld/wasm-ld)
  if [ -z "$wasm_ld" ]; then
    install_apt lld-19
    wasm_ld=/usr/bin/wasm-ld-19
  fi
  # RUSTC_BOOTSTRAP: -Z build-std counts as unstable. `panic_abort` is what the profile says; without it std is built
  # for unwinding. cargo-web and rustc-web are plain `cargo` and `rustc` in /usr/bin, behind rustup's on the PATH.
  RUSTC_BOOTSTRAP=1 RUSTC=/usr/bin/rustc \
    CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=$component_ld \
    CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS="-Clink-arg=--wasm-ld-path=$wasm_ld" \
    /usr/bin/cargo build --manifest-path "$WORKSPACE/Cargo.toml" --target-dir "$WORKSPACE/target/web" --locked \
    --release --target wasm32-unknown-unknown -Z build-std=std,panic_abort "${PACKAGES[@]}"
}

# build HOW NAME…
build() {
  local how=$1 name
  shift
  PACKAGES=()
  for name; do PACKAGES+=(-p "rust-$name"); done
  "build_$how"
}

case ${RUST_GUESTS:-} in
  ordinary) ordinary || die "the Rust target $TARGET is missing: rustup target add $TARGET" ;;
  fallback) ;;
  '') if ordinary || add_target; then RUST_GUESTS=ordinary; fi ;;
  *) die "RUST_GUESTS is 'ordinary', 'fallback' or unset, not '$RUST_GUESTS'" ;;
esac

if [ "${RUST_GUESTS:-}" = ordinary ]; then
  say "building the Rust guests for $TARGET"
  build ordinary "${NAMES[@]}"
  build ordinary "${ASYNC[@]}"
  built=$WORKSPACE/target/$TARGET/release
else
  say "building the Rust guests with Debian's compiler for the web"
  build fallback "${NAMES[@]}"
  build fallback "${ASYNC[@]}"
  built=$WORKSPACE/target/web/wasm32-unknown-unknown/release
fi

for name in "${NAMES[@]}" "${ASYNC[@]}"; do
  put "$built/rust_${name//-/_}.wasm" "$GUESTS/rust/rust-$name.wasm"
done
say "built $(cd "$GUESTS/rust" && echo ./*.wasm | sed 's|\./||g') in build/guests/rust"
