package stream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cowrelay/cow"
	"cowrelay/cow/engine"
)

// rig is a set of streams over a store in memory. Connections are real ones of
// loopback. There is no HTTP server: what it would do is done by open.
type rig struct {
	testing.TB
	store      *cow.Store
	set        *Set
	ln         net.Listener
	draining   atomic.Bool
	lags       atomic.Int64 // writes of events that were timed
	panics     atomic.Int64
	slotTokens sync.Map // cow.ID: text of the slot token
	stop       func()
}

type rigOptions struct {
	store   cow.Options
	streams Options
	most    int
}

func newRig(t testing.TB, edit ...func(*rigOptions)) *rig {
	t.Helper()
	o := rigOptions{most: 10_000}
	o.store.Logger = slog.New(slog.DiscardHandler)
	for _, f := range edit {
		f(&o)
	}
	g := &rig{TB: t}
	var onDisk engine.Options
	onDisk.FS, onDisk.Logger = vfs.NewMem(), o.store.Logger
	onDisk.CacheBytes, onDisk.MemTableBytes, onDisk.SegmentBytes = 4<<20, 4<<20, 256<<10
	log, err := engine.Open("data", onDisk)
	if err != nil {
		t.Fatal(err)
	}
	if g.store, err = cow.Open(log, log, o.store); err != nil {
		t.Fatal(err)
	}
	if g.ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	g.set = New(Env{
		Now:       g.store.Now,
		Subscribe: g.store.Subscribe,
		Draining:  g.draining.Load,
		Lag:       func(time.Duration) { g.lags.Add(1) },
		Faulted:   func(string, any) { g.panics.Add(1) },
		Logger:    o.store.Logger,
	}, o.streams)
	g.set.SetMost(o.most)
	g.stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		g.draining.Store(true)
		g.set.Drain(ctx)
		g.set.Stop(ctx)
		if err := ctx.Err(); err != nil {
			g.Errorf("the end of the streams: %v", err)
		}
		g.ln.Close()
		if err := errors.Join(g.store.Close(), log.Close()); err != nil {
			g.Errorf("close: %v", err)
		}
	})
	t.Cleanup(g.stop)
	return g
}

func (g *rig) eventually(what string, ok func() bool) {
	g.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			g.Fatalf("not within a minute: %s", what)
		}
	}
}

func (g *rig) allocate() *cow.Slot {
	g.Helper()
	id, text, _, err := g.store.Allocate()
	if err != nil {
		g.Fatal(err)
	}
	g.slotTokens.Store(id, text)
	return g.store.Slot(id)
}

// grant is what the slot token allows.
func (g *rig) grant(slot *cow.Slot) cow.Grant {
	text, _ := g.slotTokens.Load(slot.ID())
	return slot.Authorize(cow.HashToken([]byte(text.(string))), time.Now().Unix())
}

func (g *rig) post(slot *cow.Slot, event string) {
	g.Helper()
	p := g.store.NewPost()
	defer p.Release()
	if err := p.Accept([]byte(`{"event":` + event + `}`)); err != nil {
		g.Fatal(err)
	}
	if _, err := p.Commit(slot); err != nil {
		g.Fatal(err)
	}
}

func eventN(i int) string { return fmt.Sprintf(`{"event_id":"e%d","n":%d}`, i, i) }

// pair returns both ends of a connection.
func (g *rig) pair() (client, server *net.TCPConn) {
	g.Helper()
	c, err := net.Dial("tcp", g.ln.Addr().String())
	if err != nil {
		g.Fatal(err)
	}
	g.Cleanup(func() { c.Close() })
	s, err := g.ln.Accept()
	if err != nil {
		g.Fatal(err)
	}
	g.Cleanup(func() { s.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

// sse is a client of one stream.
type sse struct {
	testing.TB
	*net.TCPConn
	body     *bufio.Reader
	comments int
	retryMs  int
}

// tryOpen opens a stream of a client at the slot's newest event, as a server
// does.
func (g *rig) tryOpen(slot *cow.Slot, client uint64) (*sse, *Stream, error) {
	g.Helper()
	st, err := g.set.Open(Opening{Client: client, Slot: slot, Grant: g.grant(slot), Chunked: true, Head: Head(true)})
	if err != nil {
		return nil, nil, err
	}
	ours, theirs := g.pair()
	st.Start(theirs)
	res, err := http.ReadResponse(bufio.NewReaderSize(ours, 64<<10), nil)
	if err != nil {
		g.Fatal(err)
	}
	s := &sse{TB: g.TB, TCPConn: ours, body: bufio.NewReader(res.Body)}
	if line, err := s.body.ReadString('\n'); line != ": open\n" {
		g.Fatalf("the stream begins with %q, %v", line, err)
	}
	return s, st, nil
}

func (g *rig) open(slot *cow.Slot) (*sse, *Stream) {
	g.Helper()
	s, st, err := g.tryOpen(slot, 1)
	if err != nil {
		g.Fatal(err)
	}
	return s, st
}

// frame reads the next frame, past comments. The relay's end is io.EOF, a cut
// io.ErrUnexpectedEOF.
func (s *sse) frame() (data string, err error) {
	for {
		line, err := s.body.ReadString('\n')
		if err != nil {
			return "", err
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch name {
		case "":
			s.comments++
		case "retry":
			if s.retryMs, err = strconv.Atoi(value); err != nil {
				return "", err
			}
		case "data":
			if blank, err := s.body.ReadString('\n'); blank != "\n" {
				return "", fmt.Errorf("%.40q, %w behind a frame", blank, err)
			}
			return value, nil
		}
	}
}

// want reads one frame for each of the numbers, in order.
func (s *sse) want(from, to int) {
	s.Helper()
	for i := from; i < to; i++ {
		if data, err := s.frame(); err != nil || data != eventN(i) {
			s.Fatalf("frame %q, %v; want %q", data, err, eventN(i))
		}
	}
}

// wantComment waits for a comment line.
func (s *sse) wantComment() {
	s.Helper()
	if line, err := s.body.ReadString('\n'); !strings.HasPrefix(line, ":") {
		s.Fatalf("%q, %v; want a comment", line, err)
	}
}

// wantEnd reads a stream to its end.
func (s *sse) wantEnd() {
	s.Helper()
	if data, err := s.frame(); err != io.EOF {
		s.Fatalf("%q, %v; want the end", data, err)
	}
}

// wantPruned waits until no stream is open, and checks that one ended, for that
// reason, and that nothing of it stays.
func (g *rig) wantPruned(st *Stream, reason Reason) {
	g.Helper()
	g.eventually("the stream is closed", func() bool { return g.set.Len() == 0 })
	if n := g.store.Stats().Subscribers.Load(); n != 0 || st.sub.Slot().Subscribers() != 0 {
		g.Errorf("%d subscribers stay", n)
	}
	for why := range Reasons {
		want := uint64(0)
		if why == reason {
			want = 1
		}
		if n := g.set.Ended(why); n != want {
			g.Errorf("%d streams ended as %v, want %d", n, why, want)
		}
	}
	g.wantClosed(st)
	g.eventually("no frames stay", func() bool { return g.store.Memory().Frames == 0 })
	if n := g.set.books.Used(); n != 0 {
		g.Errorf("%d streams stay in the books", n)
	}
}

// wantClosed waits for the stream's connection to be closed.
func (g *rig) wantClosed(st *Stream) {
	g.Helper()
	g.eventually("the connection is closed", func() bool {
		_, err := st.conn.Write(nil)
		return err != nil && !os.IsTimeout(err)
	})
}
