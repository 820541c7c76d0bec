package natslog_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"cowrelay/cow/natslog"
	"cowrelay/cow/natslog/natstest"
)

// The servers of all tests: each test has a stream of its own.
var shared struct {
	one   func() (*natstest.Server, error)
	three func() (*natstest.Cluster, error)
}

func TestMain(m *testing.M) {
	// Tests wait for servers most of the time, so more of them run at once than there
	// are cores.
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	dir, err := os.MkdirTemp("", "natslog-")
	if err != nil {
		panic(err)
	}
	var one *natstest.Server
	var three *natstest.Cluster
	shared.one = sync.OnceValues(func() (*natstest.Server, error) {
		if err := os.Mkdir(dir+"/one", 0o700); err != nil {
			return nil, err
		}
		s, err := natstest.StartServer(context.Background(), dir+"/one", natstest.Config{})
		one = s
		return s, err
	})
	shared.three = sync.OnceValues(func() (*natstest.Cluster, error) {
		if err := os.Mkdir(dir+"/three", 0o700); err != nil {
			return nil, err
		}
		c, err := natstest.StartCluster(context.Background(), dir+"/three", 3, natstest.Config{})
		three = c
		return c, err
	})
	code := m.Run()
	if one != nil {
		one.Close()
	}
	if three != nil {
		three.Close()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

func oneServer(t testing.TB) *natstest.Server {
	t.Helper()
	s, err := shared.one()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func threeServers(t testing.TB) *natstest.Cluster {
	t.Helper()
	c, err := shared.three()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var streams atomic.Uint64

// newStream is the name of a stream that is not there.
func newStream() string { return fmt.Sprintf("T%d", streams.Add(1)) }

// place is where a log is.
type place struct {
	name string
	o    natslog.Options
}

// places are one server, and three.
func places(t testing.TB) []place {
	s, c := oneServer(t), threeServers(t)
	return []place{
		{"One", natslog.Options{URLs: []string{s.URL()}, MonitorURLs: []string{s.Monitor()}, Replicas: 1, FewReplicas: true}},
		{"Three", natslog.Options{URLs: c.URLs(), MonitorURLs: c.Monitors()}},
	}
}

// onPlaces runs a test on one server and on three, with a new stream each.
func onPlaces(t *testing.T, f func(t *testing.T, o natslog.Options)) {
	for _, p := range places(t) {
		t.Run(p.name, func(t *testing.T) {
			p.o.Stream = newStream()
			f(t, p.o)
		})
	}
}

// open opens a log for the time of a test.
func open(t testing.TB, o natslog.Options) *natslog.Log {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	l, err := natslog.Open(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// testWriter gives lines to a test's log.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Logf("%s", bytes.TrimSpace(b))
	return len(b), nil
}

// admin is another client of the same servers.
func admin(t testing.TB, o natslog.Options) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(strings.Join(o.URLs, ","))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// entry is one of a producer, with a length.
func entry(producer, number uint64, size int) []byte {
	b := make([]byte, max(size, 16))
	binary.BigEndian.PutUint64(b, producer)
	binary.BigEndian.PutUint64(b[8:], number)
	for i := 16; i < len(b); i++ {
		b[i] = byte(number + uint64(i))
	}
	return b
}

// seen is what one call of Follow gave.
type seen struct {
	mu      sync.Mutex
	first   uint64
	entries [][16]byte        // the heads of the entries, in order
	last    map[uint64]uint64 // producer → number of its newest entry that counts
	doubles int
	longest time.Duration // between two entries
	at      time.Time
	err     error // what is wrong with what came
	ended   chan error
}

// follow starts a call of Follow, which ends with the test.
func follow(t testing.TB, l *natslog.Log, from uint64) *seen {
	t.Helper()
	s := &seen{first: from, last: make(map[uint64]uint64), ended: make(chan error, 1), at: time.Now()}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.ended <- l.Follow(ctx, from, s.take)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return s
}

func (s *seen) take(seq uint64, e []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if want := s.first + uint64(len(s.entries)); seq != want && s.err == nil {
		s.err = fmt.Errorf("entry %d came where %d was to come", seq, want)
	}
	now := time.Now()
	s.longest = max(s.longest, now.Sub(s.at))
	s.at = now
	producer, number := binary.BigEndian.Uint64(e), binary.BigEndian.Uint64(e[8:])
	if !bytes.Equal(e, entry(producer, number, len(e))) && s.err == nil {
		s.err = fmt.Errorf("entry %d is not what was sent", seq)
	}
	s.entries = append(s.entries, [16]byte(e))
	if number == s.last[producer]+1 {
		s.last[producer] = number
	} else {
		s.doubles++
	}
	return nil
}

// count is how many entries came.
func (s *seen) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.entries)
}

// pause is the longest one between two entries.
func (s *seen) pause() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.longest.Round(time.Millisecond)
}

// of is the number of a producer's newest entry that counts.
func (s *seen) of(producer uint64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last[producer]
}

// check fails if anything was wrong.
func (s *seen) check(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		t.Fatal(s.err)
	}
}

// await waits until a condition holds. A busy machine has more time.
func await(t testing.TB, within time.Duration, what string, holds func() bool) {
	t.Helper()
	within *= 3
	end := time.Now().Add(within)
	for !holds() {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", within, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// producer sends as a relay does: each entry until it has come back in its place.
type producer struct {
	id   uint64
	l    *natslog.Log
	seen *seen
	size func(number uint64) int
}

// run sends the entries up to number n, a few at a time, and returns when all counted.
func (p *producer) run(ctx context.Context, n uint64, pause time.Duration) error {
	const window = 16
	sent, moved, progress := uint64(0), uint64(0), time.Now()
	for {
		done := p.seen.of(p.id)
		if done > moved {
			moved, progress = done, time.Now()
		}
		if done >= n {
			return nil
		}
		again := false
		select {
		case <-p.l.Trouble():
			again = true
		case <-ctx.Done():
			return fmt.Errorf("producer %d: %d of %d entries counted: %w", p.id, done, n, ctx.Err())
		case <-time.After(max(pause, time.Millisecond)):
			again = time.Since(progress) > time.Second
		}
		if again {
			sent, progress = done, time.Now()
		}
		for sent < n && sent < done+window {
			if p.l.Send(entry(p.id, sent+1, p.size(sent+1))) != nil {
				break
			}
			sent++
			if pause > 0 {
				break
			}
		}
	}
}
