package admin

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// fakeCopy is a copy that is written in pieces, with a pause before each.
type fakeCopy struct {
	pieces int
	pause  time.Duration
	fail   error
	closed *atomic.Int32
}

func (c fakeCopy) Bytes() int64 { return int64(c.pieces) * 1000 }
func (c fakeCopy) Close() error { c.closed.Add(1); return nil }
func (c fakeCopy) Send(_ context.Context, w io.Writer, _ SendOptions) (n int64, err error) {
	for range c.pieces {
		time.Sleep(c.pause)
		k, err := w.Write(make([]byte, 1000))
		if n += int64(k); err != nil {
			return n, err
		}
	}
	return n, c.fail
}

// A copy may take longer than a reply otherwise may, and one that fails is cut off and
// never looks whole.
func TestCheckpoint(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	var closed atomic.Int32
	var next atomic.Pointer[func(context.Context) (Checkpoint, error)]
	_, addr := g.serve(Options{Checkpoint: func(ctx context.Context) (Checkpoint, error) { return (*next.Load())(ctx) }, times: times{time.Second, time.Second, 300 * time.Millisecond, time.Second}})
	get := func(f func(context.Context) (Checkpoint, error)) (status int, header http.Header, n int, err error) {
		next.Store(&f)
		res, err := http.Get("http://" + addr + "/admin/v1/checkpoint")
		if err != nil {
			return 0, nil, 0, err
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		return res.StatusCode, res.Header, len(body), err
	}
	give := func(c fakeCopy) func(context.Context) (Checkpoint, error) {
		return func(context.Context) (Checkpoint, error) { c.closed = &closed; return c, nil }
	}
	if status, header, n, err := get(give(fakeCopy{pieces: 20, pause: 50 * time.Millisecond})); status != 200 || header.Get(CheckpointBytes) != "20000" || n != 20000 || err != nil || closed.Load() != 1 {
		t.Errorf("a slow copy: %d, %v, %d bytes, %v, closed %d times", status, header, n, err, closed.Load())
	}
	if _, _, n, err := get(give(fakeCopy{pieces: 2000, fail: errors.New("the disk")})); err == nil || closed.Load() != 2 {
		t.Errorf("a copy that fails: %d bytes, %v, closed %d times", n, err, closed.Load())
	}
	if status, header, _, err := get(func(context.Context) (Checkpoint, error) { return nil, ErrBusy }); status != 503 || header.Get("Retry-After") == "" || err != nil {
		t.Errorf("while there is another one: %d, %v, %v", status, header, err)
	}
	// Its beginning has a time.
	if status, _, _, err := get(func(ctx context.Context) (Checkpoint, error) { <-ctx.Done(); return nil, ErrBusy }); status != 503 || err != nil {
		t.Errorf("one that does not begin: %d, %v", status, err)
	}
	_, addr = g.serve(Options{})
	for path, want := range map[string]int{"/admin/v1/checkpoint": 501, "/admin/v1/fleet": 404} {
		res, err := http.Get("http://" + addr + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s of a relay that has none: %d", path, res.StatusCode)
		}
	}
}

// A reader that trickles is cut, whatever it takes of each piece.
func TestCheckpoint_Trickle(t *testing.T) {
	r := httptest.NewRecorder()
	p := &patientWriter{w: r, ctrl: http.NewResponseController(r), began: time.Now().Add(-firstSlack - 2*time.Second), n: 3 * leastRate}
	if n, err := p.Write(make([]byte, 1000)); n != 1000 || err != nil {
		t.Errorf("fast enough: %d, %v", n, err)
	}
	p.began = time.Now().Add(-firstSlack - 10*time.Second)
	if n, err := p.Write(make([]byte, 1000)); n != 0 || err != errSlow {
		t.Errorf("too slow: %d, %v", n, err)
	}
}
