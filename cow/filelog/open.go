package filelog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"cowrelay/cow/replay"
)

var _ replay.Log = (*Log)(nil)

// Open opens the log in the folder dir, and with Options.Create makes it where there
// is none. It keeps others out until Close. An error that wraps ErrDamaged says what
// is lost, one that wraps ErrMissing that there is no log.
func Open(dir string, opts Options) (*Log, error) {
	opts.ensureDefaults()
	if opts.Base > maxNumber>>1 {
		return nil, fmt.Errorf("log %q: base %d is above %d", dir, opts.Base, uint64(maxNumber>>1))
	}
	l := newLog(dir, opts)
	if err := l.open(); err != nil {
		return nil, errors.Join(l.openError(err), l.closeFiles())
	}
	l.start()
	return l, nil
}

func (l *Log) open() error {
	if l.opts.Create {
		if err := l.fsys.MakeFolder(l.dir); err != nil {
			return err
		}
	}
	s, err := l.survey(l.opts.Base, found{})
	if errors.Is(err, ErrMissing) && l.opts.Create {
		if err = makeMark(l.fsys, l.dir, l.opts.Base); err == nil {
			s, err = l.survey(l.opts.Base, found{})
		}
	}
	if err != nil {
		return err
	}
	if s.lost != nil && !l.opts.AcceptLoss {
		return s.lost
	}
	if err := l.repair(s); err != nil {
		return err
	}
	return l.adopt(s)
}

// repair makes the disk hold the row of the survey and nothing behind it, durably.
// Each step may be the last one before a crash: the next start finds the same row.
func (l *Log) repair(s *survey) (err error) {
	log := l.opts.Logger.With("folder", l.dir)
	if s.lost != nil {
		log.Error("the log is damaged and is cut there, as --accept-loss says", "damage", s.lost.What(), "entries_up_to", s.last)
	} else if s.torn > 0 {
		log.Warn("the end of the log could not be read and is dropped: the rest of writes that a crash cut off",
			"entries_up_to", s.last, "bytes", s.torn)
	}
	l.tornBytes = s.torn
	// The mark goes back first: else a crash in between would leave a log that
	// lacks what was synced, and no frame that says why.
	if s.lost != nil || s.at < 0 && (s.base != s.last || s.mark != s.last) {
		if err := makeMark(l.fsys, l.dir, s.low); err != nil {
			return err
		}
		s.base, s.mark = s.low, s.low
	}
	l.base = s.base
	removed := false
	left := s.segs[:0]
	for i, seg := range s.segs {
		l.number = max(l.number, seg.number)
		spare := i > s.at && seg.first == 0 && !seg.newer && seg.size == l.opts.SegmentBytes
		if i > s.at && !spare {
			if err := l.fsys.Remove(l.path(seg.number)); err != nil {
				return err
			}
			removed = true
			continue
		}
		if i == s.at && seg.newer {
			if err := l.wipe(seg, s.end); err != nil {
				return err
			}
		}
		if seg.last > s.mark {
			if err := l.syncSegment(seg.number); err != nil {
				return err
			}
		}
		left = append(left, seg)
	}
	s.segs = left
	if removed {
		if err := l.fsys.SyncFolder(l.dir); err != nil {
			return err
		}
	}
	if l.mark, err = openMark(l.fsys, l.dir); err == nil && s.mark < s.last {
		err = l.mark.store(s.last)
	}
	return err
}

// adopt makes the log go on where the survey ended.
func (l *Log) adopt(s *survey) (err error) {
	l.found = s
	l.last.Store(s.last)
	l.synced.Store(s.last)
	l.trimmed = s.low
	l.segments, l.bytes = len(s.segs), 0
	_, most := l.opts.ahead()
	for i, seg := range s.segs {
		l.bytes += seg.size
		kept := &segment{number: seg.number, size: seg.size, last: seg.last}
		if i < s.at {
			l.kept = append(l.kept, kept)
			continue
		}
		if i > s.at && len(l.ready) == most {
			l.kept = append(l.kept, kept) // nothing in it is needed: the keeper removes it
			continue
		}
		if kept.file, err = l.fsys.Open(l.path(seg.number), true, false); err != nil {
			return err
		}
		if i == s.at {
			l.active, l.off = kept, s.end
		} else {
			l.ready = append(l.ready, kept)
		}
	}
	if l.active == nil && len(l.ready) == 0 {
		return l.prepare()
	}
	return nil
}

// wipe writes zeros over the rest of a segment, so that nothing in it comes back when
// the log has grown up to there.
func (l *Log) wipe(seg *surveyed, from int64) error {
	f, err := l.fsys.Open(l.path(seg.number), true, false)
	if err != nil {
		return err
	}
	zeros := make([]byte, min(seg.size-from, fillBytes))
	for from < seg.size && err == nil {
		zeros = zeros[:min(seg.size-from, int64(len(zeros)))]
		_, err = f.WriteAt(zeros, from)
		from += int64(len(zeros))
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (l *Log) syncSegment(number uint64) error {
	f, err := l.fsys.Open(l.path(number), true, false)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// openError says what keeps the log from being opened and what to do.
func (d folder) openError(err error) error {
	var errno syscall.Errno
	errors.As(err, &errno)
	switch {
	case errors.Is(err, ErrDamaged):
		return err
	case errors.Is(err, ErrMissing):
		return fmt.Errorf("%w: restore the data folder from a backup, or start with --accept-loss: that begins an empty log and loses what the store does not have", err)
	case errors.Is(err, fs.ErrPermission), errno == syscall.EROFS:
		return fmt.Errorf("log %q is not writable for user %d: %w: change its owner or mode", d.dir, os.Getuid(), err)
	case noRoom(err):
		return fmt.Errorf("cannot open log %q: %w: make room on the disk", d.dir, err)
	}
	return fmt.Errorf("cannot open log %q: %w: check the disk and the limits of the process", d.dir, err)
}

// noRoom reports that the disk, or the share of this user, is full.
func noRoom(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
