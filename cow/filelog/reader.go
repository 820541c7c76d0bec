package filelog

import (
	"context"

	"cowrelay/cow/replay"
)

var _ replay.LogReader = (*Reader)(nil)

// Reader reads a log and writes nothing.
type Reader struct {
	folder
	opts Options
	s    *survey
}

// OpenReader opens the log in dir to read it. It opens a damaged log as well.
// Options.Base, AcceptLoss and FS count.
func OpenReader(dir string, opts Options) (*Reader, error) {
	opts.ensureDefaults()
	r := &Reader{folder: folder{opts.FS, dir}, opts: opts}
	var err error
	if r.s, err = r.survey(opts.Base, found{}); err != nil {
		return nil, r.openError(err)
	}
	return r, nil
}

// Read implements replay.LogReader. Behind the last entry that can be read it returns what
// is lost, except with Options.AcceptLoss.
func (r *Reader) Read(from uint64, yield func(seq uint64, entry []byte) error) error {
	if err := r.read(r.s, from, yield); err != nil {
		return err
	}
	if r.s.lost != nil && !r.opts.AcceptLoss {
		return r.s.lost
	}
	return nil
}

// Last implements replay.LogReader: the newest entry that Read yields.
func (r *Reader) Last() uint64 { return r.s.last }

// Torn is how many bytes a start would drop as a torn tail, as far as can be told.
func (r *Reader) Torn() int64 { return r.s.torn }

// Bytes of all files of the log.
func (r *Reader) Bytes() int64 { return r.s.bytes }

// Close implements replay.LogReader.
func (r *Reader) Close() error { return nil }

// Verify reads all files again, to the last byte, and calls fault for each damage,
// also for what the store does not need any more. progress is told how many bytes of
// all were read. Both are called on this goroutine. An error says that the check
// could not be made.
func (r *Reader) Verify(ctx context.Context, fault func(*Damage), progress func(done, total int64)) error {
	var done int64
	_, err := r.survey(r.opts.Base, found{damage: fault, tick: func(n int64) error {
		done += n
		if progress != nil {
			progress(min(done, r.s.bytes), r.s.bytes)
		}
		return ctx.Err()
	}})
	return err
}
