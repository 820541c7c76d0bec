package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"cowrelay/bench/attack"
)

// A store five times the memory budget: every window anywhere is right, and the
// process stays within its limit. With COWRELAY_SOAK=1 the sizes are those of
// a small machine: GOMEMLIMIT=400MiB, 1.2 GB stored, below 512 MB. With -short
// the store is twice the budget.
func TestMemory_StoreFiveTimesTheBudget(t *testing.T) {
	t.Parallel()
	limit, bound := scale(100, 100, 400), scale(140, 140, 488) // MiB; 488 MiB are 512 MB
	budget := scale(32, 32, limit*6/10)                        // MiB; the last is the default
	const slots, size = 40, 300
	events := scale(2, 5, 5) * budget << 20 / slots / size
	f := fill(t, slots, events, size)

	r := newRelay(t, f.dir, fmt.Sprintf("--memory-budget=%dMiB", budget))
	r.cmd.Env = append(r.cmd.Env, fmt.Sprintf("GOMEMLIMIT=%dMiB", limit))
	r.start()
	rest := books(t, r)
	began := time.Now()
	var wg sync.WaitGroup
	var mu sync.Mutex
	windows := 0
	for w := range 4 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(7, uint64(w)))
			for range scale(50, 100, 1000) {
				if !f.window(t, r, rng) {
					return
				}
				mu.Lock()
				windows++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	peak := peakRSS(t, r)
	t.Logf("%d MiB stored, budget %d MiB, GOMEMLIMIT %d MiB: %d windows in %v, peak RSS %d MiB (bound %d)", slots*events*size>>20, budget, limit,
		windows, time.Since(began).Round(time.Millisecond), peak>>20, bound)
	if peak>>20 >= int64(bound) {
		t.Errorf("peak RSS %d MiB, bound %d MiB", peak>>20, bound)
	}
	// It must have been too small for all.
	if n := metric(t, r, `cowrelay_evictions_total{kind="chunk"}`) + metric(t, r, `cowrelay_evictions_total{kind="slot"}`); n == 0 {
		t.Error("nothing was evicted: the test proves nothing")
	}
	now := books(t, r)
	now.Rest = rest.Difference()
	t.Logf("live heap %d MiB, counted %d MiB, the store's heap %d MiB", now.Live>>20, now.Counted>>20, now.Store>>20)
	if err := now.Check(); err != nil {
		t.Error(err)
	}
	r.stop()
}

// books are what the relay says that it keeps in memory, and what is there.
func books(t *testing.T, r *relay) *attack.Books {
	t.Helper()
	b, err := attack.ReadBooks(t.Context(), strings.TrimPrefix(r.admin, "http://"), "")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// window pulls one anywhere and checks every byte.
func (f *filled) window(t *testing.T, r *relay, rng *rand.Rand) bool {
	i, pos, limit := rng.IntN(len(f.slots)), rng.IntN(f.events+1), 1+rng.IntN(1000)
	since := ""
	if pos > 0 {
		since = f.id(i, pos-1)
	}
	s := f.slots[i]
	res, body, err := s.send(httpClient, "GET", fmt.Sprintf("%s?since=%s&limit=%d", r.eventsURL(s), since, limit), nil)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("slot %d from %d: %v %v\n%s", i, pos, err, res, r.log.String())
		return false
	}
	want := []byte{'['}
	for k := range min(limit, f.events-pos) {
		if k > 0 {
			want = append(want, ',')
		}
		want = append(want, f.event(i, pos+k)...)
	}
	if want = append(want, ']'); string(body) != string(want) {
		t.Errorf("slot %d, %d events from %d: wrong window of %d bytes, want %d", i, limit, pos, len(body), len(want))
		return false
	}
	return true
}

// peakRSS is the most memory that the process ever took, in bytes.
func peakRSS(t *testing.T, r *relay) (n int64) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &n); err == nil {
			return n << 10
		}
	}
	t.Fatalf("no VmHWM in:\n%s", status)
	return 0
}

// metric returns the value of one series.
func metric(t *testing.T, r *relay, series string) (v float64) {
	t.Helper()
	res, err := http.Get(r.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), series+" "); ok {
			if err := json.Unmarshal([]byte(rest), &v); err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	t.Fatalf("no %s", series)
	return 0
}
