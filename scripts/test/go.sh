#!/usr/bin/env bash
# The Go SDK's tests and vet, natively: no component, no host.
. "$(dirname "$0")/../lib.sh"

"$ROOT/scripts/setup/go.sh"
cd "$ROOT/guests/go"
unformatted=$(gofmt -l .)
[ -z "$unformatted" ] || die "gofmt would change: $unformatted"
go vet ./...
# The half that only a component has. It passes memory by numbers, which is what vet warns of.
GOOS=wasip1 GOARCH=wasm go vet -unsafeptr=false ./sdk/... ./conformance ./example/...
go test ./...
