package stats

import (
	"slices"
	"sort"
	"time"
)

// DefaultEvery is the time between two rows.
const DefaultEvery = 30 * time.Second

// blockSeconds is the time whose rows are kept as one record: a row costs one
// small write, a start reads a few hundred records, and deletes leave little
// behind.
const blockSeconds = 1800

// rowsOfBlock is how many rows a block has memory for at first.
const rowsOfBlock = blockSeconds / int(DefaultEvery/time.Second)

// block is the rows of one stretch of blockSeconds. A published block never
// changes. One row more makes another block, which may share the memory of the
// first: it writes only behind what the first shows.
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

// with returns the block with one row more. It may be called once for a block,
// and only for the newest one of a history: two rows would be written to the same
// memory.
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

// at returns the byte of text where row i begins.
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
	return append(n, newBlock(start, rowsOfBlock).with(r))
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
