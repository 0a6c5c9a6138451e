// A module of its own: what the builder needs, no handler needs.
module github.com/brrr-host/brrr-host/guests/go/cmd/brrr-build

go 1.26.0

require github.com/tetratelabs/wazero v1.12.0

require golang.org/x/sys v0.44.0 // indirect
