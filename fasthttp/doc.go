// Package fasthttp serves a cow.Store over HTTP/1.1: routes, authentication,
// limits, handlers and replies.
//
// A request's way through the files:
//
//	listener.go  its connection gets a place (accept) and is one of ours (conn)
//	early.go     its header is there: framing.go looks whether it is clear where the
//	             request ends, admit is asked, and a body that is not wanted is never read
//	handle.go    the server calls handle, which admits it, answers, counts and logs
//	admit.go     limits.go says whether the client asks too often (limit),
//	             routes.go finds the handler; then the slot's token is checked
//	body.go      a post's body is read, within the memory for arrivals (conn)
//	events.go    posts, pulls, and pulls that wait (poll); slots.go, stats.go and
//	             documents.go have the other handlers
//	stream.go    the connection becomes a stream's (stream)
//	errors.go    an error becomes a reply (refusal)
//
// serve.go starts and drains all this. The files build on each other in this order,
// the lowest first: request.go and options.go, relay.go, the handlers, routes.go,
// admit.go, early.go, handle.go, serve.go.
//
// The rooms below: accept, conn and stream have the connections, poll the waiting
// pulls, limit the rates, refusal and redact what clients and logs are told, stats
// the figures, web the pages. admin is the operators' listener, and client a client
// in Go: this package knows neither.
//
// It knows no disk and no flags; cmd joins them. upstream.go has what leans
// on the inside of the server.
//
// The upstream package of the same name is imported bare here; everywhere else this
// one is imported as relayhttp. It exports no name that upstream exports.
package fasthttp
