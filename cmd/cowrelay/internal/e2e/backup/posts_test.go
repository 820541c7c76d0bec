package backup

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

const (
	postRate  = 400 // posts a second, of all posters together
	postConns = 32
)

// timed is posts at fixed times, and how late each was answered. A post that waits for
// its turn behind a slow one is late too.
type timed struct {
	t    *testing.T
	r    *relaytest.Relay
	mu   sync.Mutex
	late []time.Duration // since the last take
}

func (p *timed) run(i int, s relaytest.Slot, stop *atomic.Bool) {
	c, done := relaytest.NewClient()
	defer done()
	const every = postConns * time.Second / postRate
	due := time.Now().Add(every * time.Duration(i) / postConns)
	for n := 0; !stop.Load(); n++ {
		time.Sleep(time.Until(due))
		res, body, err := s.Send(c, "POST", p.r.EventsURL(s), relaytest.PostBody(relaytest.Event("t", n, 512)))
		if err != nil || res.StatusCode != http.StatusCreated {
			p.t.Errorf("post %d: %v %s", n, err, body)
			return
		}
		p.mu.Lock()
		p.late = append(p.late, time.Since(due))
		p.mu.Unlock()
		due = due.Add(every)
	}
}

// take returns the latencies since the last call.
func (p *timed) take() []time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	late := p.late
	p.late = nil
	return late
}

// p99 is the latency that one post of a hundred exceeds.
func p99(late []time.Duration) time.Duration {
	if len(late) == 0 {
		return 0
	}
	slices.Sort(late)
	return late[len(late)*99/100]
}

// Posts go on beside full backups, and none fails. With COWRELAY_BACKUP_MEASURE=20 (make
// backup-posts) it says what becomes of their latency: rounds of quiet posts and of
// posts beside a backup take turns.
func TestBackup_PostsGoOn(t *testing.T) {
	n, slots, quiet := 2, 4, 100*time.Millisecond
	if v := os.Getenv("COWRELAY_BACKUP_MEASURE"); v != "" {
		var err error
		if n, err = strconv.Atoi(v); err != nil || n < 1 {
			t.Fatalf("COWRELAY_BACKUP_MEASURE=%q: want a number of rounds, 1 or more", v)
		}
		slots, quiet = 100, 2*time.Second
	}
	f := relaytest.Fill(t, slots, 4000, 1000)
	r := relaytest.Start(t, f.Dir, "--rate-limits=total=0")
	p := &timed{t: t, r: r}
	var stop atomic.Bool
	var wg sync.WaitGroup
	for i := range postConns {
		s := r.Allocate()
		wg.Go(func() { p.run(i, s, &stop) })
	}
	defer func() { stop.Store(true); wg.Wait() }()
	var alone, beside []time.Duration
	var ratios []float64
	var bytes int64
	var took time.Duration
	parent := t.TempDir()
	for round := range n {
		time.Sleep(quiet) // posts of a backup before
		p.take()
		time.Sleep(quiet)
		a := p.take()
		began := time.Now()
		dir := filepath.Join(parent, strconv.Itoa(round)) // so that nothing is shared
		m := back(t, r, dir)
		took += time.Since(began)
		b := p.take()
		if m.Sent != m.Bytes {
			t.Errorf("%d of %d bytes were sent", m.Sent, m.Bytes)
		}
		if bytes = m.Bytes; len(a) > 0 && len(b) > 0 {
			ratios = append(ratios, float64(p99(b))/float64(p99(a)))
			t.Logf("round %d: quiet p99 %v of %d posts, beside a backup of %d MB %v of %d", round, p99(a), len(a), bytes>>20, p99(b), len(b))
		}
		alone, beside = append(alone, a...), append(beside, b...)
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			return
		}
	}
	if len(ratios) > 0 && len(alone) > 0 && len(beside) > 0 {
		slices.Sort(ratios)
		t.Logf("%d rounds at %d posts/s, backups of %d MB in %v: p99 of %d quiet posts %v, of %d beside a backup %v: %.2f times; by round %.2f to %.2f, median %.2f",
			n, postRate, bytes>>20, (took / time.Duration(n)).Round(10*time.Millisecond), len(alone), p99(alone), len(beside), p99(beside), float64(p99(beside))/float64(p99(alone)), ratios[0], ratios[len(ratios)-1], ratios[len(ratios)/2])
	}
}
