package fasthttp

import (
	"net"
	"strconv"

	"cowrelay/fasthttp/conn"
	"cowrelay/fasthttp/refusal"
	"cowrelay/fasthttp/stream"

	"github.com/valyala/fasthttp"
)

// newStreams returns the relay's streams, with their writers running.
func newStreams(r *Relay) *stream.Set {
	return stream.New(stream.Env{
		Now:       r.store.Now,
		Subscribe: r.store.Subscribe,
		Draining:  r.draining.Load,
		Lag:       r.lag.Observe,
		Faulted:   r.Faulted,
		Logger:    r.opts.Logger,
	}, stream.Options{
		Heartbeat:    r.opts.Heartbeat,
		WriteTimeout: r.opts.StreamWriteTimeout,
		SendBuffer:   r.opts.StreamSendBuffer,
		Writers:      r.opts.StreamWriters,
	})
}

// serveStream admits a stream. The server hands the connection over when the
// handler is done; see handOver.
func (r *Relay) serveStream(req request) error {
	q, err := req.reading(true)
	if err != nil {
		return err
	}
	if req.head {
		res := &req.ctx.Response
		r.markStale(res)
		res.Header.SetContentType("text/event-stream")
		res.Header.Set(fasthttp.HeaderCacheControl, "no-cache")
		res.Header.Set("X-Accel-Buffering", "no")
		return nil
	}
	if r.leaving() {
		return refusal.Draining
	}
	client := uint64(r.clientOf(req))
	q.start = q.start.For(client)
	if r.shared {
		if err := r.reach(&req, q.start); err != nil {
			return err
		}
	}
	chunked := req.ctx.Request.Header.IsHTTP11()
	head := r.live.Load().origins().shareStream(&req.ctx.Request.Header, stream.Head(chunked))
	if req.id != "" {
		head = withLines(head, string(requestID)+": "+req.id+"\r\n")
	}
	if n := r.away(); n > 0 {
		head = withLines(head, relayStale+": "+strconv.FormatInt(n, 10)+"\r\n")
	}
	st, err := r.streams.Open(stream.Opening{
		Client: client, Slot: req.slot, Grant: req.grant, Start: q.start, IDs: q.ids, Chunked: chunked, Head: head,
		Trimmed: func(head []byte, oldest uint64) []byte {
			return withLines(head, string(relayTrimmed)+": "+strconv.FormatUint(oldest, 10)+"\r\n")
		},
	})
	switch err {
	case nil:
	case stream.ErrFull:
		return refusal.ManyStreams
	case stream.ErrShare:
		return refusal.StreamShare
	default:
		return err
	}
	if c, ok := req.ctx.Conn().(*conn.Conn); ok {
		c.Opens(st)
	}
	req.ctx.HijackSetNoResponse(true)
	req.ctx.Hijack(func(c net.Conn) { handOver(c, st) })
	return nil
}

// handOver gives the stream its connection, which the server has let go.
func handOver(c net.Conn, st *stream.Stream) {
	if wrapped, ok := c.(interface{ UnsafeConn() net.Conn }); ok {
		c = wrapped.UnsafeConn()
	}
	own, _ := c.(*conn.Conn)
	if own != nil {
		own.Handed()
	}
	if st.Start(c) && own != nil {
		own.Serves(st) // it can be asked to leave from here on
	}
}
