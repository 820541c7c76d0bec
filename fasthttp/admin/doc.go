// Package admin is the operators' listener: /metrics, probes, profiles and the
// admin API, over net/http.
//
// It answers from the first moment of a start, so that a probe can tell a relay
// that opens its store from one that hangs:
//
//	Serve            Attach                          Close
//	  │ /healthz: ok   │ all routes                     │
//	  └─ else 503 ─────┴─ /readyz: what the relay says ─┘
//
// /metrics, /healthz and /readyz are open to whoever reaches the listener.
// /admin/v1 and /debug/pprof are protected; guard.go says how.
//
//	admin.go   the listener's life: Serve, Attach, Close
//	routes.go  the table of routes, and a request's way to its handler
//	server.go  what the listener has
//	relay.go   what it needs of the relay
//	conn.go    connections, and their times
//	guard.go   who may
//	guess.go   wrong tokens are answered slowly
//	api.go     status, log level, drain
//	slot.go    one slot: inspect, delete, block
//	list.go    many slots, by what is asked
//	handles.go handles: list, inspect, unclaim
//	invites.go invites: list, revoke
//	purge.go   what came from one address
//	rates.go   posts a second of each slot
//	export.go  events as JSON lines
//	checkpoint.go  a copy of the store
//	backup.go      the same for backups, and what became of them
//	fleet.go   relays that share a log
//	reply.go   bodies that come and go
//
// The package knows the store and what the relay shows of itself. It knows
// neither the public routes nor a token of a slot.
package admin
