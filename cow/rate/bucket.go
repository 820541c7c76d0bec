package rate

import (
	"fmt"
	"math"
	"sync/atomic"
	"time"
)

// Limit says how often something may happen. The zero value is no limit.
type Limit struct {
	Every time.Duration // one token comes back in this time; 0: no limit
	Burst int           // how many tokens a full bucket holds, at least 1
}

// PerSecond returns a limit of that many acts a second. 0 is no limit.
func PerSecond(acts float64, burst int) Limit {
	if acts == 0 {
		return Limit{}
	}
	return Limit{Every: time.Duration(float64(time.Second) / acts), Burst: burst}
}

// meter is a limit as a bucket needs it, in nanoseconds.
type meter struct {
	every int64
	spare int64 // a bucket has a token if it is full again within this time
}

// longest is more nanoseconds than any clock here will show. A sum of two does not
// overflow.
const longest = math.MaxInt64 / 4

func newMeter(l Limit) meter {
	if l.Every == 0 {
		return meter{}
	}
	if l.Every < 0 || l.Burst < 1 || int64(l.Burst) > longest/int64(l.Every) {
		panic(fmt.Sprintf("BUG: rate: no limit can be made of %+v", l))
	}
	return meter{every: int64(l.Every), spare: int64(l.Every) * int64(l.Burst-1)}
}

// gone stands in a bucket that its limiter has forgotten, in place of a time.
const gone = math.MinInt64

// take takes a token, or returns how long it will be until there is one. live is
// false for a bucket that is gone.
func (m meter) take(full *atomic.Int64, now int64) (ok bool, wait time.Duration, live bool) {
	for {
		at := full.Load()
		if at == gone {
			return false, 0, false
		}
		from := max(at, now)
		if wait := from - now - m.spare; wait > 0 {
			return false, time.Duration(wait), true
		}
		// Pairs with the swaps of other takers, and with forget's: each act
		// moves the time of one live bucket, once (R1).
		if full.CompareAndSwap(at, from+m.every) {
			return true, 0, true
		}
	}
}

// more takes n tokens beside one that was taken for the same act. It takes them where
// the act finds all its tokens, or a full bucket if the act is larger than that. Then
// the bucket owes the rest, and has no token until that is paid. Else it returns how
// long it will be until the whole act finds its tokens.
func (m meter) more(full *atomic.Int64, n int, now int64) (ok bool, wait time.Duration, live bool) {
	need := min(int64(n), m.spare/m.every) // beside the one
	for {
		at := full.Load()
		if at == gone {
			return false, 0, false
		}
		from := max(at, now)
		if from-now > m.spare-(need-1)*m.every {
			return false, time.Duration(from - now - m.spare + need*m.every), true
		}
		if full.CompareAndSwap(at, from+int64(n)*m.every) {
			return true, 0, true
		}
	}
}

// A Bucket is one limit for all acts together. NewBucket makes it. It must not be
// copied.
type Bucket struct {
	meter meter
	full  atomic.Int64 // when it is full again, in nanoseconds
}

// NewBucket returns a full bucket.
func NewBucket(l Limit) *Bucket {
	b := &Bucket{meter: newMeter(l)}
	b.full.Store(-longest) // full at any time
	return b
}

// Allow reports whether one more act is within the limit now, and takes its token.
// If it is not, the next one will be after retryAfter.
func (b *Bucket) Allow(now int64) (ok bool, retryAfter time.Duration) {
	if b.meter.every == 0 {
		return true, 0
	}
	ok, retryAfter, _ = b.meter.take(&b.full, now)
	return ok, retryAfter
}

// More takes n more tokens for an act that Allow has let pass, which so takes n and one
// in all. An act that is larger than a full bucket passes when the bucket is full, and
// leaves it in debt. If it does not pass, it may after retryAfter; the token that Allow
// took is not given back.
func (b *Bucket) More(n int, now int64) (ok bool, retryAfter time.Duration) {
	if b.meter.every == 0 || n <= 0 {
		return true, 0
	}
	ok, retryAfter, _ = b.meter.more(&b.full, n, now)
	return ok, retryAfter
}
