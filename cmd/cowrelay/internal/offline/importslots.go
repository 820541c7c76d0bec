package offline

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"

	"cowrelay/cow"
	"cowrelay/cow/event"

	"github.com/go-json-experiment/json/jsontext"
)

// slots takes the tokens, and the slots with their events.
func (i *importing) slots() error {
	tokens, err := i.tokens()
	if err != nil {
		return err
	}
	files := make(map[cow.ID]importFile)
	for _, f := range i.src.slots {
		id, ok := cow.ParseID(f.name)
		_, known := tokens[id]
		switch {
		case !ok:
			err = i.told.leave(kindSlot, f.path, nil, "the name of the file is no slot id", "")
		case !known:
			err = i.told.leave(kindSlot, f.path, nil, "there is no token for the slot, so nobody could read it", "")
		default:
			files[id] = f
			continue
		}
		if err := errors.Join(err, i.passed(f.size)); err != nil {
			return err
		}
	}
	// In the order of the store's keys.
	ids := slices.SortedFunc(maps.Keys(tokens), func(a, b cow.ID) int { return bytes.Compare(a[:], b[:]) })
	s := slotImport{importing: i, lines: newImportLines(nil), seen: make(map[string]struct{})}
	for _, id := range ids {
		if err := s.slot(id, tokens[id], files[id]); err != nil {
			return err
		}
	}
	return i.to.flush()
}

// tokens reads the hashes of the slots' tokens. Where the file is cut, it takes what
// stands before.
func (i *importing) tokens() (map[cow.ID]cow.TokenHash, error) {
	tokens := make(map[cow.ID]cow.TokenHash)
	f, ok := i.src.top[fileTokens]
	at := place{file: fileTokens}
	if !ok {
		i.told.skip(kindSlot, at, "the file is missing, so no slot can be taken", "")
		return tokens, nil
	}
	in, err := i.src.open(f)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	dec := jsontext.NewDecoder(in, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	// The library's error may quote what stands there, which is a secret.
	damaged := func() (map[cow.ID]cow.TokenHash, error) {
		i.told.skip(kindSlot, at, "the file is cut or damaged: tokens behind that place are lost",
			fmt.Sprintf("at byte %d of %d, behind %d tokens", dec.InputOffset(), f.size, len(tokens)))
		return tokens, i.passed(f.size)
	}
	if start, err := dec.ReadToken(); err != nil || start.Kind() != '{' {
		return damaged()
	}
	for dec.PeekKind() != '}' {
		name, err := dec.ReadToken()
		if err != nil {
			return damaged()
		}
		id, ok := cow.ParseID(name.String())
		if dec.PeekKind() != '"' {
			ok = false
		}
		value, err := dec.ReadValue()
		if err != nil {
			return damaged()
		}
		token, err := jsontext.AppendUnquote(nil, value)
		if !ok || err != nil || !usableToken(token) {
			i.told.skip(kindSlot, at, "an entry is not the id of a slot with its token", fmt.Sprintf("before byte %d", dec.InputOffset()))
			continue
		}
		tokens[id] = cow.HashToken(token)
	}
	dec.ReadToken()
	if _, err := dec.ReadToken(); err != io.EOF {
		i.told.note(at, "something stands behind the end of the tokens")
	}
	return tokens, i.passed(f.size)
}

// usableToken says whether a client can send the token in a header.
func usableToken(token []byte) bool {
	return len(token) > 0 && !bytes.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' })
}

// slotImport takes slots one after the other.
type slotImport struct {
	*importing
	lines *importLines
	seen  map[string]struct{} // ids of the slot's events
	out   []byte              // reused for an event
	room  []byte              // reused for a body

	// Of the slot that is being taken.
	id     cow.ID
	file   importFile
	pos    uint64 // how many of its events were taken, are there or have left
	bytes  uint64 // of these
	left   uint64 // bytes of those that have left
	first  uint64 // position of the oldest that was there when the import began
	had    uint64 // position behind the newest
	group  []event.Event
	size   int                          // bytes of group
	before func() ([]byte, error, bool) // the events that were there
}

// slot takes one slot. The events that it holds already must be the first of the
// file, or begin with all of them; otherwise the slot stays as it is. As many events of
// the file as have left the slot are passed over: they were taken before.
func (s *slotImport) slot(id cow.ID, token cow.TokenHash, f importFile) error {
	rec, exists := s.to.have[id]
	if exists && !rec.Token.Equal(token) {
		return errors.Join(s.told.leave(kindSlot, slotPath(id, f), nil, "the data folder has this slot with another token", ""), s.passed(f.size))
	}
	if exists {
		s.told.there[kindSlot]++
	} else {
		s.told.taken[kindSlot]++
		if err := s.to.add(cow.Group{Op: cow.OpCreate, Slot: id, Token: token}); err != nil {
			return err
		}
		s.to.have[id] = cow.SlotRecord{Slot: id, Token: token}
	}
	if f.path == "" || f.size == 0 {
		return s.passed(0)
	}
	in, err := s.src.open(f)
	if err != nil {
		s.told.skip(kindSlot, place{file: f.path}, "the file can't be opened", err.Error())
		return s.passed(f.size)
	}
	defer in.Close()
	clear(s.seen)
	s.lines.reset(in)
	s.id, s.file, s.pos, s.bytes, s.left, s.first, s.had = id, f, 0, 0, 0, rec.First, rec.Count
	if s.had > 0 {
		next, stop := iter.Pull2(s.to.events(id))
		defer stop()
		s.before = next
	}
	for {
		l, err := s.lines.next()
		if err == io.EOF {
			return s.flush()
		}
		if err != nil {
			s.told.skip(kindSlot, place{file: f.path}, "the file can't be read to its end", err.Error())
			return s.flush()
		}
		goOn, err := s.line(l)
		if err = errors.Join(err, s.passed(l.size)); err != nil {
			return err
		}
		if !goOn {
			rest := f.size - l.offset - l.size
			s.told.leave(kindSlot, f.path, nil, "the slot went on in another way in the data folder, and stays as it is", fmt.Sprintf("behind %d events", s.pos))
			return s.passed(rest)
		}
	}
}

func slotPath(id cow.ID, f importFile) string {
	if f.path == "" {
		return fileTokens + " slot " + id.String()
	}
	return f.path
}

// line takes one line. It says whether the slot goes on.
func (s *slotImport) line(l *importLine) (goOn bool, err error) {
	text := bytes.TrimRight(l.text, " \t\r")
	if len(text) == 0 {
		return true, nil
	}
	if l.long {
		return true, s.told.leave(kindEvent, s.file.path, l, "the line is too long for an event", "")
	}
	ev, strict, err := s.read(text)
	if err != nil {
		why := "a client could not read it, and its mailbox would be blocked"
		switch {
		case errors.Is(err, event.ErrTooLarge), errors.Is(err, event.ErrShape):
			why = "it is no event that a relay may hold"
		case l.torn:
			why = "the file ends within it"
		}
		if err := s.told.leave(kindEvent, s.file.path, l, why, err.Error()); err != nil {
			return false, err
		}
		// A relay that was killed while it wrote goes on in the same line.
		rest := s.glued(text)
		if rest == nil {
			return true, nil
		}
		ev, strict, _ = s.read(rest)
		s.told.note(place{s.file.path, l.number}, "an event was taken that stands behind a torn one in the same line")
	}
	if !strict {
		s.told.note(place{s.file.path, l.number}, "an event was taken that repeats a key at its top level; clients keep the last")
	}
	return s.take(l, ev)
}

func (s *slotImport) read(text []byte) (ev event.Event, strict bool, err error) {
	ev, s.out, s.room, strict, err = event.Readable(s.out[:0], text, s.room)
	return ev, strict, err
}

// glued finds a whole event at the end of a line that begins with the rest of
// another. An object within another one stands behind a colon, a comma, a bracket
// or a blank, so that it can't be mistaken for one.
func (s *slotImport) glued(text []byte) []byte {
	tries := 0
	for from := 1; tries < 64; tries++ {
		n := bytes.Index(text[from:], []byte(`{"`))
		if n < 0 {
			return nil
		}
		from += n
		if bytes.IndexByte([]byte(" \t:,["), text[from-1]) < 0 {
			if _, _, err := s.read(text[from:]); err == nil {
				return text[from:]
			}
		}
		from++
	}
	return nil
}

// take stores an event, or finds it in the store.
func (s *slotImport) take(l *importLine, ev event.Event) (goOn bool, err error) {
	at := place{s.file.path, l.number}
	if id, ok := ev.ID(nil); ok {
		if _, had := s.seen[string(id)]; had {
			s.told.skip(kindEvent, at, "the slot has an event with this event_id already", "")
			return true, nil
		}
		s.seen[string(id)] = struct{}{}
	}
	// Those that have left count too, so that each import takes the same of the file.
	if s.bytes+uint64(len(ev.JSON)) > cow.MaxSlotBytes {
		return true, s.told.leave(kindEvent, s.file.path, l, "the slot is full", "")
	}
	switch {
	case s.pos < s.first:
		s.left += uint64(len(ev.JSON))
		s.told.there[kindEvent]++
	case s.pos < s.had:
		old, err, ok := s.before()
		if err != nil {
			return false, err
		}
		if !ok || !bytes.Equal(old, ev.JSON) {
			return false, nil
		}
		s.told.there[kindEvent]++
	default:
		ev = s.to.hold(ev)
		s.group = append(s.group, ev)
		s.size += len(ev.JSON)
		s.told.taken[kindEvent]++
	}
	s.pos++
	s.bytes += uint64(len(ev.JSON))
	if s.size >= importBatch {
		return true, s.flush()
	}
	return true, nil
}

// flush hands over the events that wait.
func (s *slotImport) flush() error {
	if len(s.group) == 0 {
		return nil
	}
	first := s.pos - uint64(len(s.group))
	g := cow.Group{Op: cow.OpAppend, Slot: s.id, Version: first, First: first, Count: s.pos, Bytes: s.bytes - s.left, Events: s.group}
	s.group, s.size = nil, 0
	return s.to.add(g)
}
