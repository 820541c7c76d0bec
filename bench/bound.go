package bench

import (
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"
)

// BoundCommand is the hidden subcommand under which a binary that uses this
// package must call RunBound: the bound is the same binary, started again.
const BoundCommand = "bound-server"

// Bound modes.
const (
	boundPoll       = "poll"
	boundWindow     = "window"
	boundPost       = "post"
	boundSaturation = "saturation"
	boundFanout     = "fanout"
	boundIdle       = "idle"
	boundChurn      = "churn"
)

// A BoundConfig says what a bound server serves.
type BoundConfig struct {
	Mode       string
	Bind       string // loopback host:port
	Dir        string // where the post file goes
	EventBytes int    // size of the events of windows and posts
	Nonce      string // start of all event ids
	Count      int    // events of the slot that windows are taken from
	Page       int    // events of a window
	Heartbeat  time.Duration
}

func (b BoundConfig) args() []string {
	return []string{
		"--mode", b.Mode, "--bind", b.Bind, "--dir", b.Dir, "--nonce", b.Nonce,
		"--event-bytes", strconv.Itoa(b.EventBytes), "--count", strconv.Itoa(b.Count), "--page", strconv.Itoa(b.Page),
		"--heartbeat", b.Heartbeat.String(),
	}
}

// RunBound serves the bound that args (what follows BoundCommand) describe,
// until its standard input ends or it is signalled. A bound is what no relay
// can beat with the same HTTP server: it checks nothing, neither tokens nor
// events, and knows one slot.
func RunBound(args []string) error {
	var b BoundConfig
	fs := flag.NewFlagSet(BoundCommand, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&b.Mode, "mode", "", "")
	fs.StringVar(&b.Bind, "bind", "", "")
	fs.StringVar(&b.Dir, "dir", "", "")
	fs.StringVar(&b.Nonce, "nonce", "", "")
	fs.IntVar(&b.EventBytes, "event-bytes", 0, "")
	fs.IntVar(&b.Count, "count", 0, "")
	fs.IntVar(&b.Page, "page", 0, "")
	fs.DurationVar(&b.Heartbeat, "heartbeat", 0, "")
	if err := fs.Parse(args); err != nil {
		return err
	}
	h, err := b.handler()
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp4", b.Bind)
	if err != nil {
		return err
	}
	// The starter holds the other end: when it is gone, so is the bound.
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	s := &fasthttp.Server{
		Handler:               h,
		NoDefaultServerHeader: true,
		KeepHijackedConns:     true,
		ReadTimeout:           time.Minute,
	}
	return s.Serve(l)
}

func (b BoundConfig) handler() (fasthttp.RequestHandler, error) {
	t, err := newTemplate(b.EventBytes, b.Nonce)
	if err != nil {
		return nil, err
	}
	switch b.Mode {
	case boundPoll:
		return setupFirst(func(ctx *fasthttp.RequestCtx) {
			if ctx.IsPost() {
				answerStored(ctx, t)
				return
			}
			ctx.SetContentType(jsonType)
			ctx.Response.SetBodyRaw(emptyPage)
		}), nil
	case boundWindow:
		return setupFirst(newWindowBound(t, b.Count, b.Page)), nil
	case boundPost:
		g, err := newGroupCommit(b.Dir)
		if err != nil {
			return nil, err
		}
		return setupFirst(g.handler(t, nil)), nil
	case boundSaturation:
		g, err := newGroupCommit(b.Dir)
		if err != nil {
			return nil, err
		}
		window, post := newWindowBound(t, b.Count, b.Page), g.handler(t, nil)
		return setupFirst(func(ctx *fasthttp.RequestCtx) {
			if ctx.IsPost() {
				post(ctx)
				return
			}
			window(ctx)
		}), nil
	case boundFanout:
		g, err := newGroupCommit(b.Dir)
		if err != nil {
			return nil, err
		}
		return newFanoutBound(g, t), nil
	case boundIdle:
		return setupFirst(newIdleBound(b.Heartbeat)), nil
	case boundChurn:
		return setupFirst(func(ctx *fasthttp.RequestCtx) { hijack(ctx, holdStream) }), nil
	}
	return nil, errors.New("bound server: unknown mode " + strconv.Quote(b.Mode))
}

const jsonType = "application/json"

var emptyPage = []byte("[]")

// setupFirst answers readiness and slot allocation, which only the set-up of a
// scenario asks for, and passes on the rest. It tells them by the length of the
// path alone: that is all it adds to a measured request.
func setupFirst(next fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		switch len(ctx.Path()) {
		case len("/readyz"):
			ctx.SetBodyString("ok\n")
		case len("/v1/slot/allocate"):
			answerSlot(ctx)
		default:
			next(ctx)
		}
	}
}

// answerSlot answers an allocation with an id and a token of the right shape.
func answerSlot(ctx *fasthttp.RequestCtx) {
	id := hex.EncodeToString(make([]byte, 16))
	ctx.SetStatusCode(fasthttp.StatusCreated)
	ctx.SetContentType(jsonType)
	fmt.Fprintf(ctx, `{"slot_id":"%s","slot_token":"%s%s"}`, id, id, id)
}

const (
	storedHead = `{"event_id":"`
	storedTail = `","status":"stored"}`
)

// answerStored answers a post as the relay does. The id is copied from its
// fixed place in the body.
func answerStored(ctx *fasthttp.RequestCtx, t *template) {
	var id []byte
	if b, at := ctx.PostBody(), len(postOpen)+t.idAt; len(b) >= at+t.idLen {
		id = b[at : at+t.idLen]
	}
	ctx.SetStatusCode(fasthttp.StatusCreated)
	ctx.SetContentType(jsonType)
	ctx.Response.AppendBodyString(storedHead)
	ctx.Response.AppendBody(id)
	ctx.Response.AppendBodyString(storedTail)
}

// newWindowBound serves raw slices of one buffer that holds count events, each
// followed by a comma. A window begins with the byte before its first event
// and ends with the one after its last: as many bytes as a JSON array, though
// a comma stands where the brackets would.
func newWindowBound(t *template, count, page int) fasthttp.RequestHandler {
	step := t.size() + 1
	buf := make([]byte, 0, 1+count*step)
	buf = append(buf, '[')
	for n := range count {
		buf = append(t.appendEvent(buf, uint64(n)), ',')
	}
	if count > 0 {
		buf[len(buf)-1] = ']'
	}
	return func(ctx *fasthttp.RequestCtx) {
		first := 0
		if id := ctx.QueryArgs().Peek("since"); len(id) == t.idLen {
			n, _ := parseHex(id[t.idLen-counterDigits:])
			first = min(int(n)+1, count)
		}
		last := min(first+page, count)
		ctx.SetContentType(jsonType)
		ctx.Response.SetBodyRaw(buf[first*step : last*step+1])
	}
}
