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
	g.relay.recorder.Sample(now.Add(-time.Minute))
	m.post(eventN(5)).want(t, 201)
	g.relay.recorder.Sample(now)
	g.relay.recorder.Sample(now) // a moment has one row
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
		g.relay.recorder.Sample(now.Add(time.Duration(i-3) * time.Minute))
	}
	left := disk.CrashClone(vfs.CrashCloneCfg{})
	after := newRig(t, func(o *rigOptions) { o.log.FS = left })
	if h := after.history("?hours=1"); h.Count != 3 || *h.Entries[2].SlotAllocations != 1 {
		t.Errorf("%+v", h)
	}
}

func TestHistory_Query(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	g.seedHistory(3, 0, nil)
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

// A whole week of rows comes out as it went in.
func TestHistory_AWeek(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	hours := maxHours
	if testing.Short() {
		hours = 24 // the plain run takes the week
	}
	rows := hours * 120
	g.seedHistory(hours, 0, nil)
	h := g.history(fmt.Sprint("?hours=", hours))
	if h.Count < rows-2 || h.Count > rows {
		t.Errorf("%d rows, want %d", h.Count, rows)
	}
	if n := metric(g, "cowrelay_stats_rows"); n < float64(rows-2) || metric(g, "cowrelay_stats_records_skipped_total") != 0 {
		t.Errorf("%v rows are in memory", n)
	}
}

// What the relay did between two rows is in the second.
func TestHistory_WhatARowHolds(t *testing.T) {
	g := newRig(t)
	now := time.Now()
	g.relay.recorder.Sample(now.Add(-time.Minute))
	box := g.allocate()
	box.fill(3)
	box.post(eventN(1)).want(t, 200)
	box.pull("")
	box.pull("?since=e1")
	box.stream("", "")
	g.call("GET", "/nope", "", nil).want(t, 404)
	// Requests are counted when their replies are on their way.
	g.eventually("all are counted", func() bool {
		n := 0.0
		for line := range strings.Lines(metricsText(g)) {
			if strings.HasPrefix(line, "cowrelay_http_requests_total{") {
				var one float64
				fmt.Sscan(line[strings.LastIndexByte(line, ' '):], &one)
				n += one
			}
		}
		return n == 9
	})
	g.relay.recorder.Sample(now)
	rows := g.storedRows()
	if len(rows) != 2 {
		t.Fatalf("%d rows", len(rows))
	}
	r := rows[1]
	for name, want := range map[string]int64{
		"slots_active": 1, "slot_allocations_total": 1, "events_posted_total": 3, "posts_stored": 3, "posts_duplicate": 1, "pulls": 2,
		"requests": 9, "failures": 0, "posts_refused": 0, "limited": 0, "events": 3, "streams_active": 1, "long_polls": 0, "lag_p99_ns": -1,
	} {
		if r[name] != want {
			t.Errorf("%s is %d, want %d", name, r[name], want)
		}
	}
	if r["commits"] < 3 || r["commit_p50_ns"] <= 0 || r["commit_p99_ns"] < r["commit_p50_ns"] || r["resident_bytes"] < 1<<20 ||
		r["slot_memory_bytes"] <= 0 || r["span_ms"] < 0 || r["cpu_ms"] < 0 || r["connections"] < 1 {
		t.Errorf("%v", r)
	}
}
