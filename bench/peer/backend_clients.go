package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"cowrelay/bench/load"
	"cowrelay/bench/run"
	"cowrelay/bench/scenario"
	"cowrelay/bench/wire"
)

// lane names a lane that no other round has.
func lane(t *wire.Template, n int) string {
	return fmt.Sprintf("%s-%d", t.Nonce(), n)
}

// backendPosts is the load of posts: many clients, each with a lane of its own.
type backendPosts struct {
	e     *run.Env
	s     *load.Server
	b     Backend
	conns int
}

func (r *backendPosts) Round(ctx context.Context) (load.Sample, error) {
	ws := make([]load.Worker, 0, r.conns)
	for i := range r.conns {
		p, err := newBackendPoster(ctx, r.e, r.b, i)
		if err != nil {
			for _, w := range ws {
				w.Close()
			}
			return load.Sample{}, fmt.Errorf("cannot connect: %w", err)
		}
		p.next = uint64(i) * load.NumbersPerPoster
		ws = append(ws, p)
	}
	return r.e.RunClosed(ctx, r.s, ws)
}

// A backendPoster is one posting client of a backend.
type backendPoster struct {
	p         Poster
	t         *wire.Template
	event, id []byte
	next      uint64
	ctx       context.Context // Interrupt ends it
	cancel    context.CancelFunc
}

func newBackendPoster(ctx context.Context, e *run.Env, b Backend, n int) (*backendPoster, error) {
	p, err := b.Poster(ctx, lane(e.Template, n))
	if err != nil {
		return nil, err
	}
	w := &backendPoster{p: p, t: e.Template}
	w.ctx, w.cancel = context.WithCancel(ctx)
	return w, nil
}

func (w *backendPoster) Do(ctx context.Context) error {
	n := w.next
	w.next++
	return w.PostNumber(ctx, n)
}

func (w *backendPoster) PostNumber(_ context.Context, n uint64) error {
	w.event = w.t.AppendEvent(w.event[:0], n)
	w.id = w.t.AppendID(w.id[:0], n)
	return w.p.Post(w.ctx, w.id, w.event)
}

func (w *backendPoster) Interrupt() { w.cancel() }

func (w *backendPoster) Close() {
	w.cancel()
	w.p.Close()
}

// backendVenue is a lane of a backend.
type backendVenue struct {
	e *run.Env
	b Backend
	n int // how many lanes were begun
}

func (v *backendVenue) Begin(context.Context) error {
	v.n++
	return nil
}

func (v *backendVenue) Poster(ctx context.Context) (scenario.NumberPoster, error) {
	return newBackendPoster(ctx, v.e, v.b, v.n)
}

func (v *backendVenue) Stream(ctx context.Context, st *scenario.StreamReader) (scenario.Feed, error) {
	f := &backendFeed{st: st, over: make(chan struct{})}
	var err error
	f.c, err = v.b.Stream(ctx, lane(v.e.Template, v.n), f.deliver, f.end)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// A backendFeed is a stream of a backend. The backend delivers from a goroutine
// of its own.
type backendFeed struct {
	st   *scenario.StreamReader
	c    io.Closer
	over chan struct{} // closed when it has ended

	mu   sync.Mutex // guards the fields below
	done bool
	err  error // why it ended
}

func (f *backendFeed) deliver(event []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done {
		return
	}
	f.st.Arrived()
	if err := f.st.CheckEvent(event); err != nil {
		f.endLocked(err)
	}
}

func (f *backendFeed) end(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.done {
		f.endLocked(err)
	}
}

func (f *backendFeed) endLocked(err error) {
	f.err = err
	f.done = true
	close(f.over)
}

var errFeedClosed = errors.New("closed")

func (f *backendFeed) Run() error {
	<-f.over
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

func (f *backendFeed) Close() {
	f.end(errFeedClosed)
	_ = f.c.Close()
}
