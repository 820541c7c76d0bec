package fasthttp

import (
	"sync/atomic"
	"time"
)

// meter measures the relay for the rows of the history. It is the sampler's.
type meter struct {
	relay  *Relay
	before counts // as of the row before
}

func newMeter(r *Relay) *meter {
	m := &meter{relay: r}
	m.before = m.count()
	return m
}

// row returns the row of this moment.
func (m *meter) row(ts int64) *row {
	now := m.count()
	r := m.between(ts, m.before, now)
	m.before = now
	return r
}

// counts are what a row has the differences of: they begin at 0 with the
// process.
type counts struct {
	at                                              int64 // the store's clock
	stored, duplicates, refused, requests, failures uint64
	pulls, limited                                  uint64
	cpu                                             time.Duration // negative: not known
	commit, lag                                     []uint64      // buckets
}

func (m *meter) count() counts {
	r, st := m.relay, m.relay.store.Stats()
	c := counts{
		at: r.store.Now(), stored: st.PostsStored.Load(), duplicates: st.PostsDuplicate.Load(),
		refused: st.PostsRejected.Load() + st.PostsStalled.Load() + st.PostsExpired.Load() + st.PostsNoSpace.Load(),
		commit:  loadAll(r.metrics.commit.counts), lag: loadAll(r.streams.lag.counts),
	}
	c.cpu = cpuTime()
	for i := range routes {
		for _, n := range loadAll(r.metrics.took[i].counts) {
			c.requests += n
		}
		for _, n := range loadAll(r.metrics.requests[i][500:]) {
			c.failures += n
		}
		c.limited += r.metrics.requests[i][429].Load()
	}
	// Of the events route 200 is a pull or a duplicate. The one is counted
	// before the other, and what is between them must not make it go back.
	if ok := r.metrics.requests[routeEvents.index][200].Load(); ok > c.duplicates {
		c.pulls = ok - c.duplicates
	}
	c.pulls = max(c.pulls, m.before.pulls)
	return c
}

func loadAll(list []atomic.Uint64) []uint64 {
	n := make([]uint64, len(list))
	for i := range list {
		n[i] = list[i].Load()
	}
	return n
}

// between makes a row of what is now and what was counted between two moments.
func (m *meter) between(ts int64, from, to counts) *row {
	r := m.relay
	st, totals := r.store.Stats(), r.store.Totals()
	out := row{
		colTS: ts, colSlots: int64(r.store.Len()), colStreams: r.streams.open.Load(),
		colSlotAllocations: int64(totals.SlotAllocations), colEventsPosted: int64(totals.EventsPosted),
		colSpan:   (to.at - from.at) / int64(time.Millisecond),
		colStored: int64(to.stored - from.stored), colDuplicates: int64(to.duplicates - from.duplicates),
		colRefused: int64(to.refused - from.refused), colPulls: int64(to.pulls - from.pulls),
		colRequests: int64(to.requests - from.requests), colFailures: int64(to.failures - from.failures),
		colLimited: int64(to.limited - from.limited), colCPU: noValue,
		colCommitP50:  quantile(r.metrics.commit.bounds, from.commit, to.commit, 0.5),
		colCommitP99:  quantile(r.metrics.commit.bounds, from.commit, to.commit, 0.99),
		colLagP99:     quantile(r.streams.lag.bounds, from.lag, to.lag, 0.99),
		colResident:   residentBytes(),
		colSlotMemory: r.store.Memory().Used, colConnections: r.conns.Load(), colLongPolls: r.polls.waiting(),
		colEvents: st.Events.Load(), colEventBytes: st.Bytes.Load(),
	}
	if to.cpu >= 0 && from.cpu >= 0 {
		out[colCPU] = int64((to.cpu - from.cpu) / time.Millisecond)
	}
	for i := range to.commit {
		out[colCommits] += int64(to.commit[i] - from.commit[i])
	}
	return &out
}

// quantile estimates one in nanoseconds from what a histogram's buckets gained,
// as PromQL's histogram_quantile does: evenly within a bucket, and the last
// bound for all above it. noValue without any.
func quantile(bounds []time.Duration, from, to []uint64, q float64) int64 {
	var n uint64
	for i := range to {
		n += to[i] - from[i]
	}
	if n == 0 {
		return noValue
	}
	rank, low := q*float64(n), 0.0
	for i, bound := range bounds {
		in, high := float64(to[i]-from[i]), float64(bound)
		if in > 0 && rank <= in {
			return int64(low + (high-low)*rank/in)
		}
		rank, low = rank-in, high
	}
	return int64(low)
}
