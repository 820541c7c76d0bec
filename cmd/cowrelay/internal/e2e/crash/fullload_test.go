package crash

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// TestCrash_FullLoad kills the relay while 64 clients post as fast as they can. Then
// the commit log holds what the store does not have. verify and export find all of
// it there, without changing the folder, and the next start serves it.
func TestCrash_FullLoad(t *testing.T) {
	dir := t.TempDir()
	args := []string{"--memory-budget=32MiB"}
	r := relaytest.Start(t, dir, args...)
	c := &crashRun{t: t, all: new(crashTotal), dir: dir, args: args, rng: rand.New(rand.NewPCG(rand.Uint64(), 0))}
	tick := new(atomic.Int64)
	for i := range 4 {
		c.loads = append(c.loads, newLoad(newLedger(t, r.Allocate(), fmt.Sprintf("s%d", i), tick), 16, 1))
	}
	ahead := false
	for round := range relaytest.Scale(2, 3, 20) {
		c.load(r, 500*time.Millisecond+time.Duration(c.rng.IntN(1000))*time.Millisecond)
		stdout, stderr, code := relaytest.Command(t, nil, "verify", "--data-dir="+dir)
		if code != 0 {
			t.Fatalf("verify: exit %d, %s%s", code, stdout, stderr)
		}
		entries := replayed(t, stdout)
		ahead = ahead || entries > 0
		t.Logf("round %d: a start has %d entries to apply", round+1, entries)
		c.exported()
		r = relaytest.Start(t, dir, args...)
		c.verify(r)
		if t.Failed() {
			t.Fatalf("the relay's log:\n%s", r.Log.String())
		}
	}
	if !ahead {
		t.Error("the log was never ahead of the store: this proves nothing")
	}
	r.Stop()
	if stdout, _, _ := relaytest.Command(t, nil, "verify", "--data-dir="+dir); replayed(t, stdout) != 0 {
		t.Errorf("after an orderly end the log is not empty: %s", stdout)
	}
	t.Log(c.summary())
	c.prove()
}

// replayed is how many entries a start would apply, as verify says.
func replayed(t *testing.T, verified string) int {
	t.Helper()
	m := regexp.MustCompile(`(?m)^log: .* a start applies (\d+) entries`).FindStringSubmatch(verified)
	if m == nil {
		t.Fatalf("verify does not say what a start applies: %s", verified)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// exported reads the slots by cowrelay export. Nothing that was acknowledged is
// missing.
func (c *crashRun) exported() {
	c.t.Helper()
	for _, w := range c.loads {
		stdout, stderr, code := relaytest.Command(c.t, nil, "export", "--bare", "--slot="+w.slot.ID, "--data-dir="+c.dir)
		if code != 0 {
			c.t.Fatalf("export: exit %d, %s", code, stderr)
		}
		w.restarted(lines(stdout), false)
	}
}

// lines are the events that an export wrote, one a line.
func lines(exported string) (events []json.RawMessage) {
	for line := range strings.Lines(exported) {
		events = append(events, json.RawMessage(strings.TrimSuffix(line, "\n")))
	}
	return events
}
