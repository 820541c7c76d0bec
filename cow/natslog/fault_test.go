package natslog_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"cowrelay/cow/natslog"
	"cowrelay/cow/natslog/natstest"
)

// fault is something that happens to servers and connections.
type fault struct {
	name string
	// hurt does it to the stream's leader, server i. The cluster heals afterwards.
	hurt func(t *testing.T, c *natstest.Cluster, o natslog.Options, i int)
	// pause is how long it lasts.
	pause time.Duration
}

// Faults of servers.
var serverFaults = []fault{
	{"LeaderKilled", func(t *testing.T, c *natstest.Cluster, _ natslog.Options, i int) { must(t, c.Servers[i].Kill()) }, 2 * time.Second},
	{"FollowerKilled", func(t *testing.T, c *natstest.Cluster, _ natslog.Options, i int) { must(t, c.Servers[(i+1)%3].Kill()) }, time.Second},
	{"LeaderPaused", func(t *testing.T, c *natstest.Cluster, _ natslog.Options, i int) { must(t, c.Servers[i].Pause()) }, 4 * time.Second},
	{"LeaderMoved", func(t *testing.T, _ *natstest.Cluster, o natslog.Options, _ int) { stepDown(t, o) }, 0},
	// As for a new version of the servers: one after the other.
	{"Rolling", func(t *testing.T, c *natstest.Cluster, _ natslog.Options, _ int) {
		for _, s := range c.Servers {
			must(t, s.Stop())
			must(t, s.Start())
			must(t, c.Await(context.Background()))
		}
	}, 0},
	{"AllKilled", func(t *testing.T, c *natstest.Cluster, _ natslog.Options, _ int) {
		for _, s := range c.Servers {
			must(t, s.Kill())
		}
	}, 0},
}

// Faults of connections.
var connectionFaults = []fault{
	{"LeaderIsolated", func(_ *testing.T, c *natstest.Cluster, _ natslog.Options, i int) { c.Isolate(i) }, 4 * time.Second},
	{"RoutesSilent", func(_ *testing.T, c *natstest.Cluster, _ natslog.Options, i int) { c.Blackhole(i) }, 4 * time.Second},
	{"ClientsCut", func(_ *testing.T, c *natstest.Cluster, _ natslog.Options, _ int) { fronts(c, (*natstest.Proxy).Cut) }, time.Second},
	{"ClientsSilent", func(_ *testing.T, c *natstest.Cluster, _ natslog.Options, _ int) {
		fronts(c, (*natstest.Proxy).Blackhole)
	}, 4 * time.Second},
}

func fronts(c *natstest.Cluster, do func(*natstest.Proxy)) {
	for _, s := range c.Servers {
		do(s.Front)
	}
}

func TestFaults_OfServers(t *testing.T)     { t.Parallel(); runFaults(t, serverFaults) }
func TestFaults_OfConnections(t *testing.T) { t.Parallel(); runFaults(t, connectionFaults) }

// Two relays send through all that can happen to servers and connections. Each entry
// has to count once, in one order for both, and Follow has to go on in seconds.
func runFaults(t *testing.T, faults []fault) {
	c := natstest.Three(t, natstest.Config{})
	ctx := context.Background()
	if testing.Short() {
		faults = faults[:3]
	}
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			must(t, c.Heal(ctx))
			o := natslog.Options{URLs: c.URLs(), TrustSync: true, Stream: newStream()}
			run := newFaultRun(t, o)
			await(t, 20*time.Second, "some entries", func() bool { return run.counted() > 40 })
			i := 0
			for k, s := range c.Servers {
				if s == c.Leader(ctx, o.Stream) {
					i = k
				}
			}
			f.hurt(t, c, o, i)
			time.Sleep(f.pause)
			must(t, c.Heal(ctx))
			healed := time.Now()
			before := run.counted()
			await(t, 30*time.Second, "entries again", func() bool { return run.counted() > before+20 })
			t.Logf("going on %v after healing; the longest pause was %v and %v", time.Since(healed).Round(time.Millisecond),
				run.seen[0].pause(), run.seen[1].pause())
			run.end(t)
		})
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// stepDown makes the stream's leader give up.
func stepDown(t *testing.T, o natslog.Options) {
	t.Helper()
	js := admin(t, o)
	m, err := js.Conn().Request("$JS.API.STREAM.LEADER.STEPDOWN."+o.Stream, nil, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", m.Data)
}

// faultRun is two relays that send all the time.
type faultRun struct {
	logs [2]*natslog.Log
	seen [2]*seen
	stop context.CancelFunc // no new entries
	wg   sync.WaitGroup
}

func newFaultRun(t *testing.T, o natslog.Options) *faultRun {
	r := new(faultRun)
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	for i := range r.logs {
		r.logs[i] = open(t, o)
		r.seen[i] = follow(t, r.logs[i], 1)
	}
	for i := range r.logs {
		p := &producer{id: uint64(i + 1), l: r.logs[i], seen: r.seen[i], size: func(n uint64) int { return 16 + int(n*7919%4000) }}
		r.wg.Go(func() { _ = p.run(ctx, 1<<40, 2*time.Millisecond) })
	}
	t.Cleanup(func() {
		cancel()
		r.wg.Wait()
	})
	return r
}

// counted is the lesser of what counts of both.
func (r *faultRun) counted() uint64 { return min(r.seen[0].of(1), r.seen[1].of(2)) }

// end stops sending and compares.
func (r *faultRun) end(t *testing.T) {
	t.Helper()
	r.stop()
	r.wg.Wait()
	var last uint64
	await(t, 20*time.Second, "an answer", func() bool {
		_, n, err := r.logs[0].Ends(context.Background())
		last = n
		return err == nil
	})
	await(t, 20*time.Second, "all entries", func() bool { return r.seen[0].count() >= int(last) && r.seen[1].count() >= int(last) })
	for _, s := range r.seen {
		s.check(t)
	}
	a, b := r.seen[0], r.seen[1]
	a.mu.Lock()
	defer a.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range min(len(a.entries), len(b.entries)) {
		if a.entries[i] != b.entries[i] {
			t.Fatalf("two relays have different entries %d", i+1)
		}
	}
	t.Logf("%d entries, %d and %d count, %d were repeats; consumers %d and %d", len(a.entries), a.last[1], a.last[2], a.doubles,
		r.logs[0].Status().Consumers, r.logs[1].Status().Consumers)
}

// Away says that no entry can be stored, in seconds, and that it is over.
func TestAway(t *testing.T) {
	t.Parallel()
	c := natstest.Three(t, natstest.Config{})
	ctx := context.Background()
	o := natslog.Options{URLs: c.URLs(), TrustSync: true, Stream: newStream()}
	l := open(t, o)
	s := follow(t, l, 1)
	sendAll(t, l, 1, 1, 100)
	await(t, 10*time.Second, "an entry", func() bool { return s.count() == 1 })
	begun := time.Now()
	for _, test := range []struct {
		name string
		hurt func()
	}{
		{"TwoKilled", func() { must(t, c.Servers[0].Kill()); must(t, c.Servers[1].Kill()) }},
		{"AllPaused", func() {
			for _, s := range c.Servers {
				must(t, s.Pause())
			}
		}},
		{"Cut", func() { fronts(c, (*natstest.Proxy).Cut) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			await(t, 20*time.Second, "not away", func() bool { return l.Away().IsZero() })
			hurt := time.Now()
			test.hurt()
			// The last server may lead and answer until it misses the others.
			await(t, 20*time.Second, "away", func() bool {
				_ = l.Send(entry(2, 1, 100))
				time.Sleep(100 * time.Millisecond)
				return !l.Away().IsZero()
			})
			t.Logf("away after %v, last heard of %v after the fault", time.Since(hurt).Round(time.Millisecond), l.Away().Sub(hurt).Round(time.Millisecond))
			if l.Away().Before(begun.Add(-10 * time.Second)) {
				t.Errorf("away since %v", l.Away())
			}
			// A leader answers questions until it misses the others.
			await(t, 15*time.Second, "no answer", func() bool {
				_, _, err := l.Ends(ctx)
				return err != nil
			})
			if l.Status().LastError == "" {
				t.Error("no error is known")
			}
			must(t, c.Heal(ctx))
			healed := time.Now()
			await(t, 20*time.Second, "not away", func() bool { return l.Away().IsZero() })
			t.Logf("back after %v", time.Since(healed).Round(time.Millisecond))
		})
	}
}

// A full stream refuses, and the reason is known. Refusals are no storm of trouble.
func TestSend_Full(t *testing.T) {
	t.Parallel()
	o := places(t)[0].o
	o.Stream = newStream()
	l := open(t, o)
	js := admin(t, o)
	st, err := js.Stream(context.Background(), o.Stream)
	must(t, err)
	config := st.CachedInfo().Config
	config.MaxBytes = 10_000
	_, err = js.UpdateStream(context.Background(), config)
	must(t, err)
	s := follow(t, l, 1)
	sendAll(t, l, 1, 50, 1000)
	await(t, 10*time.Second, "refusals", func() bool { return l.Status().Refused > 0 && l.Status().InFlight == 0 })
	select {
	case <-l.Trouble():
	case <-time.After(time.Minute):
		t.Fatal("no trouble")
	}
	if s := l.Status(); !contains(s.LastError, "maximum bytes", "max-bytes") || !contains(s.Refusal, "maximum bytes") {
		t.Errorf("%q, %q", s.LastError, s.Refusal)
	}
	begun, n := time.Now(), 0
	for time.Since(begun) < time.Second {
		_ = l.Send(entry(1, 50, 5000))
		select {
		case <-l.Trouble():
			n++
		case <-time.After(time.Millisecond):
		}
	}
	if n > 6 {
		t.Errorf("trouble %d times within a second", n)
	}
	if !l.Away().IsZero() {
		t.Error("a full log is not away: it answers")
	}
	// With room it goes on.
	config.MaxBytes = -1
	_, err = js.UpdateStream(context.Background(), config)
	must(t, err)
	p := &producer{id: 7, l: l, seen: s, size: func(uint64) int { return 1000 }}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	must(t, p.run(ctx, 20, 0))
	s.check(t)
}

func contains(text string, words ...string) bool {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

// What is under way is bounded, and Send never waits for a server.
func TestSend_Bounded(t *testing.T) {
	t.Parallel()
	srv := natstest.One(t, natstest.Config{})
	l := open(t, natslog.Options{URLs: []string{srv.URL()}, TrustSync: true, Replicas: 1, FewReplicas: true, Memory: 16 << 20})
	must(t, srv.Pause())
	e := make([]byte, 256<<10)
	var longest time.Duration
	refusals := 0
	for range 400 {
		begun := time.Now()
		if l.Send(e) != nil {
			refusals++
		}
		longest = max(longest, time.Since(begun))
		if n := l.Status().InFlightBytes; n > 8<<20 {
			t.Fatalf("%d bytes are under way", n)
		}
	}
	if refusals < 200 {
		t.Errorf("100 MB were taken, %d entries refused", refusals)
	}
	if longest > time.Second {
		t.Errorf("Send took %v", longest)
	}
}

// Without any consumer Follow gets all entries, too: it fetches them.
func TestFollow_Fetches(t *testing.T) {
	t.Parallel()
	srv := natstest.One(t, natstest.Config{Extra: `accounts {
	A {
		jetstream: enabled
		users: [ { user: relay, password: relay, permissions { publish: { deny: [ "$JS.API.CONSUMER.CREATE.>" ] } } } ]
	}
}
no_auth_user: relay`})
	o := natslog.Options{URLs: []string{srv.URL()}, TrustSync: true, Replicas: 1, FewReplicas: true, Logger: slog.New(slog.DiscardHandler)}
	l := open(t, o)
	s := follow(t, l, 1)
	const n = 700
	sendAll(t, l, 1, n, 20_000)
	await(t, 20*time.Second, "all entries", func() bool { return s.count() == n })
	s.check(t)
	if !l.Away().IsZero() {
		t.Error("away")
	}
	late := follow(t, l, 400)
	await(t, 20*time.Second, "the rest", func() bool { return late.count() == n-399 })
	late.check(t)
}
