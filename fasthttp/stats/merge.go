package stats

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"time"

	"cowrelay/cow"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Merge takes rows from elsewhere into the history of a store that no relay has
// open. Rows are as /stats.history shows them. One goroutine uses it.
type Merge struct {
	now    int64
	blocks map[int64][]row
}

// NewMerge begins a merge. Rows older than the history keeps, and those from the
// future, are refused.
func NewMerge(now time.Time) *Merge { return &Merge{now.Unix(), make(map[int64][]row)} }

// Errors of Merge.Add.
var (
	ErrNoRow  = errors.New("it is no row of a history")
	ErrOldRow = errors.New("the history does not go back that far")
	ErrFuture = errors.New("its time has not come yet")
)

// Add takes a row. Members that are not known are passed over, those that are
// missing count as 0.
func (m *Merge) Add(line []byte) error {
	var members map[string]jsontext.Value
	if err := json.Unmarshal(line, &members, jsontext.AllowDuplicateNames(true)); err != nil {
		return ErrNoRow
	}
	var r row
	for c := shownColumns; c < columns; c++ {
		r[c] = noValue
	}
	for c, name := range columnNames[:shownColumns] {
		text, ok := members[name]
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(string(text), 10, 64)
		if err != nil || n < 0 {
			return ErrNoRow
		}
		r[c] = n
	}
	switch ts := r[colTS]; {
	case ts == 0:
		return ErrNoRow
	case ts <= m.now-historySeconds:
		return ErrOldRow
	case ts > m.now:
		return ErrFuture
	}
	start := blockOf(r[colTS])
	m.blocks[start] = append(m.blocks[start], r)
	return nil
}

// Save writes the rows. Of two rows of one second, the one that is there stays, or
// the one that was added last. It returns how many rows were new, and how many
// were there. With a put of nil nothing is written.
func (m *Merge) Save(value func(key string) ([]byte, uint64, error), put func(key string, value []byte, expected uint64) error) (added, there int, err error) {
	for start, rows := range m.blocks {
		old, version, err := value(historyKey(historyPrefix, start))
		if err != nil && !errors.Is(err, cow.ErrNoRecord) {
			return added, there, err
		}
		had := newBlock(start, 0)
		if err == nil {
			if had, err = decodeBlock(start, old); err != nil {
				had = newBlock(start, 0) // a record that can't be read is lost already
			}
		}
		// The last of equal times comes first here, and stays.
		rows = slices.Clone(rows)
		slices.Reverse(rows)
		all := append(slices.Clone(had.rows), rows...)
		slices.SortStableFunc(all, func(a, b row) int { return cmp.Compare(a[colTS], b[colTS]) })
		all = slices.CompactFunc(all, func(a, b row) bool { return a[colTS] == b[colTS] })
		n := len(all) - len(had.rows)
		added, there = added+n, there+len(rows)-n
		if n == 0 || put == nil {
			continue
		}
		b := newBlock(start, len(all))
		for i := range all {
			b = b.with(&all[i])
		}
		if err := put(historyKey(historyPrefix, start), encodeBlock(b), version); err != nil {
			return added, there, err
		}
	}
	return added, there, nil
}
