package fasthttp

import (
	"context"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"
)

// alsoUnix serves the rig at a Unix socket, too, and returns a client of it.
func (g *rig) alsoUnix() (path string, client *http.Client) {
	g.Helper()
	path = filepath.Join(g.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		g.Fatal(err)
	}
	go g.relay.Serve(ln)
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
	g.Cleanup(tr.CloseIdleConnections)
	return path, &http.Client{Transport: tr, Timeout: time.Minute}
}

// targets has a path of each route, the one that every other path belongs to
// included.
var targets = map[*route]string{}

func init() {
	for _, path := range []string{
		"/", "/stats.html", "/healthz", "/readyz", "/stats.json", "/stats", "/stats.history", "/stats.series", "/openapi.yaml", "/openapi.html", "/manual", "/v1/slot/allocate",
		"/v1/events/a", "/v1/events/a/stream", "/v1/slot/a", "/v1/slot/a/state", "/v1/slot/a/responder-health", "/v1/slot/a/tokens", "/v1/slot/a/tokens/b", "/v1/slot/a/tokens/rotate", "/v1/handle/claim", "/v1/handle/claim/paul", "/v1/handle/intro/paul", "/v1/handles", "/v1/invite/register", "/i/a", "/v1/pair", "/v1/pair/a", "/v1/pair/a/bootstrap", "/v1/pair/abandon", "/.well-known/wire/agent", "/.well-known/agent-card.json", "/phonebook", "/favicon.svg", "/nothing",
	} {
		rt, _ := findRoute([]byte(path))
		targets[rt] = path
	}
}

// A route that is not local is not there in local-only mode, nor at a Unix socket,
// with any method; and it is there otherwise.
func TestLocal_EveryRoute(t *testing.T) {
	all, only := newRig(t), newRig(t, func(o *rigOptions) { o.relay.LocalOnly = true })
	_, unix := all.alsoUnix()
	status := func(client *http.Client, url, method string) *http.Response {
		req, err := http.NewRequest(method, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res
	}
	for _, rt := range routes {
		path := targets[rt]
		if path == "" {
			t.Errorf("the test knows no path of the route %s", rt.name)
		}
		for _, method := range []string{"GET", "POST", "DELETE", "PUT"} {
			want := http.StatusNotFound
			if rt.local {
				want = status(all.client, "http://"+all.addr+path, method).StatusCode
			}
			if res := status(only.client, "http://"+only.addr+path, method); res.StatusCode != want {
				t.Errorf("%s %s: %d in local-only mode, want %d", method, path, res.StatusCode, want)
			}
			if res := status(unix, "http://relay"+path, method); res.StatusCode != want || !res.Close {
				t.Errorf("%s %s: %d at the socket, close %t, want %d", method, path, res.StatusCode, res.Close, want)
			}
		}
	}
}

// A long poll at the socket ends when its client leaves, and a stream does.
func TestLocal_ClientLeaves(t *testing.T) {
	g := newRig(t)
	path, _ := g.alsoUnix()
	m := g.allocate()
	for _, target := range []string{"?wait=25", "/stream"} {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		c.Write([]byte("GET /v1/events/" + m.id + target + " HTTP/1.1\r\nHost: relay\r\nAuthorization: Bearer " + m.token + "\r\n\r\n"))
		there := func() int64 { return int64(g.relay.polls.Len()) + int64(g.relay.streams.Len()) }
		g.eventually("it waits", func() bool { return there() == 1 })
		c.Close()
		g.eventually("it has ended", func() bool { return there() == 0 && g.relay.conns.Len() <= 1 })
	}
}
