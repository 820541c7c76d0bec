package cold

import (
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cowrelay/bench/load"
	"cowrelay/bench/wire"
)

func filledAt(t *testing.T, addr string) *filled {
	tmpl, err := wire.NewTemplate(300, wire.NewNonce())
	if err != nil {
		t.Fatal(err)
	}
	return &filled{t: tmpl, s: &load.Server{Addr: addr}, slots: make([]load.Slot, 3), events: 5}
}

// Only 503 with Retry-After may take the place of a page, and only for readers of
// cold slots.
func TestReader_refusals(t *testing.T) {
	var status, retry = 0, ""
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if retry != "" {
			w.Header().Set("Retry-After", retry)
		}
		w.Header().Set("Content-Length", "2")
		w.WriteHeader(status)
		fmt.Fprint(w, "{}")
	}))
	defer srv.Close()
	f := func(at int, after string, cold, ok bool) {
		t.Helper()
		status, retry = at, after
		var refused atomic.Int64
		counter := &refused
		if !cold {
			counter = nil
		}
		r := newReader(filledAt(t, srv.Listener.Addr().String()), 0, 3, counter)
		defer r.Close()
		err := r.Do(t.Context())
		if (err == nil) != ok || r.turned != ok || ok && refused.Load() != 1 || !ok && refused.Load() != 0 {
			t.Errorf("status %d, Retry-After %q, cold %v: error %v, %d refused", at, after, cold, err, refused.Load())
		}
	}
	f(503, "1", true, true)
	f(503, "1", false, false)
	f(503, "", true, false)
	f(503, "later", true, false)
	f(500, "1", true, false)
	f(404, "1", true, false)
	f(200, "1", true, false) // {} is no page
}

// Pages are compared byte for byte, to the end of a slot.
func TestSame(t *testing.T) {
	x := filledAt(t, "")
	if got := x.appendPage(nil, 2, 4, 0); string(got) != "[]" {
		t.Errorf("an empty page is %q", got)
	}
	got := x.appendPage(nil, 1, 3, 2)
	for i, e := range strings.SplitAfter(strings.Trim(string(got), "[]"), "},{")[:1] {
		if n, err := x.t.Number([]byte(strings.TrimSuffix(e, ",{"))); err != nil || n != uint64(1*5+3+i) {
			t.Errorf("event %d of the page is %d, %v", i, n, err)
		}
	}
	if err := same(got, x.appendPage(nil, 1, 3, 2), 1, 2, 2); err != nil {
		t.Error(err)
	}
	for i := range got {
		bad := append([]byte(nil), got...)
		bad[i] ^= 1
		if err := same(bad, got, 1, 2, 2); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("wrong from byte %d on", i)) {
			t.Fatalf("byte %d is wrong: %v", i, err)
		}
	}
	for _, other := range [][]byte{x.appendPage(nil, 1, 3, 1), x.appendPage(nil, 0, 3, 2), x.appendPage(nil, 1, 2, 2), nil} {
		if same(other, got, 1, 2, 2) == nil {
			t.Errorf("%d other bytes pass", len(other))
		}
	}
}

func TestParseSize(t *testing.T) {
	for in, want := range map[string]int64{"181248000B": 181248000, "512MiB": 512 << 20, "3GiB": 3 << 30, "64KiB": 64 << 10, "7": 7, "": 0, "0B": 0, "xMiB": 0} {
		if got, err := parseSize(in); got != want || (err != nil) != (want == 0) {
			t.Errorf("parseSize(%q) = %d, %v, want %d", in, got, err, want)
		}
	}
}

func TestRateFor(t *testing.T) {
	for _, f := range []struct{ quiet, full, windows, want float64 }{
		{0.2, 1, 800, 500}, // 0.001 of the core each
		{0.2, 0.6, 300, 210},
		{0.8, 1, 400, 20},
		{0.2, 1, 0.1, 1},
	} {
		if got := rateFor(f.quiet, f.full, f.windows); math.Abs(got-f.want) > 1e-9 {
			t.Errorf("rateFor(%g, %g, %g) = %g, want %g", f.quiet, f.full, f.windows, got, f.want)
		}
	}
}

// Readers keep to their rate together, and end while they wait for their turn.
func TestColdLoad_rate(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	x := filledAt(t, l.Addr().String())
	x.slots = make([]load.Slot, hotSlots+1)
	var asked atomic.Int64
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		asked.Add(1)
		io.Copy(io.Discard, q.Body)
		w.Header().Set("Retry-After", "1")
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(503)
	}))
	srv.Listener = l
	srv.Start()
	defer srv.Close()
	var phase atomic.Int32
	phase.Store(load.Measuring)
	begin := time.Now()
	c := startCold(t.Context(), x, 8, 20, &phase)
	for asked.Load() < 5 {
		time.Sleep(time.Millisecond)
	}
	// The first is due at once, and the fifth four intervals later.
	if took := time.Since(begin); took < 4*50*time.Millisecond {
		t.Errorf("5 requests in %v, at 20 a second", took)
	}
	var out load.Sample
	_, n := c.end(&out)
	if n != 0 || out.Errors != 0 || c.refused.Load() < 5 {
		t.Errorf("%d pages, %d refused, errors: %d %s", n, c.refused.Load(), out.Errors, out.FirstError)
	}
}
