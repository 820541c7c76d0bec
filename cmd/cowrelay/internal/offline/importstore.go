package offline

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"

	"cowrelay/cow"
	"cowrelay/cow/engine"
	"cowrelay/cow/event"
	"cowrelay/cow/filelog"
)

// importStore is the data folder that an import writes to. Nothing is synced before
// Close: an import that was cut is started again, and finds what is there. What a
// crash leaves of a slot is a begin of it, without gaps.
type importStore struct {
	dir    string
	log    *engine.Journal // nil for a dry run
	reader *engine.Reader  // for a dry run on a store that is there
	have   map[cow.ID]cow.SlotRecord
	put    map[string]bool // records that a dry run would write

	groups  []cow.Group
	arena   []byte // bytes of the groups' events
	batches int
}

// importBatch is how many bytes of events become one commit.
const importBatch = 1 << 20

// importReserve is how many bytes of the disk an import leaves free, as serve does.
const importReserve = 128 << 20

func openImportStore(dir string, dry bool) (*importStore, error) {
	s := &importStore{dir: dir, have: make(map[cow.ID]cow.SlotRecord)}
	opts := readerOptions()
	if _, err := os.Stat(dir); dry && errors.Is(err, fs.ErrNotExist) {
		s.put = make(map[string]bool)
		return s, nil
	}
	note := func(r cow.SlotRecord) error { s.have[r.Slot] = r; return nil }
	var err error
	if dry {
		s.put = make(map[string]bool)
		if s.reader, err = engine.OpenReader(dir, opts); err != nil {
			return nil, err
		}
		if err := s.reader.Lost(); err != nil {
			return nil, errors.Join(err, s.Close())
		}
		err = s.reader.Slots(note)
	} else {
		opts.Sync = filelog.Off
		if s.log, err = engine.Open(dir, opts); err != nil {
			return nil, err
		}
		err = s.log.Slots(note)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close makes everything durable.
func (s *importStore) Close() error {
	switch {
	case s.log != nil:
		return s.log.Close()
	case s.reader != nil:
		return s.reader.Close()
	}
	return nil
}

// hold copies an event into the memory of the batch.
func (s *importStore) hold(ev event.Event) event.Event {
	if cap(s.arena)-len(s.arena) < len(ev.JSON) {
		s.arena = make([]byte, 0, importBatch+event.MaxBytes)
	}
	at := len(s.arena)
	s.arena = append(s.arena, ev.JSON...)
	ev.JSON = s.arena[at:len(s.arena):len(s.arena)]
	return ev
}

// add puts a group into the batch. The batch is written when it is large.
func (s *importStore) add(g cow.Group) error {
	s.groups = append(s.groups, g)
	if len(s.arena) >= importBatch || len(s.groups) >= 4096 {
		return s.flush()
	}
	return nil
}

// flush writes the batch.
func (s *importStore) flush() error {
	if s.log != nil && len(s.groups) > 0 {
		if err := s.room(); err != nil {
			return err
		}
		s.log.Commit(s.groups)
		for n := range s.groups {
			if g := &s.groups[n]; g.Outcome != cow.Stored {
				return fmt.Errorf("BUG: slot %s: outcome %d: %w", g.Slot, g.Outcome, g.Err)
			}
		}
	}
	clear(s.groups)
	s.groups, s.arena = s.groups[:0], s.arena[:0]
	return nil
}

// room says whether the disk takes one more batch.
func (s *importStore) room() error {
	free, err := engine.FreeSpace(s.dir)
	if err == nil && free < importReserve {
		return fmt.Errorf("the disk of %s is nearly full: %d MB are left. Make room, then start the same command again: it goes on", s.dir, free>>20)
	}
	return nil
}

// events yields the events of a slot that were there when the import began. The
// error comes last.
func (s *importStore) events(slot cow.ID) iter.Seq2[[]byte, error] {
	errStop := errors.New("stopped")
	return func(yield func([]byte, error) bool) {
		var from interface {
			Load(cow.ID, uint64, func(*cow.Append) error) error
		} = s.log
		if s.log == nil {
			from = s.reader
		}
		err := from.Load(slot, 0, func(a *cow.Append) error {
			for n := range a.Events {
				if !yield(a.Events[n].JSON, nil) {
					return errStop
				}
			}
			return nil
		})
		if err != nil && err != errStop {
			yield(nil, err)
		}
	}
}

// become makes a record have this value if there is none. It says whether there
// was one, and whether that has the same value.
func (s *importStore) become(key string, value []byte) (there, same bool, err error) {
	old, _, err := s.value(key)
	switch {
	case err == nil:
		return true, bytes.Equal(old, value), nil
	case !errors.Is(err, cow.ErrNoRecord):
		return false, false, err
	case s.log == nil:
		s.put[key] = true
		return false, false, nil
	}
	if s.batches++; s.batches%1024 == 0 {
		if err := s.room(); err != nil {
			return false, false, err
		}
	}
	_, err = s.log.Put(key, value, 0, cow.Totals{})
	return false, false, err
}

// replace writes a record of this version.
func (s *importStore) replace(key string, value []byte, version uint64) error {
	if err := s.room(); err != nil {
		return err
	}
	_, err := s.log.Put(key, value, version, cow.Totals{})
	return err
}

// value reads a record.
func (s *importStore) value(key string) ([]byte, uint64, error) {
	switch {
	case s.put[key]:
		return nil, 0, fmt.Errorf("BUG: %q is written twice", key)
	case s.log != nil:
		return s.log.Value(key)
	case s.reader != nil:
		return s.reader.Value(key)
	}
	return nil, 0, cow.ErrNoRecord
}
