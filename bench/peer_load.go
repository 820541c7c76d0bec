package bench

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A Backend is a peer that does not speak HTTP, as the program that loads it
// sees it: see RunPeerLoad. A lane stands for a slot.
type Backend interface {
	// Poster connects a client that posts to a lane.
	Poster(ctx context.Context, lane string) (BackendPoster, error)
	// Stream connects a client that gets every event posted to lane after
	// Stream has returned, in the lane's order. It calls deliver for each, one
	// at a time, and failed if the stream ends by itself.
	Stream(ctx context.Context, lane string, deliver func(event []byte), failed func(error)) (io.Closer, error)
}

// A BackendPoster is one client.
type BackendPoster interface {
	// Post posts an event, whose id is id, and returns when it is stored for
	// good. It keeps neither after it has returned.
	Post(ctx context.Context, id, event []byte) error
	Close()
}

// A peerLoad is what RunPeerLoad does: one round.
type peerLoad struct {
	scenario string
	addr     string
	pid      int
	nonce    string
	conns    int
	procs    int // cores that it runs on
	cfg      Config
}

func (p *peerLoad) args() []string {
	c := &p.cfg
	return []string{
		"--scenario", p.scenario, "--addr", p.addr, "--pid", fmt.Sprint(p.pid), "--nonce", p.nonce,
		"--conns", fmt.Sprint(p.conns), "--procs", fmt.Sprint(p.procs), "--streams", fmt.Sprint(c.Streams), "--posters", fmt.Sprint(c.Posters),
		"--event-bytes", fmt.Sprint(c.EventBytes), "--duration", c.Duration.String(), "--warmup", c.Warmup.String(),
	}
}

// RunPeerLoad loads a peer for one round, with the loops and the checks that
// load a relay, and writes the Sample to out as a line of JSON. args are what
// relaybench put behind the program's subcommand; dial connects to the peer at
// an address.
func RunPeerLoad(ctx context.Context, args []string, out io.Writer, dial func(addr string) (Backend, error)) error {
	var p peerLoad
	fs := flag.NewFlagSet("load", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&p.scenario, "scenario", "", "")
	fs.StringVar(&p.addr, "addr", "", "")
	fs.IntVar(&p.pid, "pid", 0, "")
	fs.StringVar(&p.nonce, "nonce", "", "")
	fs.IntVar(&p.conns, "conns", 0, "")
	fs.IntVar(&p.procs, "procs", 0, "")
	fs.IntVar(&p.cfg.Streams, "streams", 0, "")
	fs.IntVar(&p.cfg.Posters, "posters", 0, "")
	fs.IntVar(&p.cfg.EventBytes, "event-bytes", 0, "")
	fs.DurationVar(&p.cfg.Duration, "duration", 0, "")
	fs.DurationVar(&p.cfg.Warmup, "warmup", 0, "")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if p.procs > 0 {
		runtime.GOMAXPROCS(p.procs)
	}
	b, err := dial(p.addr)
	if err != nil {
		return err
	}
	t, err := newTemplate(p.cfg.EventBytes, p.nonce)
	if err != nil {
		return err
	}
	r, err := p.runner(b, &env{cfg: &p.cfg, tmpl: t, track: newTrack(nil, "")})
	if err != nil {
		return err
	}
	s, err := r.round(ctx)
	if err != nil {
		return err
	}
	h, err := s.hist.h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(loadedSample{Sample: s, Histogram: h})
}

// A loadedSample is a Sample on its way from one process to another.
type loadedSample struct {
	Sample
	Histogram []byte `json:"histogram"`
}

// parseLoaded reads what RunPeerLoad wrote.
func parseLoaded(b []byte) (Sample, error) {
	var l loadedSample
	if err := json.Unmarshal(b, &l); err != nil {
		return Sample{}, fmt.Errorf("cannot parse the sample of a load: %w: %.200q", err, b)
	}
	h, err := hdrhistogram.Decode(l.Histogram)
	if err != nil {
		return Sample{}, fmt.Errorf("cannot parse the latencies of a load: %w", err)
	}
	l.Sample.hist = histogram{h}
	return l.Sample, nil
}

func (p *peerLoad) runner(b Backend, e *env) (runner, error) {
	s := &side{name: "peer", addr: p.addr, pid: p.pid}
	switch p.scenario {
	case "post":
		return &backendPosts{e: e, s: s, b: b, conns: p.conns}, nil
	case "fanout":
		return &fanoutRunner{e: e, s: s, at: &backendVenue{e: e, b: b}}, nil
	}
	return nil, fmt.Errorf("unknown scenario %q", p.scenario)
}

// lane names a lane that no other round has.
func (e *env) lane(n int) string {
	return fmt.Sprintf("%s-%d", e.tmpl.event[e.tmpl.idAt:e.tmpl.numAt], n)
}

// backendPosts posts from many clients, each to a lane of its own.
type backendPosts struct {
	e     *env
	s     *side
	b     Backend
	conns int
}

func (r *backendPosts) round(ctx context.Context) (Sample, error) {
	ws := make([]worker, 0, r.conns)
	for i := range r.conns {
		p, err := newBackendPoster(ctx, r.e, r.b, i)
		if err != nil {
			for _, w := range ws {
				w.close()
			}
			return Sample{}, fmt.Errorf("cannot connect: %w", err)
		}
		p.next = uint64(i) * numbersPerPoster
		ws = append(ws, p)
	}
	return r.e.runClosed(ctx, r.s, ws)
}

// A backendPoster is one posting client of a backend.
type backendPoster struct {
	p         BackendPoster
	t         *template
	event, id []byte
	next      uint64
	ctx       context.Context // ended by interrupt
	cancel    context.CancelFunc
}

func newBackendPoster(ctx context.Context, e *env, b Backend, lane int) (*backendPoster, error) {
	p, err := b.Poster(ctx, e.lane(lane))
	if err != nil {
		return nil, err
	}
	w := &backendPoster{p: p, t: e.tmpl}
	w.ctx, w.cancel = context.WithCancel(ctx)
	return w, nil
}

func (w *backendPoster) do(ctx context.Context) error {
	n := w.next
	w.next++
	return w.postNumber(ctx, n)
}

func (w *backendPoster) postNumber(_ context.Context, n uint64) error {
	w.event = w.t.appendEvent(w.event[:0], n)
	w.id = w.t.appendID(w.id[:0], n)
	return w.p.Post(w.ctx, w.id, w.event)
}

func (w *backendPoster) interrupt() { w.cancel() }

func (w *backendPoster) close() {
	w.cancel()
	w.p.Close()
}

// backendVenue is a lane of a backend.
type backendVenue struct {
	e *env
	b Backend
	n int // lanes that were begun
}

func (v *backendVenue) begin(context.Context) error {
	v.n++
	return nil
}

func (v *backendVenue) poster(ctx context.Context) (numberPoster, error) {
	return newBackendPoster(ctx, v.e, v.b, v.n)
}

func (v *backendVenue) stream(ctx context.Context, st *streamReader) (feed, error) {
	f := &backendFeed{st: st, over: make(chan struct{})}
	var err error
	f.c, err = v.b.Stream(ctx, v.e.lane(v.n), f.deliver, f.end)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// A backendFeed is a stream of a backend, which delivers from a goroutine of
// its own.
type backendFeed struct {
	st   *streamReader
	c    io.Closer
	over chan struct{} // closed when it has ended

	mu   sync.Mutex
	done bool
	err  error // why it ended
}

func (f *backendFeed) deliver(event []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done {
		return
	}
	f.st.now = int64(time.Since(f.st.f.began))
	if err := f.st.check(f.st.f.t.idOf(event), event); err != nil {
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

func (f *backendFeed) run() error {
	<-f.over
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

func (f *backendFeed) close() {
	f.end(errFeedClosed)
	_ = f.c.Close()
}
