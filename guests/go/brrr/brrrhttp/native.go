//go:build !wasip1

package brrrhttp

import "net/http"

// As it was before anybody could make a Transport the default one.
var system = http.DefaultTransport

// A Transport sends requests by the host. Its zero value is ready. Outside a component it is net/http's own.
type Transport struct{}

// RoundTrip sends one request and gives the response once its head is there.
func (Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	return system.RoundTrip(request)
}
