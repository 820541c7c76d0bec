package scenario

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"cowrelay/bench/load"
	"cowrelay/bench/report"
	"cowrelay/bench/run"
	"cowrelay/bench/wire"
)

// Silent streams of TLS, and the time from the last one's opening until the memory is
// read: a session is as large then as it gets.
const (
	tlsStreams = 2000
	tlsSettle  = 5 * time.Second
)

// TLS runs loads over TLS, by turns with a relay without it: polls, posts and windows
// over kept connections, where the ratio is the price of sealing; a connection for each
// poll, where it is that of the handshake, of a new session and of one taken up again;
// and silent streams, of which each has a session in memory. The generator pays for TLS
// as well, on the same machine. It has fewer loads than those scenarios by themselves, and
// fewer streams, so that all of it ends in minutes.
func TLS(cfg *run.Config) ([]run.Variant, error) {
	if cfg.Relay == "" {
		return nil, errors.New("tls starts relays with flags of its own: it needs relay, not target")
	}
	short := *cfg
	short.Conns, short.SlotBytes = cfg.ConnsOr(64), cfg.SlotBytes[:1]
	short.IdleStreams, short.IdleSettle = min(cfg.IdleStreams, tlsStreams), min(cfg.IdleSettle, tlsSettle)
	cfg = &short
	var out []run.Variant
	add := func(list []run.Variant, what string, at func(addr string) string) {
		for _, v := range list {
			v.Scenario, v.Text = "tls", what+v.Scenario+", "+v.Text
			v.Prepare, v.Other, v.Peer, v.Promises = wire.MakeCertificate, plainRelay, "relay without TLS", "no secrecy on the network"
			if open := v.Open; open != nil && at != nil {
				v.Open = func(ctx context.Context, e *run.Env, s *load.Server) (run.Runner, error) {
					t := *s
					t.Proc = nil // the original ends it
					if strings.HasPrefix(s.Addr, wire.TLS) {
						t.Addr = at(s.Addr)
					}
					return open(ctx, e, &t)
				}
			}
			if drive := v.Drive; drive != nil {
				v.Drive = func(ctx context.Context, e *run.Env, relay, other *load.Server) ([]report.Result, error) {
					of := *e
					of.Config = cfg
					return drive(ctx, &of, relay, other)
				}
			}
			out = append(out, v)
		}
	}
	add(Poll(cfg), "", nil)
	add(Post(cfg), "", nil)
	add(Window(cfg), "", nil)
	add(Connect(cfg), "", nil)
	add(Connect(cfg), "resumed, ", func(addr string) string { return wire.Resumed + wire.HostPort(addr) })
	add(Idle(cfg), "", nil)
	return out, nil
}

// plainRelay starts the other relay.
func plainRelay(ctx context.Context, e *run.Env) (*load.Server, error) {
	dir := filepath.Join(e.Dir, "plain")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	s, err := load.StartRelay(ctx, nil, e.Config.Relay, e.Config.RelayArgs, dir)
	if err == nil {
		s.Name = "relay without TLS"
	}
	return s, err
}
