package fasthttp

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cowrelay/cow"
	"cowrelay/cow/journaltest"
)

// seedHistory gives the relay rows of the last hours up to now, one every 30 s,
// each as edit leaves it; the rest of it is what the relay does now. edit
// returns false where there is to be no row.
func (g *rig) seedHistory(hours int, edit func(i int, r *row) bool) {
	g.Helper()
	s := g.relay.sampler
	now := time.Now().Unix()
	now -= now % defaultSampleSeconds
	n := int64(hours) * 3600 / defaultSampleSeconds
	for i := range n {
		r := s.row(now - (n-1-i)*defaultSampleSeconds)
		r[colSpan] = defaultSampleSeconds * 1000
		if edit(int(i), r) && s.history.accept(r[colTS], 1) {
			s.history.add(r)
		}
	}
	for len(s.history.dirty)+len(s.history.gone) > 0 {
		before := s.history.failed.Load()
		if s.history.save(func() bool { return false }); s.history.failed.Load() != before {
			g.Fatal("the rows can't be saved")
		}
	}
}

// historyReply is the contract's, field by field.
type historyReply struct {
	Hours   int          `json:"hours"`
	Now     int64        `json:"now_unix"`
	Count   int          `json:"count"`
	Entries []historyRow `json:"entries"`
}

type historyRow struct {
	TS                int64  `json:"ts"`
	Handles           *int64 `json:"handles_active"`
	Slots             *int64 `json:"slots_active"`
	Pairs             *int64 `json:"pair_slots_open"`
	Streams           *int64 `json:"streams_active"`
	HandleClaims      *int64 `json:"handle_claims_total"`
	HandleFirstClaims *int64 `json:"handle_first_claims_total"`
	SlotAllocations   *int64 `json:"slot_allocations_total"`
	PairOpens         *int64 `json:"pair_opens_total"`
	EventsPosted      *int64 `json:"events_posted_total"`
}

// decodeStrictly refuses fields that are not of the contract.
func decodeStrictly(t testing.TB, body string, v any) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		t.Fatalf("%.300q: %v", body, err)
	}
}

func (g *rig) history(query string) historyReply {
	g.Helper()
	var h historyReply
	r := g.call("GET", "/stats.history"+query, "", nil).want(g, 200)
	decodeStrictly(g, r.body, &h)
	if h.Count != len(h.Entries) || h.Entries == nil {
		g.Errorf("count %d, %d entries", h.Count, len(h.Entries))
	}
	if head := g.call("HEAD", "/stats.history"+query, "", nil).want(g, 200); head.header.Get("Content-Length") != fmt.Sprint(len(r.body)) {
		g.Errorf("HEAD says %s bytes, GET %d", head.header.Get("Content-Length"), len(r.body))
	}
	last := h.Now - int64(h.Hours)*3600
	for i, e := range h.Entries {
		for _, p := range []*int64{e.Handles, e.Slots, e.Pairs, e.Streams, e.HandleClaims, e.HandleFirstClaims, e.SlotAllocations, e.PairOpens, e.EventsPosted} {
			if p == nil || *p < 0 {
				g.Fatalf("entry %d: a figure is missing, or below 0", i)
			}
		}
		if e.TS <= last || e.TS > h.Now+1 {
			g.Fatalf("entry %d is of %d, after one of %d; now is %d", i, e.TS, last, h.Now)
		}
		last = e.TS
	}
	return h
}

func TestHistory_ContractOverRestart(t *testing.T) {
	g := newRig(t, func(o *rigOptions) { o.log.FS, o.dir = vfs.Default, t.TempDir() })
	if h := g.history(""); h.Hours != 24 || h.Count != 0 {
		t.Errorf("of a new relay: %+v", h)
	}
	m := g.allocate()
	m.fill(5)
	stream := m.stream("", "")
	now := time.Now()
	g.relay.sampler.sample(now.Add(-time.Minute))
	m.post(eventN(5)).want(t, 201)
	g.relay.sampler.sample(now)
	g.relay.sampler.sample(now) // a moment has one row
	h := g.history("?hours=1")
	if h.Hours != 1 || h.Count != 2 {
		t.Fatalf("%d hours, %d rows; want 1 and 2", h.Hours, h.Count)
	}
	first, last := h.Entries[0], h.Entries[1]
	if *first.EventsPosted != 5 || *last.EventsPosted != 6 || *last.Slots != 1 || *last.SlotAllocations != 1 || *last.Streams != 1 || *last.Handles != 0 {
		t.Errorf("%+v, %+v", first, last)
	}
	if first.TS%30 != 0 || last.TS-first.TS != 60 {
		t.Errorf("times %d and %d", first.TS, last.TS)
	}
	stream.close()
	g.restart()
	if after := g.history("?hours=1"); after.Count != 2 || after.Entries[0].TS != first.TS || *after.Entries[1].EventsPosted != 6 {
		t.Errorf("after a restart: %+v", after)
	}
	if n := metric(g, "cowrelay_stats_rows"); n != 2 {
		t.Errorf("%v rows are counted", n)
	}
}

func TestHistory_Query(t *testing.T) {
	g := newRig(t)
	g.seedHistory(3, func(i int, r *row) bool { return true })
	for query, want := range map[string]int{
		"": 360, "?hours=1": 120, "?hours=2": 240, "?hours=24": 360, "?hours=168": 360, "?hours=169": 360, "?hours=99999999999999999999": 360, "?hours=0": 0, "?other=x": 360,
	} {
		h := g.history(query)
		if h.Count < want-1 || h.Count > want || h.Hours > 168 {
			t.Errorf("%q: %d rows of %d hours, want %d", query, h.Count, h.Hours, want)
		}
	}
	for _, path := range []string{"/stats.history", "/stats.series"} {
		for _, query := range []string{"?hours=", "?hours=x", "?hours=-1", "?hours=1.5", "?hours=1&hours=2", "?hours=%2B1", "?hours=1h"} {
			g.call("GET", path+query, "", nil).want(t, 400)
		}
		g.call("POST", path, "", "{}").want(t, 405)
	}
}

// /stats is a page for people and JSON for programs.
func TestStats_ByAccept(t *testing.T) {
	g := newRig(t)
	for accept, page := range map[string]bool{
		"": false, "*/*": false, "application/json": false, "text/plain": false, "text/html": true, "TEXT/HTML": true,
		"text/html,application/xhtml+xml,*/*;q=0.8": true, "application/json, text/html;q=0.5": true,
	} {
		for _, method := range []string{"GET", "HEAD"} {
			r := g.call(method, "/stats", "", nil, "Accept", accept).want(t, 200)
			kind, want := r.header.Get("Content-Type"), "application/json"
			if page {
				want = "text/html"
			}
			if !strings.HasPrefix(kind, want) || !slices.Contains(r.header.Values("Vary"), "Accept") {
				t.Errorf("%s, Accept %q: %s, Vary %q", method, accept, kind, r.header.Values("Vary"))
			}
		}
	}
	g.call("POST", "/stats", "", "{}").want(t, 405)
}

// A week is 20,160 rows; what is older leaves memory and disk.
func TestHistory_Bounds(t *testing.T) {
	g := newRig(t)
	g.seedHistory(2*maxHours, func(i int, r *row) bool { return true })
	h := g.history("?hours=168")
	if h.Count < 20_159 || h.Count > 20_160 {
		t.Errorf("%d rows, want 20,160", h.Count)
	}
	records, bytes := 0, 0
	oldest := h.Now - historySeconds
	err := g.store.Records().List(historyPrefix, func(key string, value []byte, _ uint64) error {
		records, bytes = records+1, bytes+len(value)
		var start int64
		fmt.Sscanf(key, historyPrefix+"%d", &start)
		if start+blockSeconds <= oldest {
			t.Errorf("%s is kept", key)
		}
		return nil
	})
	if err != nil || records > maxBlocks || bytes > 8<<20 {
		t.Errorf("%d records of %d bytes, %v", records, bytes, err)
	}
	if n := g.relay.sampler.history.timeline.Load().len(); n > 20_160+blockSeconds/30 {
		t.Errorf("%d rows are in memory", n)
	}
	g.restart()
	if after := g.history("?hours=168"); after.Count < 20_150 {
		t.Errorf("%d rows after a restart", after.Count)
	}
}

// A reply is written from the rows' own text: what it costs does not depend on
// how many there are.
func TestHistory_ReplyTakesNoMemory(t *testing.T) {
	g := newRig(t)
	g.seedHistory(maxHours, func(i int, r *row) bool { return true })
	now := time.Now().Unix()
	rows := *g.relay.sampler.history.timeline.Load()
	var n int64
	allocs := testing.AllocsPerRun(10, func() {
		b := newRowsBody(rows, maxHours, now)
		n, _ = b.WriteTo(discard{})
		if n != int64(b.size) {
			t.Fatalf("%d bytes, %d were announced", n, b.size)
		}
	})
	if allocs > 30 || n < 4_000_000 {
		t.Errorf("%v allocations for %d bytes", allocs, n)
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// newHistory returns a history over records alone.
func newHistory(records cow.Records) *history {
	return openHistory(records, func() error { return nil }, slog.New(slog.DiscardHandler))
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

// What can't be read is left out, said once, and counted; it goes with its time.
func TestHistory_BadRecords(t *testing.T) {
	records := journaltest.NewMemory()
	h := newHistory(records)
	const start = 1_700_000_000 / 1800 * 1800
	for i := range int64(3) {
		h.put1(start+1800*i, time.Second)
	}
	bad := map[string]string{
		historyKey(start + 1800*10): "", historyKey(start + 1800*11): "{", historyKey(start + 1800*12): `{"v":2,"columns":["ts"],"rows":[]}`,
		historyKey(start + 1800*13): `{"v":1,"columns":["ts"],"rows":[[1]]}`, historyKey(start + 1800*14): `{"v":1,"columns":["x"],"rows":[[1]]}`,
		historyKey(start + 1800*15): fmt.Sprintf(`{"v":1,"columns":["ts"],"rows":[[%d],[%d]]}`, start+1800*15+30, start+1800*15+30),
		historyKey(start + 1800*16): fmt.Sprintf(`{"v":1,"columns":["ts","x"],"rows":[[%d]]}`, start+1800*16),
		historyPrefix + "x":         "{}", historyPrefix + "000000000001": "{}", historyPrefix + "1800": "{}",
	}
	for key, value := range bad {
		if _, err := records.Put(key, []byte(value), 0); err != nil {
			t.Fatal(err)
		}
	}
	// Fewer columns, other columns, another order.
	good := fmt.Sprintf(`{"v":1,"columns":["new","slots_active","ts"],"rows":[[9,7,%d]],"more":{}}`, start+1800*17)
	if _, err := records.Put(historyKey(start+1800*17), []byte(good), 0); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	h = openHistory(records, func() error { return nil }, slog.New(slog.NewTextHandler(&out, nil)))
	if n := h.skipped.Load(); n != uint64(len(bad)) || strings.Count(out.String(), "\n") != 1 {
		t.Errorf("%d skipped, want %d; log: %s", n, len(bad), out.String())
	}
	if got, want := h.times(), []int64{start, start + 1800, start + 3600, start + 1800*17}; !slices.Equal(got, want) {
		t.Fatalf("%v, want %v", got, want)
	}
	rows := (*h.timeline.Load())[3].rows
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
		if _, ours := bad[key]; ours && key < historyKey(start+1800*16) && key >= historyKey(start) {
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
	h := openHistory(records, func() error {
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

// The sampler by itself, in virtual time: a row at each multiple of 30 s, none
// after it was stopped.
func TestSampler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		records := journaltest.NewMemory()
		s := startSampler(newHistory(records), 30*time.Second, func(ts int64) *row { return &row{colTS: ts} })
		time.Sleep(17 * time.Second)
		begin := time.Now().Unix()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		list := s.history.times()
		if len(list) != 20 || list[0] <= begin || list[0] > begin+30 {
			t.Errorf("rows from %d on: %v", begin, list)
		}
		for _, ts := range list {
			if ts%30 != 0 {
				t.Errorf("a row of %d", ts)
			}
		}
		s.stop(t.Context())
		time.Sleep(time.Hour)
		if n := len(s.history.times()); n != 20 {
			t.Errorf("%d rows after the stop, want 20", n)
		}
		if got := newHistory(records).times(); !slices.Equal(got, list) {
			t.Errorf("the records hold %v", got)
		}
	})
}

// A drain does not wait for ever for a disk that hangs.
func TestSampler_StopWhileItHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		h := openHistory(journaltest.NewMemory(), func() error { <-hang; return nil }, slog.New(slog.DiscardHandler))
		s := startSampler(h, 30*time.Second, func(ts int64) *row { return &row{colTS: ts} })
		time.Sleep(time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		start := time.Now()
		s.stop(ctx)
		if took := time.Since(start); took < 5*time.Second || took > 7*time.Second {
			t.Errorf("the stop took %v", took)
		}
		close(hang)
		<-s.done
		if n := len(newHistory(h.records).times()); n != 0 {
			t.Errorf("%d rows were written after the stop", n)
		}
	})
}

// What the relay did between two rows is in the second.
func TestMeter(t *testing.T) {
	g := newRig(t)
	m := newMeter(g.relay)
	box := g.allocate()
	box.fill(3)
	box.post(eventN(1)).want(t, 200)
	box.pull("")
	box.pull("?since=e1")
	g.call("GET", "/nope", "", nil).want(t, 404)
	// Requests are counted when their replies are on their way.
	g.eventually("all are counted", func() bool { return m.count().requests == 8 })
	r := m.row(60)
	for col, want := range map[int]int64{
		colTS: 60, colSlots: 1, colSlotAllocations: 1, colEventsPosted: 3, colStored: 3, colDuplicates: 1, colPulls: 2,
		colRequests: 8, colFailures: 0, colRefused: 0, colEvents: 3, colLagP99: noValue,
	} {
		if r[col] != want {
			t.Errorf("%s is %d, want %d", columnNames[col], r[col], want)
		}
	}
	if r[colCommits] < 3 || r[colCommitP50] <= 0 || r[colCommitP99] < r[colCommitP50] || r[colResident] < 1<<20 || r[colSlotMemory] <= 0 || r[colSpan] < 0 {
		t.Errorf("%v", r)
	}
	if r := m.row(90); r[colStored] != 0 || r[colPulls] != 0 || r[colRequests] != 0 || r[colCommitP99] != noValue || r[colEventsPosted] != 3 {
		t.Errorf("of a time without requests: %v", r)
	}
}

func TestQuantile(t *testing.T) {
	bounds := []time.Duration{10, 20, 40}
	for _, c := range []struct {
		from, to []uint64
		q        float64
		want     int64
	}{
		{[]uint64{5, 5, 5, 5}, []uint64{5, 5, 5, 5}, 0.5, noValue},
		{[]uint64{0, 0, 0, 0}, []uint64{10, 0, 0, 0}, 0.5, 5},
		{[]uint64{7, 0, 0, 0}, []uint64{17, 0, 10, 0}, 0.5, 10},
		{[]uint64{0, 0, 0, 0}, []uint64{10, 0, 10, 0}, 0.75, 30},
		{[]uint64{0, 0, 0, 1}, []uint64{0, 0, 0, 4}, 0.99, 40},
		{[]uint64{0, 0, 0, 0}, []uint64{0, 100, 0, 0}, 1, 20},
	} {
		if got := quantile(bounds, c.from, c.to, c.q); got != c.want {
			t.Errorf("%v of %v to %v: %d, want %d", c.q, c.from, c.to, got, c.want)
		}
	}
}
