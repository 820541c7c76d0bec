package fasthttp

import (
	"context"
	"fmt"
	"io"
	"runtime/pprof"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// MetricInfo is one family of the relay's metrics.
type MetricInfo struct{ Name, Type, Help string }

// MetricTable lists every cowrelay_ family, in the order in which /metrics
// prints them. The manual's list is made from it.
func MetricTable() []MetricInfo {
	list := make([]MetricInfo, len(families))
	for i, f := range families {
		list[i] = f.MetricInfo
	}
	return list
}

// family is one metric family: its description, and what prints its series.
type family struct {
	MetricInfo
	write func(r *Relay, w io.Writer, name string)
}

func gauge(name, help string, value func(*Relay) int64) family {
	return family{MetricInfo{name, "gauge", help}, func(r *Relay, w io.Writer, name string) {
		fmt.Fprintf(w, "%s %d\n", name, value(r))
	}}
}

// adminGauge is 0 where there is no operators' listener.
func adminGauge(name, help string, value func(*Admin) int64) family {
	return gauge(name, help, func(r *Relay) int64 {
		if a := r.admin.Load(); a != nil {
			return value(a)
		}
		return 0
	})
}

func counter(name, help string, value func(*Relay) uint64) family {
	return family{MetricInfo{name, "counter", help}, func(r *Relay, w io.Writer, name string) {
		metrics.WriteCounterUint64(w, name, value(r))
	}}
}

func histogramOf(name, help string, value func(*Relay) *histogram) family {
	return family{MetricInfo{name, "histogram", help}, func(r *Relay, w io.Writer, name string) {
		value(r).write(w, name, "")
	}}
}

var families = []family{
	{MetricInfo{"cowrelay_build_info", "gauge", "The version that runs, as a label; the value is 1."},
		func(r *Relay, w io.Writer, name string) {
			fmt.Fprintf(w, "%s{version=%q} 1\n", name, r.opts.Version)
		}},
	{MetricInfo{"cowrelay_ready", "gauge", "1 while the relay serves, 0 while it ends."}, writeReady},
	{MetricInfo{"cowrelay_clock_seconds", "gauge", "The relay's clock, in seconds since 1970."}, writeClock},
	{MetricInfo{"cowrelay_http_requests_total", "counter", "Requests answered, by route and status."},
		func(r *Relay, w io.Writer, name string) { r.metrics.writeRequests(w, name) }},
	{MetricInfo{"cowrelay_http_request_duration_seconds", "histogram", "Time from a request's header to its reply being ready to send, by route. Streams count until they open."},
		func(r *Relay, w io.Writer, name string) {
			for i, rt := range routes {
				r.metrics.took[i].write(w, name, `route="`+rt.name+`"`)
			}
		}},
	gauge("cowrelay_http_connections", "Connections open now, streams included.", func(r *Relay) int64 { return r.conns.Load() }),
	gauge("cowrelay_http_connections_max", "Connections that may be open at once.", func(r *Relay) int64 { return int64(r.opts.MaxConns) }),
	gauge("cowrelay_http_connections_largest", "Connections of the client address that has the most.", func(r *Relay) int64 { return r.places.ledger.Most() }),
	gauge("cowrelay_http_connections_per_address_max", "Connections that one client address may have.", func(r *Relay) int64 {
		if most := r.live.Load().MaxConnsPerAddress; most > 0 {
			return int64(most)
		}
		return int64(r.opts.MaxConns)
	}),
	counter("cowrelay_http_connections_rejected_total", "Connections turned away with 503: over the limit, and none of the others could go.", func(r *Relay) uint64 { return r.places.refused.Load() }),
	counter("cowrelay_http_connections_evicted_total", "Connections without a request under way that were closed to make room for others.", func(r *Relay) uint64 { return r.places.evicted.Load() }),
	{MetricInfo{"cowrelay_http_accept_errors_total", "counter", "Errors of accept that were waited out, by listener (public, admin) and error; emfile: the process has no descriptor left."},
		func(r *Relay, w io.Writer, name string) {
			r.places.writeAcceptErrors(w, name)
			if a := r.admin.Load(); a != nil {
				a.places.writeAcceptErrors(w, name)
			}
		}},
	adminGauge("cowrelay_admin_connections", "Connections of operators open now.", func(a *Admin) int64 { return a.places.ledger.Used() }),
	adminGauge("cowrelay_admin_connections_max", "Connections that operators may have open at once.", func(a *Admin) int64 { return int64(a.opts.MaxConns) }),
	counter("cowrelay_admin_wrong_tokens_total", "Requests to the operators' listener with a wrong token.", func(r *Relay) uint64 {
		if a := r.admin.Load(); a != nil {
			return a.guesses.wrong.Load()
		}
		return 0
	}),
	gauge("cowrelay_request_bytes", "Memory of requests that are arriving: bodies by their length, and what unfinished headers and small bodies pin.", func(r *Relay) int64 { return r.underway.used() }),
	gauge("cowrelay_request_bytes_max", "Memory that they may take; beyond that requests get 503.", func(r *Relay) int64 { return r.underway.limit }),
	gauge("cowrelay_request_bytes_largest", "Of that memory, what the client has that has the most.", func(r *Relay) int64 { return r.underway.booked.Most() }),
	counter("cowrelay_requests_refused_total", "Requests that got 503 before they had arrived, as there was no memory for them.", func(r *Relay) uint64 { return r.underway.refused.Load() }),
	counter("cowrelay_requests_cut_total", "Requests that were cut while they arrived, to make room for those of clients that take less.", func(r *Relay) uint64 { return r.underway.cut.Load() }),
	{MetricInfo{"cowrelay_http_replies_cut_total", "counter", "Replies cut before their end, by reason: slow (the client took less than 64 KiB within --stream-write-timeout, or not all within --write-timeout), load (the store can't be read), gone (the slot was removed)."},
		func(r *Relay, w io.Writer, name string) { r.writeCuts(w, name) }},
	{MetricInfo{"cowrelay_rate_limited_total", "counter", "Requests refused because a client, or all in total, asked too often, by class."},
		func(r *Relay, w io.Writer, name string) { r.writeLimited(w, name) }},
	gauge("cowrelay_rate_keys", "Clients whose rate is kept in mind, once for each class.", func(r *Relay) int64 { return r.rateKeys() }),
	counter("cowrelay_panics_total", "Faults that a request, stream or load was saved from.", func(r *Relay) uint64 { return r.panics.Load() + r.store.Stats().Panics.Load() }),
	{MetricInfo{"cowrelay_log_lines_dropped_total", "counter", "Lines of the log that were dropped, by reason: full (they were not read in time), error (they could not be written)."},
		func(r *Relay, w io.Writer, name string) {
			var full, failed uint64
			if r.opts.LogDropped != nil {
				full, failed = r.opts.LogDropped()
			}
			metrics.WriteCounterUint64(w, name+`{reason="full"}`, full)
			metrics.WriteCounterUint64(w, name+`{reason="error"}`, failed)
		}},

	gauge("cowrelay_slots", "Slots that exist.", func(r *Relay) int64 { return int64(r.store.Len()) }),
	gauge("cowrelay_slots_max", "Slots that may exist.", func(r *Relay) int64 { return int64(r.store.Limits().Slots) }),
	gauge("cowrelay_slots_hot", "Slots whose events are in memory, in whole or in part.", func(r *Relay) int64 { return int64(r.store.Memory().HotSlots) }),
	gauge("cowrelay_slots_blocked", "Slots that the operator has blocked.", func(r *Relay) int64 { return r.store.BlockedSlots() }),
	gauge("cowrelay_events", "Events held by all slots.", func(r *Relay) int64 { return r.store.Stats().Events.Load() }),
	gauge("cowrelay_event_bytes", "Bytes of events held by all slots.", func(r *Relay) int64 { return r.store.Stats().Bytes.Load() }),

	counter("cowrelay_posts_stored_total", "Posts made durable.", func(r *Relay) uint64 { return r.store.Stats().PostsStored.Load() }),
	counter("cowrelay_posts_duplicate_total", "Posts whose event id was there already.", func(r *Relay) uint64 { return r.store.Stats().PostsDuplicate.Load() }),
	{MetricInfo{"cowrelay_posts_refused_total", "counter", "Posts refused before the journal saw them, by reason."},
		func(r *Relay, w io.Writer, name string) {
			st := r.store.Stats()
			for _, row := range []struct {
				reason string
				n      *atomic.Uint64
			}{{"queue_full", &st.PostsRejected}, {"stalled", &st.PostsStalled}, {"expired", &st.PostsExpired}, {"no_space", &st.PostsNoSpace}} {
				metrics.WriteCounterUint64(w, name+`{reason="`+row.reason+`"}`, row.n.Load())
			}
		}},
	gauge("cowrelay_queue_posts", "Posts that wait to be handed to the journal.", func(r *Relay) int64 { n, _ := r.store.Queue(); return n }),
	gauge("cowrelay_queue_posts_max", "Posts that may wait; beyond that they get 503.", func(r *Relay) int64 { return int64(r.store.Limits().QueuePosts) }),
	gauge("cowrelay_queue_bytes", "Bytes of the events of those posts.", func(r *Relay) int64 { _, n := r.store.Queue(); return n }),
	gauge("cowrelay_queue_bytes_max", "Bytes that they may hold.", func(r *Relay) int64 { return int64(r.store.Limits().QueueBytes) }),
	{MetricInfo{"cowrelay_commit_batch_posts", "histogram", "Events in a journal batch."},
		func(r *Relay, w io.Writer, name string) { r.metrics.batch.writeCounts(w, name) }},
	histogramOf("cowrelay_commit_duration_seconds", "Time that the journal took to write a batch, its sync included.", func(r *Relay) *histogram { return r.metrics.commit }),
	histogramOf("cowrelay_journal_sync_duration_seconds", "Time of the write-ahead log's sync to stable storage.", func(r *Relay) *histogram { return r.metrics.sync }),
	counter("cowrelay_journal_errors_total", "Flushes and compactions of the store that failed, and damage found in it.", func(r *Relay) uint64 { return r.journal().Errors }),
	counter("cowrelay_journal_slow_writes_total", "Operations of the store's disk that took seconds.", func(r *Relay) uint64 { return r.journal().SlowWrites }),
	counter("cowrelay_journal_stalls_total", "Times that commits waited for flushes or compactions.", func(r *Relay) uint64 { return r.journal().Stalls }),
	gauge("cowrelay_journal_torn_bytes", "Bytes at the end of the log that the start could not read and dropped: the rest of a write that a crash cut off, or damage.", func(r *Relay) int64 { return int64(r.journal().TornBytes) }),
	counter("cowrelay_journal_recoveries_total", "Appends that met another writer or an unknown outcome.", func(r *Relay) uint64 { return r.store.Stats().Recoveries.Load() }),

	gauge("cowrelay_store_bytes", "Bytes of all files of the store.", func(r *Relay) int64 { return int64(r.journal().DiskBytes) }),
	{MetricInfo{"cowrelay_disk_free_bytes", "gauge", "Free space of the store's disk."}, writeFreeSpace},
	gauge("cowrelay_disk_reserve_bytes", "Free space below which posts are refused.", func(r *Relay) int64 { return int64(r.store.Limits().Reserve) }),

	gauge("cowrelay_streams", "Streams open now.", func(r *Relay) int64 { return r.streams.open.Load() }),
	gauge("cowrelay_streams_max", "Streams that may be open at once.", func(r *Relay) int64 { return int64(r.live.Load().MaxStreams) }),
	counter("cowrelay_streams_opened_total", "Streams opened.", func(r *Relay) uint64 { return r.streams.total.Load() }),
	{MetricInfo{"cowrelay_streams_closed_total", "counter", "Streams ended, by reason."},
		func(r *Relay, w io.Writer, name string) {
			for i, reason := range endNames {
				metrics.WriteCounterUint64(w, name+`{reason="`+reason+`"}`, r.streams.ended[i].Load())
			}
		}},
	{MetricInfo{"cowrelay_streams_refused_total", "counter", "Streams refused, by reason: as many as there may be (cap), as many as one client may have (share), as many as a slot may have (slot)."},
		func(r *Relay, w io.Writer, name string) {
			metrics.WriteCounterUint64(w, name+`{reason="cap"}`, r.streams.refusedCap.Load())
			metrics.WriteCounterUint64(w, name+`{reason="share"}`, r.streams.refusedShare.Load())
			metrics.WriteCounterUint64(w, name+`{reason="slot"}`, r.streams.refusedSlot.Load())
		}},
	gauge("cowrelay_long_polls", "Long polls that wait now.", func(r *Relay) int64 { return r.polls.waiting() }),
	gauge("cowrelay_long_polls_max", "Long polls that may wait at once.", func(r *Relay) int64 { return int64(r.live.Load().MaxWaiters) }),
	{MetricInfo{"cowrelay_long_polls_ended_total", "counter", "Long polls that waited, by what ended the wait. Those of share and cap gave way to newer ones."},
		func(r *Relay, w io.Writer, name string) {
			for i, reason := range pollEndNames {
				metrics.WriteCounterUint64(w, name+`{reason="`+reason+`"}`, r.polls.ended[i].Load())
			}
		}},
	{MetricInfo{"cowrelay_long_polls_refused_total", "counter", "Long polls refused, by reason: none could give way (cap), as many as a slot may have (slot)."},
		func(r *Relay, w io.Writer, name string) {
			metrics.WriteCounterUint64(w, name+`{reason="cap"}`, r.polls.refusedCap.Load())
			metrics.WriteCounterUint64(w, name+`{reason="slot"}`, r.polls.refusedSlot.Load())
		}},
	histogramOf("cowrelay_stream_lag_seconds", "Time from an event being visible to the first write of it to a stream.", func(r *Relay) *histogram { return &r.streams.lag }),
	counter("cowrelay_frames_encoded_total", "Stream frames encoded once for all live readers of a slot.", func(r *Relay) uint64 { return r.store.Stats().FramesEncoded.Load() }),
	counter("cowrelay_frames_replayed_total", "Stream frames encoded for one reader behind the shared ones.", func(r *Relay) uint64 { return r.store.Stats().FramesReplayed.Load() }),

	gauge("cowrelay_memory_budget_bytes", "Memory that slots may take.", func(r *Relay) int64 { return r.store.Memory().Limit }),
	{MetricInfo{"cowrelay_memory_bytes", "gauge", "Memory that slots take, by what holds it: chunk (events and their tables), index, frame, other, and retired (evicted, and not collected yet)."},
		func(r *Relay, w io.Writer, name string) {
			m := r.store.Memory()
			for _, row := range []struct {
				kind string
				n    int64
			}{{"chunk", m.Chunks}, {"index", m.Index}, {"frame", m.Frames}, {"other", m.Used - m.Chunks - m.Index - m.Frames}, {"retired", m.Retired}} {
				fmt.Fprintf(w, "%s{kind=%q} %d\n", name, row.kind, row.n)
			}
		}},
	{MetricInfo{"cowrelay_evictions_total", "counter", "What left memory to make room, by kind."},
		func(r *Relay, w io.Writer, name string) {
			m := r.store.Memory()
			metrics.WriteCounterUint64(w, name+`{kind="chunk"}`, m.EvictedChunks)
			metrics.WriteCounterUint64(w, name+`{kind="slot"}`, m.EvictedSlots)
		}},
	{MetricInfo{"cowrelay_loads_total", "counter", "What was read back from the store, by kind."},
		func(r *Relay, w io.Writer, name string) {
			st := r.store.Stats()
			metrics.WriteCounterUint64(w, name+`{kind="chunk"}`, st.ChunkLoads.Load())
			metrics.WriteCounterUint64(w, name+`{kind="slot"}`, st.SlotLoads.Load())
		}},
	counter("cowrelay_load_errors_total", "Loads that failed.", func(r *Relay) uint64 { return r.store.Stats().LoadErrors.Load() }),
	counter("cowrelay_loads_refused_total", "Waits for loads that ended with 503: too many waited, or there was no turn or no memory in time.", func(r *Relay) uint64 { return r.store.Stats().LoadsRefused.Load() }),

	gauge("cowrelay_stats_rows", "Rows that the statistics' history has.", func(r *Relay) int64 { return int64(r.sampler.history.timeline.Load().len()) }),
	counter("cowrelay_stats_write_errors_total", "Writes of the statistics' history that failed. What they held is written with the next.", func(r *Relay) uint64 { return r.sampler.history.failed.Load() }),
	counter("cowrelay_stats_records_skipped_total", "Records of the statistics' history that could not be read at the start.", func(r *Relay) uint64 { return r.sampler.history.skipped.Load() }),
}

// relayMetrics is what is counted along requests and commits.
type relayMetrics struct {
	requests [][600]atomic.Uint64 // by route and status
	took     []*histogram         // by route
	limited  [classes]atomic.Uint64
	commit   *histogram
	sync     *histogram
	batch    *histogram // of posts, not of time
}

var batchBounds = []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024}

func newRelayMetrics(*Relay) *relayMetrics {
	m := &relayMetrics{
		requests: make([][600]atomic.Uint64, len(routes)),
		commit:   newHistogram(requestBounds),
		sync:     newHistogram(requestBounds),
		batch:    newHistogram(batchBounds),
	}
	for range routes {
		m.took = append(m.took, newHistogram(requestBounds))
	}
	return m
}

// request counts a reply; took in nanoseconds, negative if unknown.
func (m *relayMetrics) request(rt *route, status int, took int64) {
	if rt == nil {
		rt = routeNone
	}
	m.requests[rt.index][min(max(status, 0), 599)].Add(1)
	if took >= 0 {
		m.took[rt.index].observe(took)
	}
}

func (m *relayMetrics) writeRequests(w io.Writer, name string) {
	for i, rt := range routes {
		for status := range m.requests[i] {
			if n := m.requests[i][status].Load(); n > 0 {
				metrics.WriteCounterUint64(w, fmt.Sprintf(`%s{route=%q,status="%d"}`, name, rt.name, status), n)
			}
		}
	}
}

// ObserveCommit is for cow.Options.Committed.
func (r *Relay) ObserveCommit(posts, _ int, took time.Duration) {
	r.metrics.commit.observe(int64(took))
	r.metrics.batch.observe(int64(posts))
}

// ObserveSync counts a sync of the journal.
func (r *Relay) ObserveSync(took time.Duration) { r.metrics.sync.observe(int64(took)) }

// WriteMetrics prints all metrics in the Prometheus text format.
func (r *Relay) WriteMetrics(w io.Writer) {
	for _, f := range families {
		fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", f.Name, f.Help, f.Name, f.Type)
		f.write(r, w, f.Name)
	}
	metrics.WriteProcessMetrics(w)
	metrics.WriteFDMetrics(w)
}

// labeled runs f under a pprof label: go tool pprof -tagfocus=relay=sse.
func labeled(name string, f func()) {
	pprof.Do(context.Background(), pprof.Labels("relay", name), func(context.Context) { f() })
}
