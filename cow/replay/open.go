package replay

import (
	"errors"
	"fmt"
	"math"

	"cowrelay/cow"
)

// Open makes a journal of a log and a store. It reads the heads of all slots and the
// versions of all records from the store, and brings the store up to the end of the
// log. Close closes both. After an error the caller has to.
//
// Options.Fatal may be called before Open returns.
func Open(log Log, store Store, opts Options) (*Journal, error) {
	j := newJournal(log, store, opts)
	if m, err := j.member(); err != nil {
		return nil, err
	} else if m.Log != (LogID{}) {
		return nil, fmt.Errorf("%w: log %x", ErrShared, m.Log)
	}
	if err := j.readState(); err != nil {
		return nil, err
	}
	if err := j.replay(log, j.applySealed); err != nil {
		return nil, err
	}
	if err := j.applyAll(); err != nil {
		return nil, err
	}
	if err := j.trim(); err != nil {
		return nil, err
	}
	j.startApplier()
	return j, nil
}

// Reader reads what a log and a store hold, and writes to neither. OpenReader makes
// it. Methods may be called concurrently, but Close beside no other call.
type Reader struct {
	j   *Journal // without a log: nothing is written
	log LogReader
}

// OpenReader opens a log and a store that no process writes to. What the store does
// not have yet stays in memory. Close closes both. After an error the caller has to.
func OpenReader(log LogReader, store Store, progress func(done, all uint64)) (*Reader, error) {
	j := newJournal(nil, store, Options{Backlog: math.MaxInt64, Progress: progress})
	if err := j.readState(); err != nil {
		return nil, err
	}
	if err := j.replay(log, func() error { return nil }); err != nil {
		return nil, err
	}
	return &Reader{j, log}, nil
}

// Load is that of cow.Journal.
func (r *Reader) Load(slot cow.ID, from uint64, yield func(*cow.Append) error) error {
	return r.j.Load(slot, from, yield)
}

// Slots is that of cow.Journal.
func (r *Reader) Slots(yield func(cow.SlotRecord) error) error { return r.j.Slots(yield) }

// Totals is that of cow.Journal.
func (r *Reader) Totals() cow.Totals { return r.j.Totals() }

// Value is that of cow.Records.
func (r *Reader) Value(key string) ([]byte, uint64, error) { return r.j.Value(key) }

// List is that of cow.Records.
func (r *Reader) List(prefix string, yield func(key string, value []byte, version uint64) error) error {
	return r.j.List(prefix, yield)
}

// Stats tells how far the log reaches, and what of it the store has.
func (r *Reader) Stats() Stats { return r.j.Stats() }

// Close gives log and store back.
func (r *Reader) Close() error { return errors.Join(r.log.Close(), r.j.store.Close()) }

// replay reads the rest of the log into the backlog. It calls each after each entry.
func (j *Journal) replay(log LogReader, each func() error) error {
	s := j.state
	from, last := s.seq, log.Last()
	if last < from {
		return fmt.Errorf("%w: the store has entry %d, the log ends with entry %d: restore the data folder from a backup", ErrCorrupt, from, last)
	}
	if last > from {
		err := log.Read(from+1, func(seq uint64, entry []byte) error {
			c, _, _, err := j.take(seq, entry)
			if err != nil {
				return fmt.Errorf("entry %d of the log: %w", seq, err)
			}
			_, done := j.show(c, seq, cow.Totals{})
			done()
			if j.opts.Progress != nil && (seq%1024 == 0 || seq == last) {
				j.opts.Progress(seq-from, last-from)
			}
			return each()
		})
		if err != nil {
			return err
		}
	}
	if s.seq != last {
		return fmt.Errorf("%w: the log gave its entries up to %d, it ends with entry %d", ErrCorrupt, s.seq, last)
	}
	j.replayed = last - from
	return nil
}

// applySealed brings the chunks that are full into the store.
func (m *machine) applySealed() error {
	for {
		c, _ := m.backlog.next(math.MaxInt64)
		if c == nil {
			return nil
		}
		if err := m.apply(c); err != nil {
			return err
		}
	}
}

// applyAll brings everything into the store.
func (m *machine) applyAll() error {
	for {
		c, _ := m.backlog.next(0)
		if c == nil {
			return nil
		}
		if err := m.apply(c); err != nil {
			return err
		}
	}
}

// Close implements cow.Journal. It brings everything into the store, makes it
// durable there, and trims the log to its end. A store that can't flush keeps the
// log: then the next start replays it.
func (j *Journal) Close() error {
	close(j.stop)
	j.wg.Wait()
	if j.dead.Load() {
		select {}
	}
	j.turn <- struct{}{}
	if j.backlog.counts() {
		j.sent = j.sent[:0]
		j.write(entryFrame)
	}
	<-j.turn
	err := j.applyAll()
	if err == nil {
		err = errors.Join(j.store.Flush(), j.trim())
	}
	return errors.Join(err, j.log.Close(), j.store.Close())
}

// counts says whether Count has added what no entry holds.
func (b *backlog) counts() bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.unsent != cow.Totals{}
}
