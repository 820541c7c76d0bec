package bound

import (
	"errors"
	"flag"
	"io"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"cowrelay/bench/wire"
)

// Command is the hidden subcommand under which a binary that uses this
// package must call RunBound: the bound is the same binary, started again.
const Command = "bound-server"

// Bound modes.
const (
	Poll       = "poll"
	Window     = "window"
	Post       = "post"
	Saturation = "saturation"
	Fanout     = "fanout"
	Idle       = "idle"
	Churn      = "churn"
)

// A BoundConfig says what a bound server serves.
type Config struct {
	Mode       string
	Bind       string // loopback host:port
	Dir        string // where the post file goes
	EventBytes int    // size of the events of windows and posts
	Nonce      string // start of all event ids
	Count      int    // events of the slot that windows are taken from
	Page       int    // events of a window
	Heartbeat  time.Duration
}

func (b Config) args() []string {
	return []string{
		"--mode", b.Mode, "--bind", b.Bind, "--dir", b.Dir, "--nonce", b.Nonce,
		"--event-bytes", strconv.Itoa(b.EventBytes), "--count", strconv.Itoa(b.Count), "--page", strconv.Itoa(b.Page),
		"--heartbeat", b.Heartbeat.String(),
	}
}

// Run serves the bound that args (what follows BoundCommand) describe,
// until its standard input ends or it is signalled. A bound is what no relay
// can beat with the same HTTP server: it checks nothing, neither tokens nor
// events, and knows one slot.
func Run(args []string) error {
	var b Config
	fs := flag.NewFlagSet(Command, flag.ContinueOnError)
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

func (b Config) handler() (fasthttp.RequestHandler, error) {
	t, err := wire.NewTemplate(b.EventBytes, b.Nonce)
	if err != nil {
		return nil, err
	}
	switch b.Mode {
	case Poll:
		return setupFirst(func(ctx *fasthttp.RequestCtx) {
			if ctx.IsPost() {
				answerStored(ctx, t)
				return
			}
			ctx.SetContentType(jsonType)
			ctx.Response.SetBodyRaw(wire.EmptyPage)
		}), nil
	case Window:
		return setupFirst(newWindow(t, b.Count, b.Page)), nil
	case Post:
		g, err := newGroupCommit(b.Dir)
		if err != nil {
			return nil, err
		}
		return setupFirst(g.handler(t, nil)), nil
	case Saturation:
		g, err := newGroupCommit(b.Dir)
		if err != nil {
			return nil, err
		}
		window, post := newWindow(t, b.Count, b.Page), g.handler(t, nil)
		return setupFirst(func(ctx *fasthttp.RequestCtx) {
			if ctx.IsPost() {
				post(ctx)
				return
			}
			window(ctx)
		}), nil
	case Fanout:
		g, err := newGroupCommit(b.Dir)
		if err != nil {
			return nil, err
		}
		return newFanout(g, t), nil
	case Idle:
		return setupFirst(newIdle(b.Heartbeat)), nil
	case Churn:
		return setupFirst(func(ctx *fasthttp.RequestCtx) { hijack(ctx, holdStream) }), nil
	}
	return nil, errors.New("bound server: unknown mode " + strconv.Quote(b.Mode))
}
