package crash

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	relaybooks "cowrelay/bench/attack/books"
	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// A store five times the memory budget: every window anywhere is right, and the
// process stays within its limit. With COWRELAY_SOAK=1 the sizes are those of
// a small machine: GOMEMLIMIT=400MiB, 1.2 GB stored, below 512 MB. With -short
// the store is twice the budget.
func TestMemory_StoreFiveTimesTheBudget(t *testing.T) {
	t.Parallel()
	limit, bound := relaytest.Scale(100, 100, 400), relaytest.Scale(140, 140, 488) // MiB; 488 MiB are 512 MB
	budget := relaytest.Scale(32, 32, limit*6/10)                                  // MiB; the last is the default
	const slots, size = 40, 300
	events := relaytest.Scale(2, 5, 5) * budget << 20 / slots / size
	f := relaytest.Fill(t, slots, events, size)

	r := relaytest.New(t, f.Dir, fmt.Sprintf("--memory-budget=%dMiB", budget))
	r.Cmd.Env = append(r.Cmd.Env, fmt.Sprintf("GOMEMLIMIT=%dMiB", limit))
	r.Start()
	rest := books(t, r)
	began := time.Now()
	var wg sync.WaitGroup
	var mu sync.Mutex
	windows := 0
	for w := range 4 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(7, uint64(w)))
			for range relaytest.Scale(50, 100, 1000) {
				if !f.Window(t, r, rng) {
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
	if n := r.Metric(`cowrelay_evictions_total{kind="chunk"}`) + r.Metric(`cowrelay_evictions_total{kind="slot"}`); n == 0 {
		t.Error("nothing was evicted: the test proves nothing")
	}
	now := books(t, r)
	now.Rest = rest.Difference()
	t.Logf("live heap %d MiB, counted %d MiB, the store's heap %d MiB", now.Live>>20, now.Counted>>20, now.Store>>20)
	if err := now.Check(); err != nil {
		t.Error(err)
	}
	r.Stop()
}

// books are what the relay says that it keeps in memory, and what is there.
func books(t *testing.T, r *relaytest.Relay) *relaybooks.Books {
	t.Helper()
	b, err := relaybooks.Read(t.Context(), strings.TrimPrefix(r.AdminURL, "http://"), "")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// peakRSS is the most memory that the process ever took, in bytes.
func peakRSS(t *testing.T, r *relaytest.Relay) (n int64) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.Cmd.Process.Pid))
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
