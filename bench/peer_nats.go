package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// natsPromises is what JetStream says less than the relay does, set up as it is
// here: one server, a file store, sync_interval always.
const natsPromises = "an fsync before each acknowledgement, as the relay; dedupe by Nats-Msg-Id for 2 minutes, not for ever; no tokens as set up here; events are not checked"

// findNATS says what is missing for the NATS peer, if anything is.
func findNATS(cfg *Config) (missing string) {
	st, err := os.Stat(cfg.NATSPeer)
	if cfg.NATSPeer == "" || err != nil || !st.Mode().IsRegular() || st.Mode()&0o111 == 0 {
		return fmt.Sprintf("the program natspeer is not built (%q): make peers builds it beside relaybench, with nats-server and nats.go from module bench/peers", cfg.NATSPeer)
	}
	return ""
}

// startNATS starts a NATS server with an empty store.
func startNATS(ctx context.Context, program, dir string) (*side, error) {
	bind, err := freePort()
	if err != nil {
		return nil, err
	}
	p, err := startChild(dir, "nats", []string{program, "server", "--bind", bind, "--dir", filepath.Join(dir, "nats")})
	if err != nil {
		return nil, err
	}
	s := &side{name: "nats", addr: bind, pid: p.pid(), proc: p}
	if err := s.await(ctx, func() error { return greetedByNATS(ctx, bind) }); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// greetedByNATS says whether addr speaks: a server's first word is INFO, and it
// listens when its store is open.
func greetedByNATS(ctx context.Context, addr string) error {
	d := net.Dialer{Timeout: dialTimeout}
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

// loadRunner has another program load a side, a process each round: this one
// does not link the peer's client.
type loadRunner struct {
	e       *env
	program string
	load    peerLoad
}

// loadGrace is what a load may take beyond its round: connecting, and answers
// that come late.
const loadGrace = time.Minute

func (r *loadRunner) round(ctx context.Context) (Sample, error) {
	ctx, cancel := context.WithTimeout(ctx, r.load.cfg.Warmup+r.load.cfg.Duration+loadGrace)
	defer cancel()
	r.load.nonce = newNonce() // lanes of its own
	cmd := exec.CommandContext(ctx, r.program, append([]string{"load"}, r.load.args()...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	// As for servers: Ctrl-C is for the bench alone, and a bench that was
	// killed leaves nothing behind.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return Sample{}, err
	}
	waitErr := r.e.wait(ctx, r.load.cfg.Warmup+r.load.cfg.Duration)
	if err := cmd.Wait(); err != nil {
		return Sample{}, errors.Join(waitErr, fmt.Errorf("the load ended badly: %w: %s", err, strings.TrimSpace(errs.String())))
	}
	return parseLoaded(out.Bytes())
}
