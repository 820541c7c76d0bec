package operate

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/adminclient"

	"github.com/prometheus/common/expfmt"
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
	v.help = true
	check("help")
	var b strings.Builder
	line{{bold, "straße"}, {plain, "xyz"}}.render(&b, 7, true)
	if b.String() != "\x1b[1mstraße\x1b[mx" {
		t.Errorf("%q", b.String())
	}
}

// A narrow screen has room for fewer cells, and keeps what tells of trouble.
func TestTop_NarrowKeepsTrouble(t *testing.T) {
	r := row{name: "posts", cells: []cellText{{figure: "1/s", of: " stored"}, {figure: "0/s", of: " duplicate"}, {figure: "7/s", of: " refused", look: alarm}}}
	for width, want := range map[int]string{
		120: "posts     1/s stored             0/s duplicate          7/s refused", 79: "posts     1/s stored             0/s duplicate          7/s refused",
		60: "posts     1/s stored             7/s refused", 40: "posts     7/s refused",
	} {
		if got := r.line(nil, width).text(); got != want {
			t.Errorf("%d columns: %q, want %q", width, got, want)
		}
	}
	r.cells[2].look = plain
	if got := r.line(nil, 60).text(); got != "posts     1/s stored             0/s duplicate" {
		t.Errorf("without trouble: %q", got)
	}
}

// What is low, full or refused has a colour, and what is not has none.
func TestTop_ColoursTrouble(t *testing.T) {
	reading := func(text string) *reading {
		var parser expfmt.TextParser
		families, err := parser.TextToMetricFamilies(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		return &reading{families: families}
	}
	const metrics = `cowrelay_http_requests_total{route="events",method="GET",status="200"} %d
cowrelay_http_requests_total{route="events",method="POST",status="200"} 1000
cowrelay_http_requests_total{route="events",method="GET",status="429"} %d
cowrelay_http_requests_total{route="events",method="GET",status="500"} %d
cowrelay_streams %d
cowrelay_streams_max 100
cowrelay_disk_free_bytes %d
cowrelay_disk_reserve_bytes 1000
`
	from := reading(fmt.Sprintf(metrics, 0, 0, 0, 0, 0))
	for what, c := range map[string]struct {
		limited, failed, streams, free int
		want                           map[string]style
	}{
		"all is well": {0, 0, 89, 2000, map[string]style{"5.00/s at once": plain, "0/s limited (429)": plain, "0/s failed (5xx)": plain, "89 open": plain, "1.95 KiB free": plain}},
		"trouble":     {3, 2, 100, 999, map[string]style{"3.00/s limited (429)": warning, "2.00/s failed (5xx)": alarm, "100 open": alarm, "999 B free": alarm}},
		"soon":        {0, 0, 90, 1999, map[string]style{"90 open": warning, "1.95 KiB free": warning}},
	} {
		to := reading(fmt.Sprintf(metrics, 5, c.limited, c.failed, c.streams, c.free))
		to.at = from.at.Add(time.Second)
		got := map[string]style{}
		for _, r := range (change{from, to}).summary() {
			for _, cell := range r.cells {
				got[cell.figure+cell.of] = cell.look
			}
		}
		for text, look := range c.want {
			if has, ok := got[text]; !ok || has != look {
				t.Errorf("%s: %q is %q (there: %t), want %q\n%v", what, text, has, ok, look, got)
			}
		}
	}
}

// What leaves by itself is shown where something does, on a low screen once something has,
// and within 80 columns. A relay that has nothing leave, or doesn't know of it, shows nothing.
func TestTop_Retention(t *testing.T) {
	now := time.Now()
	const metrics = `cowrelay_retention_events_total %d
cowrelay_retention_slots_total{by="unused"} %d
cowrelay_retention_slots_total{by="idle"} 0
cowrelay_retention_last_sweep_seconds %d
cowrelay_store_garbage_bytes 1048576
`
	for what, c := range map[string]struct {
		from, to  string
		low, high string
	}{
		"older":       {"cowrelay_slots 1\n", "cowrelay_slots 1\n", "", ""},
		"off":         {fmt.Sprintf(metrics, 0, 0, 0), fmt.Sprintf(metrics, 0, 0, 0), "", ""},
		"nothing yet": {fmt.Sprintf(metrics, 0, 0, 9), fmt.Sprintf(metrics, 0, 0, 9), "", "retention 0/s events left        0/s slots ended        1.00 MiB garbage"},
		"on":          {fmt.Sprintf(metrics, 5, 1, 9), fmt.Sprintf(metrics, 12345, 3, 9), "retention 12,340/s events left   2.00/s slots ended     1.00 MiB garbage", "retention 12,340/s events left   2.00/s slots ended     1.00 MiB garbage"},
	} {
		v := topView{url: "http://127.0.0.1:9770", every: time.Second, by: "posts", past: map[string]history{}}
		for i, text := range []string{c.from, c.to} {
			var parser expfmt.TextParser
			families, err := parser.TextToMetricFamilies(strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			r := &reading{families: families, at: now.Add(time.Duration(i) * time.Second)}
			for range 9 {
				r.slots = append(r.slots, slotRow{ID: strings.Repeat("a", 32)})
			}
			v.take(r)
		}
		for height, want := range map[int]string{24: c.low, 28: c.high} {
			got, slots := "", 0
			lines := v.lines(80, height, now)
			for _, l := range lines {
				text := strings.TrimRight(l.text(), " ")
				if strings.HasPrefix(text, "retention") {
					got += text
				}
				if strings.HasPrefix(text, "aaaa") {
					slots++
				}
				if n := len([]rune(text)); n > 80 {
					t.Errorf("%s: %d columns: %s", what, n, text)
				}
			}
			if got != want || len(lines) != height || slots < 3 {
				t.Errorf("%s: %d of %d rows, %d slots, and %q, want %q", what, len(lines), height, slots, got, want)
			}
		}
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
