package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"

	"cowrelay/cow"
	"cowrelay/cow/event"
	"cowrelay/cow/filelog"
	"cowrelay/cow/pebblestore"
)

// What Verify reports, and its options: see pebblestore.
type (
	Fault         = pebblestore.Fault
	Report        = pebblestore.Report
	VerifyOptions = pebblestore.VerifyOptions
)

// Kinds of faults of the log. Programs read these texts: do not change them.
const (
	FaultLog    = "log"    // entries that the store does not have are lost
	FaultOldLog = "oldlog" // a part of the log that the store does not need can't be read
)

// FaultUnreadable is the kind of fault of a folder that can't be opened.
const FaultUnreadable = pebblestore.FaultUnreadable

// Verify looks at every key of the store, as pebblestore.Store.Verify does, at every
// byte of the log, and at all events that the log has beyond the store: they must fit
// behind those of the store, pass the door, and have ids of their own. The error is
// ctx's, or says what can't be checked.
func (r *Reader) Verify(ctx context.Context, o VerifyOptions) (Report, error) {
	if o.Fault == nil {
		o.Fault = func(Fault) {}
	}
	report, err := r.store.Verify(ctx, o)
	if err != nil {
		return report, err
	}
	v := &verifier{r: r, ctx: ctx, o: o, report: report}
	if err := v.log(); err != nil {
		return v.report, err
	}
	if err := v.unapplied(); err != nil {
		return v.report, err
	}
	return v.report, nil
}

// verifier is the state of the part of a Verify that is about the log.
type verifier struct {
	r      *Reader
	ctx    context.Context
	o      VerifyOptions
	report Report
	seed   maphash.Seed
	room   []byte
	out    []byte
}

func (v *verifier) fault(kind string, slot cow.ID, pos int64, format string, args ...any) {
	v.report.Faults++
	v.o.Fault(Fault{Kind: kind, Slot: slot, Position: pos, What: fmt.Sprintf(format, args...)})
}

// log looks at the files of the log.
func (v *verifier) log() error {
	var lost *filelog.Damage
	if errors.As(v.r.lost, &lost) {
		v.fault(FaultLog, cow.ID{}, -1, "%s; a start refuses, or with --accept-loss drops this and all behind it", lost.What())
	} else if v.r.lost != nil {
		v.fault(FaultLog, cow.ID{}, -1, "%v", v.r.lost)
	}
	if v.r.log == nil {
		return nil
	}
	return v.r.log.Verify(v.ctx, func(d *filelog.Damage) {
		switch {
		case lost != nil && d.File == lost.File && d.Offset == lost.Offset:
		case d.Needed:
			v.fault(FaultLog, cow.ID{}, -1, "%s", d.What())
		default:
			v.fault(FaultOldLog, cow.ID{}, -1, "%s; the store has all of it, so nothing is lost, but check the disk", d.What())
		}
	}, nil)
}

// unapplied looks at the slots that the log changes.
func (v *verifier) unapplied() error {
	if s := v.r.Reader.Stats(); s.Last == s.Applied {
		return nil
	}
	view, err := v.r.store.View()
	if err != nil {
		return err
	}
	defer view.Close()
	stored := make(map[cow.ID]uint64)
	if err := view.Slots(func(s cow.SlotRecord) error { stored[s.Slot] = s.Count; return nil }); err != nil {
		return v.unreadable(err)
	}
	v.seed = maphash.MakeSeed()
	err = v.r.Slots(func(s cow.SlotRecord) error {
		count, ok := stored[s.Slot]
		if ok && count == s.Count {
			return nil
		}
		if !ok {
			v.report.Slots++
		}
		return v.slot(s, count)
	})
	if err != nil && v.ctx.Err() == nil {
		return v.unreadable(err)
	}
	return err
}

// unreadable makes a fault of an error of the journal.
func (v *verifier) unreadable(err error) error {
	v.fault(FaultUnreadable, cow.ID{}, -1, "what the log has beyond the store can't be joined to it: %v", err)
	return nil
}

// slot looks at the events that the log adds to the first ones of a slot. Those in
// the store were looked at before.
func (v *verifier) slot(s cow.SlotRecord, stored uint64) error {
	first := make(map[uint64]uint64) // hash of an id: its position
	var again [][2]uint64            // positions whose ids have one hash
	next, size := s.First, uint64(0)
	err := v.r.Load(s.Slot, 0, func(a *cow.Append) error {
		for i := range a.Events {
			e := &a.Events[i]
			pos := a.First + uint64(i)
			next, size = pos+1, size+uint64(len(e.JSON))
			if pos >= stored {
				v.event(s.Slot, pos, e)
			}
			if id, ok := e.ID(nil); ok {
				h := maphash.Bytes(v.seed, id)
				if had, ok := first[h]; !ok {
					first[h] = pos
				} else if pos >= stored {
					again = append(again, [2]uint64{had, pos})
				}
			}
		}
		return v.ctx.Err()
	})
	switch {
	case v.ctx.Err() != nil:
		return v.ctx.Err()
	case err != nil:
		v.fault(FaultUnreadable, s.Slot, int64(next), "events from here on can't be read: %v", err)
		return nil
	case next != s.Count:
		v.fault(pebblestore.FaultCount, s.Slot, -1, "the log says %d events, the last one stands at position %d", s.Count, int64(next)-1)
	case size != s.Bytes:
		v.fault(pebblestore.FaultBytes, s.Slot, -1, "the log says %d bytes of events, there are %d", s.Bytes, size)
	}
	for _, p := range again {
		a, b := v.id(s.Slot, p[0]), v.id(s.Slot, p[1])
		if a == b {
			v.fault(pebblestore.FaultDuplicate, s.Slot, int64(p[1]), "its event_id %q is that of position %d", b, p[0])
		}
	}
	if v.o.Progress != nil {
		v.o.Progress(v.report)
	}
	return nil
}

// event takes an event of the log through the door again.
func (v *verifier) event(slot cow.ID, pos uint64, e *event.Event) {
	v.report.Events++
	v.report.Bytes += uint64(len(e.JSON))
	ev, out, room, _, err := event.Readable(v.out[:0], e.JSON, v.room)
	v.out, v.room = out, room
	refused := new(event.Error)
	switch {
	case errors.As(err, &refused):
		v.fault(pebblestore.FaultEvent, slot, int64(pos), "the door refuses it: %s, at byte %d", refused.Reason, refused.Offset)
	case !bytes.Equal(ev.JSON, e.JSON):
		v.fault(pebblestore.FaultEvent, slot, int64(pos), "it is not compact: %d bytes, %d without white space", len(e.JSON), len(ev.JSON))
	case ev.IDOff != e.IDOff:
		v.fault(pebblestore.FaultIndex, slot, int64(pos), "its event_id stands at byte %d, the index would look at byte %d (0: it has none)", ev.IDOff, e.IDOff)
	}
}

var errFound = errors.New("found")

// id reads the id of one event again.
func (v *verifier) id(slot cow.ID, pos uint64) (id string) {
	v.r.Load(slot, pos, func(a *cow.Append) error {
		if b, ok := a.Events[pos-a.First].ID(nil); ok {
			id = string(b)
		}
		return errFound
	})
	return id
}
