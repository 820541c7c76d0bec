package natstest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Cluster is some servers that are one NATS. Its methods may not be called concurrently.
type Cluster struct {
	Servers []*Server
	// links[i][j] stands between server i and the routes that it makes to server j.
	links [][]*Proxy
}

// StartCluster starts n servers and waits until they are one. Their clients and their
// routes go through proxies. Their files are in dir.
func StartCluster(ctx context.Context, dir string, n int, c Config) (*Cluster, error) {
	path, err := Program(ctx)
	if err != nil {
		return nil, err
	}
	cl := &Cluster{links: make([][]*Proxy, n)}
	routes := make([]string, n)
	for i := range routes {
		if routes[i], err = FreeAddr(); err != nil {
			return nil, err
		}
	}
	for i := range n {
		cl.Servers = append(cl.Servers, &Server{Name: fmt.Sprintf("n%d", i+1), program: path, dir: dir})
		cl.links[i] = make([]*Proxy, n)
	}
	for i, s := range cl.Servers {
		var urls []string
		for j := range n {
			if i == j {
				continue
			}
			if cl.links[i][j], err = NewProxy(routes[j]); err != nil {
				return cl, err
			}
			urls = append(urls, fmt.Sprintf("%q", "nats-route://"+cl.links[i][j].Addr()))
		}
		// Servers tell each other's addresses on. With one that nobody listens to they
		// keep to the routes that go through proxies.
		if err := s.configure(c, fmt.Sprintf(`cluster {
	name: cowrelay
	listen: %q
	advertise: "127.0.0.1:9"
	no_advertise: true
	routes: [%s]
}`, routes[i], strings.Join(urls, ", "))); err != nil {
			return cl, err
		}
		if s.Front, err = NewProxy(s.addr); err != nil {
			return cl, err
		}
		if err := s.Start(); err != nil {
			return cl, err
		}
	}
	return cl, cl.Await(ctx)
}

// URLs for clients.
func (c *Cluster) URLs() (urls []string) {
	for _, s := range c.Servers {
		urls = append(urls, s.URL())
	}
	return urls
}

// Monitors are the URLs of the monitoring ports.
func (c *Cluster) Monitors() (urls []string) {
	for _, s := range c.Servers {
		urls = append(urls, s.Monitor())
	}
	return urls
}

// Await waits until all servers are well and agree on who leads.
func (c *Cluster) Await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, StartTimeout)
	defer cancel()
	for {
		err := c.agreed(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			for _, s := range c.Servers {
				err = fmt.Errorf("%w\n%s:\n%s", err, s.Name, s.Log())
			}
			return fmt.Errorf("natstest: the servers are no cluster: %w", err)
		}
	}
}

// agreed says what is missing.
func (c *Cluster) agreed(ctx context.Context) error {
	leader := ""
	for _, s := range c.Servers {
		if err := s.Ask(ctx, "healthz", nil); err != nil {
			return err
		}
		var v struct {
			Meta *struct {
				Leader string `json:"leader"`
				Size   int    `json:"cluster_size"`
			} `json:"meta_cluster"`
		}
		if err := s.Ask(ctx, "jsz", &v); err != nil {
			return err
		}
		if v.Meta == nil || v.Meta.Leader == "" || v.Meta.Size != len(c.Servers) {
			return fmt.Errorf("%s knows no leader of %d servers", s.Name, len(c.Servers))
		}
		if leader != "" && v.Meta.Leader != leader {
			return fmt.Errorf("%s and others know different leaders", s.Name)
		}
		leader = v.Meta.Leader
	}
	return nil
}

// Leader is the server that leads a stream, or nil if no server says so.
func (c *Cluster) Leader(ctx context.Context, stream string) *Server {
	for _, s := range c.Servers {
		var v struct {
			Accounts []struct {
				Streams []struct {
					Name    string `json:"name"`
					Cluster struct {
						Leader string `json:"leader"`
					} `json:"cluster"`
				} `json:"stream_detail"`
			} `json:"account_details"`
		}
		if s.Ask(ctx, "jsz?streams=true&accounts=true", &v) != nil {
			continue
		}
		for _, a := range v.Accounts {
			for _, st := range a.Streams {
				if st.Name != stream {
					continue
				}
				for _, l := range c.Servers {
					if l.Name == st.Cluster.Leader && l == s {
						return l
					}
				}
			}
		}
	}
	return nil
}

// between calls f for the proxies between server i and the others, both ways.
func (c *Cluster) between(i int, f func(*Proxy)) {
	for j := range c.Servers {
		if i != j {
			f(c.links[i][j])
			f(c.links[j][i])
		}
	}
}

// Isolate cuts server i off from the other servers. Clients still reach it.
func (c *Cluster) Isolate(i int) { c.between(i, (*Proxy).Cut) }

// Blackhole lets the connections between server i and the others live, and nothing
// pass.
func (c *Cluster) Blackhole(i int) { c.between(i, (*Proxy).Blackhole) }

// DelayRoutes makes what servers say to each other wait.
func (c *Cluster) DelayRoutes(d time.Duration) {
	for i := range c.Servers {
		c.between(i, func(p *Proxy) { p.Delay(d) })
	}
}

// CutLink cuts servers i and j off from each other.
func (c *Cluster) CutLink(i, j int) {
	c.links[i][j].Cut()
	c.links[j][i].Cut()
}

// Mend ends all that was done to connections, also to those of clients.
func (c *Cluster) Mend() {
	for i, s := range c.Servers {
		c.between(i, (*Proxy).Mend)
		s.Front.Mend()
	}
}

// Heal starts all servers that do not run, resumes all, mends all connections, and
// waits until the servers are one again.
func (c *Cluster) Heal(ctx context.Context) error {
	c.Mend()
	for _, s := range c.Servers {
		if !s.Running() {
			if err := s.Start(); err != nil {
				return err
			}
		}
		if err := s.Resume(); err != nil {
			return err
		}
	}
	return c.Await(ctx)
}

// Close ends all servers and proxies.
func (c *Cluster) Close() error {
	var err error
	for _, s := range c.Servers {
		err = errors.Join(err, s.Kill())
		if s.Front != nil {
			err = errors.Join(err, s.Front.Close())
		}
	}
	for _, row := range c.links {
		for _, p := range row {
			if p != nil {
				err = errors.Join(err, p.Close())
			}
		}
	}
	return err
}

// Close ends the server.
func (s *Server) Close() error {
	err := s.Kill()
	if s.Front != nil {
		err = errors.Join(err, s.Front.Close())
	}
	return err
}
