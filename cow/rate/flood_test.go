package rate

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cowrelay/cow/invariants"
)

// scaled makes a number of acts smaller where each takes long.
func scaled(n int) int {
	if invariants.Enabled {
		return n / 20
	}
	return n
}

// R2: a million keys, far over the bound, leave no more than the bound's.
func TestLimiter_R2_MillionKeys(t *testing.T) {
	const most = 4096
	l := NewLimiter[uint64](PerSecond(10, 50), most)
	for i := range uint64(most) {
		l.Allow(i, int64(i))
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range uint64(scaled(1_000_000)) {
		if ok, _ := l.Allow(i<<20, int64(i)*1000); !ok {
			t.Fatal("a new key is limited")
		}
		if i%1000 == 0 && l.Keys() > most {
			t.Fatalf("%d keys of %d", l.Keys(), most)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if l.Keys() != most || l.buckets.Size() != most {
		t.Errorf("%d keys ranked, %d in the map, want %d", l.Keys(), l.buckets.Size(), most)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 256<<10 {
		t.Errorf("the heap grew by %d KiB", grown>>10)
	}
	runtime.KeepAlive(l)
}

// R3: a key that is limited stays so through any number of keys that come once,
// until its own tokens are back but one.
func TestLimiter_R3_FloodOfNewKeys(t *testing.T) {
	limit := PerSecond(10, 50)
	l := NewLimiter[int](limit, 100)
	const victim = -1
	step := 10 * time.Microsecond * time.Duration(400_000/scaled(400_000))
	now := int64(0)
	allowed := 0
	for i := range scaled(400_000) {
		if i%4 == 0 { // it never stops asking
			if ok, _ := l.Allow(victim, now); ok {
				allowed++
			}
		}
		l.Allow(i, now)
		now += int64(step)
	}
	if want := 50 + 39; allowed != want { // it asks for the last time just before the fourth second is over
		t.Errorf("%d acts allowed in 4 s, want %d", allowed, want)
	}

	// And one that is silent gets back what it would have got anyway, and one.
	for range 50 {
		l.Allow(victim, now)
	}
	for i := range scaled(200_000) { // 2 s
		l.Allow(1_000_000+i, now)
		now += int64(step)
	}
	if n := left(l, victim, now); n != 20 {
		t.Errorf("%d tokens after 2 s, want 20", n)
	}
}

func left[K comparable](l *Limiter[K], key K, now int64) (n int) {
	for {
		if ok, _ := l.Allow(key, now); !ok {
			return n
		}
		n++
	}
}

// R1 and R3 under concurrency: at one moment, the burst of a key is allowed
// once, whoever asks, while keys that come once push each other out.
func TestLimiter_R1_Hammer(t *testing.T) {
	const burst, hot, workers = 200, 16, 8
	for round := range 20 {
		l := NewLimiter[int](Limit{time.Second, burst}, hot+8)
		var allowed [hot]atomic.Int64
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				for i := range burst * hot / workers * 3 / 2 {
					if ok, _ := l.Allow(i%hot, 0); ok {
						allowed[i%hot].Add(1)
					}
					if i >= 2*hot { // all hot ones lack two tokens by now
						l.Allow(hot+w*1_000_000+i, 0)
					}
				}
			})
		}
		wg.Wait()
		check(t, l)
		for key := range allowed {
			if n := allowed[key].Load(); n != burst {
				t.Fatalf("round %d: key %d was allowed %d times, want %d", round, key, n, burst)
			}
		}
	}
}

// Keys are forgotten while others are about to use them, and come again: none
// gets less than its due, and map and heap stay one.
func TestLimiter_R2_HammerOfForgotten(t *testing.T) {
	const burst, keys, most, workers, asks = 5, 64, 24, 8, 4000
	l := NewLimiter[int](Limit{time.Second, burst}, most)
	var allowed, asked [keys]atomic.Int64
	var clock atomic.Int64
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range asks {
				key := (i*(2*w+1) + w) % keys
				asked[key].Add(1)
				if ok, _ := l.Allow(key, clock.Add(int64(time.Millisecond))); ok {
					allowed[key].Add(1)
				}
			}
		})
	}
	wg.Wait()
	check(t, l)
	due := int64(workers*asks/1000 + 1) // one a second
	for key := range allowed {
		if got, want := allowed[key].Load(), min(asked[key].Load(), due); got < want {
			t.Errorf("key %d: %d acts allowed of %d, want %d at least", key, got, asked[key].Load(), want)
		}
	}
}

// check holds the heap against the map.
func check[K comparable](t *testing.T, l *Limiter[K]) {
	t.Helper()
	if len(l.order) > l.maxKeys || l.buckets.Size() != len(l.order) {
		t.Fatalf("%d keys ranked, %d in the map, at most %d", len(l.order), l.buckets.Size(), l.maxKeys)
	}
	for i, r := range l.order {
		if b, _ := l.buckets.Load(r.key); b != r.bucket {
			t.Fatalf("key %v: its bucket is not the one in the map", r.key)
		}
		if at := r.full.Load(); at == gone || at < r.at || i > 0 && l.order[(i-1)/2].at > r.at {
			t.Fatalf("key %v at %d is ranked at %d, at place %d", r.key, at, r.at, i)
		}
	}
}
