package fasthttp

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"cowrelay/cow/rendezvous"
	"cowrelay/cow/token"
	"cowrelay/fasthttp/coding"
	"cowrelay/fasthttp/conn"
	"cowrelay/fasthttp/poll"
	"cowrelay/fasthttp/stats"
	"cowrelay/fasthttp/stream"
	"cowrelay/fasthttp/trace"
)

// MetricTable lists every cowrelay_ family, in the order in which /metrics
// prints them. The manual's list is made from it.
func MetricTable() []stats.Info {
	families := new(Relay).families() // they ask for nothing before they are printed
	list := make([]stats.Info, len(families))
	for i, f := range families {
		list[i] = f.Info
	}
	return list
}

// WriteMetrics prints all metrics in the Prometheus text format.
func (r *Relay) WriteMetrics(w io.Writer) { stats.PrintAll(w, r.families()) }

// families are the families of all metrics, in their order. Those of what stats
// counts itself are its own.
func (r *Relay) families() []stats.Family {
	journal := sync.OnceValue(r.journal) // once for a scrape: it looks at every file
	return slices.Concat(
		r.relayFamilies(), r.opts.Process.Families(), r.requests.Families(), r.connectionFamilies(), r.arrivalFamilies(), r.refusals.Families(), r.limitFamilies(),
		stats.BackupFamilies(r.shownOperators), stats.StoreFamilies(r.store, r.commits, journal), r.batches.Families(), stats.FleetFamilies(journal), r.doubtFamilies(),
		stats.DeskFamilies(r.opts.Desk), r.streamFamilies(), r.pollFamilies(), r.frameFamilies(),
		stats.MemoryFamilies(r.store), r.compressionFamilies(), r.recorder.Families(),
	)
}

func (r *Relay) relayFamilies() []stats.Family {
	return []stats.Family{
		{Info: stats.Info{Name: "cowrelay_build_info", Type: "gauge", Help: "The version that runs and how the journal syncs (--sync), as labels; the value is 1."},
			Print: func(w io.Writer, name string) {
				fmt.Fprintf(w, "%s{version=%q,sync=%q} 1\n", name, r.opts.Version, r.opts.Sync)
			}},
		stats.Gauge("cowrelay_ready", "1 while the relay serves, 0 while it ends.", func() int64 {
			if r.Ready() {
				return 1
			}
			return 0
		}),
		{Info: stats.Info{Name: "cowrelay_clock_seconds", Type: "gauge", Help: "The relay's clock, in seconds since 1970."},
			Print: func(w io.Writer, name string) {
				fmt.Fprintf(w, "%s %.3f\n", name, float64(time.Now().UnixMilli())/1000)
			}},
	}
}

func (r *Relay) connectionFamilies() []stats.Family {
	return []stats.Family{
		stats.Gauge("cowrelay_http_connections", "Connections open now, streams included.", func() int64 { return r.conns.Len() }),
		stats.Gauge("cowrelay_http_connections_max", "Connections that may be open at once.", func() int64 { return int64(r.opts.MaxConns) }),
		stats.Gauge("cowrelay_http_connections_largest", "Connections of the client address that has the most.", func() int64 { return r.places.Largest() }),
		stats.Gauge("cowrelay_http_connections_per_address_max", "Connections that one client address may have.", func() int64 {
			if most := r.live.Load().MaxConnsPerAddress; most > 0 {
				return int64(most)
			}
			return int64(r.opts.MaxConns)
		}),
		stats.Counter("cowrelay_http_connections_rejected_total", "Connections turned away with 503: over the limit, and none of the others could go.", func() uint64 { return r.places.Refused() }),
		stats.Counter("cowrelay_http_connections_evicted_total", "Connections without a request under way that were closed to make room for others.", func() uint64 { return r.places.Evicted() }),
		{Info: stats.Info{Name: "cowrelay_http_accept_errors_total", Type: "counter", Help: "Errors of accept that were waited out, by listener (public, admin) and error; emfile: the process has no descriptor left."},
			Print: func(w io.Writer, name string) {
				of := func(listener string) stats.Show {
					return func(reason string, n uint64) {
						fmt.Fprintf(w, "%s{listener=%q,error=%q} %d\n", name, listener, reason, n)
					}
				}
				r.places.Errors(of("public"))
				if o := r.operators.Load(); o != nil {
					o.AcceptErrors(of("admin"))
				}
			}},
		stats.CountersOf("cowrelay_tls_handshakes_total", "result", "Handshakes of TLS, by result: full, resumed (an earlier session was taken up), failed (the client left, speaks no TLS, or can't agree), late (not done within --header-timeout), room (there was no memory for it), rate (refused: the client begins more than the class handshake of --rate-limits allows).",
			conn.HandshakeNames[:], func() []atomic.Uint64 { return r.conns.Handshakes() }),
		stats.SecondsTotal("cowrelay_tls_handshake_cpu_seconds_total", "CPU time that handshakes of TLS have taken, all together. They take a quarter of the processors at most.", func() time.Duration {
			_, computed := r.conns.HandshakeTime()
			return computed
		}),
		stats.SecondsTotal("cowrelay_tls_handshake_wait_seconds_total", "Time that handshakes of TLS have waited for their turn, all together: for others of their client, and for the share of the processors that handshakes may take.", func() time.Duration {
			waited, _ := r.conns.HandshakeTime()
			return waited
		}),
		stats.Gauge("cowrelay_tls_certificate_expiry_seconds", "When the certificate expires, or the first of several, in seconds since 1970; 0: there is none.", func() int64 { return r.certificates().Expires }),
		stats.CounterBy("cowrelay_tls_certificate_loads_total", "result", "Certificates that were read from files or got from the authority, by result: ok, failed (the relay shows the one that it has).", func(show stats.Show) {
			c := r.certificates()
			show("ok", c.Loaded)
			show("failed", c.Failed)
		}),
		stats.CountersOf("cowrelay_proxy_headers_total", "result", "Connections by their header of the PROXY protocol: read, local (the proxy's own), missing (of a trusted proxy), bad (closed), untrusted (refused: not from a trusted proxy, or --proxy-protocol is off).",
			conn.ProxyNames[:], func() []atomic.Uint64 { return r.conns.ProxyHeaders() }),
		stats.Gauge("cowrelay_admin_connections", "Connections of operators open now.", func() int64 { return r.shownOperators().Connections() }),
		stats.Gauge("cowrelay_admin_connections_max", "Connections that operators may have open at once.", func() int64 { return r.shownOperators().MaxConnections() }),
		stats.Counter("cowrelay_http_received_bytes_total", "Bytes that connections of clients have brought, headers included.", func() uint64 { in, _ := r.conns.Traffic(); return in }),
		stats.CounterBy("cowrelay_http_sent_bytes_total", "by", "Bytes that were sent to clients, headers included, by what sent them: reply, stream.", func(show stats.Show) {
			_, out := r.conns.Traffic()
			show("reply", out)
			_, out = r.streams.Written()
			show("stream", out)
		}),
		stats.CounterBy("cowrelay_admin_requests_total", "outcome", "Requests to the operators' listener that need a token or this machine, by outcome: done, failed (what they asked for), refused (those who asked).",
			func(show stats.Show) { r.shownOperators().Requests(show) }),
		stats.Counter("cowrelay_admin_wrong_tokens_total", "Requests to the operators' listener with a wrong token.", func() uint64 { return r.shownOperators().WrongTokens() }),
	}
}

// certificates is what the certificates' source tells, nothing without one.
func (r *Relay) certificates() (c Certificates) {
	if r.opts.Certificates != nil {
		c = r.opts.Certificates()
	}
	return c
}

// shownOperators is the operators' listener, or one that shows 0.
func (r *Relay) shownOperators() *stats.Operators {
	if o := r.operators.Load(); o != nil {
		return o
	}
	return stats.NoOperators
}

func (r *Relay) arrivalFamilies() []stats.Family {
	return []stats.Family{
		stats.Gauge("cowrelay_request_bytes", "Memory of requests that are arriving: bodies by their length, and what unfinished headers and small bodies pin.", func() int64 { return r.conns.Arrivals.Used() }),
		stats.Gauge("cowrelay_request_bytes_max", "Memory that they may take; beyond that requests get 503.", func() int64 { return r.conns.Arrivals.Limit() }),
		stats.Gauge("cowrelay_request_bytes_largest", "Of that memory, what the client has that has the most.", func() int64 { return r.conns.Arrivals.Largest() }),
		stats.Counter("cowrelay_requests_refused_total", "Requests that got 503 before they had arrived, as there was no memory for them.", func() uint64 { return r.conns.Arrivals.Refused() }),
		stats.Counter("cowrelay_requests_cut_total", "Requests that were cut while they arrived, to make room for those of clients that take less.", func() uint64 { return r.conns.Arrivals.Cut() }),
		stats.CountersOf("cowrelay_http_replies_cut_total", "reason", "Replies cut before their end, by reason: slow (the client took less than 64 KiB within --stream-write-timeout, or not all within --write-timeout), load (the store can't be read), gone (the slot was removed).",
			conn.CutNames[:], func() []atomic.Uint64 { return r.conns.Cuts() }),
	}
}

func (r *Relay) limitFamilies() []stats.Family {
	return []stats.Family{
		stats.CounterBy("cowrelay_rate_limited_total", "class", "Requests refused because a client, or all in total, asked too often, by class; of class handshake, connections closed before their handshake.",
			func(show stats.Show) { r.live.Load().limiter.Refused(show) }),
		stats.CountersOf("cowrelay_token_rights_refused_total", "needs", "Requests with a good token that lacks a right, by the right.",
			token.Names(), func() []atomic.Uint64 { return r.missing[:] }),
		stats.Gauge("cowrelay_tokens", "Tokens of slots beside the two that each was made with, rotated ones included.", func() int64 { n, _ := r.store.TokenStats(); return int64(n) }),
		stats.Gauge("cowrelay_rate_keys", "Clients whose rate is kept in mind, once for each class.", func() int64 { return r.live.Load().limiter.Clients() }),
		stats.Counter("cowrelay_panics_total", "Faults that a request, stream or load was saved from.", func() uint64 { return r.panics.Load() + r.store.Stats().Panics.Load() }),
		stats.CounterBy("cowrelay_trace_spans_total", "result", "Spans of traced requests, by result: ended, and of these sent, failed (the collector did not take them) and dropped (2,048 waited already). The rest waits.",
			func(show stats.Show) {
				var n trace.Counts
				if r.opts.Tracer != nil {
					n = r.opts.Tracer.Counts()
				}
				show("ended", n.Ended)
				show("sent", n.Sent)
				show("failed", n.Failed)
				show("dropped", n.Dropped)
			}),
		stats.CounterBy("cowrelay_log_lines_dropped_total", "reason", "Lines of the log that were dropped, by reason: full (they were not read in time), error (they could not be written).",
			func(show stats.Show) {
				var full, failed uint64
				if r.opts.LogDropped != nil {
					full, failed = r.opts.LogDropped()
				}
				show("full", full)
				show("error", failed)
			}),
	}
}

func (r *Relay) streamFamilies() []stats.Family {
	return []stats.Family{
		stats.Gauge("cowrelay_streams", "Streams open now.", func() int64 { return r.streams.Len() }),
		stats.Gauge("cowrelay_streams_max", "Streams that may be open at once.", func() int64 { return int64(r.live.Load().MaxStreams) }),
		stats.Counter("cowrelay_streams_opened_total", "Streams opened.", func() uint64 { return r.streams.Opened() }),
		stats.CounterBy("cowrelay_streams_closed_total", "reason", "Streams ended, by reason.",
			func(show stats.Show) {
				for why := range stream.Reasons {
					show(why.String(), r.streams.Ended(why))
				}
			}),
		stats.CounterBy("cowrelay_streams_refused_total", "reason", "Streams refused, by reason: as many as there may be (cap), as many as one client may have (share), as many as a slot may have (slot).",
			func(show stats.Show) {
				cap, share, slot := r.streams.Refused()
				show("cap", cap)
				show("share", share)
				show("slot", slot)
			}),
	}
}

func (r *Relay) pollFamilies() []stats.Family {
	return []stats.Family{
		stats.Gauge("cowrelay_long_polls", "Long polls that wait now.", func() int64 { return r.polls.Len() }),
		stats.Gauge("cowrelay_long_polls_max", "Long polls that may wait at once.", func() int64 { return int64(r.live.Load().MaxWaiters) }),
		stats.CounterBy("cowrelay_long_polls_ended_total", "reason", "Long polls that waited, by what ended the wait. Those of share and cap gave way to newer ones.",
			func(show stats.Show) {
				for why := range poll.Ends {
					show(why.String(), r.polls.Ended(why))
				}
			}),
		stats.CounterBy("cowrelay_long_polls_refused_total", "reason", "Long polls refused, by reason: none could give way (cap), as many as a slot may have (slot).",
			func(show stats.Show) {
				cap, slot := r.polls.Refused()
				show("cap", cap)
				show("slot", slot)
			}),
	}
}

func (r *Relay) frameFamilies() []stats.Family {
	return []stats.Family{
		stats.CounterBy("cowrelay_events_delivered_total", "by", "Events that were sent to readers, by what sent them: pull (long polls too; counted when the reply begins), stream. An event counts for each reader.", func(show stats.Show) {
			show("pull", r.pulled.Load())
			events, _ := r.streams.Written()
			show("stream", events)
		}),
		stats.Gauge("cowrelay_streams_queued", "Streams that have something to write and wait for a writer. Many, for long: the machine has too little CPU.", r.queuedStreams),
		stats.Gauge("cowrelay_streams_stalled", "Streams that wait for their client to take more, or for the store.", r.stalledStreams),
		stats.Durations("cowrelay_stream_lag_seconds", "Time from an event being visible to the first write of it to a stream.", func() *stats.Histogram { return r.lag }),
		stats.Counter("cowrelay_frames_encoded_total", "Stream frames encoded once for all live readers of a slot.", func() uint64 { return r.store.Stats().FramesEncoded.Load() }),
		stats.Counter("cowrelay_frames_replayed_total", "Stream frames encoded for one reader behind the shared ones.", func() uint64 { return r.store.Stats().FramesReplayed.Load() }),
	}
}

func (r *Relay) compressionFamilies() []stats.Family {
	return []stats.Family{
		stats.CountersOf("cowrelay_compression_replies_total", "result", "Pages for clients that asked for a coding, by result: gzip and zstd went out compressed; the others plain: small (nothing to gain), busy (as many were being compressed as may be), room (replies under way held as many bytes as they may), grown (longer than plain), unread (not to be read, or the slot left memory just then).",
			coding.OutcomeNames[:], func() []atomic.Uint64 { return r.coder.Outcomes() }),
		stats.CounterBy("cowrelay_compression_bytes_total", "of", "Bytes of compressed pages: as they would be plain, and as they were sent.", func(show stats.Show) {
			n := r.coder.Counts()
			show("plain", n.Plain)
			show("sent", n.Sent)
		}),
		stats.CounterBy("cowrelay_compression_pieces_total", "result", "Runs of events of compressed pages, by result: made (compressed), reused (found compressed); and of those that were kept, evicted.", func(show stats.Show) {
			n := r.coder.Counts()
			show("made", n.Made)
			show("reused", n.Reused)
			show("evicted", n.Evicted)
		}),
		stats.Gauge("cowrelay_compression_pieces", "Compressed runs of events that are kept.", func() int64 { return r.coder.Counts().Kept }),
		stats.Gauge("cowrelay_compression_pieces_bytes", "Memory that they take.", func() int64 { return r.coder.Counts().KeptBytes }),
		stats.Gauge("cowrelay_compression_pieces_bytes_max", "Memory that they may take.", func() int64 { return r.coder.Counts().KeptBytesMax }),
		stats.Gauge("cowrelay_compression_reply_bytes", "Bytes that compressed replies under way hold, counted by their plain length.", func() int64 { return r.coder.Counts().Replies }),
		stats.Gauge("cowrelay_compression_reply_bytes_max", "Bytes that they may hold.", func() int64 { return r.coder.Counts().RepliesMax }),
	}
}

func (r *Relay) queuedStreams() int64  { return r.streams.Queued() }
func (r *Relay) stalledStreams() int64 { return int64(r.streams.Stalled()) }

// ObserveCommit counts a batch that the journal wrote. It is for
// cow.Options.Committed.
func (r *Relay) ObserveCommit(posts, _ int, took time.Duration) { r.commits.Batch(posts, took) }

// ObserveSync counts a sync of the journal.
func (r *Relay) ObserveSync(took time.Duration) { r.commits.Sync(took) }

// journal asks for the journal's figures. A relay that ends shows the last ones:
// its journal may be closed.
func (r *Relay) journal() stats.Journal {
	if r.opts.Journal != nil && !r.draining.Load() {
		s := r.opts.Journal()
		r.journalSeen.Store(&s)
	}
	if s := r.journalSeen.Load(); s != nil {
		return *s
	}
	return stats.Journal{}
}

// Desk has the handles and the invites.
func (r *Relay) Desk() *rendezvous.Desk { return r.opts.Desk }

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
