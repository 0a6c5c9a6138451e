module github.com/brrr-host/brrr-host/guests/go

go 1.26.0

require (
	github.com/tetratelabs/wazero v1.12.0
	golang.org/x/sync v0.17.0
)

require golang.org/x/sys v0.44.0 // indirect
