package stats

import (
	"fmt"
	"io"
	"testing"
	"time"

	"cowrelay/cow/journaltest"
)

const week = historySeconds / 3600 // hours

// weekOf is a history with a row every 30 s over the hours before now.
func weekOf(h *history, hours int, now int64) {
	for ts := now - int64(hours)*3600 + 30; ts <= now; ts += 30 {
		if h.accept(ts, 1) {
			h.add(&row{colTS: ts, colSlots: 1000, colEventsPosted: 1_000_000 + ts%1000})
		}
	}
	for len(h.dirty)+len(h.gone) > 0 {
		h.save(func() bool { return false })
	}
}

// A week is 20,160 rows; what is older leaves memory and records.
func TestHistory_Bounds(t *testing.T) {
	records := journaltest.NewMemory()
	h := newHistory(records)
	now := time.Now().Unix()
	now -= now % 30
	weekOf(h, week+24, now)
	if b := newRows(*h.timeline.Load(), week, now); b.count < 20_159 || b.count > 20_160 {
		t.Errorf("%d rows, want 20,160", b.count)
	}
	count, bytes := 0, 0
	err := records.List(historyPrefix, func(key string, value []byte, _ uint64) error {
		count, bytes = count+1, bytes+len(value)
		var start int64
		fmt.Sscanf(key, historyPrefix+"%d", &start)
		if start+blockSeconds <= now-historySeconds {
			t.Errorf("%s is kept", key)
		}
		return nil
	})
	if err != nil || count > maxBlocks || bytes > 8<<20 {
		t.Errorf("%d records of %d bytes, %v", count, bytes, err)
	}
	if n := h.timeline.Load().len(); n > 20_160+blockSeconds/30 {
		t.Errorf("%d rows are in memory", n)
	}
	if n := newHistory(records).timeline.Load().len(); n < 20_150 {
		t.Errorf("%d rows after a restart", n)
	}
	if n := h.failed.Load(); n != 0 {
		t.Errorf("%d writes failed", n)
	}
}

// A reply is written from the rows' own text: what it costs does not depend on
// how many there are.
func TestHistory_ReplyTakesNoMemory(t *testing.T) {
	h := newHistory(journaltest.NewMemory())
	now := time.Now().Unix()
	weekOf(h, week, now-now%30)
	rows := *h.timeline.Load()
	var n int64
	allocs := testing.AllocsPerRun(10, func() {
		b := newRows(rows, week, now)
		n, _ = b.WriteTo(struct{ io.Writer }{io.Discard})
		if n != int64(b.Size()) {
			t.Fatalf("%d bytes, %d were announced", n, b.Size())
		}
	})
	if allocs > 30 || n < 4_000_000 {
		t.Errorf("%v allocations for %d bytes", allocs, n)
	}
}
