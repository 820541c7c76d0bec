package fasthttp

import (
	"slices"
	"sort"
	"strconv"
)

// The columns of a row of the history. The first ones are what /stats.history
// shows, under these names and in this order. Records name their columns, so
// new ones may be added anywhere; a row from before has noValue there.
const (
	colTS = iota // Unix seconds; the row tells of the time that ends here
	colHandles
	colSlots
	colPairs
	colStreams
	colHandleClaims
	colHandleFirstClaims
	colSlotAllocations
	colPairOpens
	colEventsPosted
	shownColumns

	// What happened within the row's span, which begins at the row before it or
	// at the start of the process: counts of a process begin at 0 each time.
	colSpan = iota - 1 // milliseconds
	colStored
	colDuplicates
	colRefused
	colPulls
	colRequests
	colFailures // replies with a status of 500 and more
	colLimited  // replies with 429
	colCPU      // milliseconds of the process, on all cores
	colCommits
	colCommitP50 // nanoseconds; noValue without commits
	colCommitP99
	colLagP99

	// What was at the row's end.
	colResident // bytes of the process in RAM
	colSlotMemory
	colConnections
	colLongPolls
	colEvents
	colEventBytes
	columns
)

var columnNames = [columns]string{
	colTS: "ts", colHandles: "handles_active", colSlots: "slots_active", colPairs: "pair_slots_open", colStreams: "streams_active",
	colHandleClaims: "handle_claims_total", colHandleFirstClaims: "handle_first_claims_total",
	colSlotAllocations: "slot_allocations_total", colPairOpens: "pair_opens_total", colEventsPosted: "events_posted_total",
	colSpan: "span_ms", colStored: "posts_stored", colDuplicates: "posts_duplicate", colRefused: "posts_refused",
	colPulls: "pulls", colRequests: "requests", colFailures: "failures", colLimited: "limited", colCPU: "cpu_ms",
	colCommits: "commits", colCommitP50: "commit_p50_ns", colCommitP99: "commit_p99_ns", colLagP99: "lag_p99_ns",
	colResident: "resident_bytes", colSlotMemory: "slot_memory_bytes", colConnections: "connections",
	colLongPolls: "long_polls", colEvents: "events", colEventBytes: "event_bytes",
}

// noValue stands where nothing was measured.
const noValue = -1

// row is the figures of one moment.
type row [columns]int64

// appendShown appends the row as /stats.history shows it.
func (r *row) appendShown(b []byte) []byte {
	for i, name := range columnNames[:shownColumns] {
		if i == 0 {
			b = append(b, `{"`...)
		} else {
			b = append(b, `,"`...)
		}
		b = append(b, name...)
		b = append(b, `":`...)
		b = strconv.AppendInt(b, r[i], 10)
	}
	return append(b, '}')
}

// blockSeconds is the time whose rows are kept as one record: a row costs one
// small write, a start reads a few hundred records, and little is left behind
// by deletes.
const blockSeconds = 1800

// block is the rows of one stretch of blockSeconds. What a published block
// shows is never written again; one row more is another block, which may share
// its memory.
type block struct {
	start int64  // Unix seconds, a multiple of blockSeconds
	rows  []row  // ascending
	text  []byte // the rows as they are shown, with a comma before each
	ends  []int  // of the rows in text
}

// newBlock returns an empty block with memory for some rows.
func newBlock(start int64, rows int) *block {
	const shown = 230 // bytes of a row, about
	return &block{start, make([]row, 0, rows), make([]byte, 0, rows*shown), make([]int, 0, rows)}
}

// with returns the block with one row more. Only the newest block of a history
// may be asked, once.
func (b *block) with(r *row) *block {
	n := *b
	n.rows = append(n.rows, *r)
	n.text = r.appendShown(append(n.text, ','))
	n.ends = append(n.ends, len(n.text))
	return &n
}

// before returns the block with the rows before ts, in memory of its own.
func (b *block) before(ts int64) *block {
	i := b.find(ts)
	return &block{b.start, slices.Clone(b.rows[:i]), slices.Clone(b.text[:b.at(i)]), slices.Clone(b.ends[:i])}
}

// find returns the index of the first row at or after ts.
func (b *block) find(ts int64) int {
	return sort.Search(len(b.rows), func(i int) bool { return b.rows[i][colTS] >= ts })
}

// at returns where row i begins in text.
func (b *block) at(i int) int {
	if i == 0 {
		return 0
	}
	return b.ends[i-1]
}

// timeline is all rows: blocks with at least one row each, ascending. It is
// immutable, so that readers need nothing but one load of its pointer.
type timeline []*block

// last returns the newest row's time, or 0.
func (t timeline) last() int64 {
	if len(t) == 0 {
		return 0
	}
	rows := t[len(t)-1].rows
	return rows[len(rows)-1][colTS]
}

func (t timeline) len() (n int) {
	for _, b := range t {
		n += len(b.rows)
	}
	return n
}

// with returns the timeline with a row behind all others.
func (t timeline) with(r *row) timeline {
	start := blockOf(r[colTS])
	n := slices.Clone(t)
	if len(n) > 0 && n[len(n)-1].start == start {
		n[len(n)-1] = n[len(n)-1].with(r)
		return n
	}
	return append(n, newBlock(start, blockSeconds/defaultSampleSeconds).with(r))
}

// before returns the timeline with the rows before ts.
func (t timeline) before(ts int64) timeline {
	i := sort.Search(len(t), func(i int) bool { return t[i].start > ts })
	n := slices.Clone(t[:i])
	if i > 0 {
		if n[i-1] = n[i-1].before(ts); len(n[i-1].rows) == 0 {
			n = n[:i-1]
		}
	}
	return n
}

func blockOf(ts int64) int64 { return ts - ts%blockSeconds }

// stretch is neighbouring rows of one block.
type stretch struct {
	*block
	from, to int
}

func (s stretch) bytes() []byte { return s.text[s.at(s.from):s.at(s.to)] }

// within yields the rows later than after, up to until.
func (t timeline) within(after, until int64, yield func(stretch) bool) {
	for _, b := range t[sort.Search(len(t), func(i int) bool { return t[i].start+blockSeconds > after }):] {
		s := stretch{b, b.find(after + 1), b.find(until + 1)}
		if s.from < s.to && !yield(s) || b.start > until {
			return
		}
	}
}
