package rendezvous

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/card/cardtest"
	"cowrelay/cow/engine"
	"cowrelay/cow/filelog"
	"cowrelay/cow/journaltest"

	"github.com/RaduBerinde/btreemap"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// desk is a desk over a store in memory.
type desk struct {
	testing.TB
	*Desk
	store *cow.Store
	slot  *cow.Slot
}

func openDesk(t testing.TB, log interface {
	cow.Journal
	cow.Records
}, opts Options) *desk {
	t.Helper()
	opts.Logger = slog.New(slog.DiscardHandler)
	store, err := cow.Open(log, log, cow.Options{Logger: opts.Logger})
	if err != nil {
		t.Fatal(err)
	}
	d, err := Open(store, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.Close()
		store.Close()
		log.Close()
	})
	id, _, _, err := store.Allocate()
	if err != nil {
		t.Fatal(err)
	}
	return &desk{t, d, store, store.Slot(id)}
}

// page reads a page as clients do.
func (d *desk) page(cursor string, limit int, vibe *string) (rows []map[string]any, next *string) {
	d.Helper()
	p, err := d.Handles.Page(cursor, limit, vibe)
	if err != nil {
		d.Fatal(err)
	}
	var buf bytes.Buffer
	if n, err := p.WriteTo(&buf); err != nil || n != int64(p.Size()) || buf.Len() != p.Size() {
		d.Fatalf("%d bytes, %v; want %d", n, err, p.Size())
	}
	var body struct {
		Handles []map[string]any `json:"handles"`
		Next    *string          `json:"next_cursor"`
	}
	if err := json.Unmarshal(buf.Bytes(), &body); err != nil || body.Handles == nil {
		d.Fatalf("%.300s: %v", buf.Bytes(), err)
	}
	return body.Handles, body.Next
}

// walk reads all pages and returns the nicks.
func (d *desk) walk(limit int, vibe *string) (nicks []string, pages int) {
	d.Helper()
	for cursor := ""; ; pages++ {
		rows, next := d.page(cursor, limit, vibe)
		for _, row := range rows {
			nicks = append(nicks, row["nick"].(string))
		}
		if next == nil {
			return nicks, pages + 1
		}
		if *next <= cursor {
			d.Fatalf("the cursor %q comes after %q", *next, cursor)
		}
		cursor = *next
	}
}

// put records a handle as another relay would, and without a signature.
func (d *desk) put(h Handle) {
	d.Helper()
	if err := putRecord(d.store.Records(), HandleKey(h.Nick), h.Encode()); err != nil {
		d.Fatal(err)
	}
}

// Profiles hold what agents put there. Each is shown as far as every parser takes
// it, and none spoils a page.
func TestDirectory_OddProfiles(t *testing.T) {
	d := openDesk(t, journaltest.NewMemory(), Options{})
	deep := strings.Repeat("[", 100) + strings.Repeat("]", 100)
	deeper := strings.Repeat("[", 124) + strings.Repeat("]", 124)
	for _, row := range []struct{ nick, profile, motto, emoji string }{
		{"plain", `{"motto":"hi","emoji":"x"}`, `"hi"`, "x"},
		{"none", `1`, `null`, ""},
		{"empty", `{"emoji":""}`, `null`, ""},
		{"number", `{"motto":1.5,"emoji":7}`, `1.5`, ""},
		{"object", `{"motto":{"a":[1]}}`, `{"a":[1]}`, ""},
		{"deep", `{"motto":` + deep + `}`, deep, ""},
		{"deeper", `{"motto":` + deeper + `}`, `null`, ""},
		{"raw", `{"motto":{"$serde_json::private::RawValue":"1"}}`, `null`, ""},
		{"infinite", `{"motto":1e999}`, `null`, ""},
		{"twice", `{"motto":1,"motto":{"b":1,"b":2}}`, `{"b":2}`, ""},
		{"list", `{"motto":["a","\u0062"]}`, `["a","b"]`, ""},
		{"spaced", `{"motto":[ "a" ,"b"]}`, `["a","b"]`, ""},
		{"mixed", `{"motto":["a",[],1e999]}`, `null`, ""},
		{"bidi", `{"motto":"\u202e<script>\u0000"}`, "\"\u202e\\u003cscript\\u003e\\u0000\"", ""},
	} {
		d.put(Handle{Nick: row.nick, DID: "did:wire:" + row.nick + "-0a1b2c3d", Card: []byte(`{"profile":` + row.profile + `}`)})
		var got map[string]any
		rows, _ := d.page("", 500, nil)
		for _, r := range rows {
			if r["nick"] == row.nick {
				got = r["profile"].(map[string]any)
			}
		}
		motto, _ := json.Marshal(got["motto"])
		if len(got) != 5 || string(motto) != row.motto || got["emoji"] == "" || row.emoji != "" && got["emoji"] != row.emoji {
			t.Errorf("%s: %v", row.nick, got)
		}
	}
}

// A page ends at its bounds, and the cursor misses nothing.
func TestDirectory_PageBounds(t *testing.T) {
	d := openDesk(t, journaltest.NewMemory(), Options{})
	var want []string
	add := func(n int, prefix, profile string) {
		for i := range n {
			nick := fmt.Sprintf("%s%05d", prefix, i)
			want = append(want, nick)
			d.put(Handle{Nick: nick, DID: "did:wire:" + nick, Card: []byte(`{"profile":` + profile + `}`)})
		}
	}
	add(200, "a", `{"motto":"`+strings.Repeat("x", 2000)+`"}`) // rows that only records have
	add(20, "b", `{"motto":"`+strings.Repeat("x", 60<<10)+`"}`)
	add(100, "c", `{"vibe":"calm"}`)
	many := `"v0","v1","v2","v3","v4","v5","v6","v7","v8","v9"`
	add(100, "d", `{"vibe":[`+many+`]}`)
	nicks, pages := d.walk(500, nil)
	if !slices.Equal(nicks, want) || pages < 200/64+20/5 || pages > 20 {
		t.Errorf("%d nicks on %d pages", len(nicks), pages)
	}
	for vibe, n := range map[string]int{"CALM": 100, "v0": 100, "V9": 100, "v": 0} {
		nicks, pages := d.walk(500, &vibe)
		if len(nicks) != n || pages > 5 {
			t.Errorf("%s: %d nicks on %d pages", vibe, len(nicks), pages)
		}
	}
	if n := d.Handles.RowBytes(); n > 60<<10 {
		t.Errorf("%d bytes of rows in memory", n)
	}
	p, err := d.Handles.Page("b", 500, nil)
	if err != nil || p.Size() > pageRead+64<<10 {
		t.Errorf("%d bytes, %v", p.Size(), err)
	}
}

// A record that can't be read keeps its nick taken and spoils nothing.
func TestDirectory_ForeignRecords(t *testing.T) {
	log := journaltest.NewMemory()
	for nick, value := range map[string]string{
		"broken": "{", "cut": `{"did":"did:wire:cut-00000000"}`,
		"lean": `{"did":"did:wire:lean-00000000","slot":"` + strings.Repeat("0", 32) + `","claimed_at":5,"new":[1]}` + "\n" + `{"profile":{"motto":"hi"}}`,
	} {
		if err := putRecord(log, HandleKey(nick), []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	d := openDesk(t, log, Options{})
	rows, next := d.page("", 10, nil)
	if len(rows) != 1 || next != nil || rows[0]["nick"] != "lean" || rows[0]["claimed_at"] != "1970-01-01T00:00:05Z" ||
		rows[0]["profile"].(map[string]any)["motto"] != "hi" || d.Handles.Len() != 3 {
		t.Errorf("%v", rows)
	}
	_, _, err := d.Handles.Claim(Claim{Nick: "broken", Slot: d.slot, Card: cardtest.New("broken", 0).Card("{}")})
	if err == nil || d.Handles.Len() != 3 {
		t.Errorf("claimed: %v", err)
	}
}

// Readers see whole pages while nicks come and go, and in the end memory says what
// the records say.
func TestDirectory_ManyAtOnce(t *testing.T) {
	d := openDesk(t, journaltest.NewMemory(), Options{MaxHandles: 64})
	var wg, readers sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if nicks, _ := d.walk(7, nil); !slices.IsSorted(nicks) || len(slices.Compact(nicks)) != len(nicks) {
					t.Errorf("%v", nicks)
				}
			}
		})
	}
	for w := range 4 {
		wg.Go(func() {
			for i := range 100 {
				nick := fmt.Sprint("agent", (i*7+w)%20)
				switch _, _, err := d.Handles.Claim(Claim{Nick: nick, Slot: d.slot, By: Source(w), Card: cardtest.New(nick, 0).Card("{}")}); {
				case err != nil:
					t.Error(err)
				case i%3 == 0:
					if err := d.Handles.Unclaim(nick, func(Handle) error { return nil }); err != nil && err != ErrNoHandle {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	readers.Wait()
	var want []string
	mine := map[Source]int{}
	d.store.Records().List(handlePrefix, func(key string, value []byte, _ uint64) error {
		h, err := DecodeHandle(key[len(handlePrefix):], value)
		if err != nil {
			t.Error(err)
		}
		want = append(want, h.Nick)
		mine[h.By]++
		return nil
	})
	nicks, _ := d.walk(7, nil)
	if !slices.Equal(nicks, want) || d.Handles.Len() != len(want) || len(d.Handles.coming)+d.Handles.places != 0 {
		t.Errorf("%v, want %v", nicks, want)
	}
	if fmt.Sprint(d.Handles.mine) != fmt.Sprint(mine) {
		t.Errorf("%v, want %v", d.Handles.mine, mine)
	}
	var rows int64
	for _, c := range d.Handles.view.Load().all.Ascend(btreemap.Min[string](), btreemap.Max[string]()) {
		rows += int64(len(c.Load().row))
	}
	if len(d.Handles.cells) != len(want) {
		t.Errorf("%d cells, want %d", len(d.Handles.cells), len(want))
	}
	if n := len(d.Handles.writing); n != 0 {
		t.Errorf("%d records are still remembered as being written", n)
	}
	if rows != d.Handles.RowBytes() {
		t.Errorf("%d bytes of rows, counted as %d", rows, d.Handles.RowBytes())
	}
}

// fillHandles records n handles with cards of about 2 KB on a disk in memory, and
// returns its files.
func fillHandles(t testing.TB, n int) *vfs.MemFS {
	t.Helper()
	fs := vfs.NewMem()
	log := openLog(t, fs, filelog.Off)
	pad := strings.Repeat("0123456789abcdef", 100)
	for i := range n {
		nick := fmt.Sprintf("agent-%06d", i)
		h := Handle{
			Nick: nick, DID: fmt.Sprintf("did:wire:%s-%08x", nick, i), Slot: cow.ID{1}, RelayURL: "https://relay.example", ClaimedAt: time.Unix(1e9, 0), By: Source(i),
			Card: fmt.Appendf(nil, `{"did":"did:wire:%s-%08x","pad":"%s%d","profile":{"display_name":"Agent %d","motto":"always here, always on, never late","pronouns":"they/them","vibe":["calm","v%d"]},"verify_keys":{}}`, nick, i, pad, i, i, i%100),
		}
		if err := putRecord(log, HandleKey(nick), h.Encode()); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	return fs
}

func openLog(t testing.TB, fs vfs.FS, sync filelog.Sync) *engine.Journal {
	t.Helper()
	log, err := engine.Open("data", engine.Options{FS: fs, Sync: sync, Logger: slog.New(slog.DiscardHandler), CacheBytes: 8 << 20, MemTableBytes: 4 << 20, SegmentBytes: 256 << 10})
	if err != nil {
		t.Fatal(err)
	}
	return log
}

func heapBytes() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// 100,000 handles take less than 100 MB of memory, whatever their cards take.
func TestDirectory_Heap(t *testing.T) {
	n := 100_000
	if testing.Short() {
		n = 10_000
	}
	fs := fillHandles(t, n)
	log := openLog(t, fs, filelog.Always)
	store, err := cow.Open(log, log, cow.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	before, start := heapBytes(), time.Now()
	d, err := Open(store, Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	took, grown := time.Since(start), heapBytes()-before
	t.Logf("%d handles: %v to open, %d bytes of memory", n, took, grown)
	if d.Handles.Len() != n || grown > int64(n)*600+20<<20 { // the store's cache and tables have the second part
		t.Errorf("%d handles in %d bytes", d.Handles.Len(), grown)
	}
	d.Close()
	store.Close()
	log.Close()
}

// A page costs what a page costs, however many handles there are.
func BenchmarkDirectory_Page(b *testing.B) {
	for _, n := range []int{1_000, 100_000} {
		d := openDesk(b, openLog(b, fillHandles(b, n), filelog.Always), Options{})
		calm, rare := "calm", "v7"
		for name, vibe := range map[string]*string{"all": nil, "vibe": &calm, "rare": &rare} {
			b.Run(fmt.Sprintf("handles=%d/%s", n, name), func(b *testing.B) {
				b.ReportAllocs()
				var buf bytes.Buffer
				for i := range b.N {
					p, err := d.Handles.Page(fmt.Sprintf("agent-%06d", i*997%n), 100, vibe)
					if err != nil {
						b.Fatal(err)
					}
					buf.Reset()
					p.WriteTo(&buf)
				}
			})
		}
		b.Run(fmt.Sprintf("handles=%d/note", n), func(b *testing.B) { // what a claim costs beside signature and record
			h := Handle{Nick: "new", DID: "did:wire:new-00000000", Card: []byte(`{"profile":{"motto":"hi"}}`)}
			value := h.Encode()
			b.ReportAllocs()
			for b.Loop() {
				d.Handles.changed(HandleKey("new"), value, 1)
			}
		})
	}
}

// As many claim at once as there may be nicks, and as one source may have. All
// succeed, and one more does not.
func TestDirectory_LastPlaces(t *testing.T) {
	const most = 64
	for round := range 30 {
		d := openDesk(t, journaltest.NewMemory(), Options{MaxHandles: most})
		claim := func(n int, by Source) error {
			nick := fmt.Sprintf("n%d", n)
			_, _, err := d.Handles.Claim(Claim{Nick: nick, Slot: d.slot, Card: cardtest.New(nick, 0).Card("{}"), By: by})
			return err
		}
		var all sync.WaitGroup
		for n := range most {
			all.Go(func() {
				if err := claim(n, Source(1+n/(most/4))); err != nil {
					t.Errorf("round %d: nick %d: %v", round, n, err)
				}
			})
		}
		all.Wait()
		if err := claim(most, 5); err != ErrTooMany {
			t.Errorf("one more: %v", err)
		}
		if n := len(d.Handles.coming) + d.Handles.places; n != 0 {
			t.Errorf("%d places are held for nobody", n)
		}
		if err := d.Handles.Drop("n0"); err != nil {
			t.Error(err)
		}
		if err := claim(most, 2); err != ErrShare {
			t.Errorf("one more of a source that has its share: %v", err)
		}
		if err := claim(most, 1); err != nil {
			t.Errorf("one more of a source that has room again: %v", err)
		}
		if t.Failed() {
			return
		}
	}
}
