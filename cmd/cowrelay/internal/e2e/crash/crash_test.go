package crash

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// TestCrash kills the relay at random moments under load and starts it again.
// COWRELAY_CRASH_ROUNDS=1000 makes it so many rounds (make crash).
//
// always: nothing that was acknowledged is lost (I3), doubled (I5) or in
// another place for another reader or after a restart (I2); streams go on
// where they were (I6). interval and off may lose a tail, and nothing else.
func TestCrash(t *testing.T) {
	total := 8
	v := os.Getenv("COWRELAY_CRASH_ROUNDS")
	if v != "" {
		var err error
		if total, err = strconv.Atoi(v); err != nil || total < 1 {
			t.Fatalf("COWRELAY_CRASH_ROUNDS=%q: want a number of rounds, 1 or more", v)
		}
	}
	all := &crashTotal{want: total, byMode: map[string]int{}, began: time.Now(), tell: v != ""}
	for all.rounds < total {
		for _, mode := range []struct {
			sync  string
			share int // of folderRounds
		}{{"always", 2}, {"interval", 1}, {"off", 1}} {
			if all.rounds >= total {
				break
			}
			// Each mode has its share of a short run, too. A stream resumes from the second
			// round on, so the last folder may have one round more than is left.
			n := max(2, min(mode.share*total/4, mode.share*folderRounds, total-all.rounds))
			t.Run(mode.sync, func(t *testing.T) { newCrashRun(t, mode.sync, all).rounds(n) })
			if t.Failed() {
				return
			}
		}
	}
	t.Log(all)
}

// folderRounds is how many rounds a data folder has in a long run; twice as many
// where nothing may be lost. Later rounds take longer, as each reads all that is
// there.
const folderRounds = 10

// crashTotal is what all data folders came to. One goroutine uses it.
type crashTotal struct {
	want, rounds int
	byMode       map[string]int // rounds
	began        time.Time
	tell         bool // after each round, how far the run is

	posts   int // acknowledged; one that was lost and is acknowledged anew counts again
	checked int // how often an acknowledged event was looked for after a start, and was there
	lost    int // acknowledged events that a crash took, where that is allowed
}

func (a *crashTotal) String() string {
	return fmt.Sprintf("%d rounds of kill -9 in %v (always %d, interval %d, off %d): %d events acknowledged; after each start all were looked for, %d times in all; lost %d, where the mode allows it",
		a.rounds, time.Since(a.began).Round(time.Second), a.byMode["always"], a.byMode["interval"], a.byMode["off"], a.posts, a.checked, a.lost)
}

// crashRun is one data folder in one sync mode.
type crashRun struct {
	t     *testing.T
	all   *crashTotal
	sync  string
	dir   string
	args  []string
	lossy bool
	loads []*load
	rng   *rand.Rand
}

// newCrashRun makes a folder with slots. What the rounds come to goes into all.
func newCrashRun(t *testing.T, sync string, all *crashTotal) *crashRun {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	c := &crashRun{
		t: t, all: all, sync: sync, dir: t.TempDir(), lossy: sync != "always", rng: rand.New(rand.NewPCG(seed, 0)),
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

func (c *crashRun) rounds(n int) {
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
		c.all.rounds++
		c.all.byMode[c.sync]++
		if a := c.all; a.tell {
			c.t.Logf("%v: round %d of %d: %s", time.Since(a.began).Round(100*time.Millisecond), a.rounds, a.want, c.summary())
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
	for _, w := range c.loads {
		c.all.posts += len(w.acked) + w.lost
		c.all.lost += w.lost
	}
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
		c.all.checked += len(w.acked) // those that are lost are no longer among them
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
