package fasthttp

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
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
	get := func() reply { return g.call("GET", "/stats.history"+query, "", nil).want(g, 200) }
	r := get()
	decodeStrictly(g, r.body, &h)
	if h.Count != len(h.Entries) || h.Entries == nil {
		g.Errorf("count %d, %d entries", h.Count, len(h.Entries))
	}
	head := g.call("HEAD", "/stats.history"+query, "", nil).want(g, 200).header.Get("Content-Length")
	if head != fmt.Sprint(len(r.body)) && len(get().body) == len(r.body) { // else a row has become too old
		g.Errorf("HEAD says %s bytes, GET %d", head, len(r.body))
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

// A row is on stable storage when it is saved.
func TestHistory_OverCrash(t *testing.T) {
	disk := vfs.NewCrashableMem()
	g := newRig(t, func(o *rigOptions) { o.log.FS = disk })
	g.allocate()
	now := time.Now()
	for i := range 3 {
		g.relay.sampler.sample(now.Add(time.Duration(i-3) * time.Minute))
	}
	left := disk.CrashClone(vfs.CrashCloneCfg{})
	after := newRig(t, func(o *rigOptions) { o.log.FS = left })
	if h := after.history("?hours=1"); h.Count != 3 || *h.Entries[2].SlotAllocations != 1 {
		t.Errorf("%+v", h)
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
	g.seedHistory(maxHours+24, func(i int, r *row) bool { return true })
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
	if n := g.relay.sampler.history.timeline.Load().len(); n < 20_150 {
		t.Errorf("%d rows after a restart", n)
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
		b := new(Relay).newRowsBody(rows, maxHours, now)
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
