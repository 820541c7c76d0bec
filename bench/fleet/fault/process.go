package fault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"cowrelay/bench/proc"
)

// Keep is how many bytes of its newest events a slot keeps at the relays of rigs, at least.
const Keep = 128 << 10

// retention has relays look every eight seconds for what is to leave.
var retention = []string{"--event-keep", "128KiB", "--event-ttl", "128s"}

// startTime is how long a relay may take until it listens.
const startTime = 60 * time.Second

// A Relay is a relay's process that can be killed and started again at the same
// address.
type Relay struct {
	name, dir string
	argv      []string
	url       string
	admin     string // URL of the operators' listener

	mu    sync.Mutex
	child *proc.Child // mu; nil while it is down
}

// NewRelay starts the relay's binary with its data in dir/NAME.
func NewRelay(ctx context.Context, binary, dir, name, bind, admin string, args []string) (*Relay, error) {
	r := &Relay{name: name, dir: dir, url: "http://" + bind, admin: "http://" + admin}
	r.argv = append([]string{binary, "serve", "--bind", bind, "--data-dir", dir + "/" + name, "--admin", admin}, args...)
	if err := r.Start(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// Start starts the process. It does not wait until the relay is ready: that may need
// others.
func (r *Relay) Start(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, err := proc.Append(r.dir, r.name, r.argv)
	if err == nil {
		r.child = c
	}
	return err
}

// Ready waits until the relay says that it is ready.
func (r *Relay) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	var last error
	for {
		if err := r.Sound(); err != nil {
			return err
		}
		if last = ready(ctx, r.url); last == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready after %v: %w\n%s", r.name, startTime, last, r.tail())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func ready(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", url+"/readyz", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != 200 {
		return fmt.Errorf("status %d", res.StatusCode)
	}
	return nil
}

// Sound returns an error if the process has ended by itself.
func (r *Relay) Sound() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.child != nil && r.child.Ended() {
		return fmt.Errorf("%s ended by itself:\n%s", r.name, r.child.Tail())
	}
	return nil
}

func (r *Relay) tail() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.child == nil {
		return ""
	}
	return r.child.Tail()
}

// upgrade allows the fleet's relays to write the newest format: events leave only then. It
// waits until all have said what they read.
func (r *Relay) upgrade(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		out, err := exec.CommandContext(ctx, r.argv[0], "admin", "fleet", "upgrade", "--admin", r.admin).CombinedOutput()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the fleet can't be upgraded: %w\n%s", err, out)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Kill ends the process as a crash does.
func (r *Relay) Kill(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.child
	r.child = nil
	return c.Kill()
}

// Stop ends the process in order.
func (r *Relay) Stop() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.child
	r.child = nil
	if c == nil {
		return nil
	}
	return c.Stop()
}

// Verify stops the relay in order, and has it check its store.
func (r *Relay) Verify(ctx context.Context) error {
	if err := r.Stop(); err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, r.argv[0], "verify", "--data-dir", filepath.Join(r.dir, r.name)).CombinedOutput()
	if err != nil {
		return fmt.Errorf("the store of %s is not sound: %w\n%s", r.name, err, out[max(0, len(out)-2000):])
	}
	return nil
}

// PID is the process's id, 0 while it is down.
func (r *Relay) PID() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.child == nil {
		return 0
	}
	return r.child.PID()
}

// signal sends the process a signal.
func (r *Relay) signal(s syscall.Signal) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.child == nil {
		return errors.New("it is down")
	}
	return syscall.Kill(r.child.PID(), s)
}

// Target is what can go wrong with the process by itself.
func (r *Relay) Target() Target {
	return Target{r.name, []Kind{
		{"kill", 3 * time.Second, r.Kill, r.Start},
		{"pause", 4 * time.Second,
			func(context.Context) error { return r.signal(syscall.SIGSTOP) },
			func(context.Context) error { return r.signal(syscall.SIGCONT) }},
	}}
}
