package crash

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// TestCrash kills the relay at random moments under load and starts it again.
// COWRELAY_CRASH_TIME=3m makes it run that long (make crash).
//
// always: nothing that was acknowledged is lost (I3), doubled (I5) or in
// another place for another reader or after a restart (I2); streams go on
// where they were (I6). interval and off may lose a tail, and nothing else.
func TestCrash(t *testing.T) {
	total := time.Duration(0)
	if v := os.Getenv("COWRELAY_CRASH_TIME"); v != "" {
		var err error
		if total, err = time.ParseDuration(v); err != nil {
			t.Fatalf("COWRELAY_CRASH_TIME: %v", err)
		}
	}
	deadline := time.Now().Add(total)
	for first := true; first || time.Now().Before(deadline); first = false {
		for _, mode := range []struct {
			sync  string
			short int // rounds
		}{{"always", 4}, {"interval", 2}, {"off", 2}} {
			rounds := mode.short
			if total > 0 {
				rounds = 15
			}
			t.Run(mode.sync, func(t *testing.T) { newCrashRun(t, mode.sync).rounds(rounds, total > 0) })
			if t.Failed() {
				return
			}
		}
	}
}

// crashRun is one data folder in one sync mode.
type crashRun struct {
	t     *testing.T
	dir   string
	args  []string
	lossy bool
	loads []*load
	rng   *rand.Rand
}

func newCrashRun(t *testing.T, sync string) *crashRun {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	c := &crashRun{
		t: t, dir: t.TempDir(), lossy: sync != "always", rng: rand.New(rand.NewPCG(seed, 0)),
		// A small store, so that rounds meet flushes and evictions as well.
		args: []string{"--sync=" + sync, "--memory-budget=32MiB"},
	}
	r := relaytest.Start(t, c.dir, c.args...)
	tick := new(atomic.Int64)
	for i := range 4 {
		c.loads = append(c.loads, newLoad(newLedger(t, r.Allocate(), fmt.Sprintf("s%d", i), tick), 2, 2))
	}
	r.Stop() // in all modes this keeps the slots
	return c
}

func (c *crashRun) rounds(n int, progress bool) {
	began := time.Now()
	for i := range n {
		if c.rng.IntN(4) == 0 { // in the middle of a start
			r := relaytest.New(c.t, c.dir, c.args...).Launch()
			time.Sleep(time.Duration(c.rng.IntN(60)) * time.Millisecond)
			r.Kill()
		}
		c.sound()
		r := relaytest.Start(c.t, c.dir, c.args...)
		if i > 0 {
			c.verify(r)
		}
		c.load(r, 300*time.Millisecond+time.Duration(c.rng.IntN(700))*time.Millisecond)
		if c.t.Failed() {
			c.t.Logf("the relay's log:\n%s", r.Log.String())
			return
		}
		if progress {
			c.t.Logf("%v: round %d: %s", time.Since(began).Round(100*time.Millisecond), i+1, c.summary())
		}
	}
	c.sound()
	r := relaytest.Start(c.t, c.dir, c.args...)
	c.verify(r)
	r.Stop()
	// And once more behind an orderly end.
	r = relaytest.Start(c.t, c.dir, c.args...)
	lossy := c.lossy
	c.lossy = false
	c.verify(r)
	c.lossy = lossy
	r.Stop()
	c.sound()
	c.t.Log(c.summary())
	c.prove()
}

// load runs the workers for a while and kills the relay under them.
func (c *crashRun) load(r *relaytest.Relay, d time.Duration) {
	var stop atomic.Bool
	var wg sync.WaitGroup
	for _, w := range c.loads {
		wg.Go(func() { w.run(r, &stop) })
	}
	time.Sleep(d)
	r.Kill()
	stop.Store(true)
	wg.Wait()
}

// sound looks at the store as a crash left it.
func (c *crashRun) sound() {
	c.t.Helper()
	if stdout, stderr, code := relaytest.Command(c.t, nil, "verify", "--data-dir="+c.dir); code != 0 {
		c.t.Fatalf("the store is not sound:\n%s%s", stdout, stderr)
	}
}

// verify reads everything after a restart.
func (c *crashRun) verify(r *relaytest.Relay) {
	c.t.Helper()
	for _, w := range c.loads {
		events := r.Pull(w.slot, "")
		w.restarted(events, c.lossy)
		w.forget()
		if state := string(w.slot.MustSend(c.t, 200, "GET", r.URL+"/v1/slot/"+w.slot.ID+"/state", nil)); c.t.Failed() {
			c.t.Fatalf("state: %s", state)
		} else {
			relaytest.Contains(c.t, state, fmt.Sprintf(`"event_count":%d,`, len(events)))
		}
		w.again(r)
		if n := len(r.Pull(w.slot, "")); n != len(events) {
			c.t.Fatalf("%s: %d events, %d after duplicates", w.name, len(events), n)
		}
	}
}

func (c *crashRun) summary() string {
	events, acked, lost, resumed := 0, 0, 0, 0
	for _, w := range c.loads {
		w.mu.Lock()
		events += len(w.order)
		acked += len(w.acked)
		lost += w.lost
		resumed += w.resumed
		w.mu.Unlock()
	}
	return fmt.Sprintf("%d events, %d acknowledged, %d streams resumed, %d acknowledged events lost", events, acked, resumed, lost)
}

// prove fails if the load did not do what the test is for.
func (c *crashRun) prove() {
	for _, w := range c.loads {
		if len(w.acked) == 0 || w.pulled == 0 || w.resumed == 0 {
			c.t.Errorf("%s: %d posts acknowledged, %d events pulled, %d streams resumed: too little to prove anything", w.name, len(w.acked), w.pulled, w.resumed)
		}
	}
}
