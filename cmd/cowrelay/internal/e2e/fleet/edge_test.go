package fleet

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"cowrelay/cmd/cowrelay/internal/relaytest"
	"cowrelay/cow/natslog/natstest"
)

// edge is a fleet at home, and a NATS server at the edge, with the configuration of the
// manual. The way between them goes through a proxy.
func edge(t *testing.T, name string, change func(conf string) string) (f *fleet, url string, way *natstest.Proxy) {
	t.Helper()
	hub, addr := freeAddr(t), freeAddr(t)
	server := natstest.One(t, natstest.Config{Extra: fmt.Sprintf(`default_js_domain: { FLEET: "" }
leafnodes {
	listen: %q
	no_advertise: true # or the leaf node would find the way around the proxy
	authorization { user: leaf, password: leafpassword, account: FLEET }
}
accounts {
	FLEET { jetstream: enabled, users: [ { user: relay, password: relay } ] }
}
no_auth_user: relay`, hub)})
	way, err := natstest.NewProxy(hub)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { way.Close() })
	text, err := os.ReadFile("../../../deploy/fleet/leaf.conf")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("NATS_NAME", name)
	t.Setenv("NATS_LEAF", fmt.Sprintf(`[ "nats-leaf://leaf:leafpassword@%s" ]`, way.Addr()))
	conf := strings.Replace(string(text), "127.0.0.1:4222", addr, 1)
	conf = change(conf)
	leaf, err := natstest.StartFile(context.Background(), t.TempDir(), name, conf, addr, freeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { leaf.Close() })
	return &fleet{t: t, nats: &natstest.Cluster{Servers: []*natstest.Server{server}}, stream: "T"}, "nats://" + addr, way
}

func freeAddr(t *testing.T) string {
	t.Helper()
	addr, err := natstest.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// A relay at the edge reaches the log through a leaf node. It writes and reads as one at
// home. While the way there is cut it serves reads and says how old they are, and then
// it goes on.
func TestFleet_EdgeThroughALeafNode(t *testing.T) {
	f, url, way := edge(t, "edge", func(conf string) string { return conf })
	f.start(1, "--nats-replicas=1")
	home := f.relays[0]
	far := f.on(t.TempDir(), "far", "--nats-replicas=1", "--nats-url="+url).Start()
	s := far.Allocate()
	far.Post(s, relaytest.Event("a", 0, 100))
	home.Post(s, relaytest.Event("a", 1, 100)) // which knows the slot: an unknown one waits for the log
	eventually(t, "both events at the edge", 10*time.Second, func() bool { return len(far.Pull(s, "")) == 2 })
	if got := far.Metric("cowrelay_fleet_log_connected"); got != 1 {
		t.Errorf("connected: %v", got)
	}

	way.Cut()
	eventually(t, "that reads say how old they are", 30*time.Second, func() bool {
		res, body, err := s.Send(relaytest.HTTPClient, "GET", far.EventsURL(s), nil)
		if err != nil || res.StatusCode != 200 || strings.Count(string(body), `"event_id"`) != 2 {
			t.Fatalf("a pull without the way home: %v %s, %v", res, body, err)
		}
		return res.Header.Get("Relay-Stale") != ""
	})
	if code := status(t, s, "POST", far.EventsURL(s), relaytest.PostBody(relaytest.Event("a", 3, 100))); code != 503 {
		t.Errorf("a post without the way home: %d", code)
	}
	home.Post(s, relaytest.Event("a", 2, 100))
	way.Mend()
	eventually(t, "what came meanwhile", 60*time.Second, func() bool { return len(far.Pull(s, "")) >= 3 })
	eventually(t, "the post that was refused", 60*time.Second, func() bool {
		code := status(t, s, "POST", far.EventsURL(s), relaytest.PostBody(relaytest.Event("a", 3, 100)))
		return code == 200 || code == 201 // it may have come
	})
	eventually(t, "all events at home", 10*time.Second, func() bool { return len(home.Pull(s, "")) == 4 })
}

// A relay takes no mirror for the log, wherever it is: it says what to do. The folder
// stays empty.
func TestFleet_EdgeMirrorIsRefused(t *testing.T) {
	t.Parallel()
	f := newFleet(t).start(1)
	s := f.relays[0].Allocate()
	f.relays[0].Post(s, relaytest.Event("a", 0, 100))
	nc, err := nats.Connect(strings.Join(f.nats.URLs(), ","))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	log, err := js.Stream(ctx, f.stream)
	if err != nil {
		t.Fatal(err)
	}
	// As much like the log as a mirror can be.
	config := log.CachedInfo().Config
	config.Name, config.Subjects, config.Mirror = f.stream+"M", nil, &jetstream.StreamSource{Name: f.stream}
	if _, err := js.CreateStream(ctx, config); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	text := ended(t, f.on(dir, "far", "--nats-stream="+config.Name).Launch(), 1)
	relaytest.Contains(t, text, "is a mirror of "+f.stream, "leaf node")
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("the folder is not empty: %v", left)
	}
}

// A server at the edge may have JetStream of its own for other accounts: the relays' goes
// to the three all the same.
func TestFleet_EdgeWithJetStreamOfItsOwn(t *testing.T) {
	own := func(conf string) string {
		return fmt.Sprintf("jetstream { store_dir: %q, domain: edge, sync_interval: always }\n", t.TempDir()) + conf
	}
	f, url, _ := edge(t, "edge", own)
	f.start(1, "--nats-replicas=1")
	s := f.relays[0].Allocate()
	f.relays[0].Post(s, relaytest.Event("a", 0, 100))
	far := f.on(t.TempDir(), "far", "--nats-replicas=1", "--nats-url="+url).Start()
	if n := len(far.Pull(s, "")); n != 1 {
		t.Errorf("%d events", n)
	}
	far.Stop()
}
