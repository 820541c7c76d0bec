// Package fleet has the tests of relays that share a log: the built binary, and real
// NATS servers.
package fleet

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
	"cowrelay/cow/natslog/natstest"
)

func TestMain(m *testing.M) {
	flag.Set("test.parallel", "6") // they wait, mostly
	relaytest.Main(m)
}

// servers are three NATS servers that all tests share, each with a stream of its own.
// They end with this process.
var servers = sync.OnceValues(func() (*natstest.Cluster, error) {
	dir, err := os.MkdirTemp(filepath.Dir(relaytest.Binary), "nats") // which goes with the binary
	if err != nil {
		return nil, err
	}
	return natstest.StartCluster(context.Background(), dir, 3, natstest.Config{})
})

var streams atomic.Int64

// fleet is some relays on one stream.
type fleet struct {
	t      *testing.T
	nats   *natstest.Cluster
	stream string
	relays []*relaytest.Relay
	dirs   []string
}

// newFleet returns a fleet without a relay.
func newFleet(t *testing.T) *fleet {
	t.Helper()
	nats, err := servers()
	if err != nil {
		t.Fatal(err)
	}
	return &fleet{t: t, nats: nats, stream: fmt.Sprintf("T%d", streams.Add(1))}
}

// newFleetAlone returns a fleet with servers of its own, which the test may harm.
func newFleetAlone(t *testing.T) *fleet {
	t.Helper()
	return &fleet{t: t, nats: natstest.Three(t, natstest.Config{}), stream: "T"}
}

// flags are those of the fleet's relays.
func (f *fleet) flags(name string, more ...string) []string {
	return append([]string{
		"--journal=jetstream", "--nats-url=" + strings.Join(f.nats.URLs(), ","), "--nats-monitor=" + strings.Join(f.nats.Monitors(), ","),
		"--nats-stream=" + f.stream, "--relay-name=" + name, "--rate-limits=total=0",
	}, more...)
}

// on prepares a relay of the fleet on a folder.
func (f *fleet) on(dir, name string, more ...string) *relaytest.Relay {
	return relaytest.New(f.t, dir, f.flags(name, more...)...)
}

// start starts n relays with empty folders, and returns when they serve.
func (f *fleet) start(n int, more ...string) *fleet {
	f.t.Helper()
	for range n {
		f.dirs = append(f.dirs, f.t.TempDir())
		f.relays = append(f.relays, f.on(f.dirs[len(f.dirs)-1], fmt.Sprintf("r%d", len(f.dirs)), more...).Launch())
	}
	for _, r := range f.relays[len(f.relays)-n:] {
		r.Ready()
	}
	return f
}

// again starts a relay that has ended once more on its folder.
func (f *fleet) again(i int, more ...string) *relaytest.Relay {
	f.t.Helper()
	f.relays[i] = f.on(f.dirs[i], fmt.Sprintf("r%d", i+1), more...).Start()
	return f.relays[i]
}

// eventually waits until something holds. A busy machine has more time.
func eventually(t *testing.T, what string, limit time.Duration, holds func() bool) {
	t.Helper()
	limit *= 3
	for began := time.Now(); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > limit {
			t.Fatalf("%s: not within %v", what, limit)
		}
	}
}

// status is that of a reply to a slot's request.
func status(t *testing.T, s relaytest.Slot, method, url string, body []byte) int {
	t.Helper()
	res, _, err := s.Send(relaytest.HTTPClient, method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode
}

// ended waits for a relay that could not start, and returns what it said.
func ended(t *testing.T, r *relaytest.Relay, code int) string {
	t.Helper()
	if got := r.Wait(time.Minute); got != code {
		t.Fatalf("exit %d, want %d\n%s", got, code, r.Log.String())
	}
	return r.Log.String()
}

// kill ends relays as a crash would.
func kill(relays ...*relaytest.Relay) {
	for _, r := range relays {
		r.Signal(syscall.SIGKILL)
		<-r.Exited
	}
}
