package rate

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// plain is a token bucket as the books have it, in whole nanoseconds: tokens
// are held in parts of which Every make one.
type plain struct {
	limit  Limit
	parts  int64
	filled int64 // when
}

func newPlain(l Limit, now int64) *plain {
	return &plain{l, int64(l.Burst) * int64(l.Every), now}
}

func (p *plain) allow(now int64) (bool, time.Duration) {
	p.parts = min(p.parts+now-p.filled, int64(p.limit.Burst)*int64(p.limit.Every))
	p.filled = now
	if p.parts < int64(p.limit.Every) {
		return false, p.limit.Every - time.Duration(p.parts)
	}
	p.parts -= int64(p.limit.Every)
	return true, 0
}

// plainLimiter forgets by looking at every key.
type plainLimiter struct {
	limit   Limit
	maxKeys int
	keys    map[int]*plain
}

func (l *plainLimiter) allow(key int, now int64) (bool, time.Duration) {
	b := l.keys[key]
	if b == nil {
		if len(l.keys) >= l.maxKeys {
			delete(l.keys, l.next())
		}
		b = newPlain(l.limit, now)
		l.keys[key] = b
	}
	return b.allow(now)
}

// next is the key whose bucket is full again first.
func (l *plainLimiter) next() (key int) {
	first := int64(longest)
	for k, b := range l.keys {
		if at := b.filled + int64(b.limit.Burst)*int64(b.limit.Every) - b.parts; at < first {
			key, first = k, at
		}
	}
	return key
}

// R1: a bucket answers as the plain one does, to the nanosecond.
func TestBucket_R1_AsThePlainOne(t *testing.T) {
	for _, l := range []Limit{{1, 1}, {time.Second, 1}, PerSecond(10, 50), PerSecond(3, 7), {time.Minute, 5}, PerSecond(1000, 3)} {
		for seed := range uint64(20) {
			rng := rand.New(rand.NewPCG(seed, uint64(l.Every)))
			now := rng.Int64N(1 << 40)
			b, p := NewBucket(l), newPlain(l, now)
			for i := range 2000 {
				ok, wait := b.Allow(now)
				wantOK, wantWait := p.allow(now)
				if ok != wantOK || wait != wantWait {
					t.Fatalf("%+v, seed %d, act %d: %v, %v; the plain bucket: %v, %v", l, seed, i, ok, wait, wantOK, wantWait)
				}
				switch rng.IntN(8) {
				case 0:
					now += rng.Int64N(2 * int64(l.Every) * int64(l.Burst))
				case 1, 2:
					now += rng.Int64N(2 * int64(l.Every))
				case 3:
					now += int64(wait)
				case 4:
					now += max(int64(wait)-1, 0)
				}
			}
		}
	}
}

// R1 to R3: a limiter answers as the plain one does, forgetting included.
func TestLimiter_AsThePlainOne(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 1))
		limit := Limit{time.Duration(1 + rng.IntN(1000)), 1 + rng.IntN(8)}
		most := 1 + rng.IntN(20)
		l, p := NewLimiter[int](limit, most), &plainLimiter{limit, most, map[int]*plain{}}
		now := int64(0)
		for i := range 4000 {
			// At one moment one act, so that no two buckets are full again at once
			// and both have the same one to forget.
			now += 1 + rng.Int64N(int64(limit.Every))/int64(1+rng.IntN(most))
			if tie(p, now) {
				continue
			}
			key := rng.IntN(2 * most)
			ok, wait := l.Allow(key, now)
			wantOK, wantWait := p.allow(key, now)
			if ok != wantOK || wait != wantWait {
				t.Fatalf("seed %d, act %d of key %d: %v, %v; the plain limiter: %v, %v", seed, i, key, ok, wait, wantOK, wantWait)
			}
			if l.Keys() != len(p.keys) || l.Keys() > most {
				t.Fatalf("seed %d, act %d: %d keys, the plain limiter %d of %d", seed, i, l.Keys(), len(p.keys), most)
			}
		}
	}
}

// tie says whether two buckets lack something and are full again at once, or
// would be if one were used now.
func tie(p *plainLimiter, now int64) bool {
	var times []int64
	for _, b := range p.keys {
		at := b.filled + int64(b.limit.Burst)*int64(b.limit.Every) - b.parts
		times = append(times, at, max(at, now)+int64(b.limit.Every))
	}
	times = append(times, now+int64(p.limit.Every))
	slices.Sort(times)
	for i := range times[1:] {
		if times[i] == times[i+1] && times[i] > now {
			return true
		}
	}
	return false
}

// The contract's own limit, in the time of a wall clock.
func TestLimiter_TenASecondBurstFifty(t *testing.T) {
	l := NewLimiter[string](PerSecond(10, 50), 10)
	at := func(now time.Duration, want int) {
		t.Helper()
		n := 0
		for {
			ok, wait := l.Allow("a", int64(now))
			if !ok {
				if wait <= 0 || wait > 100*time.Millisecond {
					t.Fatalf("after %v: wait %v", now, wait)
				}
				break
			}
			n++
		}
		if n != want {
			t.Errorf("after %v: %d allowed, want %d", now, n, want)
		}
	}
	at(0, 50)
	at(99*time.Millisecond, 0)
	at(100*time.Millisecond, 1)
	at(1100*time.Millisecond, 10)
	at(6100*time.Millisecond, 50)
	at(time.Hour, 50)
	if ok, _ := l.Allow("b", int64(time.Hour)); !ok {
		t.Error("one key's acts count for another")
	}
}

func TestLimit_ZeroIsNone(t *testing.T) {
	l, b := NewLimiter[int](Limit{}, 1), NewBucket(Limit{})
	for i := range 1000 {
		if ok, _ := l.Allow(i, 0); !ok {
			t.Fatal("limited")
		}
		if ok, _ := b.Allow(0); !ok {
			t.Fatal("limited")
		}
	}
	if l.Keys() != 0 || (PerSecond(0, 5) != Limit{}) {
		t.Error("no limit keeps keys")
	}
}

func TestLimit_ImpossibleOnesPanic(t *testing.T) {
	for _, l := range []Limit{{-1, 1}, {1, 0}, {time.Second, -1}, {longest, 2}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v was taken", l)
				}
			}()
			NewBucket(l)
		}()
	}
}

// R1: an act of many tokens passes as it would in the books: if it finds its tokens, or
// a whole bucket. What it lacks then is owed. If it does not pass it has cost one, and
// it passes at the time that it is told, and not before.
func TestBucket_R1_More(t *testing.T) {
	for _, l := range []Limit{{1, 1}, {time.Second, 1}, PerSecond(10, 50), PerSecond(3, 7), {time.Minute, 5}, PerSecond(1000, 5000)} {
		for seed := range uint64(20) {
			rng := rand.New(rand.NewPCG(seed, uint64(l.Every)))
			now := rng.Int64N(1 << 40)
			b, p := NewBucket(l), newPlain(l, now)
			lim := NewLimiter[int](l, 4)
			for i := range 1000 {
				n := 1 + rng.IntN(3*l.Burst)
				act := func(now int64) (bool, time.Duration) {
					ok, wait := b.Allow(now)
					byKey, keyWait := lim.Allow(7, now)
					if ok {
						ok, wait = b.More(n-1, now)
						byKey, keyWait = lim.More(7, n-1, now)
					}
					if ok != byKey || wait != keyWait {
						t.Fatalf("%+v, seed %d, act %d of %d: the bucket says %v, %v, the limiter %v, %v", l, seed, i, n, ok, wait, byKey, keyWait)
					}
					return ok, wait
				}
				model := func(now int64) (bool, time.Duration) {
					if ok, wait := p.allow(now); !ok {
						return false, wait
					}
					need := int64(min(n-1, l.Burst-1)) * int64(l.Every)
					if p.parts < need {
						return false, time.Duration(need + int64(l.Every) - p.parts)
					}
					p.parts -= int64(n-1) * int64(l.Every)
					return true, 0
				}
				ok, wait := act(now)
				wantOK, wantWait := model(now)
				if ok != wantOK || wait != wantWait {
					t.Fatalf("%+v, seed %d, act %d of %d: %v, %v; the books: %v, %v", l, seed, i, n, ok, wait, wantOK, wantWait)
				}
				switch rng.IntN(6) {
				case 0:
					now += rng.Int64N(2 * int64(l.Every) * int64(l.Burst))
				case 1, 2:
					now += rng.Int64N(2 * int64(l.Every))
				case 3:
					now += int64(wait)
				}
			}
		}
	}
}
