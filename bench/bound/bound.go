package bound

import (
	"bytes"
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

// Command is the hidden subcommand under which a program that loads relays must
// call Run: the bound is that program, started again.
const Command = "bound-server"

// Modes of a bound.
const (
	Poll       = "poll"
	Window     = "window"
	Post       = "post"
	Batch      = "batch"
	Saturation = "saturation"
	Fanout     = "fanout"
	Idle       = "idle"
	Churn      = "churn"
	Page       = "page"
)

// A Config says what a bound serves.
type Config struct {
	Mode       string
	Bind       string        // loopback host:port
	Dir        string        // where the file of posts goes
	EventBytes int           // the size of an event
	Nonce      string        // what all event ids begin with
	Count      int           // how many events the slot of windows has
	Page       int           // how many events a window has
	Heartbeat  time.Duration // from one comment to the next
}

// args is b as the arguments of Run.
func (b Config) args() []string {
	return []string{
		"--mode", b.Mode, "--bind", b.Bind, "--dir", b.Dir, "--nonce", b.Nonce,
		"--event-bytes", strconv.Itoa(b.EventBytes), "--count", strconv.Itoa(b.Count), "--page", strconv.Itoa(b.Page),
		"--heartbeat", b.Heartbeat.String(),
	}
}

// Run serves the bound that args, what follows Command, describe. It ends when
// its standard input ends or when it is signalled.
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
	// The process that started the bound holds the other end. The bound ends with
	// it.
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

// handler returns what answers all requests.
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
	case Batch:
		g, err := newGroupCommit(b.Dir)
		if err != nil {
			return nil, err
		}
		return setupFirst(g.answering(func(ctx *fasthttp.RequestCtx) { answerLines(ctx, t) }, nil)), nil
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
	case Page:
		page := bytes.Repeat([]byte{' '}, b.EventBytes)
		return setupFirst(func(ctx *fasthttp.RequestCtx) {
			ctx.SetContentType(jsonType)
			ctx.Response.SetBodyRaw(page)
		}), nil
	case Churn:
		return setupFirst(func(ctx *fasthttp.RequestCtx) { hijack(ctx, holdStream) }), nil
	}
	return nil, errors.New("bound server: unknown mode " + strconv.Quote(b.Mode))
}
