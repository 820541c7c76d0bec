package operate

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/adminclient"
)

// Whatever the size of the screen, the picture fits on it.
func TestTop_FitsEveryScreen(t *testing.T) {
	now := time.Now()
	v := topView{url: "http://127.0.0.1:9770", every: time.Second, by: "posts", past: map[string]history{}}
	pulled := now.Unix() - 100
	r := &reading{at: now}
	for i := range 50 {
		r.slots = append(r.slots, slotRow{ID: strings.Repeat("a", 32), Events: uint64(i), Bytes: 1 << 40, PulledAt: &pulled, Blocked: i == 1})
	}
	check := func(what string) {
		for width := 1; width < 150; width += 7 {
			for height := 1; height < 60; height++ {
				if n := len(v.lines(width, height, now)); n > height && height > 1 || n > 2 && height == 1 {
					t.Fatalf("%s: %d lines on a screen of %d rows", what, n, height)
				}
			}
		}
	}
	check("nothing yet")
	v.lose(errors.New("connect: refused"), now)
	check("nothing and down")
	v.take(r)
	later := *r
	later.at = now.Add(time.Second)
	v.take(&later)
	check("two readings")
	v.lose(adminclient.ErrUnreachable, now)
	check("down")
	var b strings.Builder
	line{{bold, "straße"}, {plain, "xyz"}}.render(&b, 7, true)
	if b.String() != "\x1b[1mstraße\x1b[mx" {
		t.Errorf("%q", b.String())
	}
}

func TestTop_Quantiles(t *testing.T) {
	b := buckets{bounds: []float64{1, 2, 4, math.Inf(1)}, counts: []float64{10, 30, 40, 50}, n: 50}
	for q, want := range map[float64]float64{0: 0, .1: .5, .2: 1, .4: 1.5, .6: 2, .7: 3, .8: 4, .99: 4} {
		if got := b.quantile(q); math.Abs(got-want) > 1e-9 {
			t.Errorf("quantile %v: %v, want %v", q, got, want)
		}
	}
	if v := (buckets{}).quantile(.5); !math.IsNaN(v) {
		t.Errorf("of nothing: %v", v)
	}
	if d := b.minus(b); !math.IsNaN(d.quantile(.5)) {
		t.Errorf("of no change: %v", d.quantile(.5))
	}
	if s := spark(history{0, 1, 100, 50}, 6); s != "   ▁█▄" {
		t.Errorf("spark %q", s)
	}
}
