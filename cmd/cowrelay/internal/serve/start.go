package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"runtime/pprof"
	"sync"
	"syscall"
	"time"

	"cowrelay/cmd/cowrelay/docs"
	"cowrelay/cmd/cowrelay/internal/otlp"
	"cowrelay/cmd/cowrelay/internal/plan"
	"cowrelay/cmd/cowrelay/internal/trim"
	"cowrelay/cow"
	"cowrelay/cow/engine"
	"cowrelay/cow/filelog"
	"cowrelay/cow/rendezvous"
	"cowrelay/cow/retention"
	relayhttp "cowrelay/fasthttp"
	"cowrelay/fasthttp/admin"
	"cowrelay/fasthttp/manual"
	"cowrelay/fasthttp/stats"
	"cowrelay/fasthttp/trace"
)

// start brings the relay up, in the order that server explains.
func (s *server) start(stderr io.Writer) (err error) {
	began := time.Now()
	s.stderr = stderr
	s.level.Set(s.LogLevel)
	s.process = newProcess(s.tuner, stderr)
	s.later(s.process.close)
	s.log = s.process.log
	opening := s.process.endsAtSignal()
	s.later(opening)

	s.trials = newTrials(s.log)
	s.limitMemory()
	plan.SpareProcs()
	if s.files, err = plan.Files(s.MaxConns); err != nil {
		return err
	}
	if err := s.startAccessLog(); err != nil {
		return err
	}
	if err := s.openCerts(); err != nil {
		return err
	}
	if err := s.listen(); err != nil {
		return err
	}
	s.log.Info("starting", "bind", doorsText(s.doors), "uds", s.UDS, "admin", addrText(s.adminLn), "data_dir", s.DataDir)
	s.files.Log(s.log)
	for _, name := range s.Unread() {
		s.log.Warn("nothing reads this variable", "variable", name)
	}
	for _, text := range s.Idle() {
		s.log.Warn("a setting does nothing", "why", text)
	}
	for _, e := range s.Exposed() {
		e.Log(s.log)
	}

	s.manager = newSupervisor(s.log)
	s.later(s.manager.close)
	opened := s.manager.opening(s.taken != nil)
	s.later(opened)
	if err := s.openStore(); err != nil {
		return err
	}
	if err := s.openDesk(); err != nil {
		return errors.Join(err, s.store.Close(), s.journal.Close())
	}
	if err := s.openFleet(); err != nil {
		s.desk.Close()
		return errors.Join(err, s.store.Close(), s.journal.Close())
	}
	s.later(trim.Start(s.DataDir, s.log))
	s.startTraces()
	s.relay = s.newRelay()
	opened()
	opening() // from here on a signal drains
	s.apply()
	s.observer.Store(s.relay)
	s.begin()
	s.figures.Started(time.Since(began), time.Now())
	return nil
}

// limitMemory has the runtime collect harder as the process nears its part of the
// memory.
func (s *server) limitMemory() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(s.RuntimeMemory)
	}
	s.memory = plan.SplitBudget(s.MemoryBudget, s.RequestBudget, s.Config.Shared())
}

// listen opens the listeners, and serves the operators.
func (s *server) listen() error {
	if err := s.takeSockets(); err != nil {
		return err
	}
	if err := s.listenClients(); err != nil {
		return err
	}
	s.served = make(chan error, len(s.doors)+1)
	if err := s.listenOperators(); err != nil || s.adminLn == nil {
		return err
	}
	s.admin = admin.Serve(s.adminLn, admin.Options{
		Token: s.AdminToken, Level: s.level, MaxConns: s.files.Admin, Logger: s.log,
		Stop:       sync.OnceFunc(func() { s.process.stop <- syscall.SIGTERM }),
		Checkpoint: s.checkpoint, HandOver: s.askHandover, HandedOver: s.figures.Handovers,
		Policy: s.policy(),
	})
	s.admin.Say(s.told)
	s.later(func() { s.admin.Close() })
	return nil
}

// openStore opens the journal and reads the slots. Its callbacks do nothing until
// there is a relay that observes.
func (s *server) openStore() (err error) {
	observe := func(f func(*relayhttp.Relay)) {
		if r := s.observer.Load(); r != nil {
			f(r)
		}
	}
	// A reload replaces the configuration, while other goroutines ask for the
	// free space: they keep the folder of the start.
	dataDir := s.DataDir
	o := engine.Options{
		Sync: s.Sync, CacheBytes: s.memory.Cache, MemTableBytes: s.memory.MemTable, Backlog: s.memory.Backlog,
		OpenFiles: s.files.Store, AcceptLoss: s.acceptLoss, LeaveFleet: s.leaveFleet,
		Logger: s.log, Exit: s.process.exit,
		NoFiles: func() { observe((*relayhttp.Relay).MakeRoom) },
		Observe: func(took time.Duration, _ int) { observe(func(r *relayhttp.Relay) { r.ObserveSync(took) }) },
	}
	var journal interface {
		cow.Journal
		cow.Records
	}
	if s.Config.Shared() {
		err = s.openShared(context.Background(), o)
		journal = s.shared.Load()
	} else {
		s.journal, err = engine.Open(dataDir, o)
		journal = s.journal
	}
	if err != nil {
		return err
	}
	s.store, err = cow.Open(journal, journal, cow.Options{
		PageBytes: s.PageBytes, MemoryBudget: s.memory.Slots, CommitWait: s.CommitWait, Logger: s.log,
		Free: func() (uint64, error) {
			if s.journal.Full() { // a quota, which the free space does not show
				return 0, nil
			}
			return engine.FreeSpace(dataDir)
		},
		Committed: func(posts, bytes int, took time.Duration) {
			observe(func(r *relayhttp.Relay) { r.ObserveCommit(posts, bytes, took) })
		},
	})
	if err != nil {
		return errors.Join(err, s.journal.Close())
	}
	// Reading the slots has left garbage of about their own size, and the rest of
	// the log has left memtables, which are flushed soon.
	debug.FreeOSMemory()
	again := time.AfterFunc(10*time.Second, debug.FreeOSMemory)
	s.later(func() { again.Stop() })
	return nil
}

// openDesk reads who has which nick, and what else agents meet by.
func (s *server) openDesk() (err error) {
	s.desk, err = rendezvous.Open(s.store, rendezvous.Options{
		MaxHandles: s.MaxHandles, MoveAfter: s.HandleMoveAfter,
		MaxInvites: s.MaxInvites, MaxPairs: s.MaxPairs, Installer: s.InviteInstaller, Logger: s.log,
	})
	return err
}

// book is the manual.
func book() *manual.Book {
	b, err := manual.New(docs.Chapters)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return b
}

// startTraces begins to trace, if the configuration says so. A relay without traces is
// better than none: what is wrong is logged.
func (s *server) startTraces() {
	if s.OTLPEndpoint == "" {
		return
	}
	var err error
	if s.tracer, err = otlp.Start(otlp.Options{Endpoint: s.OTLPEndpoint, Ratio: s.TraceSample, Version: s.version, Logger: s.log}); err != nil {
		s.log.Error("nothing is traced: OTEL_EXPORTER_OTLP_* of the environment can't be used", "error", err)
		s.tracer = nil
		return
	}
	s.log.Info("tracing", "endpoint", s.OTLPEndpoint, "sample", s.TraceSample)
}

// traces is the tracer for the relay: nil, and no interface that holds nil, if there is
// none.
func (s *server) traces() trace.Tracer {
	if s.tracer == nil {
		return nil
	}
	return s.tracer
}

func (s *server) newRelay() *relayhttp.Relay {
	dataDir := s.DataDir // a reload replaces the configuration meanwhile
	name := ""
	if s.Config.Shared() {
		name = s.RelayName
	}
	return relayhttp.NewRelay(s.store, relayhttp.Options{
		Version: s.version, Sync: s.syncs(), RelayName: name, Process: &s.figures, Desk: s.desk, Manual: book(),
		HeaderTimeout: s.HeaderTimeout, BodyTimeout: s.BodyTimeout, WriteTimeout: s.WriteTimeout, IdleTimeout: s.IdleTimeout,
		CPUs: plan.CPUs(plan.GroupRoot, plan.GroupSelf), LocalOnly: s.LocalOnly, ProxyProtocol: s.ProxyProtocol, Certificates: s.certificates(), MaxConns: s.files.Conns, RequestBytes: s.memory.Requests,
		Heartbeat: s.Heartbeat, StreamWriteTimeout: s.StreamWriteTimeout, SlotTTL: s.SlotIdleTTL, EventTTL: s.EventTTL,
		Live: liveOptions(s.Config), Logger: s.log, AccessLogger: s.accessLogger(), LogDropped: s.linesDropped, Tracer: s.traces(),
		Journal: func() stats.Journal {
			j := s.journal.Stats()
			used, err := engine.UsedSpace(dataDir)
			if err != nil {
				s.log.Debug("the disk can't be asked", "error", err)
			}
			return stats.Journal{
				Errors: j.Errors(), SlowWrites: j.Store.SlowWrites, Stalls: j.Store.WriteStalls, TornBytes: j.TornBytes(), DiskBytes: j.DiskBytes(), DiskUsed: used,
				CompactionDebt: j.Store.CompactionDebt, Garbage: j.Store.Garbage, CacheHits: j.Store.CacheHits, CacheMisses: j.Store.CacheMisses, CacheBytes: j.Store.CacheBytes,
				Recovery: j.Recovery, Replayed: j.Replayed,
				LogBytes: uint64(j.Log.Bytes), LogSegments: uint64(j.Log.Segments), LogSyncs: j.Log.Syncs, LogWritten: j.Log.Written,
				BacklogBytes: uint64(j.BacklogBytes), BacklogMax: uint64(j.BacklogMax), BacklogEntries: uint64(j.BacklogEntries), BacklogWaits: j.Waits,
				Fleet: s.fleetFigures(),
			}
		},
	})
}

// syncs says when a post is durable. A log that relays share is synced by its servers.
func (s *server) syncs() string {
	if s.Config.Shared() {
		return filelog.Always.String()
	}
	return s.Sync.String()
}

// policy is what ends by itself.
func (s *server) policy() retention.Policy {
	return retention.Policy{
		IdleSlot: s.SlotIdleTTL, UnusedSlot: s.UnusedSlotTTL, Event: s.EventTTL, Ephemeral: s.EphemeralTTL, KeepEvents: s.EventKeep, KeepBytes: s.EventKeepBytes,
	}
}

// begin serves the clients, and says so in the log and to the service manager.
func (s *server) begin() {
	if s.Sync != filelog.Always && !s.Config.Shared() {
		s.log.Warn("acknowledged posts may be lost in a crash", "sync", s.Sync.String())
	}
	if s.admin != nil {
		s.admin.Attach(s.relay, s.store)
	}
	var before func() int
	if s.fleet != nil {
		before = s.fleet.Before
	}
	s.sweeper = retention.Start(s.store, retention.Options{Logger: s.log, Before: before, Policy: s.policy()})
	// They end with the relay's drain, and run takes an error.
	for _, d := range s.doors {
		var secure *tls.Config
		if d.TLS {
			secure = s.certs.Config()
		}
		go pprof.Do(context.Background(), pprof.Labels("relay", "serve"), func(context.Context) { s.served <- s.relay.ServeTLS(d.Listener, secure) })
	}
	s.resume()
	s.log.Info("serving", "bind", doorsText(s.doors), "uds", s.UDS, "local_only", s.LocalOnly, "admin", addrText(s.adminLn), "data_dir", s.DataDir, "journal", s.Config.Journal, "sync", s.syncs(),
		"slots", s.store.Len(), "memory_budget", s.MemoryBudget, "version", s.version)
	s.manager.serving(func(ctx context.Context) error { return alive(ctx, s.doors, s.store) }, func() string {
		return fmt.Sprintf("serving %d slots on %s, %d streams and long polls", s.store.Len(), s.doors[0].Addr(), s.store.Stats().Subscribers.Load())
	})
}
