package fasthttp

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/share"
	"cowrelay/fasthttp/accept"
	"cowrelay/fasthttp/refusal"
	"cowrelay/fasthttp/stats"
	"cowrelay/fasthttp/stream"

	"github.com/valyala/fasthttp"
)

// What is here is for relays that share a log. What one has acknowledged the others
// know a moment later. So before a relay says that something is not there, it waits
// until it knows all that was acknowledged before the request. One that shares nothing
// (Relay.shared is false) waits for nothing.

// mostDoubts is how many requests may wait for that at once. One client may have a
// quarter of them. They share the work, so what a flood of unknown slots costs the log
// does not grow with it.
const mostDoubts = 1024

// newDoubts returns the books of the requests that wait.
func newDoubts() *share.Ledger[accept.Client] {
	return share.New[accept.Client](mostDoubts, mostDoubts/4)
}

// How a wait ended, for the metrics.
const (
	doubtOver  = iota // the relay knows what the others had acknowledged
	doubtFull         // too many waited, in all or of one client
	doubtEnded        // the log did not answer in time, the client left, or the relay drained

	doubtEnds
)

var doubtNames = [doubtEnds]string{"known", "refused", "ended"}

func (r *Relay) doubtFamilies() []stats.Family {
	return []stats.Family{
		stats.Gauge("cowrelay_fleet_waits", "Requests that wait until this relay knows what others have acknowledged: before it says that something is not there, and for consistent pulls.", func() int64 { return r.doubts.Used() }),
		stats.Gauge("cowrelay_fleet_waits_max", "How many may wait so at once; one client may have a quarter.", func() int64 { return mostDoubts }),
		stats.CountersOf("cowrelay_fleet_waits_total", "result", "Requests that waited so, by result: known, refused (too many waited), ended (the log did not answer in time, the client left, or the relay drained).",
			doubtNames[:], func() []atomic.Uint64 { return r.doubtEnds[:] }),
	}
}

// inDoubt runs wait, which waits for what other relays have acknowledged. ctx ends when
// the client leaves and when the relay drains. h is the request's.
func (r *Relay) inDoubt(req *request, h *fasthttp.RequestHeader, wait func(ctx context.Context) error) error {
	client := accept.Client(0)
	if req.conn != nil {
		client = r.clientKey(req.conn, h)
	}
	var place share.Holder[accept.Client]
	if !r.doubts.Take(&place, client, 1) {
		r.doubtEnds[doubtFull].Add(1)
		return refusal.Busy
	}
	defer r.doubts.Give(&place)
	ctx, cancel := context.WithCancel(r.staying)
	defer cancel()
	defer r.watchClient(req, cancel)()
	err := wait(ctx)
	if err == nil {
		r.doubtEnds[doubtOver].Add(1)
	} else {
		r.doubtEnds[doubtEnded].Add(1)
	}
	switch {
	case r.staying.Err() != nil && errors.Is(err, context.Canceled):
		return refusal.Draining
	case errors.Is(err, context.Canceled): // nobody reads the reply
		return refusal.Busy
	}
	return err
}

// leaver ends a wait whose client has left.
type leaver struct{ cancel context.CancelFunc }

// HungUp implements stream.Leaver.
func (l leaver) HungUp() { l.cancel() }

// watchClient calls cancel when the client of the request leaves, until done. Where
// that can't be seen, the wait has its own end.
func (r *Relay) watchClient(req *request, cancel context.CancelFunc) (done func()) {
	if req.conn == nil || req.conn.Socket == nil {
		return func() {}
	}
	raw, err := req.conn.Socket.SyscallConn()
	hangs, watch := r.streams.Hangups(), new(stream.Watch)
	if err != nil || !hangs.Watch(leaver{cancel}, watch, raw, false) {
		return func() {}
	}
	return func() { hangs.Unwatch(watch, raw) }
}

// sure runs ask, and once more if it says that something is not there, or another's:
// another relay may have changed that just before the request.
func (r *Relay) sure(req request, ask func() error) error {
	err := ask()
	if !r.shared || err == nil || !doubtful(err) {
		return err
	}
	if err := r.inDoubt(&req, &req.ctx.Request.Header, r.store.Barrier); err != nil {
		return err
	}
	return ask()
}

// doubtful says whether another relay may know better than this error.
func doubtful(err error) bool {
	reply, _ := refusal.Of(err)
	return reply == refusal.WrongToken || reply.Status == http.StatusNotFound || reply.Status == http.StatusConflict
}

// window fills w with what a pull asks for. If the relay does not have what that
// begins behind, it asks the others first, and always if the client wants that.
func (r *Relay) window(req request, q reading, w *cow.Window) error {
	if !r.shared {
		return r.store.Window(req.slot, q.start, q.limit, w)
	}
	h := &req.ctx.Request.Header
	if q.consistent {
		return r.inDoubt(&req, h, func(ctx context.Context) error { return r.store.Current(ctx, req.slot, q.start, q.limit, w) })
	}
	err := r.store.Window(req.slot, q.start, q.limit, w)
	if err != nil || !w.Missed() {
		return err
	}
	if err := r.reach(&req, q.start); err != nil {
		w.Reset()
		return err
	}
	return r.store.Window(req.slot, q.start, q.limit, w)
}

// reach waits until the relay has what a reader's start names, if any relay has it.
func (r *Relay) reach(req *request, start cow.Start) error {
	return r.inDoubt(req, &req.ctx.Request.Header, func(ctx context.Context) error { return r.store.Reach(ctx, req.slot, start) })
}

// relayStale says for how long the relay has not heard of the log: what it shows may be
// older than what others show.
const relayStale = "Relay-Stale"

// away is for how long the log can't be reached, in seconds; 0: it can be.
func (r *Relay) away() int64 {
	if !r.shared {
		return 0
	}
	health, _ := r.store.SharedLog()
	if health.Away <= 0 {
		return 0
	}
	return max(1, int64(health.Away/time.Second))
}

// markStale marks a reply that may be old.
func (r *Relay) markStale(res *fasthttp.Response) {
	if n := r.away(); n > 0 {
		res.Header.Set(relayStale, strconv.FormatInt(n, 10))
	}
}

// serveReadyz says whether the relay serves. Without the log it still serves those who
// read, so it stays ready and says so; whoever wants relays alone that take posts
// looks for "ok".
func (r *Relay) serveReadyz(req request) error {
	if !r.Ready() {
		return refusal.Draining
	}
	if n := r.away(); n > 0 {
		req.ctx.Response.Header.SetContentType("text/plain; charset=utf-8")
		req.ctx.Response.SetBodyString("log away for " + strconv.FormatInt(n, 10) + " s: pulls and streams go on, posts wait\n")
		return nil
	}
	return r.serveHealthz(req)
}
