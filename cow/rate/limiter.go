package rate

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/puzpuzpuz/xsync/v3"
)

// A Limiter holds each of its keys to one limit. NewLimiter makes it. It must not
// be copied.
type Limiter[K comparable] struct {
	meter   meter
	maxKeys int
	buckets *xsync.MapOf[K, *bucket[K]] // read without mu, written under mu

	mu sync.Mutex
	// order has each bucket of the map once. It is a heap by ranked.at. A bucket
	// that is used will be full later than that. So the bucket on top is either
	// the right one, or it was used since and sinks.
	//
	// container/heap in its place made a new key a quarter slower and took a third
	// more memory for each: it moves pointers, and each comparison follows two.
	order []ranked[K] // guarded by mu
}

type bucket[K comparable] struct {
	full atomic.Int64 // when it is full again, in nanoseconds, or gone
	// returned counts tokens that were given back. The next takers get them. They
	// stand beside full, as full must never go back: the heap relies on that.
	// They are void once the bucket is full without them.
	returned atomic.Int32
	key      K
}

// ranked is a bucket in the heap, and when it would have been full again as it was
// ranked.
type ranked[K comparable] struct {
	*bucket[K]
	at int64
}

// NewLimiter returns a limiter that knows no key yet. Each key takes some 100 bytes.
// There are at most maxKeys.
func NewLimiter[K comparable](l Limit, maxKeys int) *Limiter[K] {
	return &Limiter[K]{meter: newMeter(l), maxKeys: max(maxKeys, 1), buckets: xsync.NewMapOf[K, *bucket[K]]()}
}

// Allow reports whether one more act of the key is within its limit now, and takes
// its token. If it is not, the next one will be after retryAfter.
func (l *Limiter[K]) Allow(key K, now int64) (ok bool, retryAfter time.Duration) {
	if l.meter.every == 0 {
		return true, 0
	}
	if b, known := l.buckets.Load(key); known {
		if b.redeem(now) {
			return true, 0
		}
		if ok, wait, live := l.meter.take(&b.full, now); live {
			return ok, wait
		}
		// The bucket was forgotten since the Load. A token taken from it would not
		// count.
	}
	return l.meet(key, now)
}

// More takes n more tokens of the key for an act that Allow has let pass; see
// Bucket.More.
func (l *Limiter[K]) More(key K, n int, now int64) (ok bool, retryAfter time.Duration) {
	if l.meter.every == 0 || n <= 0 {
		return true, 0
	}
	for {
		if b, known := l.buckets.Load(key); known {
			if ok, wait, live := l.meter.more(&b.full, n, now); live {
				return ok, wait
			}
		}
		l.meet(key, now) // it was forgotten since Allow
	}
}

// Return gives back a token that Allow has taken for the key, for an act that came
// to nothing. If the key was forgotten meanwhile, it has all its tokens anyway.
func (l *Limiter[K]) Return(key K) {
	if l.meter.every == 0 {
		return
	}
	if b, known := l.buckets.Load(key); known {
		b.returned.Add(1)
	}
}

// redeem takes a token that was given back, if there is one.
func (b *bucket[K]) redeem(now int64) bool {
	for {
		n := b.returned.Load()
		if n <= 0 {
			return false
		}
		if b.full.Load() <= now { // or gone
			b.returned.CompareAndSwap(n, 0)
			return false
		}
		if b.returned.CompareAndSwap(n, n-1) {
			return true
		}
	}
}

// meet is Allow for a key that may be new.
func (l *Limiter[K]) meet(key K, now int64) (ok bool, retryAfter time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b, known := l.buckets.Load(key); known { // and live: forget needs mu
		ok, wait, _ := l.meter.take(&b.full, now)
		return ok, wait
	}
	if len(l.order) >= l.maxKeys {
		l.forget()
	}
	b := &bucket[K]{key: key}
	b.full.Store(now + l.meter.every)
	l.push(ranked[K]{b, now + l.meter.every})
	l.buckets.Store(key, b) // publish: b is complete, and in the heap
	return true, 0
}

// forget drops the key whose bucket will be full again first (R3). The caller holds
// mu.
func (l *Limiter[K]) forget() {
	for {
		top := &l.order[0]
		switch at := top.full.Load(); {
		case at != top.at:
			top.at = at
			l.sink()
		case top.full.CompareAndSwap(at, gone):
			// Pairs with the swap in take: one of the two comes first. If take
			// does, this swap fails and the loop sees the act. If this one does,
			// take finds the bucket gone and goes to meet, which waits for mu and
			// then finds a new key.
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
