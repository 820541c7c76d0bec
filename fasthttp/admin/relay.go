package admin

import (
	"io"

	"cowrelay/cow"
	"cowrelay/fasthttp/stats"
)

// Relay is what operators see of a relay.
type Relay interface {
	// Figures are what the relay says of itself now.
	Figures() stats.Figures
	WriteMetrics(w io.Writer)
	// ShowOperators has the relay's metrics show the listener, too.
	ShowOperators(o *stats.Operators)
	// Faulted counts and logs a panic. It is called on the goroutine that
	// panicked.
	Faulted(where string, fault any)
}

// attached is a relay with its store.
type attached struct {
	Relay
	store *cow.Store
}

// Attach hands the relay to operators. It may be called again, for a relay that
// takes the place of the first.
func (s *Server) Attach(relay Relay, store *cow.Store) {
	relay.ShowOperators(&stats.Operators{
		Connections:    s.places.Used,
		MaxConnections: func() int64 { return int64(s.opts.MaxConns) },
		WrongTokens:    s.guesses.wrong.Load,
		AcceptErrors:   func(show stats.Show) { s.places.Errors(show) },
	})
	// Publish: pairs with the Loads along requests.
	s.relay.Store(&attached{relay, store})
}
