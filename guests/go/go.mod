module github.com/brrr-host/brrr-host/guests/go

go 1.26.0

require golang.org/x/sync v0.17.0
