package cow

import (
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/puzpuzpuz/xsync/v3"
)

// subscribers is what a slot asks of its set of subscribers.
type subscribers interface {
	enter(*member)
	exit(*member)
	wakeAll()
}

type cowMembers struct{ members }

func (s *cowMembers) enter(m *member) { s.join(m, 1<<30) }
func (s *cowMembers) exit(m *member)  { s.leave(m) }
func (s *cowMembers) wakeAll()        { s.wake(noTime) }

func noTime() int64 { return 0 }

// xsyncMembers is a concurrent map.
type xsyncMembers struct {
	all *xsync.MapOf[*member, struct{}]
}

func (s *xsyncMembers) enter(m *member) { s.all.Store(m, struct{}{}) }
func (s *xsyncMembers) exit(m *member)  { s.all.Delete(m) }
func (s *xsyncMembers) wakeAll() {
	s.all.Range(func(m *member, _ struct{}) bool {
		m.waker.Wake(0)
		return true
	})
}

// plainMembers is a map under a lock, which the commit loop holds while it wakes.
type plainMembers struct {
	mu  sync.RWMutex
	all map[*member]struct{}
}

func (s *plainMembers) enter(m *member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = make(map[*member]struct{})
	}
	s.all[m] = struct{}{}
}

func (s *plainMembers) exit(m *member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if delete(s.all, m); len(s.all) == 0 {
		s.all = nil
	}
}

func (s *plainMembers) wakeAll() {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for m := range s.all {
		m.waker.Wake(0)
	}
}

// rung is a waker that counts.
type rung struct{ n int }

func (r *rung) Wake(int64) { r.n++ }

// BenchmarkSubscribers measures the set of a slot's subscribers beside a
// concurrent map and a map under a lock: what waking all takes, what one more that
// joins and leaves takes, and the heap bytes of a slot's set, members not counted.
func BenchmarkSubscribers(b *testing.B) {
	impls := []struct {
		name string
		make func() subscribers
	}{
		{"cow", func() subscribers { return new(cowMembers) }},
		{"xsync", func() subscribers { return &xsyncMembers{xsync.NewMapOf[*member, struct{}]()} }},
		{"plain", func() subscribers { return new(plainMembers) }},
	}
	for _, impl := range impls {
		for _, n := range []int{1, 16, 256} {
			var bell rung
			list := make([]member, n+1)
			for i := range list {
				list[i].waker = &bell
			}
			fill := func(s subscribers) subscribers {
				for i := range n {
					s.enter(&list[i])
				}
				return s
			}
			run := func(do string, f func(b *testing.B)) {
				b.Run(fmt.Sprintf("impl=%s/subs=%d/do=%s", impl.name, n, do), f)
			}
			run("wake", func(b *testing.B) {
				s := fill(impl.make())
				bell.n = 0
				rounds := 0
				for b.Loop() {
					s.wakeAll()
					rounds++
				}
				if bell.n != n*rounds {
					b.Fatalf("%d subscribers were woken %d times in %d rounds", n, bell.n, rounds)
				}
			})
			run("join+leave", func(b *testing.B) {
				s := fill(impl.make())
				b.ReportAllocs()
				for b.Loop() {
					s.enter(&list[n])
					s.exit(&list[n])
				}
			})
			run("heap", func(b *testing.B) {
				const slots = 256
				var sets [slots]subscribers
				var before, after runtime.MemStats
				for b.Loop() {
					clear(sets[:])
					runtime.GC()
					runtime.ReadMemStats(&before)
					for i := range sets {
						sets[i] = fill(impl.make())
					}
					runtime.GC()
					runtime.ReadMemStats(&after)
				}
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/slots, "B/slot")
				b.ReportMetric(0, "ns/op")
				runtime.KeepAlive(&sets)
			})
		}
	}
}
