package cow_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"cowrelay/cow"
)

// BenchmarkWindow pulls pages of 100 events from random places: the time must
// not grow with the slot.
func BenchmarkWindow(b *testing.B) {
	for _, events := range []int{1_000, 10_000, 100_000, 200_000} {
		benchWindow(b, fmt.Sprintf("events=%d", events), events, 256, 100)
	}
}

// BenchmarkWindowSize pulls pages of 10 events of a size.
func BenchmarkWindowSize(b *testing.B) {
	for _, size := range []int{64, 512, 4 << 10, 64 << 10} {
		benchWindow(b, fmt.Sprintf("size=%d", size), 200, size, 10)
	}
}

func benchWindow(b *testing.B, step string, events, size, page int) {
	bytes := int64(page*size + page + 1)
	ids := make([]string, events-page)
	for i := range ids {
		ids[i] = ladderID(i)
	}
	run := func(impl string, pull func(to *socket) func(since string) (int, error)) {
		b.Run("impl="+impl+"/"+step, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(bytes)
			b.RunParallel(func(pb *testing.PB) {
				to := sockets.Get().(*socket)
				defer sockets.Put(to)
				one := pull(to)
				random := rand.New(rand.NewPCG(1, 2))
				for pb.Next() {
					if n, err := one(ids[random.IntN(len(ids))]); err != nil || int64(n) != bytes {
						b.Errorf("a page of %d bytes, error %v, want %d bytes", n, err, bytes)
						return
					}
				}
			})
		})
	}

	f := open(b, cow.Options{PageBytes: 64 << 20})
	slot := f.slot()
	plain := newPlainSlot()
	for i := range events {
		body := ladderBody(i, size)
		p := f.NewPost()
		if err := p.Accept(body); err != nil {
			b.Fatal(err)
		}
		if _, err := p.Commit(slot); err != nil {
			b.Fatal(err)
		}
		p.Release()
		if _, err := plain.post(body); err != nil {
			b.Fatal(err)
		}
	}
	run("cow", func(to *socket) func(string) (int, error) {
		w, since := new(cow.Window), make([]byte, 0, ladderIDDigits)
		return func(id string) (int, error) {
			since = append(since[:0], id...)
			if err := f.Window(slot, cow.After(since), page, w); err != nil {
				return 0, err
			}
			n, err := w.WriteTo(to)
			return int(n), err
		}
	})
	run("plain", func(to *socket) func(string) (int, error) {
		return func(id string) (int, error) { return plain.window(id, page, to) }
	})
	f.close()
}
