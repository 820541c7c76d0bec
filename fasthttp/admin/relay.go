package admin

import (
	"io"

	"cowrelay/cow"
	"cowrelay/cow/rendezvous"
	"cowrelay/fasthttp/stats"
)

// Relay is what operators see of a relay.
type Relay interface {
	// Figures are what the relay says of itself now.
	Figures() stats.Figures
	// Desk has the handles and the invites.
	Desk() *rendezvous.Desk
	// WriteMetrics prints /metrics.
	WriteMetrics(w io.Writer)
	// ShowOperators has the relay's metrics show the listener, too.
	ShowOperators(o *stats.Operators)
	// Faulted counts and logs a panic. It is called on the goroutine that
	// panicked.
	Faulted(where string, fault any)
}

// attached is a relay with its store. Handlers get it.
type attached struct {
	Relay
	store *cow.Store
}
