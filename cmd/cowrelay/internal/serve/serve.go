package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"cowrelay/cmd/cowrelay/internal/command"
	"cowrelay/cmd/cowrelay/internal/config"
	"cowrelay/cmd/cowrelay/internal/plan"
	"cowrelay/cow"
	"cowrelay/cow/pebblelog"
	relayhttp "cowrelay/fasthttp"
	"cowrelay/fasthttp/stats"

	"github.com/spf13/cobra"
)

func NewCommand(args []string) *cobra.Command {
	var l *config.Layers
	cmd := &cobra.Command{
		Use:     "serve",
		Short:   "Run the relay until SIGTERM or SIGINT",
		Example: "  cowrelay serve --bind 127.0.0.1:8770 --data-dir /var/lib/cowrelay",
		GroupID: command.GroupServe,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := l.Load()
			if err != nil {
				return err
			}
			return serve(&tuner{Config: c, layers: l, level: new(slog.LevelVar)}, cmd.Root().Version, cmd.ErrOrStderr())
		},
	}
	l = config.Bind(cmd, args)
	return cmd
}

// serve runs the relay until a signal ends it. Start: listeners first, so that
// a taken port is told before the store is touched; then the store; then
// service. Stop: the reverse.
func serve(c *tuner, version string, stderr io.Writer) error {
	c.level.Set(c.LogLevel)
	p := newProcess(c, stderr)
	defer p.close()
	log := p.log
	opening := p.endsAtSignal()
	defer opening()

	// The runtime collects harder as the process nears this; the tenth is for
	// what it does not count.
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(c.MemoryLimit / 10 * 9)
	}
	files, err := plan.Files(c.MaxConns)
	if err != nil {
		return err
	}
	ln, err := listen(c.Bind, "--bind")
	if err != nil {
		return err
	}
	defer ln.Close()
	var adminLn net.Listener
	var admin *relayhttp.Admin
	if c.Admin != "" {
		if adminLn, err = listen(c.Admin, "--admin"); err != nil {
			return err
		}
		admin = relayhttp.ServeAdmin(adminLn, relayhttp.AdminOptions{
			Token: c.AdminToken, Level: c.level, MaxConns: files.Admin, Logger: log,
			Stop: sync.OnceFunc(func() { p.stop <- syscall.SIGTERM }),
		})
		defer admin.Close()
	}
	log.Info("starting", "bind", ln.Addr().String(), "admin", addrText(adminLn), "data_dir", c.DataDir)
	files.Log(log)

	for _, e := range c.Exposed() {
		e.Log(log)
	}

	manager := newSupervisor(log)
	defer manager.close()
	opened := manager.opening()
	defer opened()

	// The relay observes the store, and the store is opened first.
	var observer atomic.Pointer[relayhttp.Relay]
	shares := plan.SplitBudget(c.MemoryBudget, c.RequestBudget)
	dataDir := c.DataDir // not of the configuration that a reload puts there
	journal, err := pebblelog.Open(dataDir, pebblelog.Options{
		Sync: c.Sync, CacheBytes: shares.Cache, MemTableBytes: shares.MemTable, Logger: log, Exit: p.exit,
		OpenFiles: files.Store,
		NoFiles: func() {
			if r := observer.Load(); r != nil {
				r.MakeRoom()
			}
		},
		Observe: func(took time.Duration, _ int) {
			if r := observer.Load(); r != nil {
				r.ObserveSync(took)
			}
		},
	})
	if err != nil {
		return err
	}
	c.store, err = cow.Open(journal, journal, cow.Options{
		PageBytes: c.PageBytes, MemoryBudget: shares.Slots, Logger: log,
		Free: func() (uint64, error) { return pebblelog.FreeSpace(dataDir) },
		Committed: func(posts, bytes int, took time.Duration) {
			if r := observer.Load(); r != nil {
				r.ObserveCommit(posts, bytes, took)
			}
		},
	})
	if err != nil {
		return errors.Join(err, journal.Close())
	}
	// Reading the slots has left garbage of about their own size, and the replay
	// of the log memtables that are soon flushed.
	debug.FreeOSMemory()
	defer time.AfterFunc(10*time.Second, debug.FreeOSMemory).Stop()
	relay := relayhttp.NewRelay(c.store, relayhttp.Options{
		Version:       version,
		HeaderTimeout: c.HeaderTimeout, BodyTimeout: c.BodyTimeout, WriteTimeout: c.WriteTimeout, IdleTimeout: c.IdleTimeout,
		MaxConns: files.Conns, RequestBytes: shares.Requests,
		Heartbeat: c.Heartbeat, StreamWriteTimeout: c.StreamWriteTimeout,
		Live: liveOptions(c.Config), Logger: log, LogDropped: p.lines.dropped,
		Journal: func() stats.Journal {
			s := journal.Stats()
			return stats.Journal{
				Errors: s.BackgroundErrors + s.Corruptions, SlowWrites: s.SlowWrites, Stalls: s.WriteStalls, TornBytes: s.TornBytes, DiskBytes: s.DiskBytes,
			}
		},
	})
	opened()
	opening()
	c.relay = relay
	c.apply()
	observer.Store(relay)
	if c.Sync != pebblelog.Always {
		log.Warn("acknowledged posts may be lost in a crash", "sync", c.Sync.String())
	}
	if admin != nil {
		admin.Attach(relay)
	}
	served := make(chan error, 1)
	go func() { served <- relay.Serve(ln) }()
	log.Info("serving", "bind", ln.Addr().String(), "admin", addrText(adminLn), "data_dir", c.DataDir, "sync", c.Sync.String(),
		"slots", c.store.Len(), "memory_budget", c.MemoryBudget, "version", version)

	manager.serving(func(ctx context.Context) error { return alive(ctx, ln, c.store) }, func() string {
		return fmt.Sprintf("serving %d slots on %s, %d streams and long polls", c.store.Len(), ln.Addr(), c.store.Stats().Subscribers.Load())
	})

	reload := newReloader(c, log, manager)
	for running := true; running; {
		select {
		case <-p.hup:
			reload.begin()
		case next := <-reload.done:
			reload.end(next)
		case err = <-served:
			err = fmt.Errorf("cannot serve: %w", err)
			running = false
		case sig := <-p.stop:
			log.Info("stopping", "signal", sig.String())
			running = false
		}
	}
	p.endsWithin(c.DrainTimeout + CloseTime)
	manager.stopping("draining")
	ctx, cancel := context.WithTimeout(context.Background(), c.DrainTimeout)
	defer cancel()
	if e := relay.Drain(ctx, c.DrainDelay); e != nil && !errors.Is(e, context.DeadlineExceeded) {
		err = errors.Join(err, e)
	}
	err = errors.Join(err, c.store.Close(), journal.Close())
	if err == nil {
		log.Info("stopped")
	}
	return err
}

func addrText(ln net.Listener) string {
	if ln == nil {
		return ""
	}
	return ln.Addr().String()
}

func listen(address, flag string) (net.Listener, error) {
	// The sockets of Multipath TCP, Go's default, don't pass on to connections
	// all of what is set on a listener.
	var conf net.ListenConfig
	conf.SetMultipathTCP(false)
	ln, err := conf.Listen(context.Background(), "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s: the address %s is in use by another process", flag, address)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: cannot listen on %s: %w", flag, address, err)
	}
	return ln, nil
}
