package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"cowrelay/bench/load"
	"cowrelay/bench/proc"
	"cowrelay/bench/wire"
)

// natsPromises is what JetStream promises less than the relay as it is set up
// here: one server, a file store, sync_interval always.
const natsPromises = "an fsync before each acknowledgement, as the relay; dedupe by Nats-Msg-Id for 2 minutes, not for ever; no tokens as set up here; events are not checked"

// findNATS says what is missing for NATS, or "".
func findNATS(cfg *Config) (missing string) {
	st, err := os.Stat(cfg.NATSPeer)
	if cfg.NATSPeer == "" || err != nil || !st.Mode().IsRegular() || st.Mode()&0o111 == 0 {
		return fmt.Sprintf("the program natspeer is not built (%q): make peers builds it beside relaybench, with nats-server and nats.go from module bench/peers", cfg.NATSPeer)
	}
	return ""
}

// startNATS starts a NATS server with an empty store.
func startNATS(ctx context.Context, program, dir string) (*load.Server, error) {
	bind, err := load.FreePort()
	if err != nil {
		return nil, err
	}
	p, err := proc.Start(dir, "nats", []string{program, "server", "--bind", bind, "--dir", filepath.Join(dir, "nats")})
	if err != nil {
		return nil, err
	}
	s := &load.Server{Name: "nats", Addr: bind, PID: p.PID(), Proc: p}
	if err := s.Await(ctx, func() error { return greetedByNATS(ctx, bind) }); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// greetedByNATS returns nil if a NATS server speaks at addr. Its first word is
// INFO, and it listens when its store is open.
func greetedByNATS(ctx context.Context, addr string) error {
	d := net.Dialer{Timeout: wire.DialTimeout}
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return err
	}
	var word [4]byte
	if _, err := io.ReadFull(c, word[:]); err != nil {
		return err
	}
	if string(word[:]) != "INFO" {
		return fmt.Errorf("greeted by %q", word)
	}
	return nil
}
