package fleet

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

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
