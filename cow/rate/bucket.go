package rate

import (
	"fmt"
	"math"
	"sync/atomic"
	"time"
)

// Limit says how often. The zero value is no limit.
type Limit struct {
	Every time.Duration // in which one more is allowed; 0: no limit
	Burst int           // how many are allowed at once after a rest, at least 1
}

// PerSecond is a limit of so many acts a second. 0 is no limit.
func PerSecond(acts float64, burst int) Limit {
	if acts == 0 {
		return Limit{}
	}
	return Limit{Every: time.Duration(float64(time.Second) / acts), Burst: burst}
}

// meter is a limit as a bucket needs it.
type meter struct {
	every int64
	spare int64 // how far from full a bucket may be and still have a token
}

// Longer than any clock here will run, and far from overflow when added to it.
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

// gone stands in a bucket that its limiter has forgotten.
const gone = math.MinInt64

// take takes a token, or says how long none will be there. live is false for a
// bucket that is gone.
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

// A Bucket is one limit over all. NewBucket makes it; it must not be copied.
type Bucket struct {
	meter meter
	full  atomic.Int64
}

// NewBucket returns a full bucket.
func NewBucket(l Limit) *Bucket {
	b := &Bucket{meter: newMeter(l)}
	b.full.Store(-longest) // full at whatever time
	return b
}

// Allow says whether one more act is within the limit now, and takes its token.
// If not, one will be after retryAfter.
func (b *Bucket) Allow(now int64) (ok bool, retryAfter time.Duration) {
	if b.meter.every == 0 {
		return true, 0
	}
	ok, retryAfter, _ = b.meter.take(&b.full, now)
	return ok, retryAfter
}
