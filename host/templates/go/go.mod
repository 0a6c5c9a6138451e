// `example/` is for modules that nobody imports: no package of Go's own begins so.
module example/my-handlers

go 1.26.0

require github.com/brrr-host/brrr-host/guests/go v0.0.0

// Written by `brrr-host new` and `brrr-host build`.
replace github.com/brrr-host/brrr-host/guests/go => ./.brrr/sdk/go
