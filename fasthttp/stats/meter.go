package stats

import (
	"math"
	"time"

	"cowrelay/cow"
)

// Sources are what a row is made of.
type Sources struct {
	Store    *cow.Store
	Relay    string // its name in a fleet; "" for a relay that is alone
	Requests *Requests
	// Pulls are the operations that are pulls, indexes as for Requests.Count.
	Pulls   []int
	Commits *Commits
	Lag     *Histogram // from an event being visible to its first write to a stream

	Streams, Connections, LongPolls func() int64 // open now
	Handles                         func() int64 // claimed now
	Pairs                           func() int64 // open now

	Limits func() Limits // nil: there are none
}

// meter makes the rows of the history. The sampler's goroutine owns it.
type meter struct {
	Sources
	before counts // as of the row before
}

func newMeter(from Sources) *meter {
	m := &meter{Sources: from}
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

// counts are what a row holds the differences of. They begin at 0 with the
// process.
type counts struct {
	atNs                                            int64 // on the store's clock
	stored, duplicates, refused, requests, failures uint64
	pulls, limited                                  uint64
	cpu                                             time.Duration // negative: not known
	commit, lag                                     []uint64      // buckets
}

func (m *meter) count() counts {
	st := m.Store.Stats()
	c := counts{
		atNs: m.Store.Now(), stored: st.PostsStored.Load(), duplicates: st.PostsDuplicate.Load(),
		refused: st.PostsRejected.Load() + st.PostsStalled.Load() + st.PostsExpired.Load() + st.PostsNoSpace.Load(),
		commit:  m.Commits.write.load(), lag: m.Lag.load(),
	}
	c.cpu = cpuTime()
	for i := range m.Requests.replies {
		replies := &m.Requests.replies[i]
		for _, n := range m.Requests.took[i].load() {
			c.requests += n
		}
		for _, n := range loadAll(replies[500:]) {
			c.failures += n
		}
		c.limited += replies[429].Load()
	}
	for _, op := range m.Pulls {
		c.pulls += m.Requests.replies[op][200].Load()
	}
	return c
}

// between makes a row of what is now and of what happened between two counts.
func (m *meter) between(ts int64, from, to counts) *row {
	st, totals := m.Store.Stats(), m.Store.Totals()
	out := row{
		colTS: ts, colSlots: int64(m.Store.Len()), colStreams: m.Streams(), colHandles: m.Handles(), colPairs: m.Pairs(),
		colHandleClaims: int64(totals.HandleClaims), colHandleFirstClaims: int64(totals.HandleFirstClaims),
		colPairOpens: int64(totals.PairOpens), colSlotAllocations: int64(totals.SlotAllocations), colEventsPosted: int64(totals.EventsPosted),
		colSpan:   (to.atNs - from.atNs) / int64(time.Millisecond),
		colStored: int64(to.stored - from.stored), colDuplicates: int64(to.duplicates - from.duplicates),
		colRefused: int64(to.refused - from.refused), colPulls: int64(to.pulls - from.pulls),
		colRequests: int64(to.requests - from.requests), colFailures: int64(to.failures - from.failures),
		colLimited: int64(to.limited - from.limited), colCPU: noValue,
		colCommitP50:  quantile(m.Commits.write.bounds, from.commit, to.commit, 0.5),
		colCommitP99:  quantile(m.Commits.write.bounds, from.commit, to.commit, 0.99),
		colLagP99:     quantile(m.Lag.bounds, from.lag, to.lag, 0.99),
		colResident:   residentBytes(),
		colSlotMemory: m.Store.Memory().Used, colConnections: m.Connections(), colLongPolls: m.LongPolls(),
		colEvents: st.Events.Load(), colEventBytes: st.Bytes.Load(), colDiskFree: noValue,
	}
	if free, known := m.Store.FreeSpace(); known {
		out[colDiskFree] = int64(min(free, math.MaxInt64))
	}
	if to.cpu >= 0 && from.cpu >= 0 {
		out[colCPU] = int64((to.cpu - from.cpu) / time.Millisecond)
	}
	for i := range to.commit {
		out[colCommits] += int64(to.commit[i] - from.commit[i])
	}
	return &out
}
