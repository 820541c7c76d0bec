package natslog_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"cowrelay/cow/natslog"
	"cowrelay/cow/natslog/natstest"
)

const deployFolder = "../../cmd/cowrelay/deploy/fleet/"

func deployFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(deployFolder + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func freeAddr(t *testing.T) string {
	t.Helper()
	addr, err := natstest.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// replaced puts in addresses, each of which has to be in the text.
func replaced(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("the file lacks %s", pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text
}

// leafBlock is the block that leaf.conf says the servers need.
func leafBlock(t *testing.T, addr string) string {
	t.Helper()
	_, rest, ok := strings.Cut(deployFile(t, "leaf.conf"), "\n#   default_js_domain")
	block, _, ok2 := strings.Cut(rest, "\n#   }")
	if !ok || !ok2 {
		t.Fatal("leaf.conf does not say what the servers need")
	}
	text := "\ndefault_js_domain" + strings.ReplaceAll(block, "\n#", "\n") + "\n}\n"
	return replaced(t, text, "0.0.0.0:7422", addr)
}

// The servers start with the files of the manual, word by word but for the addresses.
// A relay's user can do all that a relay does, and can't delete the log. Relays at the
// edge reach it through a leaf node.
func TestDeploy_ConfigurationWorks(t *testing.T) {
	dir := t.TempDir()
	ctx := context.Background()
	conf := deployFile(t, "nats.conf")
	t.Setenv("NATS_PASSWORD", "relaypassword")
	t.Setenv("NATS_ADMIN_PASSWORD", "adminpassword")
	t.Setenv("NATS_LEAF_PASSWORD", "leafpassword")
	var routes, clients, leaves []string
	for range 3 {
		routes, clients, leaves = append(routes, freeAddr(t)), append(clients, freeAddr(t)), append(leaves, freeAddr(t))
	}
	start := func(name, text, addr, monitor string) *natstest.Server {
		t.Helper()
		s, err := natstest.StartFile(ctx, dir, name, text, addr, monitor)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	c := new(natstest.Cluster)
	var urls []string
	for i := range 3 {
		name := fmt.Sprintf("n%d", i+1)
		t.Setenv("NATS_NAME", name)
		t.Setenv("NATS_DATA", filepath.Join(dir, name))
		monitor := freeAddr(t)
		text := replaced(t, conf, "0.0.0.0:4222", clients[i], "0.0.0.0:8222", monitor, "0.0.0.0:6222", routes[i],
			"n1:6222", routes[0], "n2:6222", routes[1], "n3:6222", routes[2])
		// As leaf.conf says.
		text += leafBlock(t, leaves[i])
		c.Servers = append(c.Servers, start(name, text, clients[i], monitor))
		urls = append(urls, "nats://"+clients[i])
	}
	if err := c.Await(ctx); err != nil {
		t.Fatal(err)
	}
	creds := filepath.Join(dir, "creds")
	if err := os.WriteFile(creds, []byte("relay:relaypassword\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := natslog.Options{URLs: urls, MonitorURLs: c.Monitors(), Creds: creds}
	l := open(t, o)
	s := follow(t, l, 1)
	sendAll(t, l, 1, 30, 100_000)
	await(t, 20*time.Second, "all entries", func() bool { return s.count() == 30 })
	s.check(t)
	if err := l.Purge(ctx, 10); err != nil {
		t.Fatal(err)
	}
	if text := l.Status().LastError; text != "" {
		t.Error(text)
	}

	nc, err := nats.Connect("nats://relay:relaypassword@"+clients[0], nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if js.DeleteStream(short, natslog.DefaultStream) == nil {
		t.Error("a relay's user can delete the log")
	}
	if nc, err := nats.Connect("nats://" + clients[0]); err == nil {
		nc.Close()
		t.Error("somebody without a password is let in")
	}

	t.Setenv("NATS_NAME", "edge")
	var hubs []string
	for _, addr := range leaves {
		hubs = append(hubs, fmt.Sprintf("%q", "nats-leaf://leaf:leafpassword@"+addr))
	}
	t.Setenv("NATS_LEAF", "["+strings.Join(hubs, ", ")+"]")
	addr := freeAddr(t)
	start("edge", replaced(t, deployFile(t, "leaf.conf"), "127.0.0.1:4222", addr), addr, freeAddr(t))
	o.URLs, o.Creds = []string{"nats://" + addr}, ""
	o.Expect = l.ID()
	edge := open(t, o)
	se := follow(t, edge, 11)
	p := &producer{id: 5, l: edge, seen: se, size: func(uint64) int { return 2000 }}
	within, stop := context.WithTimeout(ctx, 20*time.Second)
	defer stop()
	if err := p.run(within, 50, 0); err != nil {
		t.Fatal(err)
	}
	se.check(t)

	// Without one of the servers the log goes on.
	if err := c.Servers[0].Kill(); err != nil {
		t.Fatal(err)
	}
	if err := p.run(within, 60, 0); err != nil {
		t.Fatal(err)
	}
	se.check(t)
}
