package backup

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// poster posts one event after the other to a slot of its own.
type poster struct {
	slot  relaytest.Slot
	acked atomic.Int64 // events 0 to acked-1 are acknowledged
}

func (p *poster) run(t *testing.T, r *relaytest.Relay, stop *atomic.Bool) {
	c, done := relaytest.NewClient()
	defer done()
	for n := 0; !stop.Load(); {
		res, body, err := p.slot.Send(c, "POST", r.EventsURL(p.slot), relaytest.PostBody(relaytest.Event("p", n, 200+n%700)))
		switch {
		case err != nil:
			t.Errorf("post %d: %v", n, err)
			return
		case res.StatusCode == http.StatusServiceUnavailable:
			time.Sleep(10 * time.Millisecond)
			continue
		case res.StatusCode != http.StatusCreated:
			t.Errorf("post %d: %s %s", n, res.Status, body)
			return
		}
		n++
		p.acked.Store(int64(n))
	}
}

// rounds is how many backups TestBackup_UnderLoad makes: COWRELAY_BACKUP_ROUNDS (make
// backup-rounds), else a few.
func rounds(t *testing.T) int {
	v := os.Getenv("COWRELAY_BACKUP_ROUNDS")
	if v == "" {
		return 3
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		t.Fatalf("COWRELAY_BACKUP_ROUNDS=%q: want a number of rounds, 1 or more", v)
	}
	return n
}

// A backup under load has every event that was acknowledged before it began, each in
// its place and once. It is sound, and takes what the one before it has.
func TestBackup_UnderLoad(t *testing.T) {
	f := relaytest.Fill(t, 4, 4000, 1500)
	r := relaytest.Start(t, f.Dir, "--memory-budget=32MiB", "--rate-limits=total=0")
	dir := t.TempDir()
	posters := make([]*poster, 6)
	var stop atomic.Bool
	var wg sync.WaitGroup
	for i := range posters {
		posters[i] = &poster{slot: r.Allocate()}
		wg.Go(func() { posters[i].run(t, r, &stop) })
	}
	defer func() { stop.Store(true); wg.Wait() }()
	looked := int64(0)
	for round := range rounds(t) {
		eventually(t, "posts go on", func() bool {
			for _, p := range posters {
				if p.acked.Load() < int64(50*(round+1)) {
					return t.Failed()
				}
			}
			return true
		})
		before := make([]int64, len(posters))
		for i, p := range posters {
			before[i] = p.acked.Load()
		}
		m := back(t, r, dir, "--keep=2", "--rate=0")
		if round == 0 && m.Sent != m.Bytes {
			t.Errorf("the first one: %d of %d bytes were sent", m.Sent, m.Bytes)
		}
		if round > 1 && len(m.Removed) != 1 || len(names(t, dir)) > 2 {
			t.Errorf("round %d removed %v; there are %v", round, m.Removed, names(t, dir))
		}
		t.Logf("round %d: %d bytes, %d sent", round, m.Bytes, m.Sent)
		run(t, 0, "restore", "--verify-only", m.Backup)
		a := restored(t, m.Backup)
		for i, p := range posters {
			events := a.Pull(p.slot, "")
			if int64(len(events)) < before[i] {
				t.Fatalf("round %d, slot %d: %d events, %d were acknowledged before", round, i, len(events), before[i])
			}
			for n, e := range events {
				if want := relaytest.Event("p", n, 200+n%700); string(e) != string(want) {
					t.Fatalf("round %d, slot %d, position %d: %.100s", round, i, n, e)
				}
			}
			looked += before[i]
		}
		holds(t, a, f)
		a.Post(posters[0].slot, []byte(`{"event_id":"goes on"}`))
		a.Stop()
		if t.Failed() {
			return
		}
	}
	t.Logf("%d acknowledged events were looked for", looked)
	if got := r.Metric("cowrelay_backup_last_success_timestamp_seconds"); time.Since(time.Unix(int64(got), 0)) > time.Hour {
		t.Errorf("the relay knows of no backup: %v", got)
	}
	if got := r.Metric("cowrelay_backup_failures_total"); got != 0 {
		t.Errorf("%v failures", got)
	}
	// Without posts there is nothing new but what is never shared, once the store has
	// compacted what came.
	stop.Store(true)
	wg.Wait()
	eventually(t, "a backup that shares nearly all", func() bool {
		m := back(t, r, dir, "--verify", "--keep=2")
		return m.Sent <= m.Bytes/10
	})
	run(t, 0, "backup", "list", dir)
	r.Stop()
	// The same of the stopped relay. While it runs, its folder is in use.
	run(t, 0, "backup", dir, "--offline", "--data-dir", f.Dir, "--keep=1")
	left := names(t, dir)
	if len(left) != 1 {
		t.Fatalf("left: %v", left)
	}
	a := restored(t, fmt.Sprintf("%s/%s", dir, left[0]))
	holds(t, a, f)
	a.Stop()
}
