// Package brrrhttp lets net/http send requests from a component, where the worker allows it (`run --allow-http HOST`):
//
//	import _ "github.com/brrr-host/brrr-host/guests/go/brrr/brrrhttp"
//
//	response, err := http.Get("https://api.example.com/")
//
// It makes [Transport] the http.DefaultTransport, so that http.Get, http.DefaultClient, each http.Client without a
// transport of its own, and libraries on top of those work. Several goroutines wait at once. A request to a host that is not
// allowed is an error that names the host and the flag.
//
// Requests belong in leaf tasks: elsewhere they are sent again in every replay. Outside a component, in tests, all is as it
// was.
package brrrhttp
