package scenario

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"cowrelay/bench/bound"
	"cowrelay/bench/load"
	"cowrelay/bench/proc"
	"cowrelay/bench/report"
	"cowrelay/bench/run"
	"cowrelay/bench/wire"
)

// Connect is Poll over a new connection for each request, as existing clients
// do it. Its bound is that of poll, over new connections too: both sides pay
// for accepting, and the ratio is what the relay adds to that, such as its
// limits for each address. The sockets that are left in TIME_WAIT are counted,
// because they show which side closes first.
func Connect(cfg *run.Config) []run.Variant {
	var out []run.Variant
	for _, n := range cfg.ConnsOr(64) {
		out = append(out, run.Variant{
			Scenario: "connect", Text: fmt.Sprintf("%d clients, a connection a request", n), Unit: "requests",
			Files: n, Ports: run.ConnectsMost(cfg),
			Bound: bound.Config{Mode: bound.Poll, EventBytes: cfg.EventBytesOr(300)},
			Open: func(ctx context.Context, e *run.Env, s *load.Server) (run.Runner, error) {
				p, err := openPoll(ctx, e, s, n)
				if err != nil {
					return nil, err
				}
				return &connectRunner{pollRunner: p, from: wire.NewSources(s.Addr, run.ConnectsMost(cfg))}, nil
			},
			Finish: noteTimeWait,
		})
	}
	return out
}

// A connectRunner polls over a new connection each time. The client closes it
// when it has the answer, as existing clients do: they ask for keep-alive, by
// HTTP/1.1's default, and then throw the connection away.
type connectRunner struct {
	*pollRunner
	from *wire.Sources
}

func (r *connectRunner) Round(ctx context.Context) (load.Sample, error) {
	ws := make([]load.Worker, r.conns)
	for i := range ws {
		ws[i] = &connector{poller{Link: wire.Link{Addr: r.s.Addr, Buffer: wire.SmallBuffer, From: r.from}, req: r.req}}
	}
	out, err := r.e.RunClosed(ctx, r.s, ws)
	if err != nil {
		return out, err
	}
	addr, err := netip.ParseAddrPort(wire.HostPort(r.s.Addr))
	if err != nil {
		return out, nil // a name, and the kernel's table knows addresses
	}
	t, err := proc.CountTimeWait(int(addr.Port()))
	out.TimeWait = &t
	return out, err
}

// A connector is a poller whose connection serves one request. Its time is from
// the start of the connect to the close.
type connector struct{ poller }

func (c *connector) Do(ctx context.Context) error {
	err := c.poller.Do(ctx)
	c.Close()
	return err
}

// noteTimeWait notes which side closes, and what that leaves behind.
func noteTimeWait(r *report.Result) {
	t := r.Relay.TimeWait
	if t == nil {
		return
	}
	note := fmt.Sprintf("the client closes first, as existing clients do; sockets in TIME_WAIT after a round, at most: client %d, relay %d", t.Client, t.Server)
	if r.Bound != nil && r.Bound.TimeWait != nil {
		note += fmt.Sprintf("; of the bound: client %d, server %d", r.Bound.TimeWait.Client, r.Bound.TimeWait.Server)
	}
	r.Notes = append(r.Notes, note)
	if most := timeWaitMost(); most > 0 && t.Client+t.Server >= most/10*9 {
		r.Notes = append(r.Notes, fmt.Sprintf("the kernel keeps at most %d sockets in TIME_WAIT (net.ipv4.tcp_max_tw_buckets) and drops the rest", most))
	}
}

// timeWaitMost returns how many sockets in TIME_WAIT the kernel keeps, or 0 if
// that is unknown.
func timeWaitMost() int {
	b, err := os.ReadFile("/proc/sys/net/ipv4/tcp_max_tw_buckets")
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return n
}
