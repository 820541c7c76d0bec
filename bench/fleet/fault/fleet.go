package fault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"cowrelay/cow/natslog/natstest"
)

// Stream is the log's name at the servers.
const Stream = "COWRELAY"

// Fleet is relays on one log, which servers of NATS keep.
type Fleet struct {
	Members []*Relay
	dir     string
	binary  string
	args    []string            // further ones of each relay
	direct  bool                // see FleetConfig
	links   [][]*natstest.Proxy // of each relay, one to each server; none if direct

	mu      sync.Mutex // natstest wants one caller at a time
	Cluster *natstest.Cluster
	down    map[int]bool // mu; servers that are not to run
}

// FleetConfig says how large a fleet is.
type FleetConfig struct {
	Binary, Dir     string
	Relays, Servers int
	Args            []string // further ones of each relay
	Trims           bool     // slots keep their newest events alone, see Keep
	// Direct has the relays connect to the servers themselves, so that a measurement
	// does not pay for proxies. Then no relay can be cut off.
	Direct bool
}

// StartFleet starts servers that sync all they acknowledge, and relays on them. It
// waits until all relays are ready.
func StartFleet(ctx context.Context, c FleetConfig) (f *Fleet, err error) {
	if c.Trims {
		c.Args = append(slices.Clone(c.Args), retention...)
	}
	f = &Fleet{dir: c.Dir, binary: c.Binary, args: c.Args, direct: c.Direct, down: map[int]bool{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	servers := filepath.Join(c.Dir, "servers")
	if err := os.MkdirAll(servers, 0o700); err != nil {
		return f, err
	}
	if f.Cluster, err = natstest.StartCluster(ctx, servers, c.Servers, natstest.Config{}); err != nil {
		return f, err
	}
	for range c.Relays {
		if _, err := f.Add(ctx); err != nil {
			return f, err
		}
	}
	for _, r := range f.Members {
		if err := r.Ready(ctx); err != nil {
			return f, err
		}
	}
	if c.Trims {
		return f, f.Members[0].upgrade(ctx)
	}
	return f, nil
}

// Add starts one more relay. It does not wait until that is ready.
func (f *Fleet) Add(ctx context.Context) (*Relay, error) {
	var links []*natstest.Proxy
	var urls []string
	for _, s := range f.Cluster.Servers {
		if f.direct {
			urls = append(urls, "nats://"+s.Addr())
			continue
		}
		p, err := natstest.NewProxy(s.Addr())
		if err != nil {
			return nil, err
		}
		links = append(links, p)
		urls = append(urls, "nats://"+p.Addr())
	}
	f.links = append(f.links, links)
	bind, admin, err := addresses()
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("relay-%d", len(f.Members))
	args := append([]string{
		"--journal", "jetstream", "--nats-url", strings.Join(urls, ","), "--trust-nats-sync", "--relay-name", name,
		"--nats-replicas", fmt.Sprint(len(f.Cluster.Servers)),
	}, f.args...)
	r, err := NewRelay(ctx, f.binary, f.dir, name, bind, admin, args)
	if err == nil {
		f.Members = append(f.Members, r)
	}
	return r, err
}

// Relays implements Rig.
func (f *Fleet) Relays() (urls []string) {
	for _, r := range f.Members {
		urls = append(urls, r.url)
	}
	return urls
}

// Admins implements Rig.
func (f *Fleet) Admins() (urls []string) {
	for _, r := range f.Members {
		urls = append(urls, r.admin)
	}
	return urls
}

// Kinds implements Rig.
func (f *Fleet) Kinds() (targets []Target) {
	for i, r := range f.Members {
		t := r.Target()
		if f.direct {
			targets = append(targets, t)
			continue
		}
		each := func(do func(*natstest.Proxy)) func(context.Context) error {
			return func(context.Context) error {
				for _, p := range f.links[i] {
					do(p)
				}
				return nil
			}
		}
		mend := each((*natstest.Proxy).Mend)
		t.Kinds = append(t.Kinds,
			Kind{"cut off from the log", 4 * time.Second, each((*natstest.Proxy).Cut), mend},
			Kind{"silence between the log and", 4 * time.Second, each((*natstest.Proxy).Blackhole), mend},
		)
		targets = append(targets, t)
	}
	for i := range f.Cluster.Servers {
		targets = append(targets, f.server(i))
	}
	return append(targets, Target{"the log's leader", []Kind{{"move", time.Second, f.move, func(context.Context) error { return nil }}}})
}

// server is what can go wrong with a server.
func (f *Fleet) server(i int) Target {
	s := f.Cluster.Servers[i]
	locked := func(do func() error) func(context.Context) error {
		return func(context.Context) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			return do()
		}
	}
	// Mend mends all links: a second server that is cut off comes back a little early.
	mend := locked(func() error { f.Cluster.Mend(); return nil })
	return Target{"server " + s.Name, []Kind{
		{"kill", 3 * time.Second,
			locked(func() error { f.down[i] = true; return s.Kill() }),
			locked(func() error { f.down[i] = false; return s.Start() })},
		{"pause", 4 * time.Second, locked(s.Pause), locked(s.Resume)},
		{"cut off from the others", 4 * time.Second, locked(func() error { f.Cluster.Isolate(i); return nil }), mend},
		{"silence between the others and", 4 * time.Second, locked(func() error { f.Cluster.Blackhole(i); return nil }), mend},
	}}
}

// move asks the log's leader to give way. Under other faults there may be none.
func (f *Fleet) move(context.Context) error {
	var urls []string
	for _, s := range f.Cluster.Servers {
		urls = append(urls, "nats://"+s.Addr())
	}
	nc, err := nats.Connect(strings.Join(urls, ","), nats.Timeout(time.Second), nats.NoReconnect())
	if err != nil {
		return nil // all servers may be down
	}
	defer nc.Close()
	_, _ = nc.Request("$JS.API.STREAM.LEADER.STEPDOWN."+Stream, nil, time.Second)
	return nil
}

// Sound implements Rig.
func (f *Fleet) Sound() error {
	var errs []error
	for _, r := range f.Members {
		errs = append(errs, r.Sound())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, s := range f.Cluster.Servers {
		if !f.down[i] && !s.Running() {
			errs = append(errs, fmt.Errorf("server %s ended by itself:\n%s", s.Name, s.Log()))
		}
	}
	return errors.Join(errs...)
}

// Verify implements Rig.
func (f *Fleet) Verify(ctx context.Context) error {
	var errs []error
	for _, r := range f.Members {
		errs = append(errs, r.Verify(ctx))
	}
	return errors.Join(errs...)
}

// Close implements Rig.
func (f *Fleet) Close() error {
	var errs []error
	for _, r := range f.Members {
		errs = append(errs, r.Stop())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.Cluster != nil {
		errs = append(errs, f.Cluster.Close())
	}
	for _, links := range f.links {
		for _, p := range links {
			errs = append(errs, p.Close())
		}
	}
	return errors.Join(errs...)
}
