package fasthttp

import (
	"time"

	"cowrelay/fasthttp/stats"
)

// What the operators' listener, package admin, needs of the relay.

// Figures are what the relay says of itself now.
func (r *Relay) Figures() stats.Figures {
	return stats.Figures{
		Version: r.opts.Version, Uptime: time.Since(r.started),
		Ready: r.Ready(), Draining: r.draining.Load(),
		Connections: r.conns.Len(), Streams: r.streams.Len(), LongPolls: r.polls.Len(),
	}
}

// ShowOperators has the metrics show the operators' listener, too.
func (r *Relay) ShowOperators(o *stats.Operators) { r.operators.Store(o) }

// MakeRoom closes a connection that waits for a request, if there is one, so that
// its descriptor is free for another use.
func (r *Relay) MakeRoom() { r.places.MakeRoom() }
