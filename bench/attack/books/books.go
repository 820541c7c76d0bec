package books

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/pprof/profile"
)

// Books compare the memory that a relay counts with what is there. All in
// bytes.
type Books struct {
	// Live is what lives of the heap after a collection, without the store's
	// part.
	Live int64 `json:"live_heap"`
	// Store is the part of the heap that Pebble allocated. Its cache and its
	// memtables have a share of the budget of their own.
	Store int64 `json:"store_heap"`
	// Counted is the sum of cowrelay_memory_bytes, and cowrelay_backlog_bytes.
	Counted int64 `json:"counted"`
	// Rest is Difference of the same process at rest, when it had just started:
	// the runtime, its tables, code that ran.
	Rest int64 `json:"at_rest"`
	// Sites are the places in the code that hold most of Live.
	Sites []string `json:"sites,omitempty"`
}

// How far the books may be off: by a part of what is counted, and by a fixed number
// of bytes. A process that has worked has pools of buffers, histograms and tables
// that grew, and the profile is a sample.
const (
	booksPart  = 0.10
	BooksFixed = 16 << 20
)

// Difference is the memory that lives and is not counted.
func (b *Books) Difference() int64 { return b.Live - b.Counted }

// Allowed is how far Difference may be from Rest.
func (b *Books) Allowed() int64 { return int64(booksPart*float64(b.Counted)) + BooksFixed }

// Check returns an error if the books do not agree.
func (b *Books) Check() error {
	if off := b.Difference() - b.Rest; off > b.Allowed() || -off > b.Allowed() {
		return fmt.Errorf("%s of live heap and %s counted: off by %s, where 10 %% and %s are allowed (at rest %s more than counted); most is held by\n  %s",
			MiB(b.Live), MiB(b.Counted), MiB(off), MiB(BooksFixed), MiB(b.Rest), strings.Join(b.Sites, "\n  "))
	}
	return nil
}

// Read reads the books of the relay whose admin listener is at admin
// (host:port) and asks for the token, unless that is "". It makes the relay
// collect garbage. The caller sets Rest.
func Read(ctx context.Context, admin, token string) (*Books, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	// Pools are empty after the second collection.
	for range 2 {
		if _, err := get(ctx, admin, token, "/debug/pprof/heap?gc=1&debug=1"); err != nil {
			return nil, err
		}
	}
	raw, err := get(ctx, admin, token, "/debug/pprof/heap?gc=1")
	if err != nil {
		return nil, err
	}
	p, err := profile.ParseData(raw)
	if err != nil {
		return nil, fmt.Errorf("cannot read the relay's heap profile: %w", err)
	}
	text, err := get(ctx, admin, token, "/debug/pprof/heap?gc=1&debug=1")
	if err != nil {
		return nil, err
	}
	alloc, err := heapAlloc(text)
	if err != nil {
		return nil, err
	}
	m, err := Metrics(ctx, admin, token)
	if err != nil {
		return nil, err
	}
	b := &Books{Counted: int64(m.Sum("cowrelay_memory_bytes") + m.Sum("cowrelay_backlog_bytes"))}
	b.Store, b.Sites = sitesOf(p)
	b.Live = alloc - b.Store
	return b, nil
}

// heapAlloc reads the exact size of the live heap, which is at the end of a
// heap profile's text form. The samples of the profile are an estimate.
func heapAlloc(text []byte) (n int64, err error) {
	for line := range bytes.Lines(text) {
		if _, err := fmt.Sscanf(string(line), "# HeapAlloc = %d", &n); err == nil {
			return n, nil
		}
	}
	return 0, fmt.Errorf("the relay's heap profile has no HeapAlloc")
}

// sitesOf returns what Pebble holds, and the other places that hold the most.
func sitesOf(p *profile.Profile) (store int64, sites []string) {
	at := slices.IndexFunc(p.SampleType, func(t *profile.ValueType) bool { return t.Type == "inuse_space" })
	if at < 0 {
		return 0, nil
	}
	held := map[string]int64{}
	for _, s := range p.Sample {
		if s.Value[at] == 0 {
			continue
		}
		ofStore, names := false, []string{}
		for _, l := range s.Location {
			for _, line := range l.Line {
				name := line.Function.Name
				ofStore = ofStore || strings.HasPrefix(name, "github.com/cockroachdb/pebble/")
				if len(names) < 4 {
					names = append(names, name[strings.LastIndexByte(name, '/')+1:])
				}
			}
		}
		if ofStore {
			store += s.Value[at]
			continue
		}
		held[strings.Join(names, " < ")] += s.Value[at]
	}
	keys := make([]string, 0, len(held))
	for k := range held {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int { return cmp.Compare(held[b], held[a]) })
	for _, k := range keys[:min(len(keys), 8)] {
		sites = append(sites, MiB(held[k])+" "+k)
	}
	return store, sites
}

func MiB(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
