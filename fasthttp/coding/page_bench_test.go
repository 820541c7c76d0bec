package coding

import (
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"cowrelay/cow"
	"cowrelay/cow/journaltest"
)

// BenchmarkPage makes pages of 100 signed events and writes them nowhere: plain, and by
// each coding, with pieces that are kept (hot) and with pieces that are made (cold).
// sent/page is what goes over the line.
func BenchmarkPage(b *testing.B) {
	for _, c := range []struct {
		impl   string
		coding Coding
		cache  int64
	}{
		{"plain", Identity, 0}, {"gzip-hot", Gzip, 16 << 20}, {"zstd-hot", Zstd, 16 << 20}, {"gzip-cold", Gzip, 0}, {"zstd-cold", Zstd, 0},
	} {
		for _, size := range []int{300, 600, 2400} {
			b.Run(fmt.Sprintf("impl=%s/size=%d", c.impl, size), func(b *testing.B) {
				f := open(b, journaltest.NewMemory(), cow.Options{}, func(o *Options) { o.CacheBytes = c.cache })
				defer f.Close()
				slot := f.slot()
				f.post(slot, events(rand.New(rand.NewPCG(1, 2)), 0, 1000, size)...)
				w, sent := new(cow.Window), 0
				b.ReportAllocs()
				for i := range b.N {
					if err := f.Store.Window(slot, cow.From(uint64(i%9*100)), 100, w); err != nil {
						b.Fatal(err)
					}
					if c.coding == Identity {
						sent += w.Len()
						w.WriteTo(io.Discard)
						continue
					}
					p := f.coder.Page(Choice{Coding: c.coding}, 1, slot, w)
					if p == nil {
						b.Fatal("a page is plain")
					}
					sent += p.Len()
					p.Close()
				}
				b.ReportMetric(float64(sent)/float64(b.N), "sent/page")
			})
		}
	}
}
