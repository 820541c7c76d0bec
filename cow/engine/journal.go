package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/filelog"
	"cowrelay/cow/pebblestore"
	"cowrelay/cow/replay"
)

// logFolder is the log's place in the data folder.
const logFolder = "log"

// Journal is the journal of a data folder. Open makes it. It must not be copied.
// Methods are those of replay.Journal, with the same rules for concurrent calls.
type Journal struct {
	parts
	stats   func() replay.Stats // of the parts
	log     *filelog.Log        // nil: relays share the log
	store   *pebblestore.Store
	options Options
	copies  *checkpoints
	// recovery is how long the replay at the start took; set by Open.
	recovery time.Duration
}

// parts is a log and a store that package replay has joined.
type parts interface {
	cow.Journal
	cow.Records
}

var (
	_ cow.Journal = (*Journal)(nil)
	_ cow.Records = (*Journal)(nil)
)

// Open opens the data folder dir. Where there is nothing it makes it, readable by its
// owner alone. It keeps other processes out until Close. A folder of format 1 is
// brought up. What the store lacks of the log is applied before Open returns.
//
// An error for which IsCorrupt holds says what is damaged or missing, and what to do.
// Any other says what is in the way.
func Open(dir string, opts Options) (*Journal, error) {
	opts.ensureDefaults()
	store, err := openStore(dir, opts)
	if err != nil {
		return nil, err
	}
	if err := leaveFleet(dir, store, opts); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	j := &Journal{store: store, options: opts, copies: newCheckpoints(dir, opts)}
	if j.log, err = openLog(dir, store, opts); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	if err := j.replay(opts); err != nil {
		return nil, errors.Join(err, j.log.Close(), store.Close())
	}
	return j, nil
}

// openLog opens the log of a store, or makes one if the store never had any.
func openLog(dir string, store *pebblestore.Store, opts Options) (*filelog.Log, error) {
	o := opts.log()
	o.Base, o.Create = store.Durable(), store.New()
	folder := filepath.Join(dir, logFolder)
	log, err := filelog.Open(folder, o)
	if err != nil || !store.New() {
		return log, err
	}
	if last := log.Last(); last != o.Base {
		// Nothing is acknowledged before the store knows of the log. So it is not
		// the log of this store: perhaps a backup was copied over another folder.
		err = fmt.Errorf("%w: log %q has entries up to %d, but the store beside it never had a log: move the folder of the log away", errStrange, folder, last)
	} else {
		err = store.LogMade()
	}
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return log, nil
}

// replay brings the store up to the end of the log.
func (j *Journal) replay(opts Options) (err error) {
	start := time.Now()
	own, err := replay.Open(j.log, j.store, opts.replay())
	if err != nil {
		return err
	}
	j.parts, j.stats, j.recovery = own, own.Stats, time.Since(start)
	if n := own.Stats().Replayed; n > 0 {
		opts.Logger.Info("the rest of the log was applied to the store", "entries", n, "took", j.recovery.Round(time.Millisecond).String())
	}
	return nil
}

// errStrange is wrapped by errors that say that log and store don't belong together.
var errStrange = errors.New("log and store don't belong together")

// IsCorrupt says whether an error of Open or OpenReader is about something that is
// damaged or missing.
func IsCorrupt(err error) bool {
	for _, e := range []error{pebblestore.ErrCorrupt, filelog.ErrDamaged, filelog.ErrMissing, replay.ErrCorrupt, errStrange} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// Stats is what metrics show of a Journal. Counts are since Open.
type Stats struct {
	replay.Stats
	BacklogMax int64         // bytes at which commits wait
	Recovery   time.Duration // how long the replay at the start took
	Log        filelog.Stats
	Store      pebblestore.Stats
}

// Errors are failed flushes and compactions, and damage that was found.
func (s Stats) Errors() uint64 { return s.Store.BackgroundErrors + s.Store.Corruptions }

// DiskBytes are those of all files in the data folder.
func (s Stats) DiskBytes() uint64 { return s.Store.DiskBytes + uint64(s.Log.Bytes) }

// TornBytes are those at the end of a log that Open could not read and dropped.
func (s Stats) TornBytes() uint64 { return s.Store.TornBytes + uint64(s.Log.Torn) }

// Stats takes some 10 µs and a lock of Pebble's. Call it for a scrape, not for a
// request.
func (j *Journal) Stats() Stats {
	s := Stats{Stats: j.stats(), BacklogMax: j.options.Backlog, Recovery: j.recovery, Store: j.store.Stats()}
	if j.log != nil {
		s.Log = j.log.Stats()
	}
	return s
}

// Full reports that the log can't grow, because the disk or the share of this user is
// full. Commits go on until its files are full too, and then wait.
func (j *Journal) Full() bool {
	if j.log == nil {
		return false
	}
	err := j.log.Room()
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// FreeSpace returns how many bytes an unprivileged process can still write to the
// file system that holds dir.
func FreeSpace(dir string) (uint64, error) { return pebblestore.FreeSpace(dir) }

// UsedSpace returns how many bytes of the disk a data folder takes, as du does. It
// looks at every file.
func UsedSpace(dir string) (uint64, error) { return pebblestore.UsedSpace(dir) }

func (o *Options) ensureDefaults() {
	if o.OpenFiles <= 0 {
		o.OpenFiles = DefaultOpenFiles
	}
	if o.Backlog <= 0 {
		o.Backlog = replay.DefaultBacklog
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if fatal := o.Fatal; fatal != nil { // of whichever part fails first
		var once sync.Once
		o.Fatal = func(err error) { once.Do(func() { fatal(err) }) }
	}
}

// replay are the options of what joins both.
func (o *Options) replay() replay.Options {
	told := time.Now()
	progress, log := o.Progress, o.Logger
	return replay.Options{
		Logger: log, Fatal: o.Fatal, Exit: o.Exit, Observe: o.Observe, Backlog: o.Backlog,
		Progress: func(done, all uint64) {
			if progress != nil {
				progress(done, all) // who asks for it tells it
				return
			}
			if now := time.Now(); now.Sub(told) >= 2*time.Second {
				told = now
				log.Info("the log is being applied to the store", "entries", done, "of", all)
			}
		},
	}
}

// store are the options of the store.
func (o *Options) store() pebblestore.Options {
	return pebblestore.Options{
		CacheBytes: o.CacheBytes, MemTableBytes: o.MemTableBytes, OpenFiles: o.OpenFiles - o.logFiles(),
		NoFiles: o.NoFiles, FilesPatience: o.FilesPatience, FS: o.FS, Logger: o.Logger, Fatal: o.Fatal, Exit: o.Exit,
	}
}

// logFiles are the log's of the descriptors.
func (o *Options) logFiles() int {
	if o.OpenFiles < DefaultOpenFiles/2 {
		return filelog.MinOpenFiles
	}
	return filelog.DefaultOpenFiles
}

// log are the options of the log.
func (o *Options) log() filelog.Options {
	l := filelog.Options{Sync: o.Sync, Interval: o.Interval, SegmentBytes: o.SegmentBytes, OpenFiles: o.logFiles(), AcceptLoss: o.AcceptLoss, Logger: o.Logger}
	if o.FS != nil {
		l.FS = logFS{o.FS}
	}
	return l
}
