#!/usr/bin/env bash
# Makes Go guests buildable: Go, wasm-tools (from PyPI, in build/venv), and the SDK's own builder, build/go/brrr-build.
. "$(dirname "$0")/../lib.sh"

need go "Get Go 1.26 or newer from go.dev/dl."
# 1.21 and newer get by themselves the version that guests/go/go.mod asks for.
go version | grep -qE 'go1\.(2[1-9]|[3-9][0-9])' ||
  die "Go 1.26 or newer is needed, this is $(go version). Get one from go.dev/dl"
"$ROOT/scripts/setup/python.sh"
# Built each time: Go itself finds out at once that there is nothing to do.
(cd "$ROOT/guests/go/cmd/brrr-build" && go build -buildvcs=false -o "$BUILD/go/brrr-build" .) ||
  die "guests/go/cmd/brrr-build could not be built, see above"
