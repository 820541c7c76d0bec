package rate

import (
	"math/rand/v2"
	"testing"
	"time"
)

// A token that is given back is there for the next act, once, and never makes more
// than a full bucket.
func TestReturn(t *testing.T) {
	const every = int64(time.Second)
	l := NewLimiter[string](Limit{Every: time.Second, Burst: 3}, 10)
	take := func(now int64, want bool) {
		t.Helper()
		if ok, _ := l.Allow("a", now); ok != want {
			t.Fatalf("at %d: %v, want %v", now, ok, want)
		}
	}
	l.Return("a") // unknown
	for range 3 {
		take(0, true)
	}
	take(0, false)
	l.Return("a")
	l.Return("a")
	take(0, true)
	take(0, true)
	take(0, false)
	l.Return("a")
	for range 3 { // the bucket is full again without it
		take(3*every, true)
	}
	take(3*every, false)
	NewLimiter[string](Limit{}, 1).Return("a") // no limit: nothing to give back
}

// Over a random run, what was allowed and not given back stays within what came
// back in time, a full bucket and what was given back late.
func TestReturn_Random(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 3))
		l := NewLimiter[int](Limit{Every: 10, Burst: 5}, 3)
		now, net, returned := int64(0), 0, 0
		for range 500 {
			switch rng.IntN(4) {
			case 0:
				now += rng.Int64N(20)
			case 1:
				if net > 0 && rng.IntN(2) == 0 {
					l.Return(1)
					net--
					returned++
				}
			default:
				if ok, wait := l.Allow(1, now); ok {
					net++
				} else if wait <= 0 {
					t.Fatalf("seed %d: refused without a wait", seed)
				}
			}
			if most := 5 + int(now/10) + returned; net > most {
				t.Fatalf("seed %d: %d acts at %d, at most %d", seed, net, now, most)
			}
		}
	}
}
