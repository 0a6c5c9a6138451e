package brrrhttp

// An error-code of wasi:http, as text. The host's own words where it has some.
type errorCode string

func (e errorCode) Error() string { return string(e) }

// The cases of wasi:http's error-code, in their order.
var errorCodes = [...]string{
	"its name could not be resolved in time", "its name could not be resolved", "its name could not be resolved",
	"destination unavailable", "destination IP prohibited", "destination IP unroutable", "connection refused",
	"the connection was cut", "no connection came in time", "no answer came in time", "the request could not be sent in time",
	"connection limit reached", "TLS protocol error", "TLS certificate error", "TLS alert received",
	"HTTP to it is not allowed: --allow-http HOST", "the request needs a length", "the request's body is too large, or not as long as it says",
	"the method is not valid", "the URI is not valid", "the URI is too long", "the headers are too large",
	"a header is too large", "the trailers are too large", "a trailer is too large",
	"the connection was cut in the middle of the answer", "the response's headers are too large",
	"a header of the response is too large", "the response's body is too large", "the response's trailers are too large",
	"a trailer of the response is too large", "the response's transfer coding is unknown",
	"the response's content coding is unknown", "no answer came in time", "the upgrade failed", "HTTP protocol error",
	"loop detected", "configuration error", "internal error",
}

// Of those the ones whose payload is an optional text.
const (
	transferCoding = 31
	contentCoding  = 32
	internalError  = 38
)
