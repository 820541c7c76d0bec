package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cowrelay/fasthttp/refusal"
)

// slowCopy is a copy that takes a while, and notes what was asked for.
type slowCopy struct {
	fakeCopy
	asked atomic.Pointer[SendOptions]
}

func (c *slowCopy) Send(ctx context.Context, w io.Writer, o SendOptions) (n int64, err error) {
	c.asked.Store(&o)
	if n, err = c.fakeCopy.Send(ctx, w, o); err == nil {
		err = ctx.Err()
	}
	return n, err
}

// A backup is a copy without what the client has. The relay knows of one that is whole
// when it is told, and of one that fails.
func TestBackup(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	var closed atomic.Int32
	c := &slowCopy{fakeCopy: fakeCopy{pieces: 10, pause: 400 * time.Millisecond, closed: &closed}}
	busy := false
	_, addr := g.serve(Options{
		// A body has less time than the copy takes: what follows it is no body.
		times: times{time.Minute, 3 * time.Second, time.Minute, time.Minute},
		Checkpoint: func(context.Context) (Checkpoint, error) {
			if busy {
				return nil, ErrBusy
			}
			return c, nil
		},
	})
	post := func(path string, body any) (int, int, error) {
		t.Helper()
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.Post("http://"+addr+path, "application/json", bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		return res.StatusCode, len(b), err
	}
	failures := func(want uint64) {
		t.Helper()
		g.eventually("failures", func() bool { return g.operators.Backups().Failures == want })
	}
	have := HaveFile{"000001.sst", 5, strings.Repeat("a", 64)}
	status, n, err := post("/admin/v1/checkpoint", map[string]any{"have": []HaveFile{have}, "rate": 1 << 20})
	if o := c.asked.Load(); status != 200 || n != 10_000 || err != nil || closed.Load() != 1 || o.Rate != 1<<20 || len(o.Have) != 1 || o.Have[0] != have {
		t.Errorf("status %d, %d bytes, %v, closed %d times, asked %+v", status, n, err, closed.Load(), o)
	}
	if b := g.operators.Backups(); !b.Last.IsZero() || b.Failures != 0 {
		t.Errorf("nobody said that it is whole: %+v", b)
	}
	if status, _, _ := post("/admin/v1/backups", map[string]any{"bytes": 70, "sent_bytes": 7, "seconds": 1.5}); status != 200 {
		t.Errorf("status %d", status)
	}
	if b := g.operators.Backups(); time.Since(b.Last) > time.Minute || b.Bytes != 70 || b.Sent != 7 || b.Took != 1500*time.Millisecond || b.Failures != 0 {
		t.Errorf("%+v", b)
	}
	for _, told := range []map[string]any{{"bytes": -1}, {"seconds": -1}, {"seconds": 1e300}} {
		if status, _, _ := post("/admin/v1/backups", told); status != 400 {
			t.Errorf("%v: status %d", told, status)
		}
	}
	for _, rate := range []any{-1, 1, 1<<20 - 1} {
		if status, _, _ := post("/admin/v1/checkpoint", map[string]any{"rate": rate}); status != 400 {
			t.Errorf("rate %v: status %d", rate, status)
		}
	}
	failures(0)
	// It can't be kept; it is cut off; there is another one.
	if status, _, _ := post("/admin/v1/backups", map[string]any{"failed": "the disk is full"}); status != 200 {
		t.Errorf("status %d", status)
	}
	failures(1)
	c.pause, c.fail = 0, io.ErrUnexpectedEOF
	if _, _, err := post("/admin/v1/checkpoint", struct{}{}); err == nil {
		t.Error("a copy that fails passes for whole")
	}
	failures(2)
	busy = true
	if status, _, _ := post("/admin/v1/checkpoint", struct{}{}); status != 503 {
		t.Errorf("beside another one: status %d", status)
	}
	failures(3)
	if b := g.operators.Backups(); b.Bytes != 70 {
		t.Errorf("the newest whole one is still %+v", b)
	}
	long := strings.NewReader(strings.Repeat("x", mostHave+1))
	var reply struct{ Error string }
	if err := bodyOf(httptest.NewRequest("POST", "/", long), &reply, mostHave); err != refusal.BodyTooLarge {
		t.Errorf("a list that is too long: %v", err)
	}
	if text := g.log.String(); !strings.Contains(text, "the disk is full") {
		t.Error("the log does not say why a backup failed")
	}
}
