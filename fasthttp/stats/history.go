package stats

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"cowrelay/cow"
)

const (
	historySeconds = 7 * 24 * 3600
	// maxBlocks bounds the records whatever the clock does: those of seven days,
	// of which the first and the last are not whole.
	maxBlocks = historySeconds/blockSeconds + 1
	// changesPerRow is how many records are written or deleted at each row, at
	// most. So a clock that is wrong for a moment costs the oldest hours at most.
	changesPerRow = 4
	// clockGrace is how long the history waits for a clock that went back.
	clockGrace = 10 * time.Minute

	historyPrefix = "stats/rows/"
)

// history is the rows of the last seven days, in memory and in records. Any
// goroutine may read it; only the sampler's adds.
//
// Memory goes first: add shows a row at once, and save brings the records up to
// it, a few at a time. So a disk that is full or hangs costs rows only if the
// process ends meanwhile.
type history struct {
	records cow.Records
	prefix  string       // of the keys of its records
	room    func() error // an error: the disk has no room for a write
	log     *slog.Logger

	// timeline is what readers see. Publish: pairs with the Loads of replies and
	// of metrics. What was published never changes.
	timeline atomic.Pointer[timeline]
	skipped  atomic.Uint64 // records that could not be read
	failed   atomic.Uint64 // writes that failed

	// The sampler's goroutine owns these. A block is named by its start, in Unix
	// seconds.
	kept    map[int64]uint64   // versions of the records that are there
	dirty   map[int64]struct{} // blocks whose record lacks rows
	gone    map[int64]struct{} // records to delete
	backAt  time.Duration      // the uptime when the clock was first behind the newest row; 0: it is not
	failing bool               // the last write failed
}

// openHistory reads the records whose keys begin with prefix. It leaves out what it
// can't read, and logs that once.
func openHistory(records cow.Records, prefix string, room func() error, log *slog.Logger) *history {
	h := &history{
		records: records, prefix: prefix, room: room, log: log,
		kept: make(map[int64]uint64), dirty: make(map[int64]struct{}), gone: make(map[int64]struct{}),
	}
	var t timeline
	var first error
	skip := func(key string, err error) {
		if h.skipped.Add(1); first == nil {
			first = fmt.Errorf("record %q: %w", key, err)
		}
	}
	err := records.List(prefix, func(key string, value []byte, version uint64) error {
		start, err := strconv.ParseInt(strings.TrimPrefix(key, prefix), 10, 64)
		if err != nil || key != h.key(start) || start != blockOf(start) {
			skip(key, errors.New("the key is none of ours"))
			return nil
		}
		h.kept[start] = version
		if b, err := decodeBlock(start, value); err != nil {
			skip(key, err)
		} else if len(b.rows) > 0 {
			t = append(t, b)
		}
		return nil
	})
	if err != nil {
		skip(prefix, err)
	}
	if first != nil {
		log.Error("a part of the statistics' history can't be read and is left out", "records", h.skipped.Load(), "first", first)
	}
	h.timeline.Store(&t)
	return h
}

// HistoryPrefix is how the keys of the history's records begin. Relays of a fleet share
// their records, so each has a history of its own under its name. The name "" is that of
// a relay that is alone.
func HistoryPrefix(relay string) string {
	if relay == "" {
		return historyPrefix
	}
	return "stats/relays/" + relay + "/"
}

func (h *history) key(start int64) string { return historyKey(h.prefix, start) }

func historyKey(prefix string, start int64) string { return fmt.Sprintf("%s%012d", prefix, start) }

// accept says whether there may be a row of ts, which is true if all others are
// older. The caller then adds it. uptime is a clock that never goes back.
//
// When the wall clock goes back, accept first refuses rows for clockGrace: the
// clock may be about to be set right. If it stays back, it was wrong before. Then
// the rows whose time has not come yet are dropped.
func (h *history) accept(ts int64, uptime time.Duration) bool {
	if ts <= 0 {
		return false
	}
	t := *h.timeline.Load()
	if ts > t.last() {
		h.backAt = 0
		return true
	}
	if h.backAt == 0 {
		h.backAt = max(uptime, 1)
	}
	if uptime-h.backAt < clockGrace {
		return false
	}
	h.backAt = 0
	h.log.Warn("the clock went back: rows of the statistics' history that lie in the future are dropped", "newest", t.last(), "now", ts)
	t = t.before(ts)
	h.timeline.Store(&t)
	for start := range h.kept {
		if start+blockSeconds > ts {
			h.gone[start] = struct{}{}
		}
	}
	return true
}

// add shows a row that was accepted, and drops what is too old.
func (h *history) add(r *row) {
	t := (*h.timeline.Load()).with(r)
	start := blockOf(r[colTS])
	h.dirty[start] = struct{}{}
	delete(h.gone, start)

	// A record is deleted by its age even if it could not be read.
	oldest := r[colTS] - historySeconds
	starts := slices.Sorted(maps.Keys(h.kept))
	for i, s := range starts[:min(changesPerRow, len(starts))] {
		if s+blockSeconds <= oldest || len(starts)-i > maxBlocks {
			h.gone[s] = struct{}{}
		}
	}
	for n := 0; n < changesPerRow && (t[0].start+blockSeconds <= oldest || len(t) > maxBlocks); n++ {
		delete(h.dirty, t[0].start)
		t = t[1:]
	}
	h.timeline.Store(&t)
}

// save brings the records up to the rows in memory. It makes changesPerRow steps
// at most, newest block first, and fewer when stop says so.
func (h *history) save(stop func() bool) {
	n := 0
	change := func(starts map[int64]struct{}, do func(start int64) error) {
		for _, start := range slices.SortedFunc(maps.Keys(starts), func(a, b int64) int { return cmp.Compare(b, a) }) {
			if n == changesPerRow || h.room() != nil || stop() {
				return
			}
			n++
			err := do(start)
			if err == nil {
				delete(starts, start)
			} else {
				h.failed.Add(1)
			}
			if failing := err != nil; failing != h.failing {
				h.failing = failing
				if failing {
					h.log.Error("the statistics' history can't be written and is kept in memory", "error", err)
				} else {
					h.log.Info("the statistics' history can be written again")
				}
			}
		}
	}
	change(h.dirty, h.put)
	change(h.gone, h.remove)
}

func (h *history) put(start int64) error {
	t := *h.timeline.Load()
	i := slices.IndexFunc(t, func(b *block) bool { return b.start == start })
	if i < 0 {
		return nil
	}
	value := encodeBlock(t[i])
	version, err := h.records.Put(h.key(start), value, h.kept[start], cow.Totals{})
	if errors.Is(err, cow.ErrConflict) { // a record that could not be listed
		if version, err = h.version(start); err == nil {
			version, err = h.records.Put(h.key(start), value, version, cow.Totals{})
		}
	}
	if err == nil {
		h.kept[start] = version
	}
	return err
}

func (h *history) remove(start int64) error {
	err := h.records.Delete(h.key(start), h.kept[start])
	if errors.Is(err, cow.ErrConflict) {
		var version uint64
		if version, err = h.version(start); err == nil && version != 0 {
			err = h.records.Delete(h.key(start), version)
		}
	}
	if err == nil {
		delete(h.kept, start)
	}
	return err
}

// version asks for a record's version; 0 is none.
func (h *history) version(start int64) (uint64, error) {
	_, version, err := h.records.Value(h.key(start))
	if errors.Is(err, cow.ErrNoRecord) {
		return 0, nil
	}
	return version, err
}
