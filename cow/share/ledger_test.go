package share

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

func any1(*Holder[int]) bool { return true }

func TestLedger_S1_LimitAndShare(t *testing.T) {
	l := New[int](10, 6)
	var a, b, c Holder[int]
	for i, step := range []struct {
		ok   bool
		want bool
	}{
		{l.Take(&a, 1, 7), false}, // over the share
		{l.Take(&a, 1, 4), true},
		{l.Grow(&a, 2), true},
		{l.Grow(&a, 1), false},
		{l.Take(&b, 1, 1), false}, // another holder of the same client
		{l.Take(&b, 2, 5), false}, // over the limit
		{l.Take(&b, 2, 4), true},
		{l.Take(&c, 3, 1), false},
		{l.Take(&c, 3, 0), true},
	} {
		if step.ok != step.want {
			t.Fatalf("step %d: %v, want %v", i, step.ok, step.want)
		}
	}
	if l.Used() != 10 || l.Held(1) != 6 || l.Held(2) != 4 || l.Most() != 6 || l.Clients() != 3 {
		t.Fatalf("used %d, held %d and %d, most %d, clients %d", l.Used(), l.Held(1), l.Held(2), l.Most(), l.Clients())
	}
	l.Give(&a)
	l.Give(&a) // S2
	if l.Used() != 4 || l.Clients() != 2 || l.Grow(&a, 1) {
		t.Fatalf("used %d by %d clients behind a Give", l.Used(), l.Clients())
	}
	if !l.Take(&a, 1, 6) {
		t.Fatal("what was given back can't be taken")
	}
	l.SetLimits(3, 0)
	if l.Grow(&b, 1) || l.Used() != 10 {
		t.Fatal("a lower limit is not kept, or takes away what is held")
	}
}

// S3: a client with many holders gives way before one with few, its oldest
// first; one that was touched is its newest, and one that may not go stays.
func TestLedger_S3_TheGreediestGivesWayOldestFirst(t *testing.T) {
	l := New[int](100, 0)
	var many [5]Holder[int]
	var few [2]Holder[int]
	for i := range few {
		few[i].Owner = 100 + i
		l.Take(&few[i], 2, 1)
	}
	for i := range many {
		many[i].Owner = i
		l.Take(&many[i], 1, 1)
	}
	l.Touch(&many[0])
	l.Grow(&many[2], 1)
	may := func(h *Holder[int]) bool { return h.Owner != 3 }
	var got []any
	for range 3 {
		v := l.Victim(may)
		got = append(got, v.Owner)
		l.Give(v)
	}
	if want := []any{1, 4, 0}; !slices.Equal(got, want) {
		t.Fatalf("gave way: %v, want %v", got, want)
	}
	// 3 may not go and 2 holds two units: client 1 still has the most.
	if v := l.Victim(may); v.Owner != 2 {
		t.Fatalf("%v gave way", v.Owner)
	}
	// It is leaving: it is not named again, and nobody else of the client may go.
	if v := l.Victim(may); v.Owner != 100 {
		t.Fatalf("%v gave way", v.Owner)
	}
	if v := l.VictimOf(1, may); v != nil {
		t.Fatalf("%v gave way", v.Owner)
	}
	if v := l.VictimOf(3, may); v != nil {
		t.Fatalf("%v gave way", v.Owner)
	}
	if n := l.Leaving(); n != 2 {
		t.Fatalf("%d are leaving, want 2", n)
	}
	l.Give(&many[2])
	l.Give(&many[2])
	l.Give(&many[3])
	if n := l.Leaving(); n != 1 {
		t.Fatalf("%d are leaving, want 1", n)
	}
}

// S4: among many holders that may not go, the look is bounded, and the looks
// together come to the one that may.
func TestLedger_S4_BoundedLook(t *testing.T) {
	const n = 1000
	l := New[int](n, 0)
	holders := make([]Holder[int], n)
	for i := range holders {
		holders[i].Owner = i
		l.Take(&holders[i], 1, 1)
	}
	asked, looks := 0, 0
	may := func(h *Holder[int]) bool { asked++; return h.Owner == n/2 }
	for l.Victim(may) == nil {
		if looks++; asked > looks*victimLook {
			t.Fatalf("%d looks asked %d holders", looks, asked)
		}
		if looks > n/victimLook+1 {
			t.Fatalf("not found in %d looks", looks)
		}
	}
}

// The ledger against one that adds everything up.
func TestLedger_RandomAgainstPlain(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		limit, share := rnd.Int64N(40), rnd.Int64N(20)
		l := New[int](limit, share)
		if share == 0 {
			share = limit
		}
		holders := make([]Holder[int], 30)
		has := make([]int64, len(holders))
		whose := make([]int, len(holders))
		holds := make([]bool, len(holders))
		sum := func(client int) (n int64) {
			for i := range has {
				if holds[i] && (client < 0 || whose[i] == client) {
					n += has[i]
				}
			}
			return n
		}
		for range 300 {
			i, n := rnd.IntN(len(holders)), rnd.Int64N(6)
			h := &holders[i]
			h.Owner = i
			switch rnd.IntN(5) {
			case 0, 1:
				client := rnd.IntN(4)
				if holds[i] {
					client = whose[i]
				}
				want := sum(-1)+n <= limit && sum(client)+n <= share
				var ok bool
				if holds[i] {
					ok = l.Grow(h, n)
				} else {
					ok = l.Take(h, client, n)
				}
				if ok != want {
					t.Fatalf("seed %d: took %d: %v, want %v", seed, n, ok, want)
				}
				if ok {
					if !holds[i] {
						has[i] = 0
					}
					has[i], whose[i], holds[i] = has[i]+n, client, true
				}
			case 2:
				l.Give(h)
				holds[i] = false
			case 3:
				l.Touch(h)
			case 4:
				v := l.Victim(any1)
				if v == nil {
					continue
				}
				most := int64(0)
				for c := range 4 {
					most = max(most, sum(c))
				}
				if c := whose[v.Owner.(int)]; !holds[v.Owner.(int)] || sum(c) != most {
					t.Fatalf("seed %d: a holder of client %d gives way, which has %d; one has %d", seed, c, sum(c), most)
				}
				l.Give(v)
				holds[v.Owner.(int)] = false
			}
			if l.Used() != sum(-1) {
				t.Fatalf("seed %d: %d used, want %d", seed, l.Used(), sum(-1))
			}
		}
	}
}

// All at once: nothing overshoots, and everything comes back (S1, S2).
func TestLedger_Concurrent(t *testing.T) {
	const limit, share = 64, 24
	l := New[int](limit, share)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(g), 2))
			var own [16]Holder[int]
			for range 3000 {
				h := &own[rnd.IntN(len(own))]
				l.Give(h)
				l.Take(h, g%3, rnd.Int64N(8))
				l.Grow(h, 1)
				l.Touch(&own[rnd.IntN(len(own))])
				if used := l.Used(); used > limit {
					t.Errorf("%d used", used)
				}
				if held := l.Held(g % 3); held > share {
					t.Errorf("a client holds %d", held)
				}
				if v := l.Victim(any1); v != nil {
					l.Give(v)
				}
			}
			for i := range own {
				l.Give(&own[i])
			}
		})
	}
	wg.Wait()
	if l.Used() != 0 || l.Clients() != 0 || l.Leaving() != 0 || len(l.order) != 0 {
		t.Fatalf("%d used by %d clients when all have given back", l.Used(), l.Clients())
	}
}

func BenchmarkLedger_TakeGive(b *testing.B) {
	l := New[int](1<<20, 0)
	others := make([]Holder[int], 10_000)
	for i := range others {
		l.Take(&others[i], i%1000, 1)
	}
	b.RunParallel(func(pb *testing.PB) {
		var h Holder[int]
		for pb.Next() {
			l.Take(&h, 7, 1)
			l.Give(&h)
		}
	})
}
