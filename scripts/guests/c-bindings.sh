#!/usr/bin/env bash
# The C bindings of the WIT, guests/c/sdk/bindings, which are checked in: `wit-bindgen` takes minutes to compile and is
# needed only when the WIT changes.
#   scripts/guests/c-bindings.sh           generates them anew; needs wit-bindgen (this version) on the PATH
#   scripts/guests/c-bindings.sh --check   are they of the WIT as it is, and unedited? Needs nothing
. "$(dirname "$0")/../lib.sh"

VERSION=0.61.0
BINDINGS=$ROOT/guests/c/sdk/bindings
STAMP=$BINDINGS/inputs.sha256

# One hash of all that they are made of, and of what came out.
fingerprint() {
  (
    cd "$ROOT"
    echo "wit-bindgen $VERSION"
    cat wit/worker.wit guests/c/sdk/wit/guest.wit guests/c/sdk/bindings/brrr_world.{h,c}
  ) | digest | cut -d ' ' -f 1
}

case ${1:-} in
  --check)
    [ "$(cat "$STAMP" 2>/dev/null)" = "$(fingerprint)" ] ||
      die "guests/c/sdk/bindings do not belong to the WIT as it is: run scripts/guests/c-bindings.sh"
    ;;
  '')
    need wit-bindgen "Install it: cargo install wit-bindgen-cli --version $VERSION --locked"
    [ "$(wit-bindgen --version | cut -d ' ' -f 2)" = "$VERSION" ] ||
      die "wit-bindgen $VERSION is needed, this is $(wit-bindgen --version)"
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    mkdir -p "$scratch/wit/deps/worker" "$BINDINGS"
    cp "$ROOT/guests/c/sdk/wit/guest.wit" "$scratch/wit"
    cp "$ROOT/wit/worker.wit" "$scratch/wit/deps/worker"
    # Without the object that carries the world's type: `wasm-tools component embed` adds it, and git keeps no binaries.
    wit-bindgen c "$scratch/wit" --world guest --rename-world brrr_world --no-object-file --out-dir "$BINDINGS" >&2
    fingerprint >"$STAMP"
    ;;
  *) die "unknown: $1" ;;
esac
