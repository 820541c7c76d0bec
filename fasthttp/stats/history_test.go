package stats

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/journaltest"
)

// newHistory returns a history over records alone.
func newHistory(records cow.Records) *history {
	return openHistory(records, historyPrefix, func() error { return nil }, slog.New(slog.DiscardHandler))
}

// put adds a row as the sampler does.
func (h *history) put1(ts int64, uptime time.Duration) bool {
	ok := h.accept(ts, uptime)
	if ok {
		h.add(&row{colTS: ts, colSlots: 1})
	}
	h.save(func() bool { return false })
	return ok
}

func (h *history) times() (list []int64) {
	for s := range func(yield func(stretch) bool) { h.timeline.Load().within(0, 1<<62, yield) } {
		for _, r := range s.rows[s.from:s.to] {
			list = append(list, r[colTS])
		}
	}
	return list
}

// A clock that goes back breaks neither order nor bounds: it is waited for, and
// believed if it stays.
func TestHistory_ClockGoesBack(t *testing.T) {
	records := journaltest.NewMemory()
	h := newHistory(records)
	const start = 1_700_000_000 / 1800 * 1800
	up := time.Second
	tick := func(ts int64) bool { up += 30 * time.Second; return h.put1(ts, up) }
	for i := range int64(300) { // 2.5 hours: five blocks
		if !tick(start + 30*i) {
			t.Fatalf("row %d is refused", i)
		}
	}
	// A minute back and set right again: nothing is lost.
	for i := range int64(2) {
		if tick(start + 30*(298+i)) {
			t.Fatal("a row in the past is taken")
		}
	}
	if !tick(start+30*300) || len(h.times()) != 301 {
		t.Fatalf("%d rows", len(h.times()))
	}
	// An hour and more back, for good.
	const back = start + 30*150 + 30
	taken := 0
	for i := range int64(40) {
		if tick(back + 30*i) {
			taken++
		}
	}
	if taken < 15 || taken > 21 {
		t.Errorf("%d of 40 rows were taken, want those after ten minutes", taken)
	}
	check := func(h *history) {
		t.Helper()
		list := h.times()
		if !slices.IsSorted(list) || len(slices.Compact(slices.Clone(list))) != len(list) {
			t.Errorf("times out of order: %v", list)
		}
		if last := list[len(list)-1]; last != back+30*39 {
			t.Errorf("the newest is of %d, want %d", last, back+30*39)
		}
	}
	check(h)
	// What the reader of the records sees is the same.
	again := newHistory(records)
	check(again)
	if !slices.Equal(again.times(), h.times()) || again.skipped.Load() != 0 {
		t.Errorf("%d rows, %d after a restart", len(h.times()), len(again.times()))
	}
}

// A clock that is far ahead for a moment costs the oldest hours at most.
func TestHistory_ClockJumpsAhead(t *testing.T) {
	records := journaltest.NewMemory()
	h := newHistory(records)
	const start = 1_700_000_000 / 1800 * 1800
	up := time.Second
	tick := func(ts int64) bool { up += 30 * time.Second; return h.put1(ts, up) }
	for i := range int64(1200) {
		tick(start + 30*i)
	}
	if !tick(start + 10*365*24*3600) {
		t.Fatal("a row ahead is refused")
	}
	for i := range int64(60) {
		tick(start + 30*(1202+i))
	}
	if n := len(h.times()); n < 1200-changesPerRow*60 {
		t.Errorf("%d rows are left", n)
	}
	if again := newHistory(records); !slices.Equal(again.times(), h.times()) {
		t.Error("the records hold something else")
	}
}

// encodeRows is another release's record.
func encodeRows(names []string, values ...int64) string {
	out := binary.AppendUvarint([]byte{1}, uint64(len(names)))
	for _, name := range names {
		out = append(binary.AppendUvarint(out, uint64(len(name))), name...)
	}
	for i, v := range values {
		if i >= len(names) {
			v -= values[i-len(names)]
		}
		out = binary.AppendVarint(out, v)
	}
	return string(out)
}

// What can't be read is left out, said once, and counted; it goes with its time.
func TestHistory_BadRecords(t *testing.T) {
	records := journaltest.NewMemory()
	h := newHistory(records)
	const start = 1_700_000_000 / 1800 * 1800
	for i := range int64(3) {
		h.put1(start+1800*i, time.Second)
	}
	whole := encodeBlock((&block{start: start}).with(&row{colTS: start + 1800*16}).with(&row{colTS: start + 1800*16 + 30}))
	bad := map[string]string{
		historyKey(historyPrefix, start+1800*10): "", historyKey(historyPrefix, start+1800*11): "\x01", historyKey(historyPrefix, start+1800*12): "\x02" + string(whole[1:]),
		historyKey(historyPrefix, start+1800*13): string(whole), // of another time
		historyKey(historyPrefix, start+1800*14): string(whole[:len(whole)-1]), historyKey(historyPrefix, start+1800*15): string(whole[:20]),
		historyKey(historyPrefix, start+1800*16): encodeRows([]string{"ts"}, start+1800*16, start+1800*16), // twice the same time
		historyKey(historyPrefix, start+1800*18): encodeRows([]string{"x"}, 1), historyKey(historyPrefix, start+1800*19): "\x01\xff\xff\xff\xff\x0f",
		historyPrefix + "x": "{}", historyPrefix + "000000000001": "{}", historyPrefix + "1800": "{}",
	}
	for key, value := range bad {
		if _, err := records.Put(key, []byte(value), 0, cow.Totals{}); err != nil {
			t.Fatal(err)
		}
	}
	// Fewer columns, other columns, another order.
	good := encodeRows([]string{"new", "slots_active", "ts"}, 9, 7, start+1800*17, 10, 5, start+1800*17+60)
	if _, err := records.Put(historyKey(historyPrefix, start+1800*17), []byte(good), 0, cow.Totals{}); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	h = openHistory(records, historyPrefix, func() error { return nil }, slog.New(slog.NewTextHandler(&out, nil)))
	if n := h.skipped.Load(); n != uint64(len(bad)) || strings.Count(out.String(), "\n") != 1 {
		t.Errorf("%d skipped, want %d; log: %s", n, len(bad), out.String())
	}
	if got, want := h.times(), []int64{start, start + 1800, start + 3600, start + 1800*17, start + 1800*17 + 60}; !slices.Equal(got, want) {
		t.Fatalf("%v, want %v", got, want)
	}
	rows := (*h.timeline.Load())[3].rows
	if rows[1][colSlots] != 5 {
		t.Errorf("%v", rows[1])
	}
	if r := rows[0]; r[colSlots] != 7 || r[colHandles] != 0 || r[colResident] != noValue || r[colSpan] != noValue {
		t.Errorf("%v", r)
	}
	// The block that can't be read is written anew, the others are deleted.
	for i := range int64(200) {
		h.put1(start+1800*16+60+30*i, time.Second)
	}
	for i := range int64(30) {
		h.put1(start+1800*20+historySeconds+30*i, time.Second)
	}
	records.List(historyPrefix, func(key string, _ []byte, _ uint64) error {
		if _, ours := bad[key]; ours && key < historyKey(historyPrefix, start+1800*16) && key >= historyKey(historyPrefix, start) {
			t.Errorf("%s is still there", key)
		}
		return nil
	})
	if h.failed.Load() != 0 {
		t.Errorf("%d writes failed", h.failed.Load())
	}
}

// What can't be written stays in memory and is written later, all of it.
func TestHistory_FullDisk(t *testing.T) {
	records := journaltest.NewMemory()
	full := false
	h := openHistory(records, historyPrefix, func() error {
		if full {
			return cow.ErrNoSpace
		}
		return nil
	}, slog.New(slog.DiscardHandler))
	const start = 1_700_000_000 / 1800 * 1800
	for i := range int64(200) {
		full = i > 20 && i < 190
		h.put1(start+30*i, time.Second)
	}
	if got := newHistory(records).times(); len(got) != 200 {
		t.Errorf("%d rows were written, want 200", len(got))
	}
}

// What is decoded is in order, and is encoded as it was.
func FuzzDecodeBlock(f *testing.F) {
	const start = 1_700_000_000 / 1800 * 1800
	f.Add(encodeBlock((&block{start: start}).with(&row{colTS: start, colEventsPosted: 1 << 62, colLagP99: noValue}).with(&row{colTS: start + 1799})))
	f.Add([]byte(encodeRows([]string{"ts"}, start, start+1)))
	f.Add([]byte(encodeRows([]string{"ts", "ts", "x"}, 1, 2, 3)))
	f.Fuzz(func(t *testing.T, in []byte) {
		b, err := decodeBlock(start, in)
		if err != nil {
			return
		}
		if len(b.rows) > blockSeconds || len(b.ends) != len(b.rows) {
			t.Fatalf("%d rows, %d texts", len(b.rows), len(b.ends))
		}
		again, err := decodeBlock(start, encodeBlock(b))
		if err != nil || !slices.Equal(again.rows, b.rows) || !bytes.Equal(again.text, b.text) {
			t.Fatalf("%v, then %v, %v", b, again, err)
		}
		for i := range b.rows {
			var shown map[string]int64
			text := stretch{b, i, i + 1}.bytes()
			if err := json.Unmarshal(text[1:], &shown); text[0] != ',' || err != nil || shown["ts"] != b.rows[i][colTS] || len(shown) != shownColumns {
				t.Fatalf("%s: %v", text, err)
			}
		}
	})
}

// Relays that share their records have histories of their own, and none gets in the way
// of another.
func TestHistory_OfEachRelay(t *testing.T) {
	records := journaltest.NewMemory()
	const start = 1_700_000_000 / 1800 * 1800
	var log bytes.Buffer
	open := func(relay string) *history {
		return openHistory(records, HistoryPrefix(relay), func() error { return nil }, slog.New(slog.NewTextHandler(&log, nil)))
	}
	names := []string{"", "a", "b"}
	rows := make(map[string][]int64)
	var all []*history
	for _, name := range names {
		all = append(all, open(name))
	}
	for n := range int64(90) {
		for i, name := range names {
			ts := start + 30*n + int64(i)
			if !all[i].put1(ts, time.Duration(n)*30*time.Second) {
				t.Fatalf("relay %q: row %d is refused", name, n)
			}
			rows[name] = append(rows[name], ts)
		}
	}
	for _, name := range names {
		if got := open(name).times(); !slices.Equal(got, rows[name]) {
			t.Errorf("relay %q has %d rows, wants its own %d", name, len(got), len(rows[name]))
		}
	}
	if log.Len() > 0 {
		t.Errorf("a write failed: %s", log.String())
	}
}
