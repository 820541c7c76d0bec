package crash

import (
	"math/rand/v2"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// Start-up does not depend on the bytes stored: after kill -9 with a memtable
// to replay, a cold slot is pulled right away. The log has the time; no bar is set for it.
// With COWRELAY_SOAK=1: 100,000 slots and 1 GB.
func TestStartup_ColdSlotAfterKill(t *testing.T) {
	t.Parallel()
	const events, size = 17, 300
	f := relaytest.Fill(t, relaytest.Scale(5_000, 20_000, 100_000), relaytest.Scale(events, events, 2*events), size)
	r := relaytest.Start(t, f.Dir)
	// Up to 30 MiB that are in the log alone: the memtable takes 32 MiB.
	s := r.Allocate()
	const large = 250_000
	posts := relaytest.Scale(40, 40, 120)
	for i := range posts {
		r.Post(s, relaytest.Event("tail", i, large))
	}
	r.Kill()
	for range 3 {
		began := time.Now()
		r = relaytest.Start(t, f.Dir)
		serving := time.Since(began)
		rng := rand.New(rand.NewPCG(uint64(began.UnixNano()), 0))
		if !f.Window(t, r, rng) {
			return
		}
		t.Logf("%d slots, %d MiB stored, %d MiB in the log: serving after %v, a cold slot pulled after %v", len(f.Slots),
			len(f.Slots)*f.Events*size>>20, posts*large>>20, serving.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
		for range 50 {
			if !f.Window(t, r, rng) {
				return
			}
		}
		if n := len(r.Pull(s, "")); n != posts {
			t.Fatalf("%d events of %d", n, posts)
		}
		r.Kill()
	}
}
