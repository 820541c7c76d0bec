package filelog

import (
	"context"
	"errors"
	"fmt"
	"runtime/pprof"
	"slices"
	"syscall"
	"time"
)

// ahead is how many segments should be ready before Append needs them, and most how
// many stay for use again. More are removed.
func (o *Options) ahead() (ready, most int) {
	if o.OpenFiles < DefaultOpenFiles {
		return 1, 1
	}
	return 2, 4
}

const (
	// fillBytes of zeros are written and synced at once. Commits that sync beside it
	// wait for less.
	fillBytes = 1 << 20
	// retry is the pause after a segment could not be made.
	retry = time.Second
)

// start starts the keeper: the one goroutine of a log. Close waits for it. It sleeps
// while nothing is to be done.
func (l *Log) start() {
	l.done.Go(func() {
		pprof.Do(context.Background(), pprof.Labels("relay", "filelog"), func(context.Context) { l.keep() })
	})
}

func (l *Log) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *Log) keep() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var syncAt, retryAt time.Time // zero: not due
	for {
		now := time.Now()
		if l.dirty.Load() && syncAt.IsZero() {
			syncAt = now.Add(l.opts.Interval)
		}
		if !syncAt.IsZero() && !now.Before(syncAt) {
			syncAt = time.Time{}
			l.dirty.Store(false) // before the newest entry is looked up
			if err := l.syncAll(); err != nil {
				l.backgroundFailed(err)
				return
			}
		}
		retryAt = time.Time{}
		switch err := l.tend(); {
		case errors.Is(err, errStopped):
			return
		case err != nil && transient(err):
			l.sayNoRoom(err)
			retryAt = time.Now().Add(retry)
		case err != nil:
			l.backgroundFailed(err)
			return
		default:
			l.noRoom.Store(nil)
		}
		var due <-chan time.Time
		if at := earlier(syncAt, retryAt); !at.IsZero() {
			timer.Reset(time.Until(at))
			due = timer.C
		}
		select {
		case <-l.stop:
			return
		case <-l.wake:
		case <-due:
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// errStopped ends work that Close does not wait for.
var errStopped = errors.New("the log is closed")

// transient reports a failure that may pass: nothing that was written is in doubt.
func transient(err error) bool {
	return noRoom(err) || errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

func (l *Log) sayNoRoom(err error) {
	err = fmt.Errorf("log %q: cannot make a segment: %w", l.dir, err)
	if l.noRoom.Swap(&err) == nil {
		l.opts.Logger.Warn("the log has no room for a further segment", "error", err, "do", "make room on the disk, or raise the limit of open files")
	}
}

func (l *Log) backgroundFailed(err error) {
	l.opts.Logger.Error("the log failed, the next commit will say so", "error", l.fail(err))
}

// tend does what is to be done: closes full segments, removes trimmed ones or makes
// them ready, and makes new ones.
func (l *Log) tend() error {
	for {
		if err := l.closeFull(); err != nil {
			return err
		}
		if err := l.reclaim(); err != nil {
			return err
		}
		if !l.short() {
			return nil
		}
		if err := l.prepare(); err != nil {
			return err
		}
	}
}

// short reports that Append needs a segment, now or next.
func (l *Log) short() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	ready, _ := l.opts.ahead()
	return len(l.ready) < ready || l.ready[0].size < l.want
}

// closeFull syncs segments that Append left, and closes them.
func (l *Log) closeFull() error {
	l.mu.Lock()
	full := slices.Clone(l.full)
	l.mu.Unlock()
	for _, seg := range full {
		if seg.last > l.synced.Load() {
			if err := seg.file.Sync(); err != nil {
				return err
			}
			l.syncs.Add(1)
			l.synced.Store(seg.last)
			if err := l.mark.store(seg.last); err != nil {
				return err
			}
		}
		if err := seg.file.Close(); err != nil {
			return err
		}
		l.mu.Lock()
		seg.file = nil
		l.full = l.full[1:]
		l.kept = append(l.kept, seg)
		l.mu.Unlock()
	}
	return nil
}

// syncAll syncs what is not synced yet, oldest segment first.
func (l *Log) syncAll() error {
	if err := l.closeFull(); err != nil {
		return err
	}
	l.mu.Lock()
	seg := l.active
	last := l.last.Load()
	if len(l.full) > 0 { // Append has left it meanwhile
		seg, last = l.full[0], l.full[0].last
	}
	l.mu.Unlock()
	if seg == nil || last <= l.synced.Load() {
		return nil
	}
	if err := seg.file.Sync(); err != nil {
		return err
	}
	l.syncs.Add(1)
	l.synced.Store(last)
	return l.mark.store(last)
}

// reclaim takes back the segments that are not needed any more.
func (l *Log) reclaim() error {
	removed := false
	_, most := l.opts.ahead()
	for {
		l.mu.Lock()
		var seg *segment
		if len(l.kept) > 0 && l.kept[0].last <= l.trimmed {
			seg = l.kept[0]
			l.kept = l.kept[1:]
		}
		trimmed := l.trimmed
		reuse := seg != nil && seg.size == l.opts.SegmentBytes && len(l.ready) < most
		l.mu.Unlock()
		if seg != nil && seg.last > l.base {
			if err := l.mark.setBase(trimmed); err != nil {
				l.giveBack(seg)
				return err
			}
			l.base = trimmed
		}
		switch {
		case seg == nil && removed:
			return l.fsys.SyncFolder(l.dir)
		case seg == nil:
			return nil
		case reuse:
			if err := l.reuse(seg); err != nil {
				l.giveBack(seg)
				return err
			}
		default:
			if err := l.fsys.Remove(l.path(seg.number)); err != nil {
				l.giveBack(seg)
				return err
			}
			removed = true
			l.count(-1, -seg.size)
		}
	}
}

// giveBack is for a segment that could not be taken back now.
func (l *Log) giveBack(seg *segment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept = slices.Insert(l.kept, 0, seg)
}

// reuse makes a segment ready under a new number. The frames in it can't be read any
// more: see frame.go.
func (l *Log) reuse(seg *segment) error {
	l.number++
	if err := l.fsys.Rename(l.path(seg.number), l.path(l.number)); err != nil {
		return err
	}
	seg.number = l.number
	if err := l.fsys.SyncFolder(l.dir); err != nil {
		return err
	}
	file, err := l.fsys.Open(l.path(l.number), true, false)
	if err != nil {
		return err
	}
	l.offer(&segment{number: l.number, size: seg.size, file: file})
	return nil
}

func (l *Log) count(files int, bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.segments += files
	l.bytes += bytes
}

// offer makes a segment ready for Append.
func (l *Log) offer(seg *segment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ready = append(l.ready, seg)
	l.changed.Broadcast()
}

// prepare makes a segment, or makes the first one larger if Append waits for that.
func (l *Log) prepare() (err error) {
	l.mu.Lock()
	size := align(max(l.opts.SegmentBytes, l.want))
	var small *segment
	if len(l.ready) > 0 && l.ready[0].size < l.want {
		small = l.ready[0]
	}
	l.mu.Unlock()
	if small != nil {
		if err := l.fill(small.file, small.size, size); err != nil {
			return err
		}
		l.count(0, size-small.size)
		l.mu.Lock()
		small.size = size
		l.changed.Broadcast()
		l.mu.Unlock()
		return nil
	}
	l.number++
	name := l.path(l.number)
	file, err := l.fsys.Open(name, true, true)
	if err != nil {
		return err
	}
	if err = l.fill(file, 0, size); err == nil {
		err = l.fsys.SyncFolder(l.dir)
	}
	if err != nil {
		return errors.Join(err, file.Close(), l.fsys.Remove(name))
	}
	l.count(1, size)
	l.offer(&segment{number: l.number, size: size, file: file})
	return nil
}

// fill writes zeros, so that no later sync has to change how the file lies on the
// disk. While no Append waits it leaves the disk half of the time to others.
func (l *Log) fill(file File, from, to int64) error {
	if err := file.Reserve(to); err != nil {
		return err
	}
	zeros := make([]byte, min(to-from, fillBytes))
	for from < to {
		began := time.Now()
		n := min(to-from, fillBytes)
		if _, err := file.WriteAt(zeros[:n], from); err != nil {
			return err
		}
		if err := file.Sync(); err != nil {
			return err
		}
		from += n
		if from == to || l.waited() {
			continue
		}
		select {
		case <-time.After(time.Since(began)):
		case <-l.stop:
			return errStopped
		}
	}
	return nil
}

// waited reports that the log can't go on without another segment.
func (l *Log) waited() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.want > 0 || len(l.ready) == 0
}
