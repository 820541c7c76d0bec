package filelog

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// Log is an open log.
//
// Append and Trim may run beside each other, one of each at a time. Read runs before
// the first Append. Room, Last and Stats may be called at any time until Close.
type Log struct {
	folder
	opts Options
	mark *mark // the mark is stored by Append in mode Always, else by the keeper and Close

	// Of Append, before that of Open.
	off   int64  // in active, behind the newest entry
	buf   []byte // for frames
	found *survey

	last    atomic.Uint64 // newest entry; stored by Append after its write
	synced  atomic.Uint64 // up to it all is synced; stored after the sync
	dirty   atomic.Bool   // mode Interval: something is not synced, and the keeper knows
	syncs   atomic.Uint64
	written atomic.Uint64
	waits   atomic.Uint64
	noRoom  atomic.Pointer[error] // why no segment can be made

	tornBytes int64

	// mu guards all below. Nothing waits for the disk under it.
	mu       sync.Mutex
	changed  *sync.Cond // ready grew, or failed is set
	active   *segment   // the one that Append writes to; nil before the first
	full     []*segment // Append left them; their files are open
	kept     []*segment // closed, oldest first
	ready    []*segment // for Append to take, by number
	want     int64      // an Append waits for a segment of this size; 0: none waits
	trimmed  uint64     // entries up to it are not needed
	number   uint64     // the newest segment's; of the keeper and Open
	base     uint64     // that of the file synced; of the keeper and Open
	segments int        // files
	bytes    int64      // of these
	failed   error      // a write or a sync failed: nothing is appended any more

	wake chan struct{} // for the keeper, holds one
	stop chan struct{} // closed by Close
	done sync.WaitGroup
}

func newLog(dir string, opts Options) *Log {
	l := &Log{folder: folder{opts.FS, dir}, opts: opts, wake: make(chan struct{}, 1), stop: make(chan struct{})}
	l.changed = sync.NewCond(&l.mu)
	return l
}

// maxBuf is what Append keeps for the next frame, in bytes.
const maxBuf = 1 << 20

// Append implements replay.Log. Where no segment is ready it waits for one, also
// while the disk is full: see Room.
func (l *Log) Append(entry []byte) (uint64, error) {
	if len(entry) > MaxEntry {
		return 0, fmt.Errorf("an entry of %d bytes is larger than %d", len(entry), MaxEntry)
	}
	size := frameSize(len(entry))
	seg, err := l.room(size)
	if err != nil {
		return 0, err
	}
	seq := l.last.Load() + 1
	l.buf = appendFrame(l.buf[:0], seg.number, seq, l.synced.Load(), entry)
	if _, err := seg.file.WriteAt(l.buf, l.off); err != nil {
		return 0, l.fail(err)
	}
	if cap(l.buf) > maxBuf {
		l.buf = nil
	}
	l.off += size
	l.written.Add(uint64(size))
	if l.opts.Sync == Always {
		if err := seg.file.Sync(); err != nil {
			return 0, l.fail(err)
		}
		l.syncs.Add(1)
		if err := l.mark.store(seq); err != nil {
			return 0, l.fail(err)
		}
		l.synced.Store(seq)
	}
	l.last.Store(seq)
	if l.opts.Sync == Interval && !l.dirty.Swap(true) {
		l.signal()
	}
	return seq, nil
}

// room returns a segment that has size bytes behind off.
func (l *Log) room(size int64) (*segment, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed != nil {
		return nil, l.failed
	}
	if l.active != nil && l.off+size <= l.active.size {
		return l.active, nil
	}
	if len(l.ready) == 0 || l.ready[0].size < size {
		l.waits.Add(1)
		l.want = size
		l.signal()
		for len(l.ready) == 0 || l.ready[0].size < size {
			l.changed.Wait()
			if l.failed != nil {
				return nil, l.failed
			}
		}
		l.want = 0
	}
	if l.active != nil {
		l.active.last = l.last.Load()
		l.full = append(l.full, l.active)
	}
	l.active, l.off = l.ready[0], 0
	l.ready = l.ready[1:]
	l.signal()
	return l.active, nil
}

// fail makes err the answer to all that follows, and returns it.
func (l *Log) fail(err error) error {
	err = fmt.Errorf("log %q: %w", l.dir, err)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed == nil {
		l.failed = err
	}
	l.changed.Broadcast()
	return err
}

// Read implements replay.Log.
func (l *Log) Read(from uint64, yield func(seq uint64, entry []byte) error) error {
	return l.read(l.found, from, yield)
}

// Last implements replay.Log.
func (l *Log) Last() uint64 { return l.last.Load() }

// Trim implements replay.Log. The segment that holds the newest entry stays, so that
// the log knows its number.
func (l *Log) Trim(seq uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trimmed = max(l.trimmed, min(seq, l.last.Load()))
	if len(l.kept) > 0 && l.kept[0].last <= l.trimmed || len(l.full) > 0 && l.full[0].last <= l.trimmed {
		l.signal()
	}
	return l.failed
}

// Room says why no further segment can be made: the disk is full. Then Append waits
// when the segment that it writes to is full. nil: there is room, as far as is known.
func (l *Log) Room() error {
	if err := l.noRoom.Load(); err != nil {
		return *err
	}
	return nil
}

// Close implements replay.Log.
func (l *Log) Close() error {
	close(l.stop)
	l.done.Wait()
	err := l.failed
	if last := l.last.Load(); err == nil && l.synced.Load() < last {
		err = l.syncAll()
	}
	if err == nil {
		err = errors.Join(l.closeFull(), l.reclaim(), l.mark.file.Sync())
	}
	return errors.Join(err, l.closeFiles())
}

// closeFiles gives back all that is open.
func (l *Log) closeFiles() (err error) {
	for _, seg := range append(append(l.full, l.ready...), l.active) {
		if seg != nil && seg.file != nil {
			err = errors.Join(err, seg.file.Close())
		}
	}
	if l.mark != nil {
		err = errors.Join(err, l.mark.file.Close())
	}
	return err
}

// Stats are counters since Open, and what there is now.
type Stats struct {
	Syncs    uint64 // of entries
	Written  uint64 // bytes of frames
	Waits    uint64 // appends that waited for a segment
	Last     uint64 // newest entry
	Synced   uint64 // newest entry that is known to be synced
	Trimmed  uint64 // newest entry that is not needed any more
	Segments int    // files, also those that are ready
	Bytes    int64  // of these
	Torn     int64  // bytes of the torn tail that Open dropped, as far as they could be told
}

// Stats may be called at any time until Close.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Stats{
		Syncs: l.syncs.Load(), Written: l.written.Load(), Waits: l.waits.Load(), Last: l.last.Load(), Synced: l.synced.Load(),
		Trimmed: l.trimmed, Segments: l.segments, Bytes: l.bytes, Torn: l.tornBytes,
	}
}
