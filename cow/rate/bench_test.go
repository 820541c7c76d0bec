package rate

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

// plainMutex is the twin: a lock, a map, and a float, without a bound.
type plainMutex struct {
	mu   sync.Mutex
	keys map[uint64]*tokens
}

type tokens struct {
	left float64
	at   int64
}

func (p *plainMutex) Allow(key uint64, now int64) bool {
	const rate, burst = 1000, 5000
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.keys[key]
	if b == nil {
		b = &tokens{burst, now}
		p.keys[key] = b
	}
	b.left = min(b.left+float64(now-b.at)*rate/1e9, burst)
	b.at = now
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}

// benchAllow has so many keys ask in turn, an act each 100 ns.
func benchAllow(b *testing.B, keys uint64, allow func(key uint64, now int64)) {
	var clock, seed atomic.Int64
	for k := range keys {
		allow(k, 0)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		i := uint64(seed.Add(7919))
		for pb.Next() {
			i++
			if i%64 == 0 {
				clock.Add(6400)
			}
			allow(i%keys, clock.Load())
		}
	})
}

func BenchmarkAllow(b *testing.B) {
	for _, keys := range []uint64{1, 1000, 30_000} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			l := NewLimiter[uint64](PerSecond(1000, 5000), 1<<15)
			benchAllow(b, keys, func(key uint64, now int64) { l.Allow(key, now) })
		})
		b.Run(fmt.Sprintf("keys=%d/plain", keys), func(b *testing.B) {
			p := &plainMutex{keys: make(map[uint64]*tokens)}
			benchAllow(b, keys, func(key uint64, now int64) { p.Allow(key, now) })
		})
	}
}

// Keys that nobody has seen: each pushes another one out.
func BenchmarkAllow_NewKeys(b *testing.B) {
	l := NewLimiter[uint64](PerSecond(1000, 5000), 1<<15)
	b.ReportAllocs()
	for i := range uint64(b.N) {
		l.Allow(i, int64(i)*100)
	}
}
