package rate

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/puzpuzpuz/xsync/v3"
)

// A Limiter holds each key to one limit. NewLimiter makes it; it must not be
// copied.
type Limiter[K comparable] struct {
	meter   meter
	maxKeys int
	buckets *xsync.MapOf[K, *bucket[K]] // read without mu, written under it

	mu sync.Mutex
	// order has each bucket of the map once. It is a heap by the times that the
	// buckets had when they were ranked. They only get later: what stands on top
	// is either right, or has been used since and sinks.
	order []ranked[K]
}

type bucket[K comparable] struct {
	full atomic.Int64
	key  K
}

type ranked[K comparable] struct {
	*bucket[K]
	at int64
}

// NewLimiter returns a limiter that knows no key. It takes some 100 bytes for
// each key that comes, up to maxKeys.
func NewLimiter[K comparable](l Limit, maxKeys int) *Limiter[K] {
	return &Limiter[K]{meter: newMeter(l), maxKeys: max(maxKeys, 1), buckets: xsync.NewMapOf[K, *bucket[K]]()}
}

// Allow says whether one more act of the key is within its limit now, and takes
// its token. If not, one will be after retryAfter.
func (l *Limiter[K]) Allow(key K, now int64) (ok bool, retryAfter time.Duration) {
	if l.meter.every == 0 {
		return true, 0
	}
	if b, known := l.buckets.Load(key); known {
		if ok, wait, live := l.meter.take(&b.full, now); live {
			return ok, wait
		}
		// Forgotten since the Load. The token must not come from what nobody will
		// look at again.
	}
	return l.meet(key, now)
}

// meet is Allow for a key that may be new.
func (l *Limiter[K]) meet(key K, now int64) (ok bool, retryAfter time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b, known := l.buckets.Load(key); known { // and live: only who has mu forgets
		ok, wait, _ := l.meter.take(&b.full, now)
		return ok, wait
	}
	if len(l.order) >= l.maxKeys {
		l.forget()
	}
	b := &bucket[K]{key: key}
	b.full.Store(now + l.meter.every)
	l.push(ranked[K]{b, now + l.meter.every})
	l.buckets.Store(key, b) // publish: b is complete, and ranked
	return true, 0
}

// forget drops the key whose bucket is full again first (R3). The caller has
// mu.
func (l *Limiter[K]) forget() {
	for {
		top := &l.order[0]
		switch at := top.full.Load(); {
		case at != top.at:
			top.at = at
			l.sink()
		case top.full.CompareAndSwap(at, gone):
			// Pairs with take's swap: one of the two comes first. An act that does
			// is seen here, and one that does not finds the bucket gone and comes
			// to meet, behind mu, where the key is new.
			l.buckets.Delete(top.key)
			last := len(l.order) - 1
			l.order[0] = l.order[last]
			l.order[last] = ranked[K]{}
			l.order = l.order[:last]
			l.sink()
			return
		}
	}
}

// push adds r to the heap.
func (l *Limiter[K]) push(r ranked[K]) {
	l.order = append(l.order, r)
	h := l.order
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if h[up].at <= h[i].at {
			return
		}
		h[up], h[i] = h[i], h[up]
		i = up
	}
}

// sink moves the top of the heap down to its place.
func (l *Limiter[K]) sink() {
	h := l.order
	for i := 0; ; {
		least := i
		for _, down := range [2]int{2*i + 1, 2*i + 2} {
			if down < len(h) && h[down].at < h[least].at {
				least = down
			}
		}
		if least == i {
			return
		}
		h[least], h[i] = h[i], h[least]
		i = least
	}
}

// Keys returns how many keys have a bucket.
func (l *Limiter[K]) Keys() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.order)
}
